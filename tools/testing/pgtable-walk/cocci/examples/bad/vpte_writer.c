// SPDX-License-Identifier: GPL-2.0-only

static void bad_set(struct kvm *kvm, unsigned long addr, pte_t *table, pmd_t *pmd, int i)
{
	set_pte(table + i, __pte(0)); /* expect */
	kvm_set_pte(&table[i], 0); /* expect */
	kvmppc_radix_set_pte_at(kvm, addr, table, __pte(0)); /* expect */
	pmd_populate_kernel(NULL, pmd, table); /* expect */
	pmd_clear(pmd); /* expect */
}

static void bad_store(kvm_pte_t *ptep, kvm_pte_t new)
{
	WRITE_ONCE(*ptep, new); /* expect */
	smp_store_release(ptep, new); /* expect */
	*ptep = new; /* expect */
}

static void bad_local(struct mine *mine, int i)
{
	pte_t *table = mine_table(mine);

	table[i] = __pte(0); /* expect */
}

static long bad_union(union pte *ptep, union crste *crstep)
{
	*ptep = _PTE_EMPTY; /* expect */
	WRITE_ONCE(*crstep, _CRSTE_HOLE); /* expect */
	return 0;
}
