/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Age what a range of a secondary MMU maps, without its lock.
 */
#ifndef _LINUX_PGTABLE_AGE_H
#define _LINUX_PGTABLE_AGE_H

#include <linux/bitmap.h>
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

/**
 * struct pgtable_age_batch - which parts of a range are asked about, and what comes of it
 * @start: first input address of the range, in bytes
 * @end: input address behind the last, in bytes
 * @origin: input address of bit 0, in bytes.  Not above @start but for wrapping: what
 *	    is below @start need not be mapped by the same tables
 * @shift: log2 of the bytes that each bit stands for
 * @clear: make wanted leaves old, if they lie in the range as a whole
 * @want: bits of the parts that are asked about
 * @young: bits of wanted parts that were used are set here, and none is cleared
 * @stats: what the walk met is added here
 */
struct pgtable_age_batch {
	u64 start;
	u64 end;
	u64 origin;
	unsigned int shift;
	bool clear;
	const unsigned long *want;
	unsigned long *young;
	struct pgtable_walk_stats stats;
};

/**
 * pgtable_age_wanted() - is anything asked about what a leaf maps?
 * @batch: what is asked
 * @addr: first input address that the leaf maps, in bytes
 * @size: how many bytes it maps; some of them lie in the range
 * @mark: set the bits of what is wanted: it was used
 *
 * Return: true if any part of it is wanted.
 */
static __always_inline bool pgtable_age_wanted(struct pgtable_age_batch *batch, u64 addr,
					       u64 size, bool mark)
{
	const u64 from = max(addr, batch->start), to = min(addr + size, batch->end);
	const unsigned long first = (from - batch->origin) >> batch->shift;
	const unsigned long last = (to - 1 - batch->origin) >> batch->shift;
	unsigned long word, any = 0;

	for (word = BIT_WORD(first); word <= BIT_WORD(last); word++) {
		unsigned long want = batch->want[word];

		if (word == BIT_WORD(first))
			want &= BITMAP_FIRST_WORD_MASK(first);
		if (word == BIT_WORD(last))
			want &= BITMAP_LAST_WORD_MASK(last + 1);
		if (mark)
			batch->young[word] |= want;
		any |= want;
	}

	return any;
}

/**
 * pgtable_age_clears() - may a leaf be made old for those who ask?
 * @batch: what is asked
 * @addr: first input address that the leaf maps, in bytes
 * @size: how many bytes it maps
 *
 * One that others have a part in stays as it is: they will ask too, and it has one bit
 * for all.
 *
 * Return: true if the leaf lies in the range as a whole, and what is old is wanted to be.
 */
static __always_inline bool pgtable_age_clears(const struct pgtable_age_batch *batch, u64 addr,
					       u64 size)
{
	return batch->clear && addr >= batch->start && addr + size <= batch->end;
}

static __always_inline enum pgtable_walk_next
__pgtable_age_batch(const struct pgtable_format *fmt, const struct pgtable_entry *entry,
		    vpte_t *new, void *arg)
{
	const u64 size = 1ULL << pgtable_level_shift(fmt, entry->level);
	struct pgtable_age_batch *batch = arg;

	if (!pgtable_leaf_young(fmt, entry->pte) ||
	    !pgtable_age_wanted(batch, entry->addr, size, true))
		return PGTABLE_WALK_NEXT;

	/* Young even if the cmpxchg is lost: it was when we looked. */
	batch->stats.young++;
	if (pgtable_age_clears(batch, entry->addr, size))
		*new = pgtable_leaf_mkold(fmt, entry->pte);
	return PGTABLE_WALK_NEXT;
}

/**
 * pgtable_age_batch() - test which parts of a range were used, and forget that they were
 * @fmt: the format, constant
 * @tree: the root
 * @batch: the range, and what is asked about it
 *
 * One walk of the range, whatever is wanted in it.  A young leaf sets the bits of all
 * wanted parts that it maps, and is made old if it has any, unless it reaches out of the
 * range.  Leaves without any are left alone: what says that they were used is evidence
 * for others.
 *
 * Context: as for pgtable_age_range().
 */
static __always_inline void pgtable_age_batch(const struct pgtable_format *fmt,
					      const struct pgtable_tree *tree,
					      struct pgtable_age_batch *batch)
{
	static const struct pgtable_walk_ops ops = { .tighten = __pgtable_age_batch };

	pgtable_walk_range(fmt, tree, batch->start, batch->end, PGTABLE_WALK_LOCKLESS, &ops,
			   &batch->stats, batch);
}

#endif /* _LINUX_PGTABLE_AGE_H */
