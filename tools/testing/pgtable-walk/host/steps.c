// SPDX-License-Identifier: GPL-2.0
/*
 * One thing after the other: what riscv KVM's walks fence, when they yield, how tables
 * end, and what is asserted.
 */
#include "guest.h"

/* ---- fences, yields, and the end of tables ---- */

static void begin_alone(void)
{
	cpu_wanted = NEVER;
	lock_wanted = NEVER;
	yields = 0;
	lock_yields = 0;
	fences_all = 0;
	fences_range = 0;
	stale_uses = 0;
	memset(counters, 0, sizeof(counters));
	new_root();
	load_vcpu(&vcpus[0]);
	vcpus[0].vcpu.requests = 0;
	vcpus[1].vcpu.requests = 0;
	vcpus[0].nr_fences = 0;
	vcpus[1].nr_fences = 0;
	spin_lock(&kvm.mmu_lock);
}

static void end_alone(void)
{
	spin_unlock(&kvm.mmu_lock);
	kvm_riscv_gstage_free_pgd(&kvm);
	set_shadow(0, ~0ULL, ~0ULL, 0);
	rcu_barrier();
	this_vcpu = NULL;
	cpu_wanted = NOW_AND_THEN;
	lock_wanted = NEVER;
}

static bool tlb_has(u64 addr)
{
	return tlb_find(vcpus[0].leaves, TLB_LEAVES, addr);
}

/* Leaves at @n addresses, all of them in the TLB. */
static void map_and_use(const u64 *addrs, unsigned int level, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		map(addrs[i], level);
	check_requests();
	for (i = 0; i < n; i++) {
		while (!tlb_has(addrs[i]))
			guest_access(addrs[i]);
	}
	/* Filling the TLB for one may have cost another its place. */
	for (i = 0; i < n; i++)
		guest_access(addrs[i]);
	fences_all = 0;
	fences_range = 0;
}

/* Two of a table, its first and its last; what lies outside stays cached. */
static void test_fence_of_a_range(struct kunit *test)
{
	const u64 addrs[] = { PAGE_SIZE, 2 * PAGE_SIZE, 9 * PAGE_SIZE, 12 * PAGE_SIZE };
	unsigned int i, tries;

	for (tries = 0; tries < 20; tries++) {
		begin_alone();
		map_and_use(addrs, 0, ARRAY_SIZE(addrs));
		gstage_unmap(&kvm, addrs[1], addrs[2] + 1, false);
		KUNIT_EXPECT_EQ(test, fences_all, 0UL);
		KUNIT_EXPECT_EQ(test, fences_range, 1UL);
		check_requests();
		for (i = 1; i <= 2; i++)
			KUNIT_EXPECT_FALSE(test, tlb_has(addrs[i]));
		end_alone();
	}
}

/* Huge leaves and pages: the steps are those of the pages. */
static void test_fence_of_mixed_levels(struct kunit *test)
{
	const u64 huge[] = { 0, 2 * HUGE_SIZE };
	const u64 pages[] = { HUGE_SIZE, HUGE_SIZE + 3 * PAGE_SIZE };
	unsigned int i, tries;

	for (tries = 0; tries < 20; tries++) {
		begin_alone();
		map_and_use(huge, 1, 2);
		map_and_use(pages, 0, 2);
		/* Not all of the table goes, so there is no fence of the VMID. */
		gstage_unmap(&kvm, 0, HUGE_SIZE + 5 * PAGE_SIZE, false);
		check_requests();
		KUNIT_EXPECT_FALSE(test, tlb_has(0));
		for (i = 0; i < 2; i++)
			KUNIT_EXPECT_FALSE(test, tlb_has(pages[i]));
		gstage_unmap(&kvm, 2 * HUGE_SIZE, 2 * HUGE_SIZE + 1, false);
		check_requests();
		KUNIT_EXPECT_FALSE(test, tlb_has(2 * HUGE_SIZE));
		KUNIT_EXPECT_EQ(test, fences_all, 0UL);
		KUNIT_EXPECT_EQ(test, fences_range, 2UL);
		end_alone();
	}
}

/* A table takes a fence that reaches pointers to it, even if it maps nothing. */
static void test_fence_of_a_table(struct kunit *test)
{
	const u64 addr = 0;

	begin_alone();
	map_and_use(&addr, 0, 1);
	gstage_unmap(&kvm, 0, PAGE_SIZE, false);
	check_requests();
	while (!tlb_find(vcpus[0].tables, TLB_TABLES, addr))
		guest_access(addr);
	fences_range = 0;
	gstage_unmap(&kvm, 0, HUGE_SIZE, false);
	KUNIT_EXPECT_EQ(test, fences_all, 1UL);
	check_requests();
	/* The table above it is still there, the one with the page is not. */
	KUNIT_EXPECT_EQ(test, counters[PGTABLE_WALK_FREED], 0UL);
	rcu_barrier();
	KUNIT_EXPECT_EQ(test, counters[PGTABLE_WALK_FREED], 1UL);
	guest_access(addr);
	end_alone();
}

/* As many tables as the guest has, one page each, or none. */
static void map_tables(bool keep_pages)
{
	unsigned int i;

	for (i = 0; i < TABLES; i++)
		map(page_addr(i, 0), 0);
	if (keep_pages)
		return;
	for (i = 0; i < TABLES; i++)
		gstage_unmap(&kvm, page_addr(i, 0), page_addr(i, 1), false);
	yields = 0;
	lock_yields = 0;
}

static void check_unmap_yields(struct kunit *test, bool pages, bool may_block)
{
	/* Pages, where there are any, and tables. */
	const unsigned long stops = pages ? 2 * TABLES : TABLES;

	map_tables(pages);
	gstage_unmap(&kvm, 0, TABLES * HUGE_SIZE, may_block);
	set_shadow(0, ~0ULL, ~0ULL, 0);
	check_shadow(test);
	if (may_block)
		/* Where a page is a table's last, one stop does for both; at the end, none. */
		KUNIT_EXPECT_TRUE(test, lock_yields + 1 >= stops);
	else
		KUNIT_EXPECT_EQ(test, lock_yields, 0UL);
	rcu_barrier();
	KUNIT_EXPECT_EQ(test, counters[PGTABLE_WALK_FREED], (unsigned long)TABLES);
}

static void test_unmap_yields(struct kunit *test)
{
	unsigned int i;

	for (i = 0; i < 8; i++) {
		begin_alone();
		/* Somebody waits for the CPU, or for the lock. */
		cpu_wanted = i & 1 ? ALWAYS : NEVER;
		lock_wanted = i & 1 ? NEVER : ALWAYS;
		check_unmap_yields(test, i & 2, i & 4);
		end_alone();
	}
}

/*
 * Behind the walk's back, a page is mapped again where it has been: into a table that is
 * still there, and into one that has to be linked anew.  It stays mapped, and no table
 * is lost.
 */
static void test_unmap_keeps_what_was_refilled(struct kunit *test)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		begin_alone();
		map(page_addr(0, 0), 0);
		map(page_addr(1, 0), 0);
		cpu_wanted = ALWAYS;
		/* Behind the page, or behind its table. */
		refill_at = i + 1;
		set_shadow(0, ~0ULL, ~0ULL, 0);
		gstage_unmap(&kvm, 0, PUD_SIZE, true);
		refill_at = 0;
		KUNIT_EXPECT_NE(test, shadow[0][0], 0ULL);
		check_shadow(test);
		rcu_barrier();
		KUNIT_EXPECT_EQ(test, counters[PGTABLE_WALK_FREED], i + 1UL);

		/* The same without anybody in between. */
		gstage_unmap(&kvm, 0, PUD_SIZE, true);
		set_shadow(0, ~0ULL, ~0ULL, 0);
		check_shadow(test);
		rcu_barrier();
		KUNIT_EXPECT_EQ(test, counters[PGTABLE_WALK_FREED], i + 3UL);
		end_alone();
	}
}

static void test_wrprotect_yields(struct kunit *test)
{
	begin_alone();
	map_tables(true);
	fences_range = 0;
	cpu_wanted = ALWAYS;
	gstage_wrprotect(&kvm, 0, TABLES * HUGE_SIZE, true);
	KUNIT_EXPECT_TRUE(test, lock_yields + 1 >= 2 * TABLES);
	lock_yields = 0;
	gstage_wrprotect(&kvm, 0, TABLES * HUGE_SIZE, false);
	KUNIT_EXPECT_EQ(test, lock_yields, 0UL);
	set_shadow(0, ~0ULL, _PAGE_WRITE, 0);
	check_shadow(test);
	/* The caller's. */
	KUNIT_EXPECT_EQ(test, fences_all, 0UL);
	KUNIT_EXPECT_EQ(test, fences_range, 0UL);
	end_alone();
}

/* With mmu_lock free, and without a callback for each table. */
static void test_teardown_yields(struct kunit *test)
{
	int i;

	for (i = 0; i < 2; i++) {
		begin_alone();
		map_tables(i);
		cpu_wanted = ALWAYS;
		spin_unlock(&kvm.mmu_lock);
		kvm_riscv_gstage_free_pgd(&kvm);
		spin_lock(&kvm.mmu_lock);
		/* The tables of pages, and the one above them. */
		KUNIT_EXPECT_EQ(test, counters[PGTABLE_WALK_FREED], TABLES + 1UL);
		KUNIT_EXPECT_TRUE(test, yields >= TABLES + 1UL);
		KUNIT_EXPECT_PTR_EQ(test, kvm.arch.pgd, NULL);
		end_alone();
	}
}

/* ---- reads of guest memory while outside of the guest ---- */

static unsigned long local_fences_since(void)
{
	unsigned long n = local_fences;

	local_fences = 0;
	return n;
}

static void test_guest_read(struct kunit *test)
{
	struct kvm_vcpu *v = &vcpus[0].vcpu;

	begin_alone();
	local_fences_since();

	kvm_riscv_guest_read_begin(v);
	KUNIT_EXPECT_EQ(test, v->mode, READING_SHADOW_PAGE_TABLES);
	kvm_riscv_guest_read_end(v);
	KUNIT_EXPECT_EQ(test, v->mode, OUTSIDE_GUEST_MODE);
	KUNIT_EXPECT_EQ(test, local_fences_since(), 0UL);

	/* Fences that were asked for come first, and are still asked for afterwards. */
	kvm_flush_remote_tlbs(&kvm);
	kvm_riscv_guest_read_begin(v);
	KUNIT_EXPECT_EQ(test, local_fences_since(), 1UL);
	kvm_riscv_guest_read_end(v);
	KUNIT_EXPECT_TRUE(test, kvm_test_request(KVM_REQ_TLB_FLUSH, v));
	check_requests();
	gstage_fence(&kvm, 0, PAGE_SIZE, PAGE_SHIFT);
	local_fences_since();
	kvm_riscv_guest_read_begin(v);
	KUNIT_EXPECT_EQ(test, local_fences_since(), 1UL);
	kvm_riscv_guest_read_end(v);
	check_requests();
	local_fences_since();

	/* VMIDs ran out, and this one may be another VM's. */
	vmid_version++;
	kvm_riscv_guest_read_begin(v);
	KUNIT_EXPECT_EQ(test, local_fences_since(), 1UL);
	kvm_riscv_guest_read_end(v);
	KUNIT_EXPECT_EQ(test, local_fences_since(), 1UL);
	/* The VM has a new one, which the hart does not know yet. */
	kvm.arch.vmid.vmid_version = vmid_version;
	kvm.arch.vmid.vmid++;
	kvm_riscv_guest_read_begin(v);
	KUNIT_EXPECT_EQ(test, local_fences_since(), 1UL);
	kvm_riscv_guest_read_end(v);
	KUNIT_EXPECT_EQ(test, local_fences_since(), 1UL);
	load_vcpu(&vcpus[0]);
	kvm_riscv_guest_read_begin(v);
	kvm_riscv_guest_read_end(v);
	KUNIT_EXPECT_EQ(test, local_fences_since(), 0UL);
	end_alone();
}

/* A VMID that may be another VM's is not loaded, and not left at that. */
static void test_hgatp_vmid(struct kunit *test)
{
	struct kvm_vcpu *v = &vcpus[0].vcpu;

	begin_alone();
	KUNIT_EXPECT_EQ(test, gstage_hgatp_vmid(v), kvm.arch.vmid.vmid);
	KUNIT_EXPECT_FALSE(test, kvm_test_request(KVM_REQ_UPDATE_HGATP, v));

	vmid_version++;
	KUNIT_EXPECT_EQ(test, gstage_hgatp_vmid(v), 0UL);
	KUNIT_EXPECT_TRUE(test, kvm_test_request(KVM_REQ_UPDATE_HGATP, v));
	kvm.arch.vmid.vmid_version = vmid_version;
	KUNIT_EXPECT_EQ(test, gstage_hgatp_vmid(v), kvm.arch.vmid.vmid);
	end_alone();
}

/* ---- what a memslot has room for ---- */

static void test_leaf_size(struct kunit *test)
{
	struct kvm_memory_slot s = {
		.base_gfn = 2 * PUD_SIZE >> PAGE_SHIFT,
		.npages = 2 * PUD_SIZE >> PAGE_SHIFT,
		.userspace_addr = 16 * PUD_SIZE,
	};
	const gpa_t gpa = 2 * PUD_SIZE;

	KUNIT_EXPECT_EQ(test, gstage_leaf_size(&s, gpa + 12345, PUD_SIZE), PUD_SIZE);
	KUNIT_EXPECT_EQ(test, gstage_leaf_size(&s, gpa + 12345, PMD_SIZE), PMD_SIZE);
	KUNIT_EXPECT_EQ(test, gstage_leaf_size(&s, gpa + 12345, PAGE_SIZE), PAGE_SIZE);

	/* Addresses that agree modulo one size, and not modulo another. */
	s.userspace_addr += 5 * PMD_SIZE;
	KUNIT_EXPECT_EQ(test, gstage_leaf_size(&s, gpa, PUD_SIZE), PMD_SIZE);
	s.userspace_addr += PAGE_SIZE;
	KUNIT_EXPECT_EQ(test, gstage_leaf_size(&s, gpa, PUD_SIZE), PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, gstage_leaf_size(&s, gpa, PMD_SIZE), PAGE_SIZE);

	/* A slot that begins and ends within huge pages. */
	s.userspace_addr = 16 * PUD_SIZE + PAGE_SIZE;
	s.base_gfn += 1;
	s.npages = 2 * PMD_SIZE >> PAGE_SHIFT;
	KUNIT_EXPECT_EQ(test, gstage_leaf_size(&s, gpa + PAGE_SIZE, PMD_SIZE), PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, gstage_leaf_size(&s, gpa + PMD_SIZE, PMD_SIZE), PMD_SIZE);
	KUNIT_EXPECT_EQ(test, gstage_leaf_size(&s, gpa + PMD_SIZE, PUD_SIZE), PMD_SIZE);
	KUNIT_EXPECT_EQ(test, gstage_leaf_size(&s, gpa + 2 * PMD_SIZE, PMD_SIZE), PAGE_SIZE);
}

/* ---- assertions ---- */

static unsigned long warnings(void)
{
	unsigned long n = host_warnings;

	host_warnings = 0;
	return n;
}

static void test_rcu_assertions(struct kunit *test)
{
	static const struct pgtable_walk_ops ops = {};
	struct pgtable_walk walk = { .end = 1 };
	struct pgtable_walk_tree tree;

	new_root();
	tree = pgtable_root_deref(&kvm.arch.gstage_root, true);
	KUNIT_EXPECT_EQ(test, warnings(), 0UL);
	pgtable_root_deref(&kvm.arch.gstage_root, false);
	KUNIT_EXPECT_EQ(test, warnings(), 1UL);
	pgtable_walk_range(&gstage_format, PGTABLE_WALK_SHARED, &ops, &tree, &walk);
	KUNIT_EXPECT_EQ(test, warnings(), 1UL);
	pgtable_walk_range(&gstage_format, PGTABLE_WALK_EXCLUSIVE, &ops, &tree, &walk);
	KUNIT_EXPECT_EQ(test, warnings(), 0UL);

	rcu_read_lock();
	pgtable_root_deref(&kvm.arch.gstage_root, false);
	pgtable_walk_range(&gstage_format, PGTABLE_WALK_SHARED, &ops, &tree, &walk);
	rcu_read_unlock();
	KUNIT_EXPECT_EQ(test, warnings(), 0UL);

	free(pgtable_root_retire(&kvm.arch.gstage_root).table);
}

/* Lockless aging must not hold mmu_lock, and any other must. */
static void test_lock_assertions(struct kunit *test)
{
	struct kvm_gfn_range range = { .end = 1 };

	kvm_age_gfn(&kvm, &range);
	KUNIT_EXPECT_EQ(test, warnings(), 1UL);
	range.lockless = true;
	kvm_age_gfn(&kvm, &range);
	KUNIT_EXPECT_EQ(test, warnings(), 0UL);

	spin_lock(&kvm.mmu_lock);
	kvm_age_gfn(&kvm, &range);
	KUNIT_EXPECT_EQ(test, warnings(), 1UL);
	range.lockless = false;
	kvm_age_gfn(&kvm, &range);
	KUNIT_EXPECT_EQ(test, warnings(), 0UL);
	spin_unlock(&kvm.mmu_lock);
}

/* A root that can't be described is not published. */
static void test_publish_assertions(struct kunit *test)
{
	struct pgtable_root root = {};
	struct pgtable_walk_tree tree = { (vpte_t *)0x1000, 3, 64 };

	pgtable_root_publish(&root, &tree);
	KUNIT_EXPECT_EQ(test, warnings(), 1UL);
	KUNIT_EXPECT_EQ(test, root.word, 0UL);
	tree.addr_bits = 41;
	pgtable_root_publish(&root, &tree);
	KUNIT_EXPECT_EQ(test, warnings(), 0UL);
	KUNIT_EXPECT_NE(test, root.word, 0UL);
}

static struct kunit_case steps_cases[] = {
	KUNIT_CASE(test_rcu_assertions),
	KUNIT_CASE(test_lock_assertions),
	KUNIT_CASE(test_publish_assertions),
	KUNIT_CASE(test_leaf_size),
	KUNIT_CASE(test_guest_read),
	KUNIT_CASE(test_hgatp_vmid),
	KUNIT_CASE(test_fence_of_a_range),
	KUNIT_CASE(test_fence_of_mixed_levels),
	KUNIT_CASE(test_fence_of_a_table),
	KUNIT_CASE(test_unmap_yields),
	KUNIT_CASE(test_unmap_keeps_what_was_refilled),
	KUNIT_CASE(test_wrprotect_yields),
	KUNIT_CASE(test_teardown_yields),
	{}
};

static struct kunit_suite steps = {
	.name = "pgtable_walk_steps",
	.test_cases = steps_cases,
};

kunit_test_suites(&steps);
