// SPDX-License-Identifier: GPL-2.0-only

static __always_inline enum pgtable_walk_next
bad_dirty(const struct pgtable_walk_format *fmt, const struct pgtable_walk *walk, vpte_t *new)
{
	if (walk->pte & _PAGE_DIRTY)
		kvm_set_pfn_dirty(mine_pte_pfn(walk->pte)); /* expect 2 */
	*new = walk->pte & ~_PAGE_DIRTY;
	return PGTABLE_WALK_NEXT;
}

static enum pgtable_walk_next
bad_reference(const struct pgtable_walk_format *fmt, const struct pgtable_walk *walk, vpte_t *new)
{
	get_page(phys_to_page(walk->pte & MASK)); /* expect 2 */
	return PGTABLE_WALK_STOP;
}

static enum pgtable_walk_next
bad_child(const struct pgtable_walk_format *fmt, const struct pgtable_walk *walk, vpte_t *new)
{
	*(vpte_t **)walk->arg = fmt->child(walk->pte); /* expect */
	return PGTABLE_WALK_STOP;
}

static void ops_are_here(void)
{
	static const struct pgtable_walk_ops dirty = { .tighten = bad_dirty };
	static const struct pgtable_walk_ops reference = { .tighten = bad_reference };
	static const struct pgtable_walk_ops child = { .tighten = bad_child };
}
