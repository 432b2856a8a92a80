/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Age what a range of a secondary MMU maps, without its lock.
 */
#ifndef _LINUX_PGTABLE_AGE_H
#define _LINUX_PGTABLE_AGE_H

#include <linux/pgtable_walk.h>

static __always_inline enum pgtable_walk_next
__pgtable_age_clear(const struct pgtable_format *fmt, const struct pgtable_entry *entry,
		    vpte_t *new, void *arg)
{
	struct pgtable_walk_stats *stats = arg;

	if (pgtable_leaf_young(fmt, entry->pte)) {
		/* Young even if the cmpxchg is lost: it was when we looked. */
		stats->young++;
		*new = pgtable_leaf_mkold(fmt, entry->pte);
	}

	return PGTABLE_WALK_NEXT;
}

static __always_inline enum pgtable_walk_next
__pgtable_age_test(const struct pgtable_format *fmt, const struct pgtable_entry *entry,
		   vpte_t *new, void *arg)
{
	struct pgtable_walk_stats *stats = arg;

	if (!pgtable_leaf_young(fmt, entry->pte))
		return PGTABLE_WALK_NEXT;

	stats->young++;
	return PGTABLE_WALK_STOP;
}

/**
 * pgtable_age_range() - test whether a range was used, and forget that it was
 * @fmt: the format, constant
 * @tree: the root
 * @start: first input address, in bytes
 * @end: input address behind the last, in bytes
 * @clear: constant; true: make every leaf that maps part of the range old; false:
 *	   change nothing, and stop at the first young leaf
 * @stats: what the walk met is added here
 *
 * A leaf that reaches out of the range counts, and is cleared, as a whole.  TLBs
 * keep what they hold: a page that is used through a cached translation may look
 * old until that translation is gone, and callers who can't live with that flush.
 *
 * Context: RCU read section.  Safe under spinlocks and with the MMU lock held.
 *
 * Return: true if a leaf was young.
 */
static __always_inline bool pgtable_age_range(const struct pgtable_format *fmt,
					      const struct pgtable_tree *tree,
					      u64 start, u64 end, bool clear,
					      struct pgtable_walk_stats *stats)
{
	static const struct pgtable_walk_ops clear_ops = { .tighten = __pgtable_age_clear };
	static const struct pgtable_walk_ops test_ops = { .tighten = __pgtable_age_test };
	const unsigned int young = stats->young;

	if (clear)
		pgtable_walk_range(fmt, tree, start, end, PGTABLE_WALK_LOCKLESS, &clear_ops,
				   stats, stats);
	else
		pgtable_walk_range(fmt, tree, start, end, PGTABLE_WALK_LOCKLESS, &test_ops,
				   stats, stats);

	return stats->young != young;
}

#endif /* _LINUX_PGTABLE_AGE_H */
