// SPDX-License-Identifier: GPL-2.0-only

static int set_pte_of_cache(struct kvm_mmu_memory_cache *pcache, pte_t *ptep)
{
	pte_t *next = kvm_mmu_memory_cache_alloc(pcache);

	set_pte(ptep, pfn_pte(PFN_DOWN(__pa(next)), __pgprot(_PAGE_TABLE))); /* expect */
	/* patch: smp_store_release(ptep, pfn_pte(PFN_DOWN(__pa(next)), __pgprot(_PAGE_TABLE))); */
	return 0;
}

static int set_pte_late(struct kvm_mmu_memory_cache *pcache, pte_t *ptep)
{
	pte_t *next;

	while (level--) {
		if (!pte_val(ptep_get(ptep))) {
			if (!pcache)
				return -ENOMEM;
			next = kvm_mmu_memory_cache_alloc(pcache);
			if (!next)
				return -ENOMEM;
			set_pte(ptep, pfn_pte(PFN_DOWN(__pa(next)), table)); /* expect */
			/* patch: smp_store_release(ptep, pfn_pte(PFN_DOWN(__pa(next)), table)); */
		} else {
			next = child(ptep_get(ptep));
		}
		ptep = &next[level];
	}
	return 0;
}

static int through_variable(u64 *ptep)
{
	unsigned long page = get_zeroed_page(GFP_ATOMIC);
	u64 pte;

	if (!page)
		return -ENOMEM;
	pte = __pa(page) | PTE_TABLE;
	WRITE_ONCE(*ptep, pte); /* expect */
	/* patch: smp_store_release(ptep, pte); */
	return 0;
}

static int through_declaration(u64 *ptep)
{
	u64 *table = (u64 *)get_zeroed_page(GFP_ATOMIC);
	const u64 pte = __pa(table) | PTE_TABLE;

	WRITE_ONCE(*ptep, pte); /* expect */
	/* patch: smp_store_release(ptep, pte); */
	return 0;
}

static int plain(u64 *ptep)
{
	u64 *table;

	table = (u64 *)__get_free_page(GFP_ATOMIC | __GFP_ZERO);
	if (!table)
		return -ENOMEM;
	*ptep = __pa(table) | PTE_TABLE; /* expect */
	/* patch: smp_store_release(ptep, __pa(table) | PTE_TABLE); */
	return 0;
}

static int store_then_barrier(struct pgtable_mm_ops *mm_ops, u64 *ptep)
{
	u64 *table = mm_ops->zalloc_page(arg);

	smp_store_mb(*ptep, virt_to_phys(table) | PTE_TABLE); /* expect */
	/* patch: smp_store_release(ptep, virt_to_phys(table) | PTE_TABLE); */
	return 0;
}

static inline void mine_link_table(pte_t *ptep, pte_t table) /* expect */
{
	set_pte(ptep, table);
	/* patch: smp_store_release(ptep, table); */
}

static __always_inline void vpte_unfreeze(vpte_t *ptep, vpte_t new) /* expect */
{
	WRITE_ONCE(*ptep, new);
	/* patch: smp_store_release(ptep, new); */
}
