// SPDX-License-Identifier: GPL-2.0
/*
 * Races: riscv KVM's own aging walk against its own walks under mmu_lock, with a
 * vCPU that sets accessed and dirty bits.  ASan sees tables that are freed too early,
 * TSan sees accesses without order or atomicity, and a shadow of the page tables sees
 * entries that come back, or bits that do.
 */
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "guest.h"

static bool stop;

/* ---- vCPUs ---- */

static bool park;
static unsigned long guest_reads;

static void interrupts_on(struct host_vcpu *v)
{
	__atomic_fetch_add(&v->interruptible, 1, __ATOMIC_SEQ_CST);
}

static void run_guest(struct host_vcpu *v)
{
	unsigned int n;

	check_requests();
	__atomic_store_n(&v->vcpu.mode, IN_GUEST_MODE, __ATOMIC_SEQ_CST);
	smp_mb();
	for (n = random_below(64); n && !READ_ONCE(v->vcpu.requests); n--) {
		guest_access(page_addr(random_below(TABLES), random_below(PAGES)));
		pgtable_walk_stall();
	}
	__atomic_store_n(&v->vcpu.mode, OUTSIDE_GUEST_MODE, __ATOMIC_RELEASE);
	interrupts_on(v);
}

static void read_guest(struct host_vcpu *v)
{
	kvm_riscv_guest_read_begin(&v->vcpu);
	pgtable_walk_stall();
	guest_access(page_addr(random_below(TABLES), random_below(PAGES)));
	pgtable_walk_stall();
	kvm_riscv_guest_read_end(&v->vcpu);
	interrupts_on(v);
	__atomic_fetch_add(&guest_reads, 1, __ATOMIC_RELAXED);
}

static void *vcpu(void *arg)
{
	struct host_vcpu *v = arg;

	random_state = 1 + (v - vcpus);
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		if (__atomic_load_n(&park, __ATOMIC_ACQUIRE)) {
			__atomic_store_n(&v->parked, true, __ATOMIC_RELEASE);
			sched_yield();
			continue;
		}
		if (__atomic_exchange_n(&v->parked, false, __ATOMIC_SEQ_CST))
			continue;
		load_vcpu(v);
		if (random_below(2))
			run_guest(v);
		else
			read_guest(v);
	}
	__atomic_store_n(&v->parked, true, __ATOMIC_RELEASE);
	return NULL;
}

/* A VM ends when no vCPU runs any more. */
static void park_vcpus(void)
{
	int i;

	__atomic_store_n(&park, true, __ATOMIC_SEQ_CST);
	for (i = 0; i < VCPUS; i++) {
		while (!__atomic_load_n(&vcpus[i].parked, __ATOMIC_ACQUIRE))
			sched_yield();
	}
}

static void unpark_vcpus(void)
{
	__atomic_store_n(&park, false, __ATOMIC_RELEASE);
}

/* ---- the aging thread ---- */

static const struct kvm_memory_slot slot = { .npages = TABLES * HUGE_SIZE / PAGE_SIZE };

static void age_batch(u64 page)
{
	unsigned long want[8], young[8] = {};
	struct mmu_notifier_age age = {
		.start = page << PAGE_SHIFT,
		.nr = 1 + random_below(512),
		.shift = random_below(2) ? PAGE_SHIFT : 21,
		.clear = random_below(4),
		.want = random_below(4) ? want : NULL,
		.young = random_below(4) ? young : NULL,
	};
	struct kvm_gfn_range range = {
		.slot = &slot,
		.start = page,
		.end = min(mmu_notifier_age_end(&age) >> PAGE_SHIFT, page + slot.npages),
		.arg.age = &age,
		.lockless = true,
	};
	int i;

	for (i = 0; i < 8; i++)
		want[i] = (u64)random_below(~0U) << 32 | random_below(~0U);
	kvm_age_gfn_batch(&kvm, &range);
	for (i = 0; i < 8; i++)
		WARN_ON_ONCE(age.want && young[i] & ~want[i]);
}

static void *ager(void *arg)
{
	random_state = (uintptr_t)arg;
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		const u64 page = page_addr(random_below(TABLES), random_below(PAGES)) / PAGE_SIZE;
		struct kvm_gfn_range range = {
			.start = page,
			.end = page + 1 + random_below(2 * HUGE_SIZE / PAGE_SIZE),
			.lockless = true,
		};

		switch (random_below(8)) {
		case 0:
			kvm_test_age_gfn(&kvm, &range);
			break;
		case 1 ... 3:
			age_batch(page);
			break;
		default:
			kvm_age_gfn(&kvm, &range);
		}
	}
	return NULL;
}

static void *reclaim_rcu(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		rcu_barrier();
		usleep(50);
	}
	return NULL;
}

/* ---- the mutator ---- */

static void allow_write(u64 addr)
{
	struct pgtable_walk_tree tree = locked_tree();
	unsigned int level;
	vpte_t *ptep = gstage_vpte(find_entry(&tree, addr, &level)), old = vpte_read(ptep);
	const u64 size = 1ULL << (12 + 9 * level), start = addr & ~(size - 1);

	if (gstage_kind(old, level) != PGTABLE_WALK_LEAF)
		return;
	pgtable_walk_stall();
	WARN_ON_ONCE(!vpte_update(ptep, &old, 0, _PAGE_WRITE, GSTAGE_VOLATILE_BITS));
	set_shadow(start, start + size, 0, _PAGE_WRITE);
}

/* A huge leaf goes, or becomes read-only, as a whole. */
static void widen_to_leaves(u64 *start, u64 *end)
{
	struct pgtable_walk_tree tree = locked_tree();
	unsigned int level;

	find_entry(&tree, *start, &level);
	if (level)
		*start &= ~(HUGE_SIZE - 1);
	find_entry(&tree, *end - 1, &level);
	if (level)
		*end = (*end + HUGE_SIZE - 1) & ~(HUGE_SIZE - 1);
}

/* Both of the notifier's release and the VM's last reference do this, at once. */
static void *end_vm_once(void *unused)
{
	kvm_riscv_gstage_free_pgd(&kvm);
	return NULL;
}

static void end_vm(void)
{
	pthread_t other;

	if (pthread_create(&other, NULL, end_vm_once, NULL))
		abort();
	end_vm_once(NULL);
	pthread_join(other, NULL);
}

static void new_vm(void)
{
	spin_unlock(&kvm.mmu_lock);
	park_vcpus();
	end_vm();
	spin_lock(&kvm.mmu_lock);
	set_shadow(0, ~0ULL, ~0ULL, 0);
	new_root();
	unpark_vcpus();
}

static void mutate(struct kunit *test)
{
	u64 start = page_addr(random_below(TABLES), random_below(PAGES)), end;

	spin_lock(&kvm.mmu_lock);
	end = start + PAGE_SIZE * (1 + random_below(random_below(4) ? PAGES : 1024));
	switch (random_below(32)) {
	case 0:
		new_vm();
		break;
	case 1 ... 4:
		widen_to_leaves(&start, &end);
		gstage_unmap(&kvm, start, end, random_below(2));
		set_shadow(start, end, ~0ULL, 0);
		break;
	case 5:
		widen_to_leaves(&start, &end);
		gstage_wrprotect(&kvm, start, end, random_below(2));
		kvm_flush_remote_tlbs(&kvm);
		set_shadow(start, end, _PAGE_WRITE, 0);
		break;
	case 6 ... 9:
		allow_write(start);
		break;
	case 10 ... 12:
		map(start, 1);
		break;
	default:
		map(start, 0);
	}
	check_shadow(test);
	spin_unlock(&kvm.mmu_lock);
	/* Free what vCPUs may remember before another fence makes them forget it. */
	if (!random_below(4))
		rcu_barrier();
	KUNIT_EXPECT_EQ(test, __atomic_load_n(&stale_uses, __ATOMIC_RELAXED), 0UL);
}

static void test_ager_against_mmu(struct kunit *test)
{
	void *(*const run[])(void *arg) = { vcpu, vcpu, ager, ager, reclaim_rcu };
	pthread_t threads[ARRAY_SIZE(run)];
	size_t i;

	memset(counters, 0, sizeof(counters));
	__atomic_store_n(&stop, false, __ATOMIC_RELAXED);
	__atomic_store_n(&stall, true, __ATOMIC_RELAXED);
	new_root();
	for (i = 0; i < ARRAY_SIZE(run); i++)
		KUNIT_ASSERT_EQ(test, pthread_create(&threads[i], NULL, run[i],
						     i < VCPUS ? (void *)&vcpus[i] : (void *)(i + 1)),
				0);

	for (i = 0; i < ROUNDS && !test->failed; i++)
		mutate(test);

	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < ARRAY_SIZE(run); i++)
		pthread_join(threads[i], NULL);
	__atomic_store_n(&stall, false, __ATOMIC_RELAXED);

	end_vm();
	set_shadow(0, ~0ULL, ~0ULL, 0);
	rcu_barrier();

	kunit_info(test, "%lu walks, %lu leaves, %lu young, %lu lost, %lu tables freed\n",
		   counters[PGTABLE_WALKS], counters[PGTABLE_WALK_VISITED],
		   counters[PGTABLE_WALK_YOUNG], counters[PGTABLE_WALK_LOST],
		   counters[PGTABLE_WALK_FREED]);
	kunit_info(test, "%lu fences of all, %lu of ranges, %lu reads while outside\n", fences_all,
		   fences_range, guest_reads);
	/* Or else there was nothing to see. */
	KUNIT_EXPECT_NE(test, counters[PGTABLE_WALK_YOUNG], 0UL);
	KUNIT_EXPECT_NE(test, counters[PGTABLE_WALK_LOST], 0UL);
	KUNIT_EXPECT_NE(test, counters[PGTABLE_WALK_FREED], 0UL);
	KUNIT_EXPECT_EQ(test, host_warnings, 0UL);
}

/* ---- the end of a root, by two at once ---- */

static void *retire_root(void *unused)
{
	return pgtable_root_retire(&kvm.arch.gstage_root).table;
}

static void test_retire_races(struct kunit *test)
{
	pthread_t thread;
	void *mine, *other;
	int i;

	__atomic_store_n(&stall, true, __ATOMIC_RELAXED);
	for (i = 0; i < 2000 && !test->failed; i++) {
		new_root();
		KUNIT_ASSERT_EQ(test, pthread_create(&thread, NULL, retire_root, NULL), 0);
		mine = retire_root(NULL);
		pthread_join(thread, &other);
		KUNIT_EXPECT_TRUE(test, !mine != !other);
		KUNIT_EXPECT_PTR_EQ(test, mine ?: other, kvm.arch.pgd);
		free(kvm.arch.pgd);
	}
	__atomic_store_n(&stall, false, __ATOMIC_RELAXED);
}

/* ---- vpte_update() against somebody who changes a volatile bit ---- */

static vpte_t flipped;

/* The only one to change A: for a while, it is nothing but what was written last. */
static bool accessed_stays(vpte_t accessed)
{
	unsigned int n;

	for (n = random_below(64); n; n--) {
		if ((vpte_read(&flipped) & _PAGE_ACCESSED) != accessed)
			return false;
		pgtable_walk_stall();
	}
	return true;
}

static void *flip_accessed(void *arg)
{
	unsigned long wrong = 0;

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		__atomic_fetch_or(&flipped, _PAGE_ACCESSED, __ATOMIC_SEQ_CST);
		wrong += !accessed_stays(_PAGE_ACCESSED);
		__atomic_fetch_and(&flipped, ~_PAGE_ACCESSED, __ATOMIC_SEQ_CST);
		wrong += !accessed_stays(0);
	}
	return (void *)wrong;
}

static void test_vpte_update_against_flips(struct kunit *test)
{
	const vpte_t with = PROT, without = PROT & ~_PAGE_WRITE;
	pthread_t thread;
	void *wrong;
	int i;

	flipped = with;
	__atomic_store_n(&stop, false, __ATOMIC_RELAXED);
	__atomic_store_n(&stall, true, __ATOMIC_RELAXED);
	KUNIT_ASSERT_EQ(test, pthread_create(&thread, NULL, flip_accessed, NULL), 0);

	for (i = 0; i < 200000 && !test->failed; i++) {
		vpte_t old = vpte_read(&flipped);

		/* Also on one CPU: a flip before the update, and one in it. */
		pgtable_walk_stall();
		KUNIT_EXPECT_TRUE(test, vpte_update(&flipped, &old, _PAGE_WRITE, 0,
						    _PAGE_ACCESSED));
		KUNIT_EXPECT_EQ(test, old & ~_PAGE_ACCESSED, with);
		KUNIT_EXPECT_EQ(test, vpte_read(&flipped) & ~_PAGE_ACCESSED, without);
		KUNIT_EXPECT_TRUE(test, vpte_update(&flipped, &old, 0, _PAGE_WRITE,
						    _PAGE_ACCESSED | _PAGE_WRITE));
		KUNIT_EXPECT_EQ(test, old & ~_PAGE_ACCESSED, without);
		KUNIT_EXPECT_EQ(test, vpte_read(&flipped) & ~_PAGE_ACCESSED, with);
	}

	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, &wrong);
	__atomic_store_n(&stall, false, __ATOMIC_RELAXED);
	KUNIT_EXPECT_PTR_EQ(test, wrong, NULL);
}

static struct kunit_case stress_cases[] = {
	KUNIT_CASE(test_retire_races),
	KUNIT_CASE(test_vpte_update_against_flips),
	KUNIT_CASE(test_ager_against_mmu),
	{}
};

static struct kunit_suite stress = {
	.name = "pgtable_walk_stress",
	.test_cases = stress_cases,
};

kunit_test_suites(&stress);
