// SPDX-License-Identifier: GPL-2.0-only

static pte_t *bad_descent(pte_t *ptep, u32 level)
{
	while (pte_val(ptep_get(ptep))) {
		if (mine_pte_leaf(ptep))
			return ptep;
		ptep = (pte_t *)mine_pte_page_vaddr(ptep_get(ptep)); /* expect */
		ptep = &ptep[level--];
	}
	return NULL;
}

static vpte_t *bad_child(const struct pgtable_walk_format *fmt, vpte_t *ptep, unsigned int level)
{
	vpte_t pte = vpte_read(ptep);

	if (fmt->kind(pte, level) != PGTABLE_WALK_TABLE)
		return NULL;
	return fmt->child(vpte_read(ptep)); /* expect 2 */
	/* patch: return fmt->child(pte); */
}

static vpte_t *bad_deref(const struct pgtable_walk_format *fmt, vpte_t *ptep)
{
	return fmt->child(*ptep); /* expect */
}

static u64 *bad_follow(u64 *ptep, struct kvm_pgtable_mm_ops *mm_ops)
{
	if (!mine_pte_table(READ_ONCE(*ptep)))
		return NULL;
	return kvm_pte_follow(READ_ONCE(*ptep), mm_ops); /* expect */
}

static void bad_twice(vpte_t *table, struct pgtable_walk *walk)
{
	unsigned int i;

	for (i = 0; i < 512; i++) {
		vpte_t *ptep = &table[i];
		vpte_t pte = vpte_read(ptep);

		if (mine_kind(pte) == PGTABLE_WALK_LEAF)
			walk->pte = vpte_read(ptep); /* expect */
			/* patch: walk->pte = pte; */
	}
}

static void bad_after_break(vpte_t *ptep, bool again)
{
	vpte_t pte = vpte_read(ptep);

	if (again)
		pte = vpte_read(ptep); /* expect */
	use(pte);
}
