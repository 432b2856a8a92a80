// SPDX-License-Identifier: GPL-2.0

/*
 * Put a table in place of the huge leaf that it then maps the same as.  Meanwhile hardware
 * may set A of the leaf, and an aging walk may clear it: then the table is filled anew (litmus:
 * split-age).
 */
static void gstage_split_leaf(pte_t *ptep, pte_t *table, unsigned long page_size)
{
	const pte_t table_pte = pfn_pte(PFN_DOWN(__pa(table)), __pgprot(_PAGE_TABLE));
	vpte_t leaf = vpte_read(gstage_vpte(ptep));
	int i;

	do {
		for (i = 0; i < PTRS_PER_PTE; i++)
			set_pte(&table[i], __pte(make_child_pte(leaf, i, page_size)));
	} while (!vpte_try_cmpxchg(gstage_vpte(ptep), &leaf, pte_val(table_pte)));
}
