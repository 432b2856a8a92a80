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

static void expect_fence(struct kunit *test, unsigned int nr, u64 addr, u64 size,
			 unsigned int order)
{
	const struct fence *f = &vcpus[0].fences[nr];

	KUNIT_EXPECT_TRUE(test, nr < vcpus[0].nr_fences);
	KUNIT_EXPECT_EQ(test, f->addr, addr);
	KUNIT_EXPECT_EQ(test, f->size, size);
	KUNIT_EXPECT_EQ(test, f->order, order);
}

/* Two of a table, its first and its last; what lies outside is not fenced. */
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
		expect_fence(test, 0, addrs[1], addrs[2] + PAGE_SIZE - addrs[1], PAGE_SHIFT);
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
		expect_fence(test, 0, 0, pages[1] + PAGE_SIZE, PAGE_SHIFT);
		check_requests();
		KUNIT_EXPECT_FALSE(test, tlb_has(0));
		for (i = 0; i < 2; i++)
			KUNIT_EXPECT_FALSE(test, tlb_has(pages[i]));
		gstage_unmap(&kvm, 2 * HUGE_SIZE, 2 * HUGE_SIZE + 1, false);
		expect_fence(test, 0, 2 * HUGE_SIZE, HUGE_SIZE, 21);
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

/* Each time that mmu_lock is dropped, what was unmapped since it was taken. */
static void test_fences_in_pieces(struct kunit *test)
{
	begin_alone();
	map(page_addr(0, 1), 0);
	map(page_addr(0, 5), 0);
	check_requests();
	fences_range = 0;
	cpu_wanted = ALWAYS;
	gstage_unmap(&kvm, page_addr(0, 0), page_addr(0, 8), true);
	KUNIT_EXPECT_EQ(test, fences_all, 0UL);
	KUNIT_EXPECT_EQ(test, fences_range, 2UL);
	expect_fence(test, 0, page_addr(0, 1), PAGE_SIZE, PAGE_SHIFT);
	expect_fence(test, 1, page_addr(0, 5), PAGE_SIZE, PAGE_SHIFT);
	/* There was nothing. */
	gstage_unmap(&kvm, page_addr(0, 0), page_addr(0, 8), true);
	KUNIT_EXPECT_EQ(test, fences_range, 2UL);
	end_alone();
}

/* A page, and then a table that held its neighbours. */
static void test_unmap_entry(struct kunit *test)
{
	unsigned int i;

	begin_alone();
	for (i = 1; i < 5; i++)
		map(page_addr(1, i), 0);
	map(page_addr(0, 7), 0);
	map(page_addr(2, 0), 0);

	gstage_unmap_entry(&kvm, 0, page_addr(1, 2) + 123);
	set_shadow(page_addr(1, 2), page_addr(1, 3), ~0ULL, 0);
	check_shadow(test);
	gstage_unmap_entry(&kvm, 1, page_addr(1, 2));
	set_shadow(page_addr(1, 0), page_addr(2, 0), ~0ULL, 0);
	check_shadow(test);
	rcu_barrier();
	KUNIT_EXPECT_EQ(test, counters[PGTABLE_WALK_FREED], 1UL);
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
		kvm.arch.pgd_phys = virt_to_phys(kvm.arch.pgd);
		spin_unlock(&kvm.mmu_lock);
		KUNIT_EXPECT_TRUE(test, kvm_riscv_gstage_free_pgd(&kvm));
		/* Once is enough. */
		KUNIT_EXPECT_FALSE(test, kvm_riscv_gstage_free_pgd(&kvm));
		spin_lock(&kvm.mmu_lock);
		/* The tables of pages, and the one above them. */
		KUNIT_EXPECT_EQ(test, counters[PGTABLE_WALK_FREED], TABLES + 1UL);
		KUNIT_EXPECT_TRUE(test, yields >= TABLES + 1UL);
		KUNIT_EXPECT_PTR_EQ(test, kvm.arch.pgd, NULL);
		KUNIT_EXPECT_EQ(test, kvm.arch.pgd_phys, 0ULL);
		end_alone();
	}
}

/* The retirer that gets the table has waited for a grace period; the other gets no table. */
static void test_retire_waits(struct kunit *test)
{
	unsigned long epoch = rcu_epoch;
	struct pgtable_walk_tree tree;

	new_root();
	tree = pgtable_root_retire(&kvm.arch.gstage_root);
	KUNIT_EXPECT_EQ(test, rcu_epoch, epoch + 1);
	free(tree.table);
	tree = pgtable_root_retire(&kvm.arch.gstage_root);
	KUNIT_EXPECT_PTR_EQ(test, tree.table, NULL);
	KUNIT_EXPECT_EQ(test, rcu_epoch, epoch + 1);
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

/* ---- what KVM asks of an architecture ---- */

/* Each leaf is young when it is mapped. */
static bool young(u64 addr)
{
	struct pgtable_walk_tree tree = locked_tree();
	unsigned int level;

	return vpte_read(gstage_vpte(find_entry(&tree, addr, &level))) & _PAGE_ACCESSED;
}

static void map_pages(unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		map(page_addr(0, i), 0);
}

static void test_age_gfn(struct kunit *test)
{
	struct kvm_gfn_range range = { .start = 1, .end = 3 };
	const u64 locked = kvm.stat.generic.aged_locked;

	begin_alone();
	map_pages(4);
	KUNIT_EXPECT_TRUE(test, kvm_test_age_gfn(&kvm, &range));
	KUNIT_EXPECT_TRUE(test, kvm_test_age_gfn(&kvm, &range));
	KUNIT_EXPECT_TRUE(test, kvm_age_gfn(&kvm, &range));
	KUNIT_EXPECT_FALSE(test, kvm_test_age_gfn(&kvm, &range));
	KUNIT_EXPECT_FALSE(test, kvm_age_gfn(&kvm, &range));
	KUNIT_EXPECT_TRUE(test, young(page_addr(0, 0)));
	KUNIT_EXPECT_FALSE(test, young(page_addr(0, 1)));
	KUNIT_EXPECT_FALSE(test, young(page_addr(0, 2)));
	KUNIT_EXPECT_TRUE(test, young(page_addr(0, 3)));
	KUNIT_EXPECT_EQ(test, kvm.stat.generic.aged_locked, locked + 5);

	range = (struct kvm_gfn_range) { .end = 1, .lockless = true };
	spin_unlock(&kvm.mmu_lock);
	KUNIT_EXPECT_TRUE(test, kvm_age_gfn(&kvm, &range));
	spin_lock(&kvm.mmu_lock);
	KUNIT_EXPECT_FALSE(test, young(page_addr(0, 0)));
	KUNIT_EXPECT_EQ(test, kvm.stat.generic.aged_locked, locked + 5);
	KUNIT_EXPECT_EQ(test, counters[PGTABLE_WALKS], 6UL);
	end_alone();
}

static void test_age_wanted(struct kunit *test)
{
	const unsigned long start = 0x10000000;
	DECLARE_BITMAP(want, 192) = {};
	struct mmu_notifier_age age = { .start = start, .nr = 130, .shift = 13 };
	u64 from = 1, to = 2;

	KUNIT_EXPECT_TRUE(test, kvm_age_wanted(&age, &from, &to));
	KUNIT_EXPECT_EQ(test, from, start);
	KUNIT_EXPECT_EQ(test, to, start + (130UL << 13));

	/* Of what lies behind the last part, nothing is wanted. */
	age.want = want;
	__set_bit(130, want);
	KUNIT_EXPECT_FALSE(test, kvm_age_wanted(&age, &from, &to));
	__set_bit(129, want);
	KUNIT_EXPECT_TRUE(test, kvm_age_wanted(&age, &from, &to));
	KUNIT_EXPECT_EQ(test, from, start + (129UL << 13));
	KUNIT_EXPECT_EQ(test, to, start + (130UL << 13));

	bitmap_zero(want, 192);
	__set_bit(0, want);
	__set_bit(100, want);
	KUNIT_EXPECT_TRUE(test, kvm_age_wanted(&age, &from, &to));
	KUNIT_EXPECT_EQ(test, from, start);
	KUNIT_EXPECT_EQ(test, to, start + (101UL << 13));
}

/* Part 0 begins two pages below the slot, and the query is about parts of one page or two. */
static void test_age_batch(struct kunit *test)
{
	const struct kvm_memory_slot slot = { 4, 8, 0x40000000 };
	unsigned long want, answer;
	struct mmu_notifier_age parts = {
		.start = 0x40000000 - 2 * PAGE_SIZE, .nr = 16, .shift = PAGE_SHIFT,
		.want = &want, .young = &answer,
	};
	struct kvm_gfn_range range = {
		.slot = &slot, .start = 4, .end = 12, .arg.age = &parts, .lockless = true,
	};

	begin_alone();
	map_pages(8);
	spin_unlock(&kvm.mmu_lock);

	want = BIT_ULL(2) | BIT_ULL(4) | BIT_ULL(9);
	answer = 0;
	KUNIT_EXPECT_TRUE(test, kvm_age_gfn_batch(&kvm, &range));
	KUNIT_EXPECT_EQ(test, answer, BIT_ULL(2) | BIT_ULL(4));
	parts.clear = true;
	KUNIT_EXPECT_TRUE(test, kvm_age_gfn_batch(&kvm, &range));
	answer = 0;
	KUNIT_EXPECT_FALSE(test, kvm_age_gfn_batch(&kvm, &range));
	KUNIT_EXPECT_EQ(test, answer, 0UL);

	/* What is left of frames 4 to 7 is 5 and 7, in parts 1 and 2 of two pages each. */
	parts.shift = PAGE_SHIFT + 1;
	range.start = 5;
	want = ~0UL;
	KUNIT_EXPECT_TRUE(test, kvm_age_gfn_batch(&kvm, &range));
	KUNIT_EXPECT_EQ(test, answer, BIT_ULL(1) | BIT_ULL(2));

	spin_lock(&kvm.mmu_lock);
	KUNIT_EXPECT_TRUE(test, young(page_addr(0, 3)));
	KUNIT_EXPECT_FALSE(test, young(page_addr(0, 5)));
	end_alone();
}

static void test_lockless_switch(struct kunit *test)
{
	KUNIT_EXPECT_TRUE(test, kvm_age_lockless(&kvm));
	kvm_lockless_aging = false;
	KUNIT_EXPECT_FALSE(test, kvm_age_lockless(&kvm));
	kvm_lockless_aging = true;
}

/* What a table would be at the lowest level is nothing; attributes are no part of an address. */
static void test_entry_kind(struct kunit *test)
{
	pte_t pte = pfn_pte(1, PAGE_TABLE);

	KUNIT_EXPECT_EQ(test, gstage_entry_kind(&pte, 1), PGTABLE_WALK_TABLE);
	KUNIT_EXPECT_EQ(test, gstage_entry_kind(&pte, 0), PGTABLE_WALK_NONE);
	KUNIT_EXPECT_PTR_EQ(test, gstage_child(pte_val(pte) | BIT_ULL(61)),
			    phys_to_virt(PFN_PHYS(1)));
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
	/* The last one that there is room for. */
	KUNIT_EXPECT_EQ(test, gstage_leaf_size(&s, gpa + PUD_SIZE + 12345, PUD_SIZE), PUD_SIZE);
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

/* Changes of page tables need mmu_lock: the walk and the read of the root both assert it. */
static void test_change_assertions(struct kunit *test)
{
	begin_alone();
	spin_unlock(&kvm.mmu_lock);
	gstage_unmap(&kvm, 0, PAGE_SIZE, false);
	KUNIT_EXPECT_EQ(test, warnings(), 2UL);
	gstage_wrprotect(&kvm, 0, PAGE_SIZE, false);
	KUNIT_EXPECT_EQ(test, warnings(), 2UL);
	spin_lock(&kvm.mmu_lock);
	end_alone();
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
	KUNIT_CASE(test_change_assertions),
	KUNIT_CASE(test_publish_assertions),
	KUNIT_CASE(test_age_gfn),
	KUNIT_CASE(test_age_wanted),
	KUNIT_CASE(test_age_batch),
	KUNIT_CASE(test_lockless_switch),
	KUNIT_CASE(test_entry_kind),
	KUNIT_CASE(test_leaf_size),
	KUNIT_CASE(test_guest_read),
	KUNIT_CASE(test_hgatp_vmid),
	KUNIT_CASE(test_fence_of_a_range),
	KUNIT_CASE(test_fence_of_mixed_levels),
	KUNIT_CASE(test_fence_of_a_table),
	KUNIT_CASE(test_fences_in_pieces),
	KUNIT_CASE(test_unmap_entry),
	KUNIT_CASE(test_unmap_yields),
	KUNIT_CASE(test_unmap_keeps_what_was_refilled),
	KUNIT_CASE(test_wrprotect_yields),
	KUNIT_CASE(test_teardown_yields),
	KUNIT_CASE(test_retire_waits),
	{}
};

static struct kunit_suite steps = {
	.name = "pgtable_walk_steps",
	.test_cases = steps_cases,
};

kunit_test_suites(&steps);
