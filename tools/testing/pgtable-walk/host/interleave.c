// SPDX-License-Identifier: GPL-2.0
/*
 * Interleavings of aging, of owners of page tables and of vCPUs, over a made-up format with
 * tables of four entries, see explore.h and explore_guest.h.
 */
#include "explore_guest.h"

/* ---- the format ---- */

#define P	BIT_ULL(0)
#define A	BIT_ULL(1)
#define L	BIT_ULL(2)
#define W	BIT_ULL(3)
#define D	BIT_ULL(4)
/* Looks like a young leaf but for one bit. */
#define FROZEN	(BIT_ULL(5) | A | L)
#define ADDR	(~0xfffULL)

#define SIZE	PAGE_SIZE
#define HUGE	(4 * SIZE)

static __always_inline vpte_t *toy_child(vpte_t pte)
{
	return phys_to_virt(pte & ADDR);
}

static __always_inline enum pgtable_walk_kind toy_kind(vpte_t pte, unsigned int level)
{
	if (pte & BIT_ULL(5))
		return PGTABLE_WALK_BUSY;
	if (!(pte & P))
		return PGTABLE_WALK_NONE;
	if (pte & L)
		return PGTABLE_WALK_LEAF;
	return level ? PGTABLE_WALK_TABLE : PGTABLE_WALK_NONE;
}

static const struct pgtable_walk_format toy_format = {
	.page_shift = 12,
	.index_bits = 2,
	.accessed = A,
	.volatile_bits = A | D,
	.kind = toy_kind,
	.child = toy_child,
};

static unsigned int toy_page(vpte_t leaf)
{
	return leaf >> 12;
}

static const struct explore_mmu toy = {
	.fmt = &toy_format,
	.accessed = A,
	.dirty = D,
	.write = W,
	.page = toy_page,
};

static vpte_t leaf(unsigned int page, vpte_t bits)
{
	return (u64)page << 12 | P | L | bits;
}

static vpte_t table_entry(vpte_t *table)
{
	return virt_to_phys(table) | P;
}

/* ---- what threads share ---- */

/* Page n is mapped at address n * SIZE, if it is, and nowhere else. */
#define REGIONS	4

static struct pgtable_root root;
static struct pgtable_walk_tree tree;
static spinlock_t lock;
static struct explore_vcpu vcpu;
static u64 answers[EXPLORE_THREADS];

static vpte_t *new_table(unsigned int region)
{
	vpte_t *table = host_alloc_table();

	explore_name_table(table, 0, region * HUGE);
	return table;
}

static void begin_empty(void)
{
	tree = (struct pgtable_walk_tree) { explore_root(), 2, 16 };
	explore_name_table(tree.table, 1, 0);
	explore_name_word(&root, "the root");
	memset(&lock, 0, sizeof(lock));
	memset(&vcpu, 0, sizeof(vcpu));
	memset(answers, 0, sizeof(answers));
	explore_guest_begin(&toy, &tree);
	pgtable_root_publish(&root, &tree);
}

/* A young page and an old one, writable, of the first region. */
static void begin_pages(void)
{
	vpte_t *table;

	begin_empty();
	table = new_table(0);
	table[0] = leaf(0, A | W);
	table[1] = leaf(1, W);
	tree.table[0] = table_entry(table);
}

static void begin_readonly(void)
{
	begin_pages();
	toy_child(tree.table[0])[0] &= ~W;
	toy_child(tree.table[0])[1] &= ~W;
}

static void begin_full(void)
{
	begin_pages();
	toy_child(tree.table[0])[2] = leaf(2, W);
	toy_child(tree.table[0])[3] = leaf(3, W);
}

static void begin_huge(void)
{
	begin_empty();
	tree.table[0] = leaf(0, A | W);
}

/* ---- aging ---- */

static void age(struct pgtable_age *request)
{
	struct pgtable_walk_tree found;

	explore_age_begin();
	rcu_read_lock();
	found = pgtable_root_deref(&root, false);
	pgtable_age_tree(&toy_format, &found, request);
	rcu_read_unlock();
	explore_age_end(request, request->stats.young);
	answers[explore_self] = request->stats.young << 8 | request->stats.lost;
}

static void age_range(void *unused)
{
	struct pgtable_age request = { .end = 2 * SIZE, .clear = true };

	age(&request);
}

static void test_range(void *unused)
{
	struct pgtable_age request = { .end = 2 * SIZE };

	age(&request);
}

/* The first page of two, and what follows them. */
static void age_batch(void *unused)
{
	unsigned long want = 0xd, young[8] = {};
	struct pgtable_age request = {
		.end = 4 * SIZE,
		.clear = true,
		.shift = 12,
		.want = &want,
		.young = young,
	};

	age(&request);
}

/* ---- owners of the tables: all of these work on one region ---- */

static unsigned int region_of(void *arg)
{
	return (uintptr_t)arg;
}

static vpte_t *region_entry(void *arg)
{
	return &tree.table[region_of(arg)];
}

static enum pgtable_walk_kind region_kind(void *arg)
{
	return toy_kind(vpte_read(region_entry(arg)), 1);
}

static void fence_region(void *arg)
{
	explore_fence(&vcpu, region_of(arg) * HUGE, (region_of(arg) + 1) * HUGE);
}

static void unmap(void *arg)
{
	const unsigned int page = region_of(arg) * 4;
	DEFINE_PGTABLE_GATHER(gather);
	vpte_t *table, old;
	int i;

	spin_lock(&lock);
	switch (region_kind(arg)) {
	case PGTABLE_WALK_LEAF:
		explore_report(vpte_xchg(region_entry(arg), 0));
		fence_region(arg);
		break;
	case PGTABLE_WALK_TABLE:
		table = toy_child(vpte_read(region_entry(arg)));
		for (i = 0; i < 4; i++) {
			old = vpte_xchg(&table[i], 0);
			if (old)
				explore_report(old);
		}
		vpte_xchg(region_entry(arg), 0);
		pgtable_gather_table(&gather, table);
		explore_fence_all(&vcpu);
		break;
	default:
		break;
	}
	pgtable_gather_free(&gather);
	explore_pages_gone(page, 4);
	spin_unlock(&lock);
}

static void unmap_page(void *arg)
{
	const unsigned int page = region_of(arg) * 4;
	vpte_t old;

	spin_lock(&lock);
	if (region_kind(arg) == PGTABLE_WALK_TABLE) {
		old = vpte_xchg(toy_child(vpte_read(region_entry(arg))), 0);
		if (old)
			explore_report(old);
		explore_fence(&vcpu, page * SIZE, (page + 1) * SIZE);
		explore_pages_gone(page, 1);
	}
	spin_unlock(&lock);
}

/* A page where there is none, and a table for it. */
static void map(void *arg)
{
	const unsigned int page = region_of(arg) * 4;
	vpte_t *table;

	spin_lock(&lock);
	switch (region_kind(arg)) {
	case PGTABLE_WALK_NONE:
		table = new_table(region_of(arg));
		WRITE_ONCE(table[0], leaf(page, W));
		explore_pages_back(page, 1);
		vpte_link_table(region_entry(arg), table_entry(table));
		break;
	case PGTABLE_WALK_TABLE:
		table = toy_child(vpte_read(region_entry(arg)));
		if (vpte_read(table))
			break;
		explore_pages_back(page, 1);
		vpte_xchg(table, leaf(page, W));
		break;
	default:
		break;
	}
	spin_unlock(&lock);
}

/* The same by faults that share the lock: a table that lost the race to be linked is not used. */
static void map_shared(void *arg)
{
	const unsigned int page = region_of(arg) * 4;
	vpte_t *table, old, none = 0;

	rcu_read_lock();
	old = vpte_read(region_entry(arg));
	if (toy_kind(old, 1) == PGTABLE_WALK_NONE) {
		table = new_table(region_of(arg));
		if (vpte_try_cmpxchg(region_entry(arg), &old, table_entry(table)))
			old = table_entry(table);
		else
			__free_page(virt_to_page(table));
	}
	vpte_try_cmpxchg(toy_child(old), &none, leaf(page, W));
	rcu_read_unlock();
	explore_role(EXPLORE_VCPU);
	if (!explore_vcpu_access(&vcpu, page * SIZE, true))
		explore_fail("what was mapped is not there");
}

static void map_huge(void *arg)
{
	const unsigned int page = region_of(arg) * 4;

	spin_lock(&lock);
	if (region_kind(arg) == PGTABLE_WALK_NONE) {
		explore_pages_back(page, 4);
		vpte_xchg(region_entry(arg), leaf(page, W));
	}
	spin_unlock(&lock);
}

static vpte_t *new_table_of_pages(void *arg, vpte_t huge)
{
	vpte_t *table = new_table(region_of(arg));
	int i;

	for (i = 0; i < 4; i++)
		table[i] = huge + i * SIZE;
	return table;
}

/* By break-before-make, as arm64 does. */
static void split(void *arg)
{
	vpte_t old;

	spin_lock(&lock);
	old = vpte_read(region_entry(arg));
	if (toy_kind(old, 1) == PGTABLE_WALK_LEAF) {
		if (!vpte_update(region_entry(arg), &old, ~(vpte_t)0, FROZEN, A | D))
			explore_fail("the owner of a leaf can't freeze it");
		explore_report(old);
		fence_region(arg);
		vpte_unfreeze(region_entry(arg), table_entry(new_table_of_pages(arg, old)));
	}
	spin_unlock(&lock);
}

/* At once, as x86 does, with children that are what the leaf was at that moment. */
static void split_in_place(void *arg)
{
	vpte_t old, *table = NULL;
	int i;

	spin_lock(&lock);
	old = vpte_read(region_entry(arg));
	if (toy_kind(old, 1) == PGTABLE_WALK_LEAF) {
		table = new_table_of_pages(arg, old);
		while (!vpte_try_cmpxchg(region_entry(arg), &old, table_entry(table))) {
			for (i = 0; i < 4; i++)
				table[i] = old + i * SIZE;
		}
		explore_report(old);
		fence_region(arg);
	}
	spin_unlock(&lock);
}

/* By break-before-make; a page that isn't there is mapped as well. */
static void collapse(void *arg)
{
	const unsigned int page = region_of(arg) * 4;
	DEFINE_PGTABLE_GATHER(gather);
	vpte_t old, bits = 0, *table;
	int i;

	spin_lock(&lock);
	old = vpte_read(region_entry(arg));
	if (toy_kind(old, 1) == PGTABLE_WALK_TABLE) {
		table = toy_child(old);
		if (!vpte_update(region_entry(arg), &old, ~(vpte_t)0, FROZEN, 0))
			explore_fail("the owner of a table can't freeze it");
		explore_fence_all(&vcpu);
		for (i = 0; i < 4; i++) {
			old = vpte_read(&table[i]);
			if (!old)
				continue;
			bits |= old & (A | D);
			explore_report(old);
		}
		explore_pages_back(page, 4);
		vpte_unfreeze(region_entry(arg), leaf(page, bits | W));
		pgtable_gather_table(&gather, table);
		pgtable_gather_free(&gather);
	}
	spin_unlock(&lock);
}

static void change_leaves(void *arg, vpte_t clear, vpte_t set)
{
	vpte_t old, *table = region_entry(arg);
	unsigned int i, entries = 1;

	if (region_kind(arg) == PGTABLE_WALK_TABLE) {
		table = toy_child(vpte_read(table));
		entries = 4;
	}
	for (i = 0; i < entries; i++) {
		old = vpte_read(&table[i]);
		if (old & P && !vpte_update(&table[i], &old, clear, set, A | D))
			explore_fail("the owner of a leaf can't change it");
	}
}

static void wrprotect(void *arg)
{
	spin_lock(&lock);
	change_leaves(arg, W, 0);
	fence_region(arg);
	explore_pages_readonly(region_of(arg) * 4, 4);
	spin_unlock(&lock);
}

static void allow_write(void *arg)
{
	spin_lock(&lock);
	explore_pages_writable(region_of(arg) * 4, 4);
	change_leaves(arg, 0, W);
	spin_unlock(&lock);
}

/* A fault that shares the lock: if its cmpxchg is lost, the vCPU faults again. */
static void relax_shared(void *arg)
{
	const unsigned int page = region_of(arg) * 4;
	vpte_t *ptep, old;

	rcu_read_lock();
	ptep = toy_child(vpte_read(region_entry(arg)));
	do {
		old = vpte_read(ptep);
	} while (!(old & W) && !vpte_update(ptep, &old, 0, W, A | D));
	rcu_read_unlock();
	explore_role(EXPLORE_VCPU);
	if (!explore_vcpu_access(&vcpu, page * SIZE, true))
		explore_fail("what was made writable isn't");
}

/* Retire the root, and free the tables if this thread got it. */
static void retire(void *unused)
{
	const struct pgtable_walk_tree old = pgtable_root_retire(&root);
	DEFINE_PGTABLE_GATHER(gather);
	unsigned int i;

	if (!old.table)
		return;
	/* Holders of the lock that had found the root have dropped it after this. */
	spin_lock(&lock);
	spin_unlock(&lock);
	for (i = 0; i < REGIONS; i++) {
		const vpte_t pte = vpte_read(&old.table[i]);

		if (toy_kind(pte, 1) == PGTABLE_WALK_TABLE)
			pgtable_gather_table(&gather, toy_child(pte));
	}
	pgtable_gather_free_retired(&gather);
	free_pages((unsigned long)old.table, 2);
}

/* The notifier's unmap, which may find a root or none. */
static void unmap_found_root(void *arg)
{
	struct pgtable_walk_tree found;
	vpte_t *table;

	spin_lock(&lock);
	found = pgtable_root_deref(&root, lockdep_is_held(&lock));
	if (found.table) {
		table = toy_child(vpte_read(&found.table[0]));
		vpte_xchg(&table[0], 0);
	}
	spin_unlock(&lock);
}

/* ---- vCPUs ---- */

static void use(void *unused)
{
	explore_role(EXPLORE_VCPU);
	explore_vcpu_access(&vcpu, SIZE, true);
	explore_vcpu_access(&vcpu, 0, false);
}

static void use_twice(void *unused)
{
	explore_role(EXPLORE_VCPU);
	explore_vcpu_access(&vcpu, 0, true);
	explore_vcpu_access(&vcpu, 0, true);
}

/* ---- all interleavings ---- */

/* Each kind of aging against an owner, and a vCPU that does not stop for them. */
static void against(struct kunit *test, const char *what, void (*begin)(void),
		    void (*owner)(void *arg), void (*vcpu_run)(void *arg))
{
	void (*const agers[])(void *arg) = { age_range, age_batch, test_range };
	static const char *const kinds[] = { "aging a range", "aging parts", "testing a range" };
	struct explore_scenario scenario = { .begin = begin, .end = explore_guest_end };
	char name[80];
	size_t i;

	scenario.what = name;
	for (i = 0; i < ARRAY_SIZE(agers); i++) {
		snprintf(name, sizeof(name), "%s, %s", kinds[i], what);
		scenario.threads[0] = (struct explore_thread) { "ager", agers[i], NULL };
		scenario.threads[1] = (struct explore_thread) { "owner", owner, NULL };
		scenario.threads[2] = (struct explore_thread) { "vCPU", vcpu_run, NULL };
		explore(test, &scenario, NULL);
	}

	snprintf(name, sizeof(name), "aging twice, %s", what);
	scenario.threads[0].run = age_range;
	scenario.threads[3] = (struct explore_thread) { "other", age_batch, NULL };
	explore(test, &scenario, NULL);
}

static void test_age_against_age(struct kunit *test)
{
	static const struct explore_scenario two = {
		.what = "aging twice, vCPU",
		.begin = begin_pages,
		.end = explore_guest_end,
		.threads = { { "ager", age_range }, { "other", age_batch }, { "vCPU", use } },
	};

	explore(test, &two, NULL);
}

static void test_age_against_unmap(struct kunit *test)
{
	against(test, "unmap", begin_pages, unmap, use);
	against(test, "unmap of a huge page", begin_huge, unmap, use);
	against(test, "unmap of a page", begin_pages, unmap_page, use_twice);
}

static void test_age_against_split(struct kunit *test)
{
	against(test, "split", begin_huge, split, use);
	against(test, "split in place", begin_huge, split_in_place, use);
}

static void test_age_against_collapse(struct kunit *test)
{
	against(test, "collapse", begin_full, collapse, use);
}

static void test_age_against_wrprotect(struct kunit *test)
{
	against(test, "write-protect", begin_pages, wrprotect, use_twice);
	against(test, "write-protect of a huge page", begin_huge, wrprotect, use_twice);
}

static void test_age_against_relax(struct kunit *test)
{
	static const struct explore_scenario shared = {
		.what = "aging, two faults that allow writing",
		.begin = begin_readonly,
		.end = explore_guest_end,
		.threads = { { "ager", age_range }, { "fault", relax_shared },
			     { "other", relax_shared } },
	};

	against(test, "allow writing", begin_readonly, allow_write, use_twice);
	explore(test, &shared, NULL);
}

static void test_age_against_map(struct kunit *test)
{
	static const struct explore_scenario shared = {
		.what = "aging, two faults that map a page",
		.begin = begin_empty,
		.end = explore_guest_end,
		.threads = { { "ager", age_range }, { "fault", map_shared },
			     { "other", map_shared } },
	};

	against(test, "map", begin_empty, map, use_twice);
	explore(test, &shared, NULL);
}

static void test_retire_interleaved(struct kunit *test)
{
	static const struct explore_scenario walker = {
		.what = "retire, aging twice",
		.begin = begin_pages,
		.end = explore_guest_end,
		.threads = { { "owner", retire }, { "ager", age_range }, { "other", age_batch } },
	}, second = {
		.what = "retire twice, aging",
		.begin = begin_pages,
		.end = explore_guest_end,
		.threads = { { "owner", retire }, { "second", retire }, { "ager", age_range } },
	}, flush = {
		.what = "retire, aging, unmap",
		.begin = begin_pages,
		.end = explore_guest_end,
		.threads = { { "owner", retire }, { "ager", age_range },
			     { "flush", unmap_found_root } },
	};

	explore(test, &walker, NULL);
	explore(test, &second, NULL);
	explore(test, &flush, NULL);
}

/* ---- what is not run makes no difference ---- */

static u64 digest(void)
{
	u64 sum = explore_guest_digest();
	int i;

	for (i = 0; i < EXPLORE_THREADS; i++)
		sum = (sum ^ answers[i]) * 1099511628211ULL;
	return sum;
}

/* Ends that every order of every step leads to, and those of the interleavings that are run. */
static void test_reduction_is_complete(struct kunit *test)
{
	static const struct explore_scenario scenarios[] = {
		{ "ager, ager", begin_pages, explore_guest_end,
		  { { "ager", age_range }, { "other", age_batch } } },
		{ "ager, unmap of a page", begin_pages, explore_guest_end,
		  { { "ager", age_batch }, { "owner", unmap_page } } },
		{ "ager, vCPU", begin_pages, explore_guest_end,
		  { { "ager", age_range }, { "vCPU", use_twice } } },
		{ "ager, split", begin_huge, explore_guest_end,
		  { { "ager", age_range }, { "owner", split } } },
		{ "vCPU, split", begin_huge, explore_guest_end,
		  { { "owner", split_in_place }, { "vCPU", use } } },
		{ "vCPU, unmap", begin_huge, explore_guest_end,
		  { { "owner", unmap }, { "vCPU", use_twice } } },
		{ "ager, fault", begin_readonly, explore_guest_end,
		  { { "ager", age_range }, { "fault", relax_shared } } },
		{ "fault, fault", begin_empty, explore_guest_end,
		  { { "fault", map_shared }, { "other", map_shared } } },
		{ "ager, retire", begin_pages, explore_guest_end,
		  { { "ager", age_range }, { "owner", retire } } },
	};
	static const struct explore_how all = { .every = true, .digest = digest },
					reduced = { .digest = digest };
	struct explore_result want, got;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(scenarios); i++) {
		want = explore(test, &scenarios[i], &all);
		got = explore(test, &scenarios[i], &reduced);
		KUNIT_EXPECT_TRUE(test, got.runs <= want.runs);
		KUNIT_EXPECT_EQ(test, got.outcomes, want.outcomes);
		KUNIT_EXPECT_EQ(test, got.outcomes_sum, want.outcomes_sum);
	}
}

/* ---- random interleavings of more ---- */

static void run_ager(void *unused)
{
	int i;

	for (i = 0; i < 6; i++) {
		unsigned long want = explore_choice(1 << 16), young[8] = {};
		const u64 start = explore_choice(12) * SIZE;
		const bool parts = explore_choice(2);
		struct pgtable_age request = {
			.start = start,
			.end = start + (1 + explore_choice(16)) * SIZE,
			.clear = explore_choice(4),
			.shift = parts ? 12 : 0,
			.want = parts && explore_choice(4) ? &want : NULL,
			.young = parts ? young : NULL,
			.origin = parts ? start : 0,
		};

		age(&request);
	}
}

static void run_owner(void *unused)
{
	void (*const changes[])(void *arg) = {
		map, map, map_huge, unmap, unmap_page, split, split_in_place, collapse, wrprotect,
		allow_write, allow_write,
	};
	int i;

	for (i = 0; i < 12; i++) {
		explore_role(EXPLORE_OWNER);
		changes[explore_choice(ARRAY_SIZE(changes))]((void *)(uintptr_t)explore_choice(2));
	}
}

static void run_vcpu(void *unused)
{
	int i;

	explore_role(EXPLORE_VCPU);
	for (i = 0; i < 16; i++)
		explore_vcpu_access(&vcpu, explore_choice(8) * SIZE, explore_choice(2));
}

static void test_random_interleavings(struct kunit *test)
{
	static const struct explore_scenario all = {
		.what = "two agers, two owners, a vCPU",
		.begin = begin_full,
		.end = explore_guest_end,
		.threads = { { "ager", run_ager }, { "other", run_ager }, { "owner", run_owner },
			     { "second", run_owner }, { "vCPU", run_vcpu } },
	};
	struct explore_result result;

	memset(&explore_tally, 0, sizeof(explore_tally));
	result = explore_random(test, &all, NULL, explore_schedules);
	if (result.runs && !result.failed)
		explore_expect_tally(test);
}

static struct kunit_case interleave_cases[] = {
	KUNIT_CASE(test_age_against_age),
	KUNIT_CASE(test_age_against_unmap),
	KUNIT_CASE(test_age_against_split),
	KUNIT_CASE(test_age_against_collapse),
	KUNIT_CASE(test_age_against_wrprotect),
	KUNIT_CASE(test_age_against_relax),
	KUNIT_CASE(test_age_against_map),
	KUNIT_CASE(test_retire_interleaved),
	KUNIT_CASE(test_reduction_is_complete),
	KUNIT_CASE(test_random_interleavings),
	{}
};

static struct kunit_suite interleave = {
	.name = "pgtable_walk_interleave",
	.test_cases = interleave_cases,
};

kunit_test_suites(&interleave);
