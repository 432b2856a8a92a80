// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the page-table walker over the page tables of guest physical addresses.
 * Entries are made by the kernel's own helpers for them.
 */
#include <linux/kvm_age.h>
#include <linux/kvm_host.h>
#include <kunit/pgtable_walk.h>

#include "gpa_pt_walk.h"

static vpte_t gpa_pt_kunit_leaf(phys_addr_t pa, unsigned int level, unsigned int flavour,
				bool young)
{
	kvm_pte_t pte = _PAGE_PRESENT | (flavour & 1 ? _CACHE_CC : _CACHE_SUC);

	if (flavour & 2)
		pte = kvm_pte_mkwriteable(pte);
	if (flavour & 4)
		pte = kvm_pte_mkdirty(pte);
	pte = kvm_pfn_pte(PHYS_PFN(pa), __pgprot(pte));
	if (level)
		pte = kvm_pte_mkhuge(pte);
	return young ? kvm_pte_mkyoung(pte) : kvm_pte_mkold(pte);
}

static vpte_t gpa_pt_kunit_table(phys_addr_t pa)
{
	return __pa(phys_to_virt(pa));
}

static vpte_t gpa_pt_kunit_absent(phys_addr_t pa)
{
	return gpa_pt_kunit_leaf(pa, 1, 7, true) & ~_PAGE_PRESENT;
}

static vpte_t gpa_pt_kunit_empty(unsigned int level)
{
	pte_t pte = __pte(0);
	pmd_t pmd;
	pud_t pud = {};
	p4d_t p4d = {};

	pmd_clear(&pmd);
	pud_clear(&pud);
	p4d_clear(&p4d);
	switch (level) {
	case 0:
		return pte_val(pte);
	case 1:
		return pmd_val(pmd);
	case 2:
		return pud_val(pud);
	default:
		return p4d_val(p4d);
	}
}

static u64 gpa_pt_kunit_walk(enum pgtable_kunit_op op, u64 start, u64 end, struct pgtable_kunit *t)
{
	return pgtable_kunit_walk(&gpa_pt_format, op, start, end, t);
}

static const struct pgtable_kunit_format gpa_pt = {
	.format = &gpa_pt_format,
	.walk = gpa_pt_kunit_walk,
	.page_shift = PAGE_SHIFT,
	.index_bits = PAGE_SHIFT - 3,
	.leaf = gpa_pt_kunit_leaf,
	.table = gpa_pt_kunit_table,
	.absent = gpa_pt_kunit_absent,
	.empty = gpa_pt_kunit_empty,
};

PGTABLE_KUNIT_SUITE(gpa_pt_own, gpa_pt, CONFIG_PGTABLE_LEVELS, 0);

/* ---- a VM's page tables, without a VM ---- */

struct gpa_pt_kunit {
	struct kvm *kvm;
	struct kvm_vcpu *vcpu;
	struct kvm_mmu_memory_cache *cache;
};

/* What a huge leaf maps, or a page table. */
#define GPA_PT_KUNIT_HUGE	(PAGE_SIZE * PTRS_PER_PTE)

static int gpa_pt_kunit_init(struct kunit *test)
{
	struct gpa_pt_kunit *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, t);
	test->priv = t;
	t->kvm = kunit_kzalloc(test, sizeof(*t->kvm), GFP_KERNEL);
	t->vcpu = kunit_kzalloc(test, sizeof(*t->vcpu), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, t->kvm);
	KUNIT_ASSERT_NOT_NULL(test, t->vcpu);

	spin_lock_init(&t->kvm->mmu_lock);
	t->vcpu->kvm = t->kvm;
	t->cache = &t->vcpu->arch.mmu_page_cache;
	KUNIT_ASSERT_EQ(test, kvm_mmu_topup_memory_cache(t->cache, 8), 0);

	t->kvm->arch.pgd = kvm_pgd_alloc();
	KUNIT_ASSERT_NOT_NULL(test, t->kvm->arch.pgd);
	gpa_pt_publish_root(t->kvm);
	return 0;
}

static void gpa_pt_kunit_exit(struct kunit *test)
{
	struct gpa_pt_kunit *t = test->priv;

	/* KUnit comes here after a failed init, too. */
	if (!t || !t->cache)
		return;

	gpa_pt_free(t->kvm);
	kvm_mmu_free_memory_cache(t->cache);
}

/* A young leaf that may be written to, at @gpa, of the page of that address. */
static kvm_pte_t gpa_pt_kunit_pte(gpa_t gpa, unsigned int level)
{
	return gpa_pt_kunit_leaf(gpa, level, 7, true);
}

static kvm_pte_t *gpa_pt_kunit_put(struct gpa_pt_kunit *t, gpa_t gpa, unsigned int level)
{
	kvm_pte_t *ptep;

	spin_lock(&t->kvm->mmu_lock);
	ptep = gpa_pt_entry(t->kvm, t->cache, gpa, level);
	gpa_pt_map(t->kvm, ptep, gpa_pt_kunit_pte(gpa, level));
	spin_unlock(&t->kvm->mmu_lock);
	return ptep;
}

/* The entry that maps @gpa; NULL if a table is missing. */
static kvm_pte_t *gpa_pt_kunit_find(struct gpa_pt_kunit *t, gpa_t gpa, unsigned int level)
{
	kvm_pte_t *ptep;

	spin_lock(&t->kvm->mmu_lock);
	ptep = gpa_pt_entry(t->kvm, NULL, gpa, level);
	spin_unlock(&t->kvm->mmu_lock);
	return ptep;
}

static bool gpa_pt_kunit_age(struct gpa_pt_kunit *t, u64 start, u64 end)
{
	struct pgtable_age age = { .start = start, .end = end, .clear = true };

	kvm_arch_age(t->kvm, NULL, &age);
	return age.stats.young;
}

static void gpa_pt_kunit_expect_pages(struct kunit *test, u64 pages, u64 hugepages)
{
	struct gpa_pt_kunit *t = test->priv;

	KUNIT_EXPECT_EQ(test, t->kvm->stat.pages, pages);
	KUNIT_EXPECT_EQ(test, t->kvm->stat.hugepages, hugepages);
}

/* An empty table is filled at each level as the host's own are. */
static void test_empty_entries(struct kunit *test)
{
	struct gpa_pt_kunit *t = test->priv;
	unsigned int level;

	gpa_pt_kunit_put(t, 0, 0);
	for (level = 0; level < GPA_PT_LEVELS; level++) {
		kvm_pte_t *ptep = gpa_pt_kunit_find(t, 0, level);

		KUNIT_ASSERT_NOT_NULL(test, ptep);
		/* The last one of that table. */
		ptep += PTRS_PER_PTE - 1;
		KUNIT_EXPECT_EQ(test, gpa_pt_read_vpte(ptep), gpa_pt_kunit_empty(level));
		KUNIT_EXPECT_EQ(test, gpa_pt_kind(gpa_pt_read_vpte(ptep), level),
				PGTABLE_WALK_NONE);
	}
	KUNIT_EXPECT_PTR_EQ(test, gpa_pt_kunit_find(t, GPA_PT_KUNIT_HUGE, 0), NULL);
}

/* A page is counted once, however often it faults. */
static void test_map(struct kunit *test)
{
	struct gpa_pt_kunit *t = test->priv;
	kvm_pte_t *ptep = gpa_pt_kunit_put(t, PAGE_SIZE, 0);

	KUNIT_EXPECT_PTR_EQ(test, gpa_pt_kunit_find(t, PAGE_SIZE, 0), ptep);
	KUNIT_EXPECT_EQ(test, gpa_pt_read_vpte(ptep), gpa_pt_kunit_pte(PAGE_SIZE, 0));
	gpa_pt_kunit_expect_pages(test, 1, 0);
	gpa_pt_kunit_put(t, PAGE_SIZE, 0);
	gpa_pt_kunit_expect_pages(test, 1, 0);

	ptep = gpa_pt_kunit_put(t, GPA_PT_KUNIT_HUGE, 1);
	/* A huge leaf is found for each page that it maps. */
	KUNIT_EXPECT_PTR_EQ(test, gpa_pt_kunit_find(t, 2 * GPA_PT_KUNIT_HUGE - 1, 0), ptep);
	gpa_pt_kunit_put(t, GPA_PT_KUNIT_HUGE, 1);
	gpa_pt_kunit_expect_pages(test, 1, 1);
}

/* What a fault adds stays, and so does the rest, whether aging came between or not. */
static void test_update(struct kunit *test)
{
	struct gpa_pt_kunit *t = test->priv;
	kvm_pte_t *ptep = gpa_pt_kunit_put(t, 0, 0);
	const kvm_pte_t young = gpa_pt_kunit_pte(0, 0);
	kvm_pte_t clean;

	spin_lock(&t->kvm->mmu_lock);
	KUNIT_EXPECT_TRUE(test, gpa_pt_wrprotect(t->kvm, 0, PAGE_SIZE, ~0UL));
	spin_unlock(&t->kvm->mmu_lock);
	clean = gpa_pt_read_vpte(ptep);
	KUNIT_EXPECT_EQ(test, clean, kvm_pte_mkclean(young));

	KUNIT_EXPECT_TRUE(test, gpa_pt_kunit_age(t, 0, PAGE_SIZE));
	KUNIT_EXPECT_FALSE(test, gpa_pt_kunit_age(t, 0, PAGE_SIZE));
	KUNIT_EXPECT_EQ(test, gpa_pt_read_vpte(ptep), kvm_pte_mkold(clean));
	gpa_pt_update_pte(ptep, clean, __WRITEABLE | _PAGE_ACCESSED);
	KUNIT_EXPECT_EQ(test, gpa_pt_read_vpte(ptep), young);
}

static void test_split(struct kunit *test)
{
	struct gpa_pt_kunit *t = test->priv;
	unsigned int i, old;

	for (old = 0; old < 2; old++) {
		const gpa_t huge = (1 + old) * GPA_PT_KUNIT_HUGE;
		const gfn_t gfn = gpa_to_gfn(huge) + 3;
		kvm_pte_t *ptep = gpa_pt_kunit_put(t, huge, 1);
		kvm_pte_t *child;

		if (old)
			KUNIT_EXPECT_TRUE(test, gpa_pt_kunit_age(t, huge, huge + 1));
		spin_lock(&t->kvm->mmu_lock);
		child = gpa_pt_split(t->vcpu, ptep, gfn);
		spin_unlock(&t->kvm->mmu_lock);

		KUNIT_EXPECT_PTR_EQ(test, gpa_pt_kunit_find(t, gfn_to_gpa(gfn), 0), child);
		for (i = 0; i < PTRS_PER_PTE; i++) {
			const kvm_pte_t pte = gpa_pt_kunit_pte(huge + i * PAGE_SIZE, 0);

			KUNIT_EXPECT_EQ(test, gpa_pt_read_vpte(child - 3 + i),
					old ? kvm_pte_mkold(pte) : pte);
		}
		gpa_pt_kunit_expect_pages(test, (1 + old) * PTRS_PER_PTE, 0);
	}
}

/* Bit 0 of a mask is the page at the start; huge leaves that the range touches go along. */
static void test_wrprotect(struct kunit *test)
{
	struct gpa_pt_kunit *t = test->priv;
	const gpa_t start = GPA_PT_KUNIT_HUGE - 2 * PAGE_SIZE;
	kvm_pte_t *ptep[4];
	unsigned int i;

	for (i = 0; i < 3; i++)
		ptep[i] = gpa_pt_kunit_put(t, start + ((int)i - 1) * PAGE_SIZE, 0);
	ptep[3] = gpa_pt_kunit_put(t, GPA_PT_KUNIT_HUGE, 1);

	spin_lock(&t->kvm->mmu_lock);
	KUNIT_EXPECT_TRUE(test, gpa_pt_wrprotect(t->kvm, start, start + 3 * PAGE_SIZE, 0x5));
	KUNIT_EXPECT_FALSE(test, gpa_pt_wrprotect(t->kvm, start, start + 3 * PAGE_SIZE, 0x5));
	spin_unlock(&t->kvm->mmu_lock);

	for (i = 0; i < 4; i++)
		KUNIT_EXPECT_EQ(test, !kvm_pte_dirty(gpa_pt_read_vpte(ptep[i])), i == 1 || i == 3);
}

/* An unmap leaves tables where they are. */
static void test_unmap(struct kunit *test)
{
	struct gpa_pt_kunit *t = test->priv;
	kvm_pte_t *ptep = gpa_pt_kunit_put(t, 0, 0);

	gpa_pt_kunit_put(t, PAGE_SIZE, 0);
	gpa_pt_kunit_put(t, GPA_PT_KUNIT_HUGE, 1);

	spin_lock(&t->kvm->mmu_lock);
	KUNIT_EXPECT_TRUE(test, gpa_pt_unmap(t->kvm, 0, PAGE_SIZE));
	KUNIT_EXPECT_FALSE(test, gpa_pt_unmap(t->kvm, 0, PAGE_SIZE));
	spin_unlock(&t->kvm->mmu_lock);
	gpa_pt_kunit_expect_pages(test, 1, 1);
	KUNIT_EXPECT_EQ(test, gpa_pt_read_vpte(ptep), gpa_pt_kunit_empty(0));

	spin_lock(&t->kvm->mmu_lock);
	KUNIT_EXPECT_TRUE(test, gpa_pt_unmap(t->kvm, 0, GPA_PT_KUNIT_HUGE + 1));
	spin_unlock(&t->kvm->mmu_lock);
	gpa_pt_kunit_expect_pages(test, 0, 0);
	KUNIT_EXPECT_PTR_EQ(test, gpa_pt_kunit_find(t, 0, 0), ptep);
	KUNIT_EXPECT_EQ(test, gpa_pt_read_vpte(gpa_pt_kunit_find(t, GPA_PT_KUNIT_HUGE, 1)),
			gpa_pt_kunit_empty(1));
}

/* Tables go whose whole range is dropped, and no others. */
static void test_drop(struct kunit *test)
{
	struct gpa_pt_kunit *t = test->priv;
	unsigned int i;

	for (i = 0; i < 3; i++)
		gpa_pt_kunit_put(t, i * GPA_PT_KUNIT_HUGE, 0);
	gpa_pt_drop(t->kvm, PAGE_SIZE, 2 * GPA_PT_KUNIT_HUGE + PAGE_SIZE);
	gpa_pt_kunit_expect_pages(test, 1, 0);
	KUNIT_EXPECT_EQ(test, gpa_pt_read_vpte(gpa_pt_kunit_find(t, 0, 0)),
			gpa_pt_kunit_pte(0, 0));
	KUNIT_EXPECT_PTR_EQ(test, gpa_pt_kunit_find(t, GPA_PT_KUNIT_HUGE, 0), NULL);
	KUNIT_EXPECT_EQ(test, gpa_pt_read_vpte(gpa_pt_kunit_find(t, GPA_PT_KUNIT_HUGE, 1)),
			gpa_pt_kunit_empty(1));
	KUNIT_EXPECT_NOT_NULL(test, gpa_pt_kunit_find(t, 2 * GPA_PT_KUNIT_HUGE, 0));

	/* Empty ones, too. */
	gpa_pt_drop(t->kvm, 0, 3 * GPA_PT_KUNIT_HUGE);
	gpa_pt_kunit_expect_pages(test, 0, 0);
	for (i = 0; i < 3; i++)
		KUNIT_EXPECT_PTR_EQ(test, gpa_pt_kunit_find(t, i * GPA_PT_KUNIT_HUGE, 0), NULL);
}

/* After that, there is nothing to be walked. */
static void test_free(struct kunit *test)
{
	struct gpa_pt_kunit *t = test->priv;

	gpa_pt_kunit_put(t, 0, 0);
	gpa_pt_kunit_put(t, GPA_PT_KUNIT_HUGE, 1);
	gpa_pt_free(t->kvm);
	KUNIT_EXPECT_PTR_EQ(test, t->kvm->arch.pgd, NULL);
	gpa_pt_kunit_expect_pages(test, 0, 0);
	KUNIT_EXPECT_FALSE(test, gpa_pt_kunit_age(t, 0, ~0ULL));
	gpa_pt_drop(t->kvm, 0, GPA_PT_KUNIT_HUGE);
	gpa_pt_free(t->kvm);
}

static struct kunit_case gpa_pt_vm_cases[] = {
	KUNIT_CASE(test_empty_entries),
	KUNIT_CASE(test_map),
	KUNIT_CASE(test_update),
	KUNIT_CASE(test_split),
	KUNIT_CASE(test_wrprotect),
	KUNIT_CASE(test_unmap),
	KUNIT_CASE(test_drop),
	KUNIT_CASE(test_free),
	{}
};

static struct kunit_suite gpa_pt_vm = {
	.name = "pgtable_walk_gpa_pt_vm",
	.init = gpa_pt_kunit_init,
	.exit = gpa_pt_kunit_exit,
	.test_cases = gpa_pt_vm_cases,
};

kunit_test_suites(&gpa_pt_own, &gpa_pt_vm);
