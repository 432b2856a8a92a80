// SPDX-License-Identifier: GPL-2.0-only

static int good_link(struct kvm_mmu_memory_cache *pcache, pte_t *ptep)
{
	pte_t *next = kvm_mmu_memory_cache_alloc(pcache);

	mine_link_table(ptep, pfn_pte(PFN_DOWN(__pa(next)), __pgprot(_PAGE_TABLE)));
	return 0;
}

static int good_release(u64 *ptep)
{
	u64 *table = (u64 *)get_zeroed_page(GFP_ATOMIC);

	smp_store_release(ptep, __pa(table) | PTE_TABLE);
	return 0;
}

static int good_barrier(struct kvm_mmu_memory_cache *cache, pte_t *entry)
{
	pte_t *child = kvm_mmu_memory_cache_alloc(cache);

	smp_wmb();
	set_pte(entry, __pte(__pa(child)));
	return 0;
}

static bool good_cmpxchg(u64 *ptep, u64 old)
{
	u64 *table = (u64 *)get_zeroed_page(GFP_ATOMIC);

	return cmpxchg(ptep, old, __pa(table) | PTE_TABLE) == old;
}

static int good_pointer(struct page **out)
{
	struct page *page = alloc_page(GFP_KERNEL);

	*out = page;
	return 0;
}

static int good_leaf(u64 *ptep, u64 pfn)
{
	WRITE_ONCE(*ptep, pfn << PAGE_SHIFT);
	return 0;
}

static inline void yours_link_table(pte_t *ptep, pte_t table)
{
	vpte_link_table((vpte_t *)&ptep->pte, pte_val(table));
}

static int good_barrier_first(u64 *ptep)
{
	u64 *table = (u64 *)get_zeroed_page(GFP_ATOMIC);
	u64 pte;

	smp_wmb();
	pte = __pa(table) | PTE_TABLE;
	WRITE_ONCE(*ptep, pte);
	return 0;
}

static int good_barrier_late(u64 *ptep)
{
	u64 *table = (u64 *)get_zeroed_page(GFP_ATOMIC);
	u64 pte = __pa(table) | PTE_TABLE;

	smp_wmb();
	WRITE_ONCE(*ptep, pte);
	return 0;
}

static void good_other_table(u64 *ptep, u64 *old)
{
	u64 *table = (u64 *)get_zeroed_page(GFP_ATOMIC);

	free_page((unsigned long)table);
	table = old;
	WRITE_ONCE(*ptep, __pa(table) | PTE_TABLE);
}

static void good_other_table_too(u64 *ptep, u64 *old)
{
	u64 *table = (u64 *)get_zeroed_page(GFP_ATOMIC);
	u64 pte;

	free_page((unsigned long)table);
	table = old;
	pte = __pa(table) | PTE_TABLE;
	WRITE_ONCE(*ptep, pte);
}

static void good_other_value(u64 *ptep)
{
	u64 *table = (u64 *)get_zeroed_page(GFP_ATOMIC);
	u64 pte = __pa(table) | PTE_TABLE;

	count(pte);
	pte = 0;
	WRITE_ONCE(*ptep, pte);
}
