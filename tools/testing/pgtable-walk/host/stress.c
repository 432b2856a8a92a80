// SPDX-License-Identifier: GPL-2.0
/*
 * Races: riscv KVM's own lockless ager against its own walks under mmu_lock, with a
 * vCPU that sets accessed and dirty bits.  ASan sees tables that are freed too early,
 * TSan sees accesses without order or atomicity, and a shadow of the page tables sees
 * entries that come back, or bits that do.
 */
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <kunit/test.h>
#include <linux/kvm_host.h>

#include "../../../../arch/riscv/kvm/gstage_walk.h"

/* ---- what the code under test needs ---- */

struct static_key_true pgtable_walk_lockless_key = { true };

static unsigned long counters[PGTABLE_NR_COUNTERS];
static unsigned long flushes;
static bool stall;

void pgtable_walk_count(enum pgtable_walk_counter counter, unsigned int n)
{
	__atomic_fetch_add(&counters[counter], n, __ATOMIC_RELAXED);
}

void pgtable_walk_account_age(u64 start, u64 end, bool clear,
			      const struct pgtable_walk_stats *stats)
{
	pgtable_walk_count(PGTABLE_WALKS, 1);
	pgtable_walk_count(PGTABLE_VISITED, stats->visited);
	pgtable_walk_count(PGTABLE_YOUNG, stats->young);
	pgtable_walk_count(PGTABLE_LOST, stats->lost);
}

static __thread u32 random_state;

static u32 random_below(u32 limit)
{
	if (!random_state)
		random_state = 20240524;
	random_state ^= random_state << 13;
	random_state ^= random_state >> 17;
	random_state ^= random_state << 5;
	return random_state % limit;
}

/* Lets others run in a race window. */
void pgtable_walk_stall(void)
{
	if (__atomic_load_n(&stall, __ATOMIC_RELAXED) && !random_below(16))
		sched_yield();
}

bool need_resched(void)
{
	return !random_below(8);
}

void kvm_flush_remote_tlbs(struct kvm *kvm)
{
	flushes++;
}

void gstage_remote_tlb_flush(struct kvm *kvm, u32 level, gpa_t addr)
{
	flushes++;
}

/* ---- the guest: a few pages in each of a few tables, huge pages there, too ---- */

#define LEVELS		3
#define ROOT_SIZE	(4 * PAGE_SIZE)
#define TABLES		4
#define PAGES		16	/* in each table */
#define HUGE_SIZE	(PAGE_SIZE << 9)
#define PROT		(_PAGE_PRESENT | _PAGE_USER | _PAGE_READ | _PAGE_WRITE)
#define ROUNDS		20000

static struct kvm kvm = { .mmu_lock.mutex = PTHREAD_MUTEX_INITIALIZER };
static bool stop;

/* What entries hold apart from A and D; the mutator's own. */
static vpte_t shadow[TABLES][PAGES];

static u64 page_addr(unsigned int table, unsigned int page)
{
	return table * HUGE_SIZE + page * PAGE_SIZE;
}

static void new_root(void)
{
	kvm.arch.pgd = aligned_alloc(ROOT_SIZE, ROOT_SIZE);
	if (!kvm.arch.pgd)
		abort();
	memset(kvm.arch.pgd, 0, ROOT_SIZE);
	gstage_publish_root(&kvm, LEVELS);
}

/* The entry for an address, at the lowest level that there is one. */
static pte_t *find_entry(const struct pgtable_tree *tree, u64 addr, unsigned int *level)
{
	pte_t *ptep;
	vpte_t *table = tree->table;

	for (*level = LEVELS - 1;; --*level) {
		ptep = (pte_t *)&table[(addr >> (12 + 9 * *level)) % 512];
		const vpte_t pte = vpte_read(gstage_vpte(ptep));

		if (gstage_kind(pte, *level) != PGTABLE_TABLE)
			return ptep;
		table = gstage_child(pte);
	}
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

		if (random_below(4))
			kvm_age_gfn(&kvm, &range);
		else
			kvm_test_age_gfn(&kvm, &range);
	}
	return NULL;
}

/* Hardware updates an entry atomically, and only if it is still what it translated. */
static void *vcpu(void *arg)
{
	random_state = (uintptr_t)arg;
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		const u64 addr = page_addr(random_below(TABLES), random_below(PAGES));
		struct pgtable_tree tree;
		unsigned int level;

		rcu_read_lock();
		tree = pgtable_root_deref(&kvm.arch.gstage_root, false);
		if (tree.table) {
			pte_t *ptep = find_entry(&tree, addr, &level);
			vpte_t pte = vpte_read(gstage_vpte(ptep));

			if (gstage_kind(pte, level) == PGTABLE_LEAF)
				vpte_try_cmpxchg(gstage_vpte(ptep), &pte, pte | _PAGE_ACCESSED |
						 (pte & _PAGE_WRITE ? _PAGE_DIRTY : 0));
		}
		rcu_read_unlock();
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

static void set_shadow(u64 start, u64 end, vpte_t clear, vpte_t set)
{
	unsigned int i, j;

	for (i = 0; i < TABLES; i++) {
		for (j = 0; j < PAGES; j++) {
			if (page_addr(i, j) >= start && page_addr(i, j) < end && shadow[i][j] | set)
				shadow[i][j] = (shadow[i][j] & ~clear) | set;
		}
	}
}

static void map(u64 addr, unsigned int level)
{
	const u64 size = 1ULL << (12 + 9 * level), start = addr & ~(size - 1);
	const u64 huge = addr & ~(HUGE_SIZE - 1);
	struct pgtable_tree tree = pgtable_root_deref(&kvm.arch.gstage_root,
						      lockdep_is_held(&kvm.mmu_lock));
	const pte_t pte = pfn_pte(random_below(1 << 20), __pgprot(PROT | _PAGE_ACCESSED));
	unsigned int found;
	pte_t *ptep = find_entry(&tree, addr, &found);

	/* A table or a huge leaf in the way. */
	if (found != level && (found < level || gstage_entry_kind(ptep, found) == PGTABLE_LEAF)) {
		gstage_unmap_entry(&kvm, max(level, found), addr);
		set_shadow(huge, huge + HUGE_SIZE, ~0ULL, 0);
		ptep = find_entry(&tree, addr, &found);
	}
	for (; found > level; ptep = find_entry(&tree, addr, &found))
		gstage_link_table(ptep, pfn_pte(PHYS_PFN(virt_to_phys(host_alloc_table())),
						PAGE_TABLE));

	gstage_xchg_pte(ptep, pte);
	set_shadow(start, start + size, ~0ULL, pte_val(pte) & ~GSTAGE_VOLATILE_BITS);
}

static void allow_write(u64 addr)
{
	struct pgtable_tree tree = pgtable_root_deref(&kvm.arch.gstage_root,
						      lockdep_is_held(&kvm.mmu_lock));
	unsigned int level;
	vpte_t *ptep = gstage_vpte(find_entry(&tree, addr, &level)), old = vpte_read(ptep);
	const u64 size = 1ULL << (12 + 9 * level), start = addr & ~(size - 1);

	if (gstage_kind(old, level) != PGTABLE_LEAF)
		return;
	pgtable_walk_stall();
	WARN_ON_ONCE(!vpte_update(ptep, &old, 0, _PAGE_WRITE, GSTAGE_VOLATILE_BITS));
	set_shadow(start, start + size, 0, _PAGE_WRITE);
}

/* A huge leaf goes, or becomes read-only, as a whole. */
static void widen_to_leaves(u64 *start, u64 *end)
{
	struct pgtable_tree tree = pgtable_root_deref(&kvm.arch.gstage_root,
						      lockdep_is_held(&kvm.mmu_lock));
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
	struct pgtable_tree tree = pgtable_root_retire(&kvm.arch.gstage_root);

	if (tree.table) {
		spin_lock(&kvm.mmu_lock);
		gstage_unmap_tree(&kvm, &tree);
		spin_unlock(&kvm.mmu_lock);
		free(tree.table);
	}
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
	end_vm();
	spin_lock(&kvm.mmu_lock);
	set_shadow(0, ~0ULL, ~0ULL, 0);
	new_root();
}

static void check_shadow(struct kunit *test)
{
	struct pgtable_tree tree = pgtable_root_deref(&kvm.arch.gstage_root,
						      lockdep_is_held(&kvm.mmu_lock));
	unsigned int i, j, level;

	for (i = 0; i < TABLES; i++) {
		for (j = 0; j < PAGES; j++) {
			pte_t *ptep = find_entry(&tree, page_addr(i, j), &level);

			KUNIT_EXPECT_EQ_MSG(test, vpte_read(gstage_vpte(ptep)) &
					    ~GSTAGE_VOLATILE_BITS, shadow[i][j],
					    "page %u of table %u", j, i);
		}
	}
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
	case 5 ... 8:
		widen_to_leaves(&start, &end);
		gstage_wrprotect(&kvm, start, end);
		set_shadow(start, end, _PAGE_WRITE, 0);
		break;
	case 9 ... 12:
		allow_write(start);
		break;
	case 13:
		map(start, 1);
		break;
	default:
		map(start, 0);
	}
	check_shadow(test);
	spin_unlock(&kvm.mmu_lock);
}

static void test_ager_against_mmu(struct kunit *test)
{
	void *(*const run[])(void *arg) = { ager, ager, vcpu, reclaim_rcu };
	pthread_t threads[ARRAY_SIZE(run)];
	size_t i;

	memset(counters, 0, sizeof(counters));
	__atomic_store_n(&stop, false, __ATOMIC_RELAXED);
	__atomic_store_n(&stall, true, __ATOMIC_RELAXED);
	new_root();
	for (i = 0; i < ARRAY_SIZE(run); i++)
		KUNIT_ASSERT_EQ(test, pthread_create(&threads[i], NULL, run[i], (void *)(i + 1)),
				0);

	for (i = 0; i < ROUNDS && !test->failed; i++)
		mutate(test);

	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (i = 0; i < ARRAY_SIZE(run); i++)
		pthread_join(threads[i], NULL);
	__atomic_store_n(&stall, false, __ATOMIC_RELAXED);

	end_vm();
	rcu_barrier();

	kunit_info(test, "%lu walks, %lu leaves, %lu young, %lu lost, %lu tables freed, %lu flushes\n",
		   counters[PGTABLE_WALKS], counters[PGTABLE_VISITED], counters[PGTABLE_YOUNG],
		   counters[PGTABLE_LOST], counters[PGTABLE_FREED], flushes);
	/* Or else there was nothing to see. */
	KUNIT_EXPECT_NE(test, counters[PGTABLE_YOUNG], 0UL);
	KUNIT_EXPECT_NE(test, counters[PGTABLE_LOST], 0UL);
	KUNIT_EXPECT_NE(test, counters[PGTABLE_FREED], 0UL);
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
	struct pgtable_walk_stats stats = {};
	struct pgtable_tree tree;

	new_root();
	tree = pgtable_root_deref(&kvm.arch.gstage_root, true);
	KUNIT_EXPECT_EQ(test, warnings(), 0UL);
	pgtable_root_deref(&kvm.arch.gstage_root, false);
	KUNIT_EXPECT_EQ(test, warnings(), 1UL);
	pgtable_walk_range(&gstage_format, &tree, 0, 1, PGTABLE_WALK_SHARED, &ops, &stats, NULL);
	KUNIT_EXPECT_EQ(test, warnings(), 1UL);
	pgtable_walk_range(&gstage_format, &tree, 0, 1, PGTABLE_WALK_EXCLUSIVE, &ops, &stats, NULL);
	KUNIT_EXPECT_EQ(test, warnings(), 0UL);

	rcu_read_lock();
	pgtable_root_deref(&kvm.arch.gstage_root, false);
	pgtable_walk_range(&gstage_format, &tree, 0, 1, PGTABLE_WALK_SHARED, &ops, &stats, NULL);
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

static struct kunit_case stress_cases[] = {
	KUNIT_CASE(test_rcu_assertions),
	KUNIT_CASE(test_lock_assertions),
	KUNIT_CASE(test_retire_races),
	KUNIT_CASE(test_vpte_update_against_flips),
	KUNIT_CASE(test_ager_against_mmu),
	{}
};

static struct kunit_suite stress = {
	.name = "pgtable-walk-stress",
	.test_cases = stress_cases,
};

kunit_test_suites(&stress);
