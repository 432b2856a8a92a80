// SPDX-License-Identifier: GPL-2.0

#ifdef CONFIG_MMU_NOTIFIER_AGE
/*
 * How many entries right before @ptep would be in the batch that it begins if the walk, which has
 * come @bytes far, had not skipped them as old?  A batch counts as a whole, and is dirty if a
 * part of it is.
 */
static unsigned int lru_gen_age_skipped(const struct lru_gen_age *age, struct folio *folio,
					pte_t *ptep, pte_t *ptent, unsigned long bytes)
{
	const pte_t first = __pte_batch_clear_ignored(*ptent, 0);
	unsigned long nr, max;

	if (age->query != LRU_GEN_AGE_MANY)
		return 0;

	max = min(bytes >> PAGE_SHIFT, pte_pfn(first) - folio_pfn(folio));
	for (nr = 0; nr < max; nr++) {
		const pte_t pte = ptep_get(--ptep);

		if (!pte_present(pte) ||
		    !pte_same(pte_advance_pfn(__pte_batch_clear_ignored(pte, 0), nr + 1), first))
			break;
		if (pte_dirty(pte))
			*ptent = pte_mkdirty(*ptent);
	}
	return nr;
}
#else
#define lru_gen_age_skipped(age, folio, ptep, ptent, bytes)	0
#endif
