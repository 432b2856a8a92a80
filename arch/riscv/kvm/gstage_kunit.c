// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the page-table walker over G-stage tables.  Entries are made by the
 * kernel's own helpers for them, and numbers are those of the privileged specification.
 */
#include <linux/module.h>
#include <linux/pgtable.h>
#include <kunit/pgtable_walk.h>

#include "gstage_format.h"

static vpte_t gstage_kunit_leaf(phys_addr_t pa, unsigned int level, unsigned int flavour,
				bool young)
{
	const pgprot_t prots[] = { PAGE_READ, PAGE_WRITE, PAGE_EXEC, PAGE_WRITE_EXEC };
	pte_t pte = pfn_pte(PHYS_PFN(pa), prots[flavour % 4]);

	/* Dirty or not says nothing of young or old. */
	if (flavour & 4)
		pte = pte_mkdirty(pte);
	return pte_val(young ? pte_mkyoung(pte) : pte_mkold(pte));
}

static vpte_t gstage_kunit_table(phys_addr_t pa)
{
	return pte_val(pfn_pte(PHYS_PFN(pa), PAGE_TABLE));
}

static vpte_t gstage_kunit_absent(phys_addr_t pa)
{
	return gstage_kunit_leaf(pa, 0, 7, true) & ~(vpte_t)_PAGE_PRESENT;
}

static u64 gstage_kunit_walk(enum pgtable_kunit_op op, u64 start, u64 end, struct pgtable_kunit *t)
{
	return pgtable_kunit_walk(&gstage_format, op, start, end, t);
}

static const struct pgtable_kunit_format gstage = {
	.format = &gstage_format,
	.walk = gstage_kunit_walk,
	.page_shift = 12,
	.index_bits = 9,
	.leaf = gstage_kunit_leaf,
	.table = gstage_kunit_table,
	.absent = gstage_kunit_absent,
};

PGTABLE_KUNIT_SUITE(gstage_sv39x4, gstage, 3, 2);
PGTABLE_KUNIT_SUITE(gstage_sv48x4, gstage, 4, 2);
PGTABLE_KUNIT_SUITE(gstage_sv57x4, gstage, 5, 2);

static void test_addr_bits(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, gstage_addr_bits(3), 41);
	KUNIT_EXPECT_EQ(test, gstage_addr_bits(4), 50);
	KUNIT_EXPECT_EQ(test, gstage_addr_bits(5), 59);
}

static struct kunit_case gstage_widths_cases[] = {
	KUNIT_CASE(test_addr_bits),
	{}
};

static struct kunit_suite gstage_widths = {
	.name = "pgtable_walk_gstage_widths",
	.test_cases = gstage_widths_cases,
};

kunit_test_suites(&gstage_widths, &gstage_sv39x4, &gstage_sv48x4, &gstage_sv57x4);

MODULE_DESCRIPTION("KUnit tests of the page-table walker over RISC-V G-stage tables");
MODULE_LICENSE("GPL");
