// SPDX-License-Identifier: GPL-2.0

/* Ask secondary MMUs about the entries from @addr on, under the lock of their table. */
static void lru_gen_age_ptes(struct lru_gen_age *age, struct vm_area_struct *vma, pte_t *pte,
			     unsigned long addr, unsigned long end, struct mem_cgroup *memcg,
			     struct pglist_data *pgdat, bool can_swap)
{
	unsigned long pfn;

	end = lru_gen_age_begin(age, addr, end, PAGE_SHIFT);
	for (; addr != end; addr += PAGE_SIZE, pte++) {
		pfn = get_pte_pfn(ptep_get(pte), vma, addr, pgdat);
		if (pfn != -1 && get_pfn_folio(pfn, memcg, pgdat, can_swap))
			lru_gen_age_want(age, addr);
	}

	lru_gen_age_ask(age, vma->vm_mm);
}

/* The same about the entries from @first on that are in the bitmap, a bit further on. */
static void lru_gen_age_pmds(struct lru_gen_age *age, struct vm_area_struct *vma, pmd_t *pmd,
			     unsigned long first, const unsigned long *bitmap,
			     struct mem_cgroup *memcg, struct pglist_data *pgdat, bool can_swap)
{
	const unsigned long start = first & PMD_MASK;
	unsigned long pfn, addr = first;
	int i = 0;

	if (!lru_gen_age_is_due(age, start))
		return;

	lru_gen_age_begin(age, start, start + (MIN_LRU_BATCH + 1) * PMD_SIZE, PMD_SHIFT);
	do {
		if (pmd_present(pmd[i]) && pmd_trans_huge(pmd[i])) {
			pfn = get_pmd_pfn(pmd[i], vma, addr, pgdat);
			if (pfn != -1 && get_pfn_folio(pfn, memcg, pgdat, can_swap))
				lru_gen_age_want(age, addr);
		}

		i = find_next_bit(bitmap, MIN_LRU_BATCH, i) + 1;
		addr = start + i * PMD_SIZE;
	} while (i <= MIN_LRU_BATCH);

	lru_gen_age_ask(age, vma->vm_mm);
}
