// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the end of page tables.
 */
#include <linux/delay.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/pgtable_gather.h>
#include <kunit/test.h>

#define NR_TABLES	3
#define PATTERN		0x5a

/* Tables with a reference more than they need, so that their end can be watched. */
static int gather_kunit_init(struct kunit *test)
{
	struct page **pages = kunit_kcalloc(test, NR_TABLES, sizeof(*pages), GFP_KERNEL);
	int i;

	if (!pages)
		return -ENOMEM;

	test->priv = pages;
	for (i = 0; i < NR_TABLES; i++) {
		pages[i] = alloc_page(GFP_KERNEL);
		if (!pages[i])
			return -ENOMEM;
		get_page(pages[i]);
		memset(page_address(pages[i]), PATTERN, PAGE_SIZE);
	}
	return 0;
}

static void gather_kunit_exit(struct kunit *test)
{
	struct page **pages = test->priv;
	int i;

	for (i = 0; pages && i < NR_TABLES && pages[i]; i++)
		put_page(pages[i]);
}

static void gather_kunit_expect_refs(struct kunit *test, int refs)
{
	struct page **pages = test->priv;
	int i;

	for (i = 0; i < NR_TABLES; i++)
		KUNIT_EXPECT_EQ(test, page_ref_count(pages[i]), refs);
}

static void test_tables_outlive_readers(struct kunit *test)
{
	DEFINE_PGTABLE_GATHER(gather);
	struct page **pages = test->priv;
	int i, refs = 0;

	KUNIT_EXPECT_TRUE(test, pgtable_gather_empty(&gather));
	for (i = 0; i < NR_TABLES; i++) {
		pgtable_gather_table(&gather, page_address(pages[i]));
		KUNIT_EXPECT_FALSE(test, pgtable_gather_empty(&gather));
	}
	gather_kunit_expect_refs(test, 2);

	/* This is a walker that found the tables before they were unlinked. */
	rcu_read_lock();
	pgtable_gather_free(&gather);
	mdelay(20);
	for (i = 0; i < NR_TABLES; i++)
		refs += page_ref_count(pages[i]);
	rcu_read_unlock();

	KUNIT_EXPECT_EQ(test, refs, 2 * NR_TABLES);
	KUNIT_EXPECT_TRUE(test, pgtable_gather_empty(&gather));
	rcu_barrier();
	gather_kunit_expect_refs(test, 1);

	/* Nothing was written to them on the way. */
	for (i = 0; i < NR_TABLES; i++)
		KUNIT_EXPECT_NULL(test, memchr_inv(page_address(pages[i]), PATTERN, PAGE_SIZE));
}

static void test_nothing_gathered(struct kunit *test)
{
	DEFINE_PGTABLE_GATHER(gather);
	struct page **pages = test->priv;
	int i;

	pgtable_gather_free(&gather);
	rcu_barrier();
	gather_kunit_expect_refs(test, 2);

	for (i = 0; i < NR_TABLES; i++)
		put_page(pages[i]);
}

static struct kunit_case gather_kunit_cases[] = {
	KUNIT_CASE(test_tables_outlive_readers),
	KUNIT_CASE(test_nothing_gathered),
	{}
};

static struct kunit_suite gather_kunit = {
	.name = "pgtable_walk_gather",
	.init = gather_kunit_init,
	.exit = gather_kunit_exit,
	.test_cases = gather_kunit_cases,
};

kunit_test_suites(&gather_kunit);

MODULE_DESCRIPTION("KUnit tests of the end of page tables");
MODULE_LICENSE("GPL");
