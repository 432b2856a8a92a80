// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the teardown of a stage 2 in parts.
 */
#include <linux/kvm_host.h>
#include <linux/module.h>
#include <kunit/test.h>
#include <asm/kvm_mmu.h>
#include <asm/kvm_pgtable.h>

/* How many tables there are, the root left out. */
static int stage2_kunit_tables;

static void *stage2_kunit_zalloc(void *arg)
{
	stage2_kunit_tables++;
	return (void *)get_zeroed_page(GFP_KERNEL);
}

static void *stage2_kunit_zalloc_exact(size_t size)
{
	return alloc_pages_exact(size, GFP_KERNEL | __GFP_ZERO);
}

static void stage2_kunit_get(void *addr)
{
	get_page(virt_to_page(addr));
}

static void stage2_kunit_put(void *addr)
{
	if (page_count(virt_to_page(addr)) == 1)
		stage2_kunit_tables--;
	put_page(virt_to_page(addr));
}

static int stage2_kunit_count(void *addr)
{
	return page_count(virt_to_page(addr));
}

static void *stage2_kunit_va(phys_addr_t phys)
{
	return __va(phys);
}

static phys_addr_t stage2_kunit_pa(void *addr)
{
	return __pa(addr);
}

static struct kvm_pgtable_mm_ops stage2_kunit_mm_ops = {
	.zalloc_page = stage2_kunit_zalloc,
	.zalloc_pages_exact = stage2_kunit_zalloc_exact,
	.free_pages_exact = free_pages_exact,
	.get_page = stage2_kunit_get,
	.put_page = stage2_kunit_put,
	.page_count = stage2_kunit_count,
	.phys_to_virt = stage2_kunit_va,
	.virt_to_phys = stage2_kunit_pa,
};

#define STAGE2_KUNIT_TABLE	(PAGE_SIZE * PTRS_PER_PTE)

/* Nothing maps what is not there: no TLB has ever seen these entries. */
static void stage2_kunit_map(struct kunit *test, struct kvm_pgtable *pgt, u64 addr, u64 size,
			     u64 phys)
{
	KUNIT_ASSERT_EQ(test, kvm_pgtable_stage2_map(pgt, addr, size, phys, KVM_PGTABLE_PROT_R,
						     test, 0), 0);
}

/*
 * Full tables one behind the other, so that parts end at first and last entries, on the
 * way out of a table and on the way out of two; tables with a page each; a huge leaf; and
 * the ends of the address space.
 */
static void stage2_kunit_populate(struct kunit *test, struct kvm_pgtable *pgt)
{
	const u64 size = STAGE2_KUNIT_TABLE, full = 5 * size, end = BIT(pgt->ia_bits);
	unsigned int i;

	/* A page off, so that these are no blocks. */
	stage2_kunit_map(test, pgt, 0, full, PAGE_SIZE);
	for (i = 0; i < 3; i++)
		stage2_kunit_map(test, pgt, full + (2 * i + 1) * size - PAGE_SIZE, PAGE_SIZE, 0);
	stage2_kunit_map(test, pgt, full + 8 * size, size, 0);
	stage2_kunit_map(test, pgt, end - PAGE_SIZE, PAGE_SIZE, 0);
}

static void test_teardown_in_parts(struct kunit *test)
{
	const u64 mmfr0 = read_sanitised_ftr_reg(SYS_ID_AA64MMFR0_EL1);
	const u64 mmfr1 = read_sanitised_ftr_reg(SYS_ID_AA64MMFR1_EL1);
	struct kvm_s2_mmu *mmu = kunit_kzalloc(test, sizeof(*mmu), GFP_KERNEL);
	struct kvm_pgtable pgt = {};
	unsigned int parts = 0;
	u64 addr = 0, last;
	int tables;

	KUNIT_ASSERT_NOT_NULL(test, mmu);
	mmu->pgt = &pgt;
	mmu->vtcr = kvm_get_vtcr(mmfr0, mmfr1, KVM_PHYS_SHIFT);
	stage2_kunit_tables = 0;
	KUNIT_ASSERT_EQ(test, kvm_pgtable_stage2_init(&pgt, mmu, &stage2_kunit_mm_ops), 0);
	stage2_kunit_populate(test, &pgt);
	KUNIT_ASSERT_GE(test, stage2_kunit_tables, 9);

	do {
		tables = stage2_kunit_tables;
		last = addr;
		parts++;
		if (!kvm_pgtable_stage2_destroy_part(&pgt, &addr))
			break;
		/* It gets on, and no part is much longer than a table. */
		KUNIT_EXPECT_GE(test, addr, last);
		KUNIT_EXPECT_GE(test, stage2_kunit_tables, tables - 3);
	} while (parts < 1000);

	/* Of five full tables, and some that are not, no two fit into a part. */
	KUNIT_EXPECT_GE(test, parts, 9U);
	KUNIT_EXPECT_LT(test, parts, 1000U);
	KUNIT_EXPECT_EQ(test, stage2_kunit_tables, 0);
	KUNIT_EXPECT_EQ(test, page_count(virt_to_page((__force void *)pgt.pgd)), 1);
	KUNIT_EXPECT_NULL(test, memchr_inv((__force void *)pgt.pgd, 0, PAGE_SIZE));

	kvm_pgtable_stage2_destroy(&pgt);
	KUNIT_EXPECT_EQ(test, stage2_kunit_tables, 0);
	KUNIT_EXPECT_FALSE(test, pgt.pgd);
}

static struct kunit_case stage2_teardown_cases[] = {
	KUNIT_CASE(test_teardown_in_parts),
	{}
};

static struct kunit_suite stage2_teardown = {
	.name = "pgtable_walk_stage2_teardown",
	.test_cases = stage2_teardown_cases,
};

kunit_test_suite(stage2_teardown);

MODULE_DESCRIPTION("KUnit tests of the teardown of arm64 stage-2 tables");
MODULE_LICENSE("GPL");
