// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of queries of secondary MMUs about many parts of a range: which subscribers
 * they reach, when they are refused, and what becomes of the answers.
 */
#include <kunit/test.h>
#include <linux/bitmap.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/mmu_notifier_age.h>
#include <linux/sched/mm.h>

#define BASE		(16 * PAGE_SIZE)
#define NR_PAGES	100
#define NR_SUBSCRIBERS	2

/* A secondary MMU that was told which of its pages are young, and counts calls. */
struct subscriber {
	struct mmu_notifier mn;
	int range_ret;
	unsigned int clears;
	unsigned int tests;
	unsigned int ranges;
	DECLARE_BITMAP(young, NR_PAGES);
	DECLARE_BITMAP(asked, NR_PAGES);
};

struct age_test {
	struct mm_struct *mm;
	struct subscriber subscribers[NR_SUBSCRIBERS];
	struct mmu_notifier_age age;
	DECLARE_BITMAP(want, NR_PAGES);
	DECLARE_BITMAP(young, NR_PAGES);
};

static unsigned long page_nr(unsigned long addr)
{
	return (addr - BASE) >> PAGE_SHIFT;
}

static int clear_young(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long start,
		       unsigned long end)
{
	struct subscriber *s = container_of(mn, struct subscriber, mn);
	const unsigned long first = page_nr(start), last = page_nr(end);
	const bool young = find_next_bit(s->young, last, first) < last;

	s->clears++;
	bitmap_set(s->asked, first, last - first);
	bitmap_clear(s->young, first, last - first);
	return young;
}

static int test_young(struct mmu_notifier *mn, struct mm_struct *mm, unsigned long addr)
{
	struct subscriber *s = container_of(mn, struct subscriber, mn);

	s->tests++;
	__set_bit(page_nr(addr), s->asked);
	return test_bit(page_nr(addr), s->young);
}

/* For queries about single pages from @BASE on. */
static int age_range(struct mmu_notifier *mn, struct mm_struct *mm,
		     const struct mmu_notifier_age *age)
{
	struct subscriber *s = container_of(mn, struct subscriber, mn);
	DECLARE_BITMAP(want, NR_PAGES);
	DECLARE_BITMAP(found, NR_PAGES);

	s->ranges++;
	if (s->range_ret)
		return s->range_ret;

	if (age->want)
		bitmap_copy(want, age->want, age->nr);
	else
		bitmap_fill(want, age->nr);
	bitmap_or(s->asked, s->asked, want, age->nr);
	bitmap_and(found, s->young, want, age->nr);
	if (age->young)
		bitmap_or(age->young, age->young, found, age->nr);
	if (age->clear)
		bitmap_andnot(s->young, s->young, found, age->nr);
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

	unable->range_ret = -EOPNOTSUPP;
	KUNIT_EXPECT_EQ(test, query(test, false), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, unable->ranges, 1);
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

/* What MGLRU does: test all pages, then make some old without a need for the answer. */
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

kunit_test_suites(&age_kunit);

MODULE_DESCRIPTION("KUnit tests of queries of secondary MMUs");
MODULE_LICENSE("GPL");
