// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of queries of secondary MMUs about many parts of a range: which subscribers
 * they reach, when they are refused, and what becomes of the answers.  And of MGLRU's use of
 * them: what its walks find young, and what they make old, in the host and in secondary MMUs.
 */
#include <kunit/test.h>
#include <linux/bitmap.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/mmu_notifier_age.h>
#include <linux/prandom.h>
#include <linux/sched/mm.h>

/* As with pages of 64K, so that a table may take several queries. */
#undef PTRS_PER_PTE
#define PTRS_PER_PTE	8192
#include "lru_gen_age.h"

#define BASE		PMD_SIZE
#define NR_PAGES	100
#define NR_ENTRIES	1200
#define NR_QUERIED	(BITS_PER_LONG + 1)
#define NR_HUGE		(NR_QUERIED + 3)
#define NR_WALKS	50
#define NR_SUBSCRIBERS	2

/* What young operations return: int or bool. */
#define YOUNG		typeof(((struct mmu_notifier_ops *)0)->test_young(NULL, NULL, 0))

/*
 * A secondary MMU that was told which parts of its memory are young, and counts calls.  It
 * refuses the query of the number @refuses, from 1 on, and after each test uses @used_next.
 */
struct subscriber {
	struct mmu_notifier mn;
	unsigned int shift;
	unsigned int refuses;
	unsigned int clears;
	unsigned int tests;
	unsigned int ranges;
	DECLARE_BITMAP(young, NR_ENTRIES);
	DECLARE_BITMAP(was_young, NR_ENTRIES);
	DECLARE_BITMAP(asked, NR_ENTRIES);
	DECLARE_BITMAP(used_next, NR_ENTRIES);
};

/*
 * What MGLRU walks: those entries of a table that are @present, from @first to before @last.
 * It is to promote what is @eligible and @young, in the @host or in a secondary MMU.  With an
 * entry, all that follow in the same @folio_pages are promoted.
 */
struct lru_table {
	struct vm_area_struct vma;
	struct rnd_state random;
	unsigned int shift;
	unsigned int first;
	unsigned int last;
	unsigned int folio_pages;
	bool consult;
	DECLARE_BITMAP(present, NR_ENTRIES);
	DECLARE_BITMAP(eligible, NR_ENTRIES);
	DECLARE_BITMAP(host, NR_ENTRIES);
	DECLARE_BITMAP(young, NR_ENTRIES);
	DECLARE_BITMAP(promoted, NR_ENTRIES);
	pte_t ptes[NR_ENTRIES];
	pmd_t pmds[NR_ENTRIES];
};

struct age_test {
	struct mm_struct *mm;
	struct subscriber subscribers[NR_SUBSCRIBERS];
	struct mmu_notifier_age age;
	struct lru_table lru;
	DECLARE_BITMAP(want, NR_PAGES);
	DECLARE_BITMAP(young, NR_PAGES);
};

static unsigned long part_nr(const struct subscriber *s, unsigned long addr)
{
	return (addr - BASE) >> s->shift;
}

static YOUNG clear_young(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long start,
			 unsigned long end)
{
	struct subscriber *s = container_of(mn, struct subscriber, mn);
	const unsigned long first = part_nr(s, start), last = part_nr(s, end);
	const bool young = find_next_bit(s->young, last, first) < last;

	s->clears++;
	bitmap_set(s->asked, first, last - first);
	bitmap_clear(s->young, first, last - first);
	return young;
}

static YOUNG test_young(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long addr)
{
	struct subscriber *s = container_of(mn, struct subscriber, mn);

	s->tests++;
	__set_bit(part_nr(s, addr), s->asked);
	return test_bit(part_nr(s, addr), s->young);
}

static int age_range(struct mmu_notifier *mn, struct mm_struct *mm,
		     const struct mmu_notifier_age *age)
{
	struct subscriber *s = container_of(mn, struct subscriber, mn);
	unsigned int i, part;

	if (++s->ranges == s->refuses)
		return -EOPNOTSUPP;

	for (i = 0; i < age->nr; i++) {
		part = part_nr(s, age->start) + i;
		if (part >= NR_ENTRIES || (age->want && !test_bit(i, age->want)))
			continue;

		__set_bit(part, s->asked);
		if (!test_bit(part, s->young))
			continue;

		if (age->young)
			__set_bit(i, age->young);
		if (age->clear)
			__clear_bit(part, s->young);
	}
	if (!age->clear)
		bitmap_or(s->young, s->young, s->used_next, NR_ENTRIES);
	return 0;
}

static const struct mmu_notifier_ops no_young_ops;

static const struct mmu_notifier_ops clear_only_ops = {
	.clear_young = clear_young,
};

static const struct mmu_notifier_ops range_ops = {
	.clear_young = clear_young,
	.test_young = test_young,
	.age_range = age_range,
};

static int age_kunit_init(struct kunit *test)
{
	struct age_test *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	if (!t)
		return -ENOMEM;

	t->mm = mm_alloc();
	if (!t->mm)
		return -ENOMEM;

	test->priv = t;
	return 0;
}

static void age_kunit_exit(struct kunit *test)
{
	struct age_test *t = test->priv;
	int i;

	if (!t)
		return;

	for (i = 0; i < NR_SUBSCRIBERS; i++)
		if (t->subscribers[i].mn.mm)
			mmu_notifier_unregister(&t->subscribers[i].mn, t->mm);
	mmput(t->mm);
}

/* One more secondary MMU. Every fourth page of it is young, from @first on. */
static struct subscriber *subscribe(struct kunit *test, int i, const struct mmu_notifier_ops *ops,
				    unsigned int first)
{
	struct age_test *t = test->priv;
	struct subscriber *s = &t->subscribers[i];

	for (; first < NR_PAGES; first += 4)
		__set_bit(first, s->young);
	s->shift = PAGE_SHIFT;
	s->mn.ops = ops;
	KUNIT_ASSERT_EQ(test, mmu_notifier_register(&s->mn, t->mm), 0);
	return s;
}

/* Queries every other page. */
static int query(struct kunit *test, bool clear)
{
	struct age_test *t = test->priv;
	unsigned int i;

	t->age = (struct mmu_notifier_age) {
		.start = BASE,
		.nr = NR_PAGES,
		.shift = PAGE_SHIFT,
		.clear = clear,
		.want = t->want,
		.young = t->young,
	};
	bitmap_zero(t->want, NR_PAGES);
	bitmap_zero(t->young, NR_PAGES);
	for (i = 0; i < t->age.nr; i += 2)
		__set_bit(i, t->want);
	return mmu_notifier_age_range(t->mm, &t->age);
}

/* Young are every @step-th bit from @first on, and no others. */
static void expect_young(struct kunit *test, unsigned int first, unsigned int step)
{
	struct age_test *t = test->priv;
	unsigned int i;

	for (i = 0; i < t->age.nr; i++)
		KUNIT_EXPECT_EQ_MSG(test, test_bit(i, t->young),
				    i >= first && (i - first) % step == 0, "bit %u", i);
}

static void expect_none_young(struct kunit *test)
{
	struct age_test *t = test->priv;

	KUNIT_EXPECT_TRUE(test, bitmap_empty(t->young, NR_PAGES));
}

static void test_no_subscriber(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, query(test, true), 0);
	expect_none_young(test);
}

static void test_without_young_ops(struct kunit *test)
{
	struct subscriber *s = subscribe(test, 0, &range_ops, 0);

	/* Queried before the other, for it was registered later. */
	subscribe(test, 1, &no_young_ops, 2);
	KUNIT_EXPECT_EQ(test, query(test, false), 0);
	expect_young(test, 0, 4);
	KUNIT_EXPECT_EQ(test, query(test, true), 0);
	expect_young(test, 0, 4);
	KUNIT_EXPECT_EQ(test, s->ranges, 2);
	KUNIT_EXPECT_EQ(test, s->clears, 0);
	KUNIT_EXPECT_EQ(test, s->tests, 0);
}

/* What such a subscriber knows is in none of its answers to queries. */
static void test_clear_young_only(struct kunit *test)
{
	struct subscriber *s = subscribe(test, 0, &clear_only_ops, 0);

	KUNIT_EXPECT_EQ(test, query(test, false), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, query(test, true), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, s->clears, 0);
}

/* One subscriber can't do without its lock: all are left as they are. */
static void test_refused(struct kunit *test)
{
	struct subscriber *able = subscribe(test, 0, &range_ops, 0);
	struct subscriber *unable = subscribe(test, 1, &range_ops, 2);

	unable->refuses = 1;
	KUNIT_EXPECT_EQ(test, query(test, false), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, unable->ranges, 1);
	unable->refuses = 2;
	KUNIT_EXPECT_EQ(test, query(test, true), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, unable->ranges, 2);
	KUNIT_EXPECT_EQ(test, bitmap_weight(unable->young, NR_PAGES), NR_PAGES / 4);
	KUNIT_EXPECT_EQ(test, able->clears + able->tests + unable->clears + unable->tests, 0);
}

static void test_answers_add_up(struct kunit *test)
{
	struct age_test *t = test->priv;
	struct subscriber *first = subscribe(test, 0, &range_ops, 0);
	struct subscriber *second = subscribe(test, 1, &range_ops, 2);

	KUNIT_EXPECT_EQ(test, query(test, true), 0);
	expect_young(test, 0, 2);
	KUNIT_EXPECT_TRUE(test, bitmap_equal(first->asked, t->want, NR_PAGES));
	KUNIT_EXPECT_TRUE(test, bitmap_equal(second->asked, t->want, NR_PAGES));
	KUNIT_EXPECT_EQ(test, first->ranges, 1);
	KUNIT_EXPECT_EQ(test, second->ranges, 1);

	KUNIT_EXPECT_EQ(test, query(test, true), 0);
	expect_none_young(test);
}

/* Test all pages, then make one old without a need for the answer. */
static void test_all_pages_no_answer(struct kunit *test)
{
	struct age_test *t = test->priv;
	struct subscriber *s = subscribe(test, 0, &range_ops, 1);

	t->age = (struct mmu_notifier_age) {
		.start = BASE,
		.nr = NR_PAGES,
		.shift = PAGE_SHIFT,
		.young = t->young,
	};
	KUNIT_EXPECT_EQ(test, mmu_notifier_age_range(t->mm, &t->age), 0);
	expect_young(test, 1, 4);
	KUNIT_EXPECT_TRUE(test, bitmap_full(s->asked, NR_PAGES));

	__set_bit(5, t->want);
	t->age.clear = true;
	t->age.want = t->want;
	t->age.young = NULL;
	KUNIT_EXPECT_EQ(test, mmu_notifier_age_range(t->mm, &t->age), 0);
	KUNIT_EXPECT_FALSE(test, test_bit(5, s->young));
	KUNIT_EXPECT_EQ(test, bitmap_weight(s->young, NR_PAGES), NR_PAGES / 4 - 1);
}

static struct kunit_case age_kunit_cases[] = {
	KUNIT_CASE(test_no_subscriber),
	KUNIT_CASE(test_without_young_ops),
	KUNIT_CASE(test_clear_young_only),
	KUNIT_CASE(test_refused),
	KUNIT_CASE(test_answers_add_up),
	KUNIT_CASE(test_all_pages_no_answer),
	{}
};

static struct kunit_suite age_kunit = {
	.name = "mmu_notifier_age",
	.init = age_kunit_init,
	.exit = age_kunit_exit,
	.test_cases = age_kunit_cases,
};

static int lru_kunit_init(struct kunit *test)
{
	const int ret = age_kunit_init(test);
	struct age_test *t = test->priv;
	int i;

	if (ret)
		return ret;

	for (i = 0; i < NR_SUBSCRIBERS; i++)
		subscribe(test, i, &range_ops, 0);
	t->lru.vma.vm_mm = t->mm;
	t->lru.shift = PAGE_SHIFT;
	t->lru.folio_pages = 1;
	t->lru.consult = true;
	prandom_seed_state(&t->lru.random, 1);
	return 0;
}

static unsigned int random_below(struct lru_table *lru, unsigned int limit)
{
	return prandom_u32_state(&lru->random) % limit;
}

/* Few, many or all bits, or none. */
static void random_map(struct lru_table *lru, unsigned long *map)
{
	const unsigned int eighths = random_below(lru, 9);
	unsigned int i;

	for (i = 0; i < NR_ENTRIES; i++)
		__assign_bit(i, map, random_below(lru, 8) < eighths);
}

static void random_range(struct lru_table *lru, unsigned int max)
{
	lru->first = random_below(lru, NR_ENTRIES);
	lru->last = lru->first + 1 + random_below(lru, min(NR_ENTRIES - lru->first, max));
	bitmap_zero(lru->present, NR_ENTRIES);
	bitmap_set(lru->present, lru->first, lru->last - lru->first);
}

/* The end of the folio that an entry maps a page of, or of what is walked. */
static unsigned int folio_end(const struct lru_table *lru, unsigned int i)
{
	return min(i - i % lru->folio_pages + lru->folio_pages, lru->last);
}

static bool any_young(const struct lru_table *lru, unsigned int first, unsigned int end)
{
	unsigned int i;

	for (i = first; i < end; i++)
		if (pte_young(lru->ptes[i]))
			return true;
	return false;
}

static void walk_ptes(struct lru_table *lru, struct mm_struct *mm)
{
	const unsigned long end = BASE + lru->last * PAGE_SIZE;
	unsigned long i = lru->first, addr = BASE + i * PAGE_SIZE;
	struct lru_gen_age age;
	unsigned int nr;

	lru_gen_age_start(&age, mm, lru->consult, addr, end);
	for (; addr != end; i += nr, addr += nr * PAGE_SIZE) {
		nr = 1;
		lru_gen_age_next(&age, mm, addr, end);
		if (lru_gen_age_old(&age, addr, pte_young(lru->ptes[i]), PAGE_SHIFT) ||
		    !test_bit(i, lru->eligible))
			continue;
		nr = folio_end(lru, i) - i;
		if (lru_gen_age_clear_ptes(&age, &lru->vma, addr, &lru->ptes[i], nr,
					   any_young(lru, i, i + nr)))
			bitmap_set(lru->promoted, i, nr);
	}
	lru_gen_age_finish(&age, mm);
}

static void walk_pmds(struct lru_table *lru, struct mm_struct *mm)
{
	struct lru_gen_age age;
	unsigned long i, addr;

	bitmap_copy(age.promoted, lru->present, LRU_GEN_AGE_BITS);
	lru_gen_age_test(&age, mm, lru->consult, BASE, NR_QUERIED, PMD_SHIFT, age.promoted);
	for_each_set_bit(i, lru->present, NR_HUGE) {
		addr = BASE + i * PMD_SIZE;
		if (lru_gen_age_old(&age, addr, pmd_young(lru->pmds[i]), PMD_SHIFT) ||
		    !test_bit(i, lru->eligible))
			continue;
		if (lru_gen_age_clear_pmd(&age, &lru->vma, addr, &lru->pmds[i]))
			__set_bit(i, lru->promoted);
	}
	lru_gen_age_finish(&age, mm);
}

static void prepare_walk(struct age_test *t)
{
	struct lru_table *lru = &t->lru;
	struct subscriber *s;
	unsigned int i;

	bitmap_zero(lru->promoted, NR_ENTRIES);
	random_map(lru, lru->eligible);
	for (i = 0; i < NR_ENTRIES; i++)
		__assign_bit(i, lru->eligible,
			     test_bit(i - i % lru->folio_pages, lru->eligible));
	bitmap_and(lru->eligible, lru->eligible, lru->present, NR_ENTRIES);
	random_map(lru, lru->host);
	bitmap_copy(lru->young, lru->host, NR_ENTRIES);
	for (i = 0; i < NR_ENTRIES; i++) {
		const pte_t pte = pte_mkold(pfn_pte(i, PAGE_KERNEL));
		const pmd_t pmd = pmd_mkold(pmd_mkhuge(pfn_pmd(i, PAGE_KERNEL)));
		const bool young = test_bit(i, lru->host);

		lru->ptes[i] = young ? pte_mkyoung(pte) : pte;
		lru->pmds[i] = young ? pmd_mkyoung(pmd) : pmd;
	}
	for (s = t->subscribers; s < t->subscribers + NR_SUBSCRIBERS; s++) {
		random_map(lru, s->young);
		bitmap_copy(s->was_young, s->young, NR_ENTRIES);
		if (lru->consult)
			bitmap_or(lru->young, lru->young, s->young, NR_ENTRIES);
		bitmap_zero(s->asked, NR_ENTRIES);
		s->shift = lru->shift;
		s->clears = 0;
		s->ranges = 0;
	}
	bitmap_and(lru->young, lru->young, lru->present, NR_ENTRIES);
}

/*
 * What is promoted must become old in the host and where the first query found it young.
 * All else must stay as it is, and what is not present must not be queried.
 */
static void walk_and_check(struct kunit *test)
{
	struct age_test *t = test->priv;
	struct lru_table *lru = &t->lru;
	struct subscriber *s, *end = t->subscribers + (lru->consult ? NR_SUBSCRIBERS : 0);
	unsigned int i;

	prepare_walk(t);
	if (lru->shift == PMD_SHIFT)
		walk_pmds(lru, t->mm);
	else
		walk_ptes(lru, t->mm);

	for (i = 0; i < NR_ENTRIES; i++) {
		const bool was_young = test_bit(i, lru->host);
		const bool is_young = lru->shift == PMD_SHIFT ? pmd_young(lru->pmds[i]) :
								pte_young(lru->ptes[i]);
		const unsigned int folio = max(i - i % lru->folio_pages, lru->first);
		const bool promoted = test_bit(i, lru->promoted);
		bool in_secondary = false;

		for (s = t->subscribers; s < end; s++)
			in_secondary |= test_bit(i, s->was_young);
		if (!test_bit(i, lru->eligible))
			KUNIT_ASSERT_FALSE_MSG(test, promoted, "entry %u", i);
		else if (test_bit(i, lru->young))
			KUNIT_ASSERT_TRUE_MSG(test, promoted, "entry %u", i);
		else if (promoted)
			KUNIT_ASSERT_LT_MSG(test, find_next_bit(lru->young, NR_ENTRIES, folio),
					    folio_end(lru, i), "entry %u", i);
		KUNIT_ASSERT_EQ_MSG(test, is_young, was_young && !promoted, "entry %u", i);
		for (s = t->subscribers; s < end; s++) {
			const bool used = test_bit(i, s->was_young) || test_bit(i, s->used_next);

			KUNIT_ASSERT_EQ_MSG(test, test_bit(i, s->young),
					    used && !(promoted && in_secondary), "entry %u", i);
		}
	}
	for (s = t->subscribers; s < end; s++)
		KUNIT_ASSERT_TRUE(test, bitmap_subset(s->asked, lru->present, NR_ENTRIES));
}

/* A query that tests, and one that makes old, for each part of a table. */
static void test_lru_table(struct kunit *test)
{
	struct age_test *t = test->priv;
	int i, k;

	for (i = 0; i < NR_WALKS; i++) {
		random_range(&t->lru, NR_ENTRIES);
		walk_and_check(test);
		for (k = 0; k < NR_SUBSCRIBERS; k++) {
			KUNIT_ASSERT_EQ(test, t->subscribers[k].clears, 0);
			KUNIT_ASSERT_LE(test, t->subscribers[k].ranges,
					2 * DIV_ROUND_UP(t->lru.last - t->lru.first,
							 LRU_GEN_AGE_BITS));
		}
	}
}

/* Folios of several pages, which may begin in one query and end in the next. */
static void test_lru_folios(struct kunit *test)
{
	struct age_test *t = test->priv;
	int i;

	for (i = 0; i < NR_WALKS; i++) {
		t->lru.folio_pages = 1U << random_below(&t->lru, 8);
		random_range(&t->lru, NR_ENTRIES);
		walk_and_check(test);
	}
}

/* Any of its queries, or none, by any subscriber. */
static void refuse_some(struct age_test *t)
{
	int k;

	for (k = 0; k < NR_SUBSCRIBERS; k++)
		t->subscribers[k].refuses = random_below(&t->lru, 6);
}

static void test_lru_refused(struct kunit *test)
{
	struct age_test *t = test->priv;
	int i;

	for (i = 0; i < NR_WALKS; i++) {
		t->lru.folio_pages = 1U << random_below(&t->lru, 8);
		random_range(&t->lru, NR_ENTRIES);
		refuse_some(t);
		walk_and_check(test);
	}
}

/* What was old when it was tested stays young for the next walk. */
static void test_lru_used_meanwhile(struct kunit *test)
{
	struct age_test *t = test->priv;
	int i;

	for (i = 0; i < NR_WALKS; i++) {
		random_range(&t->lru, LRU_GEN_AGE_BITS);
		random_map(&t->lru, t->subscribers[i % NR_SUBSCRIBERS].used_next);
		walk_and_check(test);
	}
}

static void test_lru_not_consulted(struct kunit *test)
{
	struct age_test *t = test->priv;
	int i, k;

	t->lru.consult = false;
	for (i = 0; i < NR_WALKS; i++) {
		random_range(&t->lru, NR_ENTRIES);
		walk_and_check(test);
		for (k = 0; k < NR_SUBSCRIBERS; k++) {
			KUNIT_ASSERT_EQ(test, t->subscribers[k].ranges, 0);
			KUNIT_ASSERT_EQ(test, t->subscribers[k].clears, 0);
		}
	}
}

/* The last ones are too far away from the first to be in the query. */
static void test_lru_huge(struct kunit *test)
{
	struct age_test *t = test->priv;
	int i;

	if (!IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE))
		kunit_skip(test, "needs transparent huge pages");

	t->lru.shift = PMD_SHIFT;
	for (i = 0; i < NR_WALKS; i++) {
		random_map(&t->lru, t->lru.present);
		bitmap_clear(t->lru.present, NR_HUGE, NR_ENTRIES - NR_HUGE);
		if (i % 2)
			refuse_some(t);
		walk_and_check(test);
	}
}

static struct kunit_case lru_kunit_cases[] = {
	KUNIT_CASE(test_lru_table),
	KUNIT_CASE(test_lru_folios),
	KUNIT_CASE(test_lru_refused),
	KUNIT_CASE(test_lru_used_meanwhile),
	KUNIT_CASE(test_lru_not_consulted),
	KUNIT_CASE(test_lru_huge),
	{}
};

static struct kunit_suite lru_kunit = {
	.name = "lru_gen_age",
	.init = lru_kunit_init,
	.exit = age_kunit_exit,
	.test_cases = lru_kunit_cases,
};

kunit_test_suites(&age_kunit, &lru_kunit);

MODULE_DESCRIPTION("KUnit tests of queries of secondary MMUs");
MODULE_LICENSE("GPL");
