/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Age what a range of a secondary MMU maps, without its lock.
 */
#ifndef _LINUX_PGTABLE_AGE_H
#define _LINUX_PGTABLE_AGE_H

#include <linux/bitmap.h>
#include <linux/pgtable_walk.h>

/**
 * struct pgtable_age - a request to age a range
 * @start: first input address of the range, in bytes, aligned to a page of the tree
 * @end: exclusive end address of the range, aligned likewise
 * @clear: make young leaves old; otherwise change nothing
 * @shift: log2 of the bytes of a part, which is at least a page of the tree; 0 if the request
 *	   is about the whole range and not about parts of it, and the next three are 0 too
 * @want: the parts that the request is about, one bit each; NULL for all parts
 * @young: bits of wanted parts that were young are set here, and none is cleared; NULL if
 *	   they are not needed
 * @origin: input address that bit 0 stands for, aligned to a page of the tree.  It may lie
 *	    below @start, and then wrap below 0: bits of addresses outside of the range are
 *	    not looked at.
 * @stats: what was met is added here; @young of it says whether anything was young
 *
 * A leaf may extend beyond the range.  It has one accessed state for all that it maps, and
 * what becomes of that depends on the request:
 *
 *  - A request about a whole range makes it old.  Such a request comes from page_idle or
 *    eviction and is about the one page that the leaf was found for: a page under a huge leaf
 *    that stayed young could never become idle, nor be evicted.
 *  - A request about parts leaves it young.  Such a request comes from MGLRU, which looks at
 *    one table of the primary MMU at a time.  What the leaf maps beyond it is aged by other
 *    requests, and the leaf's state is all that they have to go by.
 *
 * Either counts it as young.  Leaves of no wanted part are left alone, and not even read:
 * their state is evidence for other requests.
 */
struct pgtable_age {
	u64 start;
	u64 end;
	bool clear;
	unsigned int shift;
	const unsigned long *want;
	unsigned long *young;
	u64 origin;
	struct pgtable_walk_stats stats;
};

static __always_inline unsigned long __pgtable_age_bit(const struct pgtable_age *age, u64 addr)
{
	return (addr - age->origin) >> age->shift;
}

/* Parts that a leaf maps bytes of, of those wanted; their bits are set in @young. */
static __always_inline bool __pgtable_age_parts(const struct pgtable_age *age, u64 addr, u64 size,
						unsigned long *young)
{
	const unsigned long first = __pgtable_age_bit(age, max(addr, age->start));
	const unsigned long last = __pgtable_age_bit(age, min(addr + size, age->end) - 1);
	unsigned long word, any = 0;

	for (word = BIT_WORD(first); word <= BIT_WORD(last); word++) {
		unsigned long want = age->want ? age->want[word] : ~0UL;

		if (word == BIT_WORD(first))
			want &= BITMAP_FIRST_WORD_MASK(first);
		if (word == BIT_WORD(last))
			want &= BITMAP_LAST_WORD_MASK(last + 1);
		if (young)
			young[word] |= want;
		any |= want;
	}

	return any;
}

/**
 * pgtable_age_wanted() - is a request about what a leaf maps?
 * @age: the request
 * @addr: first input address that the leaf maps, in bytes
 * @size: how many bytes it maps; some of them lie in the range
 *
 * Return: true if it is about any part of it.
 */
static __always_inline bool pgtable_age_wanted(const struct pgtable_age *age, u64 addr, u64 size)
{
	return !age->want || __pgtable_age_parts(age, addr, size, NULL);
}

/**
 * pgtable_age_seek() - skip what a request is not about
 * @age: the request, with wanted parts
 * @addr: an input address, in bytes, not below the range
 *
 * Return: @addr, or a later address if the request is about nothing between the two.  What is
 * there may be unwanted too: the address lies at the end of a word of the bitmap then.
 */
static __always_inline u64 pgtable_age_seek(const struct pgtable_age *age, u64 addr)
{
	unsigned long bit = __pgtable_age_bit(age, addr);
	unsigned long word;

	if (test_bit(bit, age->want))
		return addr;

	word = age->want[BIT_WORD(bit)] >> (bit % BITS_PER_LONG);
	bit = word ? bit + __ffs(word) : (bit | (BITS_PER_LONG - 1)) + 1;
	return age->origin + ((u64)bit << age->shift);
}

/**
 * pgtable_age_mark_young() - set the bits of what a young leaf maps
 * @age: the request
 * @addr: first input address that the leaf maps, in bytes
 * @size: how many bytes it maps; some of them lie in the range
 *
 * Return: true if the request is about any part of it.
 */
static __always_inline bool pgtable_age_mark_young(const struct pgtable_age *age, u64 addr,
						   u64 size)
{
	return (!age->want && !age->young) || __pgtable_age_parts(age, addr, size, age->young);
}

/**
 * pgtable_age_clears() - does a request make a young leaf old?
 * @age: the request, which is about a part of the leaf
 * @addr: first input address that the leaf maps, in bytes
 * @size: how many bytes it maps
 *
 * Return: false to test, and for a leaf that extends beyond the range of a request about
 * parts, see &struct pgtable_age.
 */
static __always_inline bool pgtable_age_clears(const struct pgtable_age *age, u64 addr, u64 size)
{
	return age->clear && (!age->shift || (addr >= age->start && addr + size <= age->end));
}

/**
 * pgtable_age_done() - has a request got all of its answer?
 * @age: the request
 *
 * Return: true if it tests a whole range, of which something was young.
 */
static __always_inline bool pgtable_age_done(const struct pgtable_age *age)
{
	return !age->clear && !age->shift && age->stats.young;
}

static __always_inline u64 __pgtable_age_seek(const struct pgtable_walk *walk, u64 addr)
{
	const struct pgtable_age *age = walk->arg;

	/* An entry of level 0 does not begin below the range. */
	return pgtable_age_seek(age, walk->level ? max(addr, age->start) : addr);
}

/*
 * A leaf is young even if the cmpxchg is lost: it was so when it was looked at.  One of level
 * 0 lies in the range and maps bytes of one part.
 */
static __always_inline enum pgtable_walk_next
__pgtable_age_leaf(const struct pgtable_walk_format *fmt, const struct pgtable_walk *walk,
		   vpte_t *new)
{
	const u64 size = 1ULL << pgtable_walk_level_shift(fmt, walk->level);
	struct pgtable_age *age = walk->arg;

	/* Most are old.  The compiler then leaves what only young ones need to their branch. */
	if (likely(!pgtable_walk_leaf_young(fmt, walk->pte)))
		return PGTABLE_WALK_NEXT;

	if (!walk->level) {
		if (age->young)
			__set_bit(__pgtable_age_bit(age, walk->addr), age->young);
	} else if (!pgtable_age_mark_young(age, walk->addr, size)) {
		return PGTABLE_WALK_NEXT;
	}

	age->stats.young++;
	if (!age->clear)
		return age->shift ? PGTABLE_WALK_NEXT : PGTABLE_WALK_STOP;

	if (!walk->level || pgtable_age_clears(age, walk->addr, size))
		*new = pgtable_walk_leaf_mkold(fmt, walk->pte);
	return PGTABLE_WALK_NEXT;
}

/**
 * pgtable_age_tree() - answer a request from the leaves of one tree
 * @fmt: the format, constant
 * @tree: the root
 * @age: the request; call once for each tree, answers add up
 *
 * One walk of the range.  TLBs keep what they hold: a page that is used through a cached
 * translation may look old until that translation is gone, and callers who can't live with
 * that flush.
 *
 * Context: RCU read section.  Safe under spinlocks and with the MMU lock held.
 */
static __always_inline void pgtable_age_tree(const struct pgtable_walk_format *fmt,
					     const struct pgtable_walk_tree *tree,
					     struct pgtable_age *age)
{
	static const struct pgtable_walk_ops all = { .tighten = __pgtable_age_leaf };
	static const struct pgtable_walk_ops wanted = {
		.tighten = __pgtable_age_leaf,
		.seek = __pgtable_age_seek,
	};
	struct pgtable_walk walk = {
		.arg = age,
		.next = age->start,
		.end = age->end,
	};

	if (age->want)
		pgtable_walk_range(fmt, PGTABLE_WALK_LOCKLESS, &wanted, tree, &walk);
	else
		pgtable_walk_range(fmt, PGTABLE_WALK_LOCKLESS, &all, tree, &walk);

	age->stats.visited += walk.stats.visited;
	age->stats.lost += walk.stats.lost;
	age->stats.busy += walk.stats.busy;
}

#endif /* _LINUX_PGTABLE_AGE_H */
