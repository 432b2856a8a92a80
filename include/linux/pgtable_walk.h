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
 *	(pgtable_root_retire()).  The walk takes no reference on anything.
 * Value
 *	One snapshot per entry.  Kind, child and new value all come from it, and
 *	the new value is written by one cmpxchg on it.  So an entry that was
 *	zapped, frozen, split or remapped since stays as it is.
 * Order
 *	A table is published with release order (vpte_link_table()) and reached
 *	through an address that was read from its parent, as is the root
 *	(pgtable_root_publish()).
 *
 * A walk may pass through a table that was unlinked a moment ago.  Its leaves are
 * then as stale as a TLB entry would be: good for a hint, and never good for the
 * pfn, which may belong to somebody else by now.
 */
#ifndef _LINUX_PGTABLE_WALK_H
#define _LINUX_PGTABLE_WALK_H

#include <linux/bug.h>
#include <linux/build_bug.h>
#include <linux/jump_label.h>
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/minmax.h>
#include <linux/pgtable_walk_pte.h>
#include <linux/rcupdate.h>

/* arm64 with 52-bit addresses and x86 or riscv with 57 bits have five. */
#define PGTABLE_MAX_LEVELS	6

/**
 * enum pgtable_kind - what an entry is
 * @PGTABLE_NONE: maps nothing that a walker may look at: empty, MMIO, swapped
 * @PGTABLE_LEAF: maps memory
 * @PGTABLE_TABLE: points to a table of the next lower level
 * @PGTABLE_BUSY: somebody is replacing it; it belongs to them
 */
enum pgtable_kind {
	PGTABLE_NONE,
	PGTABLE_LEAF,
	PGTABLE_TABLE,
	PGTABLE_BUSY,
};

struct pgtable_entry;

/**
 * struct pgtable_format - how to read the tables of one kind of MMU
 * @page_shift: log2 of the bytes that a leaf of level 0 maps
 * @index_bits: log2 of the entries in each table but the root
 * @accessed: the bits that are set in a leaf that was used, if they are constant
 * @volatile_bits: the bits that hardware or lockless walkers may change in a leaf
 *		   while somebody else holds the lock; 0 if they are not constant
 * @kind: classifies an entry of the given level.  Must call an entry of level 0
 *	  anything but PGTABLE_TABLE.
 * @child: the table that an entry of kind PGTABLE_TABLE points to
 * @young: whether a leaf was used; NULL means that it was if a bit of @accessed is set
 * @mkold: the value of a used leaf once it counts as unused; NULL means that
 *	   clearing @accessed is all.  It must only clear or tighten bits.
 * @changed: optional, for tracing; called when a lockless walk has replaced a leaf.  The
 *	     entry at @ptep may hold yet another value by then.
 *
 * Descriptions must be constant and their functions visible to the compiler where
 * the walk is called.
 */
struct pgtable_format {
	u8 page_shift;
	u8 index_bits;
	vpte_t accessed;
	vpte_t volatile_bits;
	enum pgtable_kind (*kind)(vpte_t pte, unsigned int level);
	vpte_t *(*child)(vpte_t pte);
	bool (*young)(vpte_t leaf);
	vpte_t (*mkold)(vpte_t leaf);
	void (*changed)(const struct pgtable_entry *entry, const vpte_t *ptep, vpte_t new);
};

/**
 * struct pgtable_tree - a snapshot of a root
 * @table: the root table, or NULL if there is none
 * @levels: how many levels there are, 1 to PGTABLE_MAX_LEVELS
 * @addr_bits: width of an input address.  The root is indexed by all that is left
 *	       above the other levels, so formats with a larger root (riscv's x4
 *	       modes, arm64's concatenated tables) need nothing else.
 */
struct pgtable_tree {
	vpte_t *table;
	unsigned int levels;
	unsigned int addr_bits;
};

/**
 * struct pgtable_root - a root that lockless walkers can find
 * @word: table address, levels and address width in one word, so that they are
 *	  read together; 0 when there is none
 *
 * Zero-initialised, it is unpublished.
 */
struct pgtable_root {
	unsigned long word;
};

/* A root table is aligned to at least 4 KiB, which leaves 12 bits for the rest. */
#define PGTABLE_ROOT_ADDR_BITS	0x03fUL
#define PGTABLE_ROOT_LEVELS	0x1c0UL
#define PGTABLE_ROOT_TABLE	(~0xfffUL)

/**
 * struct pgtable_entry - what a callback is told of an entry
 * @pte: the snapshot
 * @addr: the first input address that the entry maps, in bytes.  It may lie below
 *	  the start of the range that is walked.
 * @level: level of the table that holds the entry
 */
struct pgtable_entry {
	vpte_t pte;
	u64 addr;
	unsigned int level;
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
 * @young: leaves found young, those of @lost included
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
 * @leaf: the other modes, optional; called for each leaf, of any level.  Writes to
 *	the entry with the helpers of pgtable_walk_pte.h.
 * @table_post: PGTABLE_WALK_EXCLUSIVE, optional; called for an entry that points to
 *	a table when the walk comes out of that table at its end or at the end of
 *	the range.  May unlink it: nothing below it is looked at again.  Called once
 *	a table even if the walk is stopped in it and continued, and also for tables
 *	without any leaf, so what has to give way now and then can stop here.
 */
struct pgtable_walk_ops {
	enum pgtable_walk_next (*tighten)(const struct pgtable_format *fmt,
					  const struct pgtable_entry *entry, vpte_t *new,
					  void *arg);
	enum pgtable_walk_next (*leaf)(const struct pgtable_format *fmt,
				       const struct pgtable_entry *entry, vpte_t *ptep, void *arg);
	enum pgtable_walk_next (*table_post)(const struct pgtable_format *fmt,
					     const struct pgtable_entry *entry, vpte_t *ptep,
					     void *arg);
};

/**
 * pgtable_level_shift() - log2 of the bytes that an entry maps
 * @fmt: the format
 * @level: the entry's level
 *
 * Return: the shift.
 */
static __always_inline unsigned int pgtable_level_shift(const struct pgtable_format *fmt,
							unsigned int level)
{
	return fmt->page_shift + fmt->index_bits * level;
}

/**
 * pgtable_leaf_young() - was a leaf used?
 * @fmt: the format
 * @leaf: the leaf
 *
 * Return: true if it counts as used.
 */
static __always_inline bool pgtable_leaf_young(const struct pgtable_format *fmt, vpte_t leaf)
{
	return fmt->young ? fmt->young(leaf) : leaf & fmt->accessed;
}

/**
 * pgtable_leaf_mkold() - what becomes of a leaf that was used
 * @fmt: the format
 * @leaf: the leaf
 *
 * Return: the value with which it counts as unused.
 */
static __always_inline vpte_t pgtable_leaf_mkold(const struct pgtable_format *fmt, vpte_t leaf)
{
	return fmt->mkold ? fmt->mkold(leaf) : leaf & ~fmt->accessed;
}

/**
 * pgtable_tree_valid() - can this be walked and published?
 * @tree: the root
 *
 * Return: true if there is a table, aligned to at least 4 KiB, of a number of levels and
 * of an address width that walks and struct pgtable_root can cope with.
 */
static inline bool pgtable_tree_valid(const struct pgtable_tree *tree)
{
	return tree->table && !((unsigned long)tree->table & ~PGTABLE_ROOT_TABLE) &&
	       tree->levels && tree->levels <= PGTABLE_MAX_LEVELS &&
	       tree->addr_bits && tree->addr_bits <= PGTABLE_ROOT_ADDR_BITS;
}

/**
 * pgtable_root_publish() - let lockless walkers find a root
 * @root: the place where they look
 * @tree: the root; the table must be initialised
 *
 * A root that is not pgtable_tree_valid() is a bug of the caller: it warns, and nothing
 * is published.
 *
 * Context: any.
 * Ordering: release; pairs with the address dependency of pgtable_root_deref().
 */
static inline void pgtable_root_publish(struct pgtable_root *root, const struct pgtable_tree *tree)
{
	unsigned long word = (unsigned long)tree->table;

	word |= tree->addr_bits | tree->levels * (PGTABLE_ROOT_LEVELS & -PGTABLE_ROOT_LEVELS);
	if (WARN_ON_ONCE(!pgtable_tree_valid(tree)))
		word = 0;

	/* Pairs with the address dependency of pgtable_root_deref(). */
	smp_store_release(&root->word, word);
}

static __always_inline struct pgtable_tree __pgtable_root_decode(unsigned long word)
{
	return (struct pgtable_tree) {
		.table = (vpte_t *)(word & PGTABLE_ROOT_TABLE),
		.levels = (word & PGTABLE_ROOT_LEVELS) /
			  (PGTABLE_ROOT_LEVELS & -PGTABLE_ROOT_LEVELS),
		.addr_bits = word & PGTABLE_ROOT_ADDR_BITS,
	};
}

/**
 * pgtable_root_deref() - look up a root
 * @root: the place where it was published
 * @locked: what else than RCU keeps the root alive, as for rcu_dereference_check();
 *	    a condition for lockdep
 *
 * Context: RCU read section, or whatever @locked says.  The snapshot is good for
 * as long as that lasts.
 *
 * Return: a snapshot; its table is NULL if none is published.
 */
#define pgtable_root_deref(root, locked)						\
({											\
	struct pgtable_tree __tree;							\
											\
	RCU_LOCKDEP_WARN(!((locked) || rcu_read_lock_held()),				\
			 "pgtable root used without lock and outside of RCU");		\
	__tree = __pgtable_root_decode(READ_ONCE((root)->word));			\
	pgtable_walk_stall();								\
	__tree;										\
})

/**
 * pgtable_root_retire() - hide a root from lockless walkers and wait for them
 * @root: the place where it was published
 *
 * However many callers compete, one of them gets the root.  It waits for a grace
 * period, after which no lockless walker is in the tables and none will be.  From then
 * on it owns the root table and all that hangs on it, and frees them.  All other callers
 * get a table of NULL at once, and must not free anything: the owner may still wait.
 *
 * The wait is synchronize_rcu() and never one for SRCU.  An mmu notifier's ->release()
 * runs as a reader of the notifiers' SRCU domain, and KVM's of kvm->srcu as well;
 * waiting for either would be waiting for itself.
 *
 * Hardware does not know RCU: the caller sees to it that no CPU translates through the
 * tables, by the root being loaded or by what was cached from it.
 *
 * Context: sleeps; the MMU lock is not held.
 * Ordering: fully ordered.  What walkers read or wrote before comes before what the owner
 * does to the tables afterwards.
 * Return: the root, to one caller only; a table of NULL to all others.
 */
static inline struct pgtable_tree pgtable_root_retire(struct pgtable_root *root)
{
	struct pgtable_tree tree;

	might_sleep();

	tree = __pgtable_root_decode(xchg(&root->word, 0));
	if (tree.table)
		synchronize_rcu();
	return tree;
}

/*
 * Why a pass over one table ended.  The level is constant in the pass that has
 * nothing below it, where the time goes.
 */
enum __pgtable_walk_exit {
	PGTABLE_EXIT_END,
	PGTABLE_EXIT_CHILD,
	PGTABLE_EXIT_STOP,
};

static __always_inline enum __pgtable_walk_exit
__pgtable_walk_table(const struct pgtable_format *fmt, const struct pgtable_walk_ops *ops,
		     enum pgtable_walk_mode mode, vpte_t *table, u64 index_mask, unsigned int level,
		     u64 *addr, u64 end, struct pgtable_entry *entry,
		     struct pgtable_walk_stats *stats, void *arg)
{
	const unsigned int shift = pgtable_level_shift(fmt, level);
	const u64 first_page = *addr >> shift, last_page = (end - 1) >> shift;
	const u64 first = first_page & index_mask;
	const u64 last = min(first + (last_page - first_page), index_mask);
	enum __pgtable_walk_exit exit = PGTABLE_EXIT_END;
	unsigned int visited = 0;	/* in a register, unlike @stats */
	u64 i;

	for (i = first; i <= last; i++) {
		enum pgtable_walk_next next = PGTABLE_WALK_NEXT;
		vpte_t *ptep = &table[i];
		vpte_t pte = vpte_read(ptep);
		vpte_t new = pte;

		switch (fmt->kind(pte, level)) {
		case PGTABLE_NONE:
			continue;
		case PGTABLE_BUSY:
			stats->busy++;
			continue;
		case PGTABLE_TABLE:
			if (!level)
				continue;
			*entry = (struct pgtable_entry) {
				pte, (first_page + i - first) << shift, level
			};
			*addr = max(*addr, entry->addr);
			stats->visited += visited;
			return PGTABLE_EXIT_CHILD;
		case PGTABLE_LEAF:
			break;
		}

		*entry = (struct pgtable_entry) { pte, (first_page + i - first) << shift, level };
		visited++;

		if (mode == PGTABLE_WALK_LOCKLESS) {
			next = ops->tighten(fmt, entry, &new, arg);
			if (new != pte) {
				pgtable_walk_stall();
				if (unlikely(!vpte_try_cmpxchg(ptep, &pte, new)))
					stats->lost++;
				/* A lost cmpxchg leaves another value in @pte. */
				if (fmt->changed && pte == entry->pte)
					fmt->changed(entry, ptep, new);
			}
		} else if (ops->leaf) {
			pgtable_walk_stall();
			next = ops->leaf(fmt, entry, ptep, arg);
		}

		if (next == PGTABLE_WALK_STOP) {
			exit = PGTABLE_EXIT_STOP;
			i++;
			break;
		}
	}

	*addr = (first_page + i - first) << shift;
	stats->visited += visited;
	return exit;
}

/**
 * pgtable_walk_range() - visit what a range of input addresses maps
 * @fmt: the format, constant
 * @tree: the root; one without a table maps nothing
 * @start: first input address, in bytes
 * @end: input address behind the last, in bytes
 * @mode: what the caller holds, constant
 * @ops: the callbacks, constant
 * @stats: what the walk met is added here
 * @arg: for the callbacks
 *
 * Addresses need not be aligned: an entry is visited if it maps any byte of the
 * range.  What lies beyond the tree's address width is left out, for indexing with
 * it would alias other addresses.  Entries are visited in ascending order.
 *
 * Context: as @mode says.  Does not sleep, allocate or take a lock of its own.
 *
 * Return: @end, or the address behind the entry at which a callback stopped the
 * walk, and behind all tables that end there; a walk that starts there continues it.
 */
static __always_inline u64 pgtable_walk_range(const struct pgtable_format *fmt,
					      const struct pgtable_tree *tree, u64 start, u64 end,
					      enum pgtable_walk_mode mode,
					      const struct pgtable_walk_ops *ops,
					      struct pgtable_walk_stats *stats, void *arg)
{
	const u64 mask = (1ULL << fmt->index_bits) - 1;
	const u64 limit = min(end, 1ULL << tree->addr_bits);
	unsigned int top = tree->levels - 1, level = top;
	vpte_t *tables[PGTABLE_MAX_LEVELS];
	struct pgtable_entry entry;
	u64 addr = start;

	BUILD_BUG_ON(mode == PGTABLE_WALK_LOCKLESS && (ops->leaf || ops->table_post));
	BUILD_BUG_ON(mode != PGTABLE_WALK_LOCKLESS && ops->tighten);
	BUILD_BUG_ON(mode != PGTABLE_WALK_EXCLUSIVE && ops->table_post);
	RCU_LOCKDEP_WARN(mode != PGTABLE_WALK_EXCLUSIVE && !rcu_read_lock_held(),
			 "page tables walked outside of RCU");

	if (!tree->table || start >= limit || top >= PGTABLE_MAX_LEVELS)
		return end;

	tables[level] = tree->table;
	for (;;) {
		enum __pgtable_walk_exit exit;
		bool stop;

		if (level == 0)
			exit = __pgtable_walk_table(fmt, ops, mode, tables[0],
						    top ? mask : ~0ULL, 0,
						    &addr, limit, &entry, stats, arg);
		else
			exit = __pgtable_walk_table(fmt, ops, mode, tables[level],
						    level == top ? ~0ULL : mask, level,
						    &addr, limit, &entry, stats, arg);

		if (exit == PGTABLE_EXIT_CHILD) {
			if (mode == PGTABLE_WALK_LOCKLESS)
				pgtable_walk_stall();
			tables[--level] = fmt->child(entry.pte);
			continue;
		}

		stop = exit == PGTABLE_EXIT_STOP;
		if (stop && !ops->table_post)
			return min(addr, end);

		/* Come out of every table that ends here, or of all at the range's end. */
		while (level < top && (addr >= limit ||
				       !(addr >> pgtable_level_shift(fmt, level) & mask))) {
			level++;
			if (ops->table_post) {
				const unsigned int shift = pgtable_level_shift(fmt, level);
				const u64 page = (addr - 1) >> shift;
				vpte_t *ptep = &tables[level][level == top ? page : page & mask];

				entry = (struct pgtable_entry) {
					vpte_read(ptep), page << shift, level
				};
				if (ops->table_post(fmt, &entry, ptep, arg) == PGTABLE_WALK_STOP)
					stop = true;
			}
		}

		if (addr >= limit)
			return end;
		if (stop)
			return addr;
	}
}

/**
 * struct pgtable_gather - tables that were unlinked and wait for their end
 * @tables: a list of their pages
 */
struct pgtable_gather {
	struct list_head tables;
};

/**
 * DEFINE_PGTABLE_GATHER() - define an empty gather
 * @name: of the variable
 */
#define DEFINE_PGTABLE_GATHER(name) struct pgtable_gather name = { LIST_HEAD_INIT((name).tables) }

void pgtable_gather_table(struct pgtable_gather *gather, void *table);
void pgtable_gather_free(struct pgtable_gather *gather);
void pgtable_gather_free_retired(struct pgtable_gather *gather);

/**
 * pgtable_gather_empty() - has no table been gathered?
 * @gather: the gather
 *
 * Return: true if there is nothing to free, and so no reason to flush TLBs for it.
 */
static inline bool pgtable_gather_empty(const struct pgtable_gather *gather)
{
	return list_empty(&gather->tables);
}

/**
 * enum pgtable_walk_counter - what is counted, see pgtable_walk_count()
 * @PGTABLE_WALKS: ranges walked by aging
 * @PGTABLE_VISITED: as in struct pgtable_walk_stats
 * @PGTABLE_YOUNG: likewise
 * @PGTABLE_LOST: likewise
 * @PGTABLE_BUSY_MET: likewise
 * @PGTABLE_MMU_LOCK: acquisitions of an MMU lock for aging
 * @PGTABLE_FALLBACK: those of them that were made although the switch is on, since
 *		      the secondary MMU can't be aged without its lock
 * @PGTABLE_FREED: tables freed after their grace period
 * @PGTABLE_BATCHES: ranges that a secondary MMU was asked about in one call, by bitmap
 * @PGTABLE_BATCH_WANTED: parts that they were asked about so
 * @PGTABLE_BATCH_YOUNG: those of them that were used, and were not known to be before
 * @PGTABLE_BATCH_FALLBACK: ranges that a secondary MMU was asked about part by part
 *			    instead, for one of these reasons:
 * @PGTABLE_BATCH_OFF: the operator's switch is off
 * @PGTABLE_BATCH_UNABLE: the secondary MMU has no such operation
 * @PGTABLE_BATCH_LOCKED: it can't do without its lock
 * @PGTABLE_NR_COUNTERS: how many counters there are
 */
enum pgtable_walk_counter {
	PGTABLE_WALKS,
	PGTABLE_VISITED,
	PGTABLE_YOUNG,
	PGTABLE_LOST,
	PGTABLE_BUSY_MET,
	PGTABLE_MMU_LOCK,
	PGTABLE_FALLBACK,
	PGTABLE_FREED,
	PGTABLE_BATCHES,
	PGTABLE_BATCH_WANTED,
	PGTABLE_BATCH_YOUNG,
	PGTABLE_BATCH_FALLBACK,
	PGTABLE_BATCH_OFF,
	PGTABLE_BATCH_UNABLE,
	PGTABLE_BATCH_LOCKED,
	PGTABLE_NR_COUNTERS,
};

void pgtable_walk_count(enum pgtable_walk_counter counter, unsigned int n);
void pgtable_walk_account_age(u64 start, u64 end, bool clear,
			      const struct pgtable_walk_stats *stats);

DECLARE_STATIC_KEY_TRUE(pgtable_walk_lockless_key);

/**
 * pgtable_walk_lockless_enabled() - may secondary MMUs be aged without their lock?
 *
 * The operator's switch, pgtable_walk.lockless on the command line and
 * /sys/module/pgtable_walk/parameters/lockless at run time.  Ask once per
 * operation: it may change at any time.
 *
 * Return: true unless it was switched off.
 */
static __always_inline bool pgtable_walk_lockless_enabled(void)
{
	return static_branch_likely(&pgtable_walk_lockless_key);
}

DECLARE_STATIC_KEY_TRUE(pgtable_walk_batch_key);
DECLARE_STATIC_KEY_TRUE(pgtable_walk_consult_key);

/**
 * pgtable_walk_batch_enabled() - may secondary MMUs be asked about many pages at once?
 *
 * The operator's switch, pgtable_walk.batch on the command line and
 * /sys/module/pgtable_walk/parameters/batch at run time.
 *
 * Return: true unless it was switched off.
 */
static __always_inline bool pgtable_walk_batch_enabled(void)
{
	return static_branch_likely(&pgtable_walk_batch_key);
}

/**
 * pgtable_walk_consult_enabled() - do walks of MGLRU ask secondary MMUs at all?
 *
 * The operator's switch, pgtable_walk.consult on the command line and
 * /sys/module/pgtable_walk/parameters/consult at run time.  While it is off, secondary
 * MMUs are asked when a page is about to be evicted, and only then.
 *
 * Return: true unless it was switched off.
 */
static __always_inline bool pgtable_walk_consult_enabled(void)
{
	return static_branch_likely(&pgtable_walk_consult_key);
}

#endif /* _LINUX_PGTABLE_WALK_H */
