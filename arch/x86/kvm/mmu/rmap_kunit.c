// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of rmaps: lists of SPTEs, and the lock bit of their heads.
 *
 * Included by mmu.c, whose functions these are.  No VM is needed: a struct kvm lends its
 * mmu_lock, and a page stands for the tables of a shadow page.
 */
#include <kunit/static_stub.h>
#include <kunit/test.h>

struct rmap_kunit {
	struct kvm *kvm;
	struct kvm_mmu_page *sp;
	struct kvm_mmu_memory_cache cache;
	struct kvm_rmap_head head;
	u64 *spt;
};

/* Lists that end in each of the ways that they can. */
static const unsigned int rmap_kunit_sizes[] = {
	0, 1, 2, PTE_LIST_EXT - 1, PTE_LIST_EXT, PTE_LIST_EXT + 1, 3 * PTE_LIST_EXT - 2,
};

#define RMAP_KUNIT_MAX	(3 * PTE_LIST_EXT - 2)

/* Neither accessed nor dirty, with any masks: zapping it tells the page nothing. */
static u64 rmap_kunit_spte(const struct rmap_kunit *t)
{
	return __pa(t->spt) | SPTE_MMU_PRESENT_MASK | SPTE_TDP_AD_DISABLED;
}

/*
 * Descriptors are pages here, as of any kvm_mmu_memory_cache without a kmem_cache.  Theirs
 * is there once kvm_intel or kvm_amd is loaded, and a module's tests run before.
 */
static void rmap_kunit_free_desc(struct pte_list_desc *desc)
{
	free_page((unsigned long)desc);
}

static int rmap_kunit_init(struct kunit *test)
{
	struct rmap_kunit *t;

	t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	if (!t)
		return -ENOMEM;

	t->kvm = kunit_kzalloc(test, sizeof(*t->kvm), GFP_KERNEL);
	t->sp = kunit_kzalloc(test, sizeof(*t->sp), GFP_KERNEL);
	t->spt = (u64 *)get_zeroed_page(GFP_KERNEL);
	test->priv = t;
	if (!t->kvm || !t->sp || !t->spt)
		return -ENOMEM;

	rwlock_init(&t->kvm->mmu_lock);
	t->sp->role.level = PG_LEVEL_4K;
	t->sp->spt = t->spt;
	set_page_private(virt_to_page(t->spt), (unsigned long)t->sp);
	t->cache.gfp_zero = __GFP_ZERO;
	kunit_activate_static_stub(test, mmu_free_pte_list_desc, rmap_kunit_free_desc);
	return 0;
}

static void rmap_kunit_exit(struct kunit *test)
{
	struct rmap_kunit *t = test->priv;

	if (!t)
		return;
	kvm_mmu_free_memory_cache(&t->cache);
	if (t->spt) {
		set_page_private(virt_to_page(t->spt), 0);
		free_page((unsigned long)t->spt);
	}
}

/* Enough descriptors for a list, before mmu_lock is taken. */
static void rmap_kunit_topup(struct kunit *test)
{
	struct rmap_kunit *t = test->priv;

	KUNIT_ASSERT_EQ(test, kvm_mmu_topup_memory_cache(&t->cache, 3), 0);
}

/* A list of @nr SPTEs, of which those of @absent are not present. */
static void rmap_kunit_fill(struct rmap_kunit *t, struct kvm_rmap_head *head, unsigned int nr,
			    u64 absent)
{
	unsigned int i;

	for (i = 0; i < nr; i++) {
		t->spt[i] = absent >> i & 1 ? SHADOW_NONPRESENT_VALUE : rmap_kunit_spte(t);
		pte_list_add(t->kvm, &t->cache, &t->spt[i], head);
	}
}

static void rmap_kunit_empty(struct rmap_kunit *t, struct kvm_rmap_head *head)
{
	struct rmap_iterator iter;
	u64 *sptep;

	while ((sptep = rmap_get_first(head, &iter)))
		pte_list_remove(t->kvm, sptep, head);
}

/* None; the first; the last; every third; all but one; all. */
static u64 rmap_kunit_absent(unsigned int pattern, unsigned int nr)
{
	const u64 all = nr ? GENMASK_ULL(nr - 1, 0) : 0;
	const u64 absent[] = {
		0, BIT_ULL(0), nr ? BIT_ULL(nr - 1) : 0,
		0x9249249249249249ULL, ~BIT_ULL(nr / 2), ~0ULL,
	};

	return absent[pattern] & all;
}

#define RMAP_KUNIT_PATTERNS	6

/* An SPTE that is not present is no end of the list, wherever it stands. */
static void test_all_are_visited(struct kunit *test)
{
	struct rmap_kunit *t = test->priv;
	struct rmap_iterator iter;
	unsigned int i, p, nr;
	u64 seen, *sptep;

	for (i = 0; i < ARRAY_SIZE(rmap_kunit_sizes); i++) {
		for (p = 0; p < RMAP_KUNIT_PATTERNS; p++) {
			nr = rmap_kunit_sizes[i];
			seen = 0;

			rmap_kunit_topup(test);
			write_lock(&t->kvm->mmu_lock);
			rmap_kunit_fill(t, &t->head, nr, rmap_kunit_absent(p, nr));
			for (sptep = rmap_get_first(&t->head, &iter); sptep;
			     sptep = rmap_get_next(&iter))
				seen ^= BIT_ULL(sptep - t->spt);
			rmap_kunit_empty(t, &t->head);
			write_unlock(&t->kvm->mmu_lock);

			KUNIT_EXPECT_EQ(test, seen, nr ? GENMASK_ULL(nr - 1, 0) : 0);
		}
	}
}

/* The iteration of holders of mmu_lock, over SPTEs that are all present. */
static void test_writers_visit_all(struct kunit *test)
{
	struct rmap_kunit *t = test->priv;
	struct rmap_iterator iter;
	unsigned int i, nr;
	u64 seen, *sptep;

	for (i = 0; i < ARRAY_SIZE(rmap_kunit_sizes); i++) {
		nr = rmap_kunit_sizes[i];
		seen = 0;

		rmap_kunit_topup(test);
		write_lock(&t->kvm->mmu_lock);
		rmap_kunit_fill(t, &t->head, nr, 0);
		for_each_rmap_spte(&t->head, &iter, sptep)
			seen ^= BIT_ULL(sptep - t->spt);
		rmap_kunit_empty(t, &t->head);
		write_unlock(&t->kvm->mmu_lock);

		KUNIT_EXPECT_EQ(test, seen, nr ? GENMASK_ULL(nr - 1, 0) : 0);
	}
}

/* A parent that is left out would point to a page that is freed next. */
static void test_all_parents_are_unlinked(struct kunit *test)
{
	struct rmap_kunit *t = test->priv;
	unsigned int i, p, j, nr, left;

	for (i = 0; i < ARRAY_SIZE(rmap_kunit_sizes); i++) {
		for (p = 0; p < RMAP_KUNIT_PATTERNS; p++) {
			nr = rmap_kunit_sizes[i];
			left = 0;

			rmap_kunit_topup(test);
			write_lock(&t->kvm->mmu_lock);
			rmap_kunit_fill(t, &t->sp->parent_ptes, nr, rmap_kunit_absent(p, nr));
			kvm_mmu_unlink_parents(t->kvm, t->sp);
			for (j = 0; j < nr; j++)
				left += t->spt[j] != SHADOW_NONPRESENT_VALUE;
			left += pte_list_count(&t->sp->parent_ptes);
			rmap_kunit_empty(t, &t->sp->parent_ptes);
			write_unlock(&t->kvm->mmu_lock);

			KUNIT_EXPECT_EQ(test, left, 0);
		}
	}
}

static void test_all_are_zapped(struct kunit *test)
{
	struct rmap_kunit *t = test->priv;
	unsigned int i, p, j, nr, left;

	for (i = 0; i < ARRAY_SIZE(rmap_kunit_sizes); i++) {
		for (p = 0; p < RMAP_KUNIT_PATTERNS; p++) {
			bool zapped;

			nr = rmap_kunit_sizes[i];
			left = 0;

			rmap_kunit_topup(test);
			write_lock(&t->kvm->mmu_lock);
			rmap_kunit_fill(t, &t->head, nr, rmap_kunit_absent(p, nr));
			zapped = kvm_zap_all_rmap_sptes(t->kvm, &t->head);
			for (j = 0; j < nr; j++)
				left += t->spt[j] != SHADOW_NONPRESENT_VALUE;
			left += pte_list_count(&t->head);
			rmap_kunit_empty(t, &t->head);
			write_unlock(&t->kvm->mmu_lock);

			KUNIT_EXPECT_EQ(test, left, 0);
			KUNIT_EXPECT_EQ(test, zapped, nr != 0);
		}
	}
}

/* Taken off in any order, the others stay. */
static void test_removed_one_by_one(struct kunit *test)
{
	/* Coprime to the size, so that each comes to all. */
	static const unsigned int steps[] = { 1, 7, RMAP_KUNIT_MAX - 1 };
	struct rmap_kunit *t = test->priv;
	const unsigned int nr = RMAP_KUNIT_MAX;
	struct rmap_iterator iter;
	unsigned int i, j, at, wrong;
	u64 seen, want, *sptep;

	for (i = 0; i < ARRAY_SIZE(steps); i++) {
		wrong = 0;
		want = GENMASK_ULL(nr - 1, 0);

		rmap_kunit_topup(test);
		write_lock(&t->kvm->mmu_lock);
		rmap_kunit_fill(t, &t->head, nr, 0);
		for (j = 0, at = 0; j < nr; j++, at = (at + steps[i]) % nr) {
			pte_list_remove(t->kvm, &t->spt[at], &t->head);
			want &= ~BIT_ULL(at);
			seen = 0;
			for (sptep = rmap_get_first(&t->head, &iter); sptep;
			     sptep = rmap_get_next(&iter))
				seen ^= BIT_ULL(sptep - t->spt);
			wrong += seen != want || pte_list_count(&t->head) != nr - 1 - j;
		}
		write_unlock(&t->kvm->mmu_lock);

		KUNIT_EXPECT_EQ(test, wrong, 0);
	}
}

/* Clearing ages all that are present; testing stops at the first young one. */
static void test_rmap_is_aged(struct kunit *test)
{
	struct rmap_kunit *t = test->priv;
	struct pgtable_walk_stats stats;
	unsigned int i, p, j, nr, first;
	u64 absent, *last;
	bool young;

	if (!shadow_accessed_mask)
		kunit_skip(test, "SPTEs have no A/D bits here");

	for (i = 0; i < ARRAY_SIZE(rmap_kunit_sizes); i++) {
		for (p = 0; p < RMAP_KUNIT_PATTERNS; p++) {
			nr = rmap_kunit_sizes[i];
			absent = rmap_kunit_absent(p, nr);

			rmap_kunit_topup(test);
			write_lock(&t->kvm->mmu_lock);
			rmap_kunit_fill(t, &t->head, nr, absent);
			write_unlock(&t->kvm->mmu_lock);
			for (j = 0; j < nr; j++)
				if (!(absent >> j & 1))
					t->spt[j] = SPTE_MMU_PRESENT_MASK | shadow_accessed_mask;
			first = nr - hweight64(absent);

			stats = (struct pgtable_walk_stats) {};
			young = kvm_rmap_age(&t->head, false, &stats);
			KUNIT_EXPECT_EQ(test, young, first > 0);
			KUNIT_EXPECT_EQ(test, stats.visited, first > 0);
			KUNIT_EXPECT_EQ(test, stats.young, first > 0);

			stats = (struct pgtable_walk_stats) {};
			young = kvm_rmap_age(&t->head, true, &stats);
			KUNIT_EXPECT_EQ(test, young, first > 0);
			KUNIT_EXPECT_EQ(test, stats.visited, first);
			KUNIT_EXPECT_EQ(test, stats.young, first);

			stats = (struct pgtable_walk_stats) {};
			KUNIT_EXPECT_FALSE(test, kvm_rmap_age(&t->head, false, &stats));
			KUNIT_EXPECT_EQ(test, stats.visited, first);
			for (j = 0; j < nr; j++)
				KUNIT_EXPECT_EQ(test, t->spt[j], absent >> j & 1 ?
						SHADOW_NONPRESENT_VALUE : SPTE_MMU_PRESENT_MASK);
			KUNIT_EXPECT_EQ(test, preempt_count(), 0);

			/* The one that was added last stands in the head's descriptor. */
			last = nr ? &t->spt[nr - 1] : NULL;
			if (last && is_shadow_present_pte(*last)) {
				*last |= shadow_accessed_mask;
				stats = (struct pgtable_walk_stats) {};
				KUNIT_EXPECT_TRUE(test, kvm_rmap_age(&t->head, true, &stats));
				KUNIT_EXPECT_EQ(test, stats.young, 1);
			}

			write_lock(&t->kvm->mmu_lock);
			rmap_kunit_empty(t, &t->head);
			write_unlock(&t->kvm->mmu_lock);
		}
	}
}

static void test_rmap_lock(struct kunit *test)
{
	struct rmap_kunit *t = test->priv;
	struct kvm_rmap_head *head = &t->head;
	unsigned long locked, taken, again, inside, held;

	atomic_long_set(&head->val, 0x1000);
	KUNIT_EXPECT_EQ(test, kvm_rmap_get(head), 0x1000);

	write_lock(&t->kvm->mmu_lock);
	locked = kvm_rmap_lock(t->kvm, head);
	held = atomic_long_read(&head->val);
	inside = kvm_rmap_get(head);
	kvm_rmap_unlock(t->kvm, head, 0x2001);
	write_unlock(&t->kvm->mmu_lock);
	KUNIT_EXPECT_EQ(test, locked, 0x1000);
	KUNIT_EXPECT_EQ(test, held, 0x1002);
	KUNIT_EXPECT_EQ(test, inside, 0x1000);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&head->val), 0x2001);

	locked = kvm_rmap_lock_readonly(head);
	held = atomic_long_read(&head->val);
	kvm_rmap_unlock_readonly(head, locked);
	KUNIT_EXPECT_EQ(test, locked, 0x2001);
	KUNIT_EXPECT_EQ(test, held, 0x2003);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&head->val), 0x2001);

	write_lock(&t->kvm->mmu_lock);
	taken = kvm_rmap_take(t->kvm, head);
	again = kvm_rmap_take(t->kvm, head);
	write_unlock(&t->kvm->mmu_lock);
	KUNIT_EXPECT_EQ(test, taken, 0x2001);
	KUNIT_EXPECT_EQ(test, again, 0);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&head->val), 0);

	KUNIT_EXPECT_EQ(test, kvm_rmap_lock_readonly(head), 0);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&head->val), 0);
	KUNIT_EXPECT_EQ(test, preempt_count(), 0);
}

static struct kunit_case rmap_kunit_cases[] = {
	KUNIT_CASE(test_all_are_visited),
	KUNIT_CASE(test_writers_visit_all),
	KUNIT_CASE(test_all_parents_are_unlinked),
	KUNIT_CASE(test_all_are_zapped),
	KUNIT_CASE(test_removed_one_by_one),
	KUNIT_CASE(test_rmap_is_aged),
	KUNIT_CASE(test_rmap_lock),
	{}
};

static struct kunit_suite rmap_kunit_suite = {
	.name = "pgtable_walk_rmaps",
	.init = rmap_kunit_init,
	.exit = rmap_kunit_exit,
	.test_cases = rmap_kunit_cases,
};

kunit_test_suite(rmap_kunit_suite);
