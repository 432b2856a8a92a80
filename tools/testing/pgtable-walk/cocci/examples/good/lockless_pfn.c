// SPDX-License-Identifier: GPL-2.0-only

static enum pgtable_walk_next
good_clear(const struct pgtable_walk_format *fmt, const struct pgtable_walk *walk, vpte_t *new)
{
	struct pgtable_walk_stats *stats = walk->arg;

	if (walk->pte & fmt->accessed) {
		stats->young++;
		*new = fmt->mkold ? fmt->mkold(walk->pte) : walk->pte & ~fmt->accessed;
	}
	return PGTABLE_WALK_NEXT;
}

/* Under the lock the page is there. */
static enum pgtable_walk_next
good_leaf(const struct pgtable_walk_format *fmt, const struct pgtable_walk *walk, vpte_t *ptep)
{
	kvm_set_pfn_dirty(mine_pte_pfn(vpte_xchg(ptep, 0)));
	return PGTABLE_WALK_NEXT;
}

static void ops_are_here(void)
{
	static const struct pgtable_walk_ops clear = { .tighten = good_clear };
	static const struct pgtable_walk_ops unmap = { .leaf = good_leaf };
}
