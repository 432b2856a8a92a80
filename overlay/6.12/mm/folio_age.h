/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Eviction's query of secondary MMUs about the pages of a large folio.
 *
 * The walk of a folio's mappings comes to its entries one by one.  At the first of them, one
 * query that changes nothing tests all that the page table has of the folio.  Entries that it
 * finds old are not queried again.  A young entry is queried alone and made old, and reclaim
 * looks at its neighbours, which are the folio's other pages for the most part; so the rest is
 * tested anew after that.
 *
 * A page that is used after the test stays young for the next walk.
 */
#ifndef _MM_FOLIO_AGE_H
#define _MM_FOLIO_AGE_H

#include <linux/bitmap.h>
#include <linux/mmu_notifier.h>
#include <linux/mmu_notifier_age.h>
#include <linux/rmap.h>

#ifdef CONFIG_MMU_NOTIFIER_AGE
#define FOLIO_AGE_BITS	512UL

/**
 * struct folio_age - what secondary MMUs know about the pages of a folio
 * @start: address of the first page that was tested
 * @end: the address after the last one
 * @young_end: the address after the last page that was young when it was queried alone
 * @refused: the test was refused: query each page alone
 * @young: pages that were young
 */
struct folio_age {
	unsigned long start;
	unsigned long end;
	unsigned long young_end;
	bool refused;
	DECLARE_BITMAP(young, FOLIO_AGE_BITS);
};

static inline void folio_age_init(struct folio_age *age, struct page_vma_mapped_walk *pvmw)
{
	age->end = 0;
	age->young_end = 0;
	pvmw->age = age;
}

/*
 * Test the folio's pages from here on, as far as the page table and the VMA go.  Pages of other
 * folios may be mapped in between, as copies are: the walk does not come to these.
 */
static inline void folio_age_test(struct folio_age *age, const struct page_vma_mapped_walk *pvmw)
{
	const unsigned long table_end = pmd_addr_end(pvmw->address, pvmw->vma->vm_end);
	const unsigned long pfn = pte_pfn(ptep_get(pvmw->pte));
	const struct mmu_notifier_age range = {
		.start = pvmw->address,
		.nr = min3((table_end - pvmw->address) >> PAGE_SHIFT,
			   pvmw->pfn + pvmw->nr_pages - pfn, FOLIO_AGE_BITS),
		.shift = PAGE_SHIFT,
		.young = age->young,
	};

	bitmap_zero(age->young, range.nr);
	age->start = range.start;
	age->end = mmu_notifier_age_end(&range);
	age->refused = mmu_notifier_age_range(pvmw->vma->vm_mm, &range);
}

/* Do secondary MMUs know that the page is old? */
static inline bool folio_age_old(struct folio_age *age, const struct page_vma_mapped_walk *pvmw)
{
	/* Small folios, and entries that are not present, but of a device. */
	if (pvmw->nr_pages == 1 || !pte_present(ptep_get(pvmw->pte)))
		return false;

	if (pvmw->address >= age->end)
		folio_age_test(age, pvmw);

	return !age->refused && !test_bit((pvmw->address - age->start) >> PAGE_SHIFT, age->young);
}

/* Make the entry old in all MMUs.  Returns true if it was young in one of them. */
static inline bool folio_age_clear_pte(struct page_vma_mapped_walk *pvmw,
				       struct vm_area_struct *vma, unsigned long addr, pte_t *pte)
{
	struct folio_age *age = pvmw->age;
	bool young;

	if (folio_age_old(age, pvmw))
		return ptep_test_and_clear_young(vma, addr, pte);

	young = ptep_clear_young_notify(vma, addr, pte);
	if (young) {
		/* Those behind it may be old now, but not if one was young behind a young one. */
		if (addr != age->young_end && !age->refused)
			age->end = 0;
		age->young_end = addr + PAGE_SIZE;
	}
	return young;
}
#else /* !CONFIG_MMU_NOTIFIER_AGE */
struct folio_age {
};

static inline void folio_age_init(struct folio_age *age, struct page_vma_mapped_walk *pvmw)
{
}

/* A macro, so that the object code is that without this file. */
#define folio_age_clear_pte(pvmw, vma, addr, pte)	ptep_clear_young_notify(vma, addr, pte)
#endif /* CONFIG_MMU_NOTIFIER_AGE */

#endif /* _MM_FOLIO_AGE_H */
