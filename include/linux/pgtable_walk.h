/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Walk the page tables of a secondary MMU: one algorithm for every format.
 *
 * A format is a constant description that is passed to __always_inline code, so
 * each user gets a loop of its own without indirect calls.  The tables are what
 * a radix page table is everywhere: levels count from 0, where entries map one
 * page, up to the root; a leaf may sit at any level.
 *
 * A walk runs in one of three modes:
 *
 * ======================  =====================  ================================
 * mode                    caller holds           callbacks may
 * ======================  =====================  ================================
 * PGTABLE_WALK_EXCLUSIVE  the MMU lock, write    write leaves, unlink tables
 * PGTABLE_WALK_SHARED     the MMU lock, read,    write leaves by cmpxchg
 *                         and RCU
 * PGTABLE_WALK_LOCKLESS   RCU                    clear or tighten bits of leaves
 * ======================  =====================  ================================
 *
 * What protects a lockless walk:
 *
 * Lifetime
 *	The caller's RCU read section.  A table is freed only after it was
 *	unlinked, TLBs were invalidated, and a grace period (pgtable_gather_free());
 *	a root after it was retired, which includes a grace period
 *	(pgtable_root_retire()).  The walk takes no reference on anything;
 *	litmus: free-table, age-freed, retire-root.
 * Value
 *	One snapshot per decision.  Kind, child and new value all come from it, and
 *	the new value is written by one cmpxchg on it.  So an entry that was
 *	zapped, frozen, split or remapped since stays as it is; litmus: snapshot,
 *	age-unmap, age-fault, bbm-frozen.
 * Order
 *	A table is published with release order (vpte_link_table()) and reached
 *	through an address that was read from its parent, as is the root
 *	(pgtable_root_publish()); litmus: link-table, publish-root.
 *
 * A walk may pass through a table that was unlinked a moment ago.  Its leaves are
 * then as stale as a TLB entry would be.  Their accessed state is a usable hint, but
 * their pfn is not: the page may have been freed and allocated again.
 */
#ifndef _LINUX_PGTABLE_WALK_H
#define _LINUX_PGTABLE_WALK_H

#include <linux/build_bug.h>
#include <linux/minmax.h>
#include <linux/pgtable_root.h>
#include <linux/pgtable_walk_pte.h>
#include <linux/rcupdate.h>

/**
 * enum pgtable_walk_kind - what an entry is
 * @PGTABLE_WALK_NONE: maps nothing that a walker may look at: empty, MMIO, swapped
 * @PGTABLE_WALK_LEAF: maps memory
 * @PGTABLE_WALK_TABLE: points to a table of the next lower level
 * @PGTABLE_WALK_BUSY: somebody is replacing it; it belongs to them
 */
enum pgtable_walk_kind {
	PGTABLE_WALK_NONE,
	PGTABLE_WALK_LEAF,
	PGTABLE_WALK_TABLE,
	PGTABLE_WALK_BUSY,
};

struct pgtable_age;
struct pgtable_walk;

/**
 * struct pgtable_walk_format - how to read the tables of one kind of MMU
 * @page_shift: log2 of the bytes that a leaf of level 0 maps
 * @index_bits: log2 of the entries in each table but the root
 * @bottom_bits: the same of tables of level 0, if they have another size than those above
 *		 them; 0 if not
 * @accessed: the bits that are set in a leaf that was used, if they are constant
 * @volatile_bits: the bits that hardware or lockless walkers may change in a leaf
 *		   while somebody else holds the lock; 0 if they are not constant
 * @kind: classifies an entry of the given level.  Must call an entry of level 0
 *	  anything but PGTABLE_WALK_TABLE.
 * @child: the table that an entry of kind PGTABLE_WALK_TABLE points to
 * @young: whether a leaf was used; NULL means that it was if a bit of @accessed is set
 * @mkold: the value of a used leaf once it counts as unused; NULL means that
 *	   clearing @accessed is all.  It must only clear or tighten bits.
 * @changed: optional, for tracing; called when a lockless walk has replaced a leaf.  The
 *	     entry at @ptep may hold yet another value by then.
 *
 * Descriptions must be constant and their functions visible to the compiler where
 * the walk is called.
 */
struct pgtable_walk_format {
	u8 page_shift;
	u8 index_bits;
	u8 bottom_bits;
	vpte_t accessed;
	vpte_t volatile_bits;
	enum pgtable_walk_kind (*kind)(vpte_t pte, unsigned int level);
	vpte_t *(*child)(vpte_t pte);
	bool (*young)(vpte_t leaf);
	vpte_t (*mkold)(vpte_t leaf);
	void (*changed)(const struct pgtable_walk *walk, const vpte_t *ptep, vpte_t new);
};

/**
 * enum pgtable_walk_mode - what the caller holds, see the top of this file
 * @PGTABLE_WALK_EXCLUSIVE: nobody else changes more than volatile bits
 * @PGTABLE_WALK_SHARED: others may change entries, tables stay
 * @PGTABLE_WALK_LOCKLESS: anything may change; tables stay in memory
 */
enum pgtable_walk_mode {
	PGTABLE_WALK_EXCLUSIVE,
	PGTABLE_WALK_SHARED,
	PGTABLE_WALK_LOCKLESS,
};

/**
 * enum pgtable_walk_next - what a callback wants
 * @PGTABLE_WALK_NEXT: go on
 * @PGTABLE_WALK_STOP: end the walk behind this entry; where a table ends with it,
 *		       @table_post of &struct pgtable_walk_ops is still called
 */
enum pgtable_walk_next {
	PGTABLE_WALK_NEXT,
	PGTABLE_WALK_STOP,
};

/**
 * struct pgtable_walk_stats - what a walk met
 * @visited: leaves looked at
 * @young: leaves found young, those of @lost included; counted by pgtable_age_tree(), not by
 *	   the walk
 * @lost: cmpxchgs that failed because the entry had changed
 * @busy: frozen entries, all left alone
 */
struct pgtable_walk_stats {
	unsigned int visited;
	unsigned int young;
	unsigned int lost;
	unsigned int busy;
};

/**
 * struct pgtable_walk_ops - callbacks of a walk
 * @tighten: PGTABLE_WALK_LOCKLESS, and only there; called for each leaf, of any
 *	level.  Sees the snapshot and may set *@new, which starts out equal to it, to
 *	a value with bits cleared or tightened.  The walk writes it with one cmpxchg
 *	and does not call again when that fails.  There is no pointer to the entry,
 *	on purpose.
 * @seek: PGTABLE_WALK_LOCKLESS, optional; returns the next address from @addr on that the
 *	walk is about, or one between the two.  Entries that map only bytes before it are
 *	not read.  @addr may lie below the range, as an entry may of a level above 0.
 *	Whatever was called before, the same address gets the same answer.
 * @leaf: the other modes, optional; called for each leaf, of any level.  Writes to
 *	the entry with the helpers of pgtable_walk_pte.h.
 * @table_post: PGTABLE_WALK_EXCLUSIVE, optional; called for an entry that points to
 *	a table when the walk comes out of that table at its end or at the end of
 *	the range.  May unlink it: nothing below it is looked at again.  Called once
 *	a table even if the walk is stopped in it and continued, and also for tables
 *	without any leaf, so what has to give way now and then can stop here.
 */
struct pgtable_walk_ops {
	enum pgtable_walk_next (*tighten)(const struct pgtable_walk_format *fmt,
					  const struct pgtable_walk *walk, vpte_t *new);
	u64 (*seek)(const struct pgtable_walk *walk, u64 addr);
	enum pgtable_walk_next (*leaf)(const struct pgtable_walk_format *fmt,
				       const struct pgtable_walk *walk, vpte_t *ptep);
	enum pgtable_walk_next (*table_post)(const struct pgtable_walk_format *fmt,
					     const struct pgtable_walk *walk, vpte_t *ptep);
};

/**
 * struct pgtable_walk - a walk of a range of input addresses
 * @arg: for the callbacks
 * @next: in: first input address, in bytes; out: where a stopped walk has to go on
 * @end: exclusive end address, in bytes
 * @pte: for callbacks but @seek: the snapshot of the entry
 * @addr: for callbacks but @seek: the first input address that the entry maps, in bytes.
 *	  It may lie below the start of the range.
 * @level: for callbacks: the level of the table that holds the entry
 * @stats: what the walk met is added here; like @next, of no use to callbacks
 *
 * Walks are inlined, and little of this is then left in memory.
 */
struct pgtable_walk {
	void *arg;
	u64 next;
	u64 end;
	vpte_t pte;
	u64 addr;
	unsigned int level;
	struct pgtable_walk_stats stats;
};

/**
 * pgtable_walk_level_bits() - log2 of the entries in a table that is not the root
 * @fmt: the format
 * @level: the table's level
 *
 * Return: its index bits.
 */
static __always_inline unsigned int pgtable_walk_level_bits(const struct pgtable_walk_format *fmt,
							    unsigned int level)
{
	return !level && fmt->bottom_bits ? fmt->bottom_bits : fmt->index_bits;
}

/**
 * pgtable_walk_level_shift() - log2 of the bytes that an entry maps
 * @fmt: the format
 * @level: the entry's level
 *
 * Return: the shift.
 */
static __always_inline unsigned int pgtable_walk_level_shift(const struct pgtable_walk_format *fmt,
							     unsigned int level)
{
	unsigned int shift = fmt->page_shift + fmt->index_bits * level;

	if (fmt->bottom_bits && level)
		shift = shift - fmt->index_bits + fmt->bottom_bits;
	return shift;
}

/**
 * pgtable_walk_leaf_young() - was a leaf used?
 * @fmt: the format
 * @leaf: the leaf
 *
 * Return: true if it counts as used.
 */
static __always_inline bool pgtable_walk_leaf_young(const struct pgtable_walk_format *fmt,
						    vpte_t leaf)
{
	return fmt->young ? fmt->young(leaf) : leaf & fmt->accessed;
}

/**
 * pgtable_walk_leaf_mkold() - what becomes of a leaf that was used
 * @fmt: the format
 * @leaf: the leaf
 *
 * Return: the value with which it counts as unused.
 */
static __always_inline vpte_t pgtable_walk_leaf_mkold(const struct pgtable_walk_format *fmt,
						      vpte_t leaf)
{
	return fmt->mkold ? fmt->mkold(leaf) : leaf & ~fmt->accessed;
}

/*
 * Why a pass over one table ended.  The level is constant in the pass that has
 * nothing below it, where the time goes.
 */
enum __pgtable_walk_exit {
	PGTABLE_WALK_EXIT_END,
	PGTABLE_WALK_EXIT_CHILD,
	PGTABLE_WALK_EXIT_STOP,
};

static __always_inline enum __pgtable_walk_exit
__pgtable_walk_table(const struct pgtable_walk_format *fmt, enum pgtable_walk_mode mode,
		     const struct pgtable_walk_ops *ops, struct pgtable_walk *walk,
		     vpte_t *table, u64 index_mask, unsigned int level, u64 end)
{
	const unsigned int shift = pgtable_walk_level_shift(fmt, level);
	const u64 first_page = walk->next >> shift, last_page = (end - 1) >> shift;
	const u64 first = first_page & index_mask;
	vpte_t *const from = &table[first];
	vpte_t *const to = &table[min(first + (last_page - first_page), index_mask)];
	unsigned int visited = 0;	/* in a register, unlike the counter */
	bool child = false;
	vpte_t *ptep;

	walk->level = level;
	for (ptep = from; ptep <= to; ptep++) {
		enum pgtable_walk_next next = PGTABLE_WALK_NEXT;
		vpte_t pte, new;

		if (ops->seek) {
			const u64 addr = (first_page + (ptep - from)) << shift;
			const u64 unwanted = (ops->seek(walk, addr) - addr) >> shift;

			if (unwanted) {
				ptep += min(unwanted, (u64)(to - ptep + 1)) - 1;
				continue;
			}
		}

		pte = vpte_read(ptep);
		new = pte;
		switch (fmt->kind(pte, level)) {
		case PGTABLE_WALK_NONE:
			continue;
		case PGTABLE_WALK_BUSY:
			walk->stats.busy++;
			continue;
		case PGTABLE_WALK_TABLE:
			if (!level)
				continue;
			child = true;
			break;
		case PGTABLE_WALK_LEAF:
			break;
		}

		walk->pte = pte;
		walk->addr = (first_page + (ptep - from)) << shift;
		if (child) {
			walk->next = max(walk->next, walk->addr);
			walk->stats.visited += visited;
			return PGTABLE_WALK_EXIT_CHILD;
		}
		visited++;

		if (mode == PGTABLE_WALK_LOCKLESS) {
			next = ops->tighten(fmt, walk, &new);
			if (new != pte) {
				pgtable_walk_stall();
				if (unlikely(!vpte_try_cmpxchg(ptep, &pte, new)))
					walk->stats.lost++;
				/* A lost cmpxchg leaves another value in @pte. */
				if (fmt->changed && pte == walk->pte)
					fmt->changed(walk, ptep, new);
			}
		} else if (ops->leaf) {
			pgtable_walk_stall();
			next = ops->leaf(fmt, walk, ptep);
		}

		if (next == PGTABLE_WALK_STOP) {
			walk->next = walk->addr + (1ULL << shift);
			walk->stats.visited += visited;
			return PGTABLE_WALK_EXIT_STOP;
		}
	}

	walk->next = (first_page + (to - from) + 1) << shift;
	walk->stats.visited += visited;
	return PGTABLE_WALK_EXIT_END;
}

/**
 * pgtable_walk_range() - visit what a range of input addresses maps
 * @fmt: the format, constant
 * @mode: what the caller holds, constant
 * @ops: the callbacks, constant
 * @tree: the root; one without a table maps nothing
 * @walk: the range, and what comes of it
 *
 * Addresses need not be aligned: an entry is visited if it maps any byte of the
 * range.  What lies beyond the tree's address width is left out, for indexing with
 * it would alias other addresses.  Entries are visited in ascending order.
 *
 * Context: as @mode says.  Does not sleep, allocate or take a lock of its own.
 *
 * Return: true if the whole range was visited.  False if a callback stopped the walk before
 * that: @walk->next is where to go on, behind the entry or the table at which it stopped, and
 * a call with the same @walk continues there.
 */
static __always_inline bool pgtable_walk_range(const struct pgtable_walk_format *fmt,
					       enum pgtable_walk_mode mode,
					       const struct pgtable_walk_ops *ops,
					       const struct pgtable_walk_tree *tree,
					       struct pgtable_walk *walk)
{
	const u64 mask = (1ULL << fmt->index_bits) - 1;
	const u64 bottom_mask = (1ULL << pgtable_walk_level_bits(fmt, 0)) - 1;
	const u64 end = min(walk->end, 1ULL << tree->addr_bits);
	const unsigned int top = tree->levels - 1;
	vpte_t *tables[PGTABLE_WALK_MAX_LEVELS];
	unsigned int level = top;

	BUILD_BUG_ON(mode == PGTABLE_WALK_LOCKLESS && (ops->leaf || ops->table_post));
	BUILD_BUG_ON(mode == PGTABLE_WALK_LOCKLESS && !ops->tighten);
	BUILD_BUG_ON(mode != PGTABLE_WALK_LOCKLESS && (ops->tighten || ops->seek));
	BUILD_BUG_ON(mode != PGTABLE_WALK_EXCLUSIVE && ops->table_post);
	RCU_LOCKDEP_WARN(mode != PGTABLE_WALK_EXCLUSIVE && !rcu_read_lock_held(),
			 "page tables walked outside of RCU");

	if (!tree->table || walk->next >= end || top >= PGTABLE_WALK_MAX_LEVELS)
		goto done;

	tables[level] = tree->table;
	for (;;) {
		enum __pgtable_walk_exit exit;
		bool stop;

		/*
		 * Descend while the entry for @next is a table.  What is no table is left to the
		 * loop below, which reads it again and decides anew; so is what may be skipped.
		 */
		while (level && !ops->seek) {
			const u64 index = walk->next >> pgtable_walk_level_shift(fmt, level);
			vpte_t pte;

			pte = vpte_read(&tables[level][level == top ? index : index & mask]);
			if (fmt->kind(pte, level) != PGTABLE_WALK_TABLE)
				break;
			if (mode == PGTABLE_WALK_LOCKLESS)
				pgtable_walk_stall();
			tables[--level] = fmt->child(pte);
		}

		if (level == 0)
			exit = __pgtable_walk_table(fmt, mode, ops, walk, tables[0],
						    top ? bottom_mask : ~0ULL, 0, end);
		else
			exit = __pgtable_walk_table(fmt, mode, ops, walk, tables[level],
						    level == top ? ~0ULL : mask, level, end);

		if (exit == PGTABLE_WALK_EXIT_CHILD) {
			if (mode == PGTABLE_WALK_LOCKLESS)
				pgtable_walk_stall();
			tables[--level] = fmt->child(walk->pte);
			continue;
		}

		stop = exit == PGTABLE_WALK_EXIT_STOP;
		if (!ops->table_post) {
			if (walk->next >= end)
				break;
			if (stop)
				return false;
		}

		/* Come out of every table that ends here, or of all at the range's end. */
		while (level < top &&
		       (walk->next >= end ||
			!(walk->next >> pgtable_walk_level_shift(fmt, level) &
			  (level ? mask : bottom_mask)))) {
			level++;
			if (ops->table_post) {
				const unsigned int shift = pgtable_walk_level_shift(fmt, level);
				const u64 page = (walk->next - 1) >> shift;
				vpte_t *ptep = &tables[level][level == top ? page : page & mask];

				walk->pte = vpte_read(ptep);
				walk->addr = page << shift;
				walk->level = level;
				if (ops->table_post(fmt, walk, ptep) == PGTABLE_WALK_STOP)
					stop = true;
			}
		}

		if (walk->next >= end)
			break;
		if (stop)
			return false;
	}
done:
	walk->next = walk->end;
	return true;
}

/**
 * enum pgtable_walk_counter - what is counted, see pgtable_walk_count()
 * @PGTABLE_WALKS: requests answered by aging
 * @PGTABLE_WALK_VISITED: as in struct pgtable_walk_stats
 * @PGTABLE_WALK_YOUNG: likewise
 * @PGTABLE_WALK_LOST: likewise
 * @PGTABLE_WALK_BUSY_MET: likewise
 * @PGTABLE_WALK_FREED: unlinked tables that were freed
 * @PGTABLE_WALK_NR_COUNTERS: how many counters there are
 */
enum pgtable_walk_counter {
	PGTABLE_WALKS,
	PGTABLE_WALK_VISITED,
	PGTABLE_WALK_YOUNG,
	PGTABLE_WALK_LOST,
	PGTABLE_WALK_BUSY_MET,
	PGTABLE_WALK_FREED,
	PGTABLE_WALK_NR_COUNTERS,
};

void pgtable_walk_count(enum pgtable_walk_counter counter, unsigned int n);
void pgtable_walk_account_age(const struct pgtable_age *age);

#endif /* _LINUX_PGTABLE_WALK_H */
