/* SPDX-License-Identifier: GPL-2.0 */

#ifdef CONFIG_MMU_NOTIFIER_AGE
static inline bool test_and_clear_young_ptes(struct vm_area_struct *vma, unsigned long addr,
					     pte_t *ptep, unsigned int nr)
{
	bool young = false;

	for (; nr; nr--, ptep++, addr += PAGE_SIZE)
		young |= ptep_test_and_clear_young(vma, addr, ptep);
	return young;
}

static inline bool test_and_clear_young_ptes_notify(struct vm_area_struct *vma, unsigned long addr,
						    pte_t *ptep, unsigned int nr)
{
	bool young = test_and_clear_young_ptes(vma, addr, ptep, nr);

	young |= mmu_notifier_clear_young(vma->vm_mm, addr, addr + nr * PAGE_SIZE);
	return young;
}
#else
/* A macro, for one entry, so that the object code is what it was. */
#define test_and_clear_young_ptes_notify(vma, addr, ptep, nr)	\
	ptep_clear_young_notify(vma, addr, ptep)
#endif

#define pmdp_test_and_clear_young_notify pmdp_clear_young_notify
