/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Roots of page tables that walkers find without the MMU lock.
 *
 * A root is published, looked up and retired as one word: what a walker finds is a table
 * with the number of levels and the address width that belong to it.
 */
#ifndef _LINUX_PGTABLE_ROOT_H
#define _LINUX_PGTABLE_ROOT_H

#include <linux/bug.h>
#include <linux/kernel.h>
#include <linux/pgtable_walk_pte.h>
#include <linux/rcupdate.h>

/* arm64 with 52-bit addresses and x86 or riscv with 57 bits have five. */
#define PGTABLE_WALK_MAX_LEVELS	6

/**
 * struct pgtable_walk_tree - a snapshot of a root
 * @table: the root table, or NULL if there is none
 * @levels: how many levels there are, 1 to PGTABLE_WALK_MAX_LEVELS
 * @addr_bits: width of an input address.  The root is indexed by all that is left
 *	       above the other levels, so formats with a larger root (riscv's x4
 *	       modes, arm64's concatenated tables) need nothing else.
 */
struct pgtable_walk_tree {
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
 * pgtable_walk_tree_valid() - can this be walked and published?
 * @tree: the root
 *
 * Return: true if there is a table, aligned to at least 4 KiB, of a number of levels and
 * of an address width that walks and struct pgtable_root can cope with.
 */
static inline bool pgtable_walk_tree_valid(const struct pgtable_walk_tree *tree)
{
	return tree->table && !((unsigned long)tree->table & ~PGTABLE_ROOT_TABLE) &&
	       tree->levels && tree->levels <= PGTABLE_WALK_MAX_LEVELS &&
	       tree->addr_bits && tree->addr_bits <= PGTABLE_ROOT_ADDR_BITS;
}

/**
 * pgtable_root_publish() - let lockless walkers find a root
 * @root: the place where they look
 * @tree: the root; the table must be initialised
 *
 * A root that is not pgtable_walk_tree_valid() is a bug of the caller: it warns, and walks
 * find no root.
 *
 * Context: any.
 * Ordering: release; pairs with the address dependency of pgtable_root_deref() (litmus:
 * publish-root, root-word).
 */
static inline void pgtable_root_publish(struct pgtable_root *root,
					const struct pgtable_walk_tree *tree)
{
	unsigned long word = (unsigned long)tree->table;

	word |= tree->addr_bits | tree->levels * (PGTABLE_ROOT_LEVELS & -PGTABLE_ROOT_LEVELS);
	if (WARN_ON_ONCE(!pgtable_walk_tree_valid(tree)))
		word = 0;

	/* Pairs with the address dependency of pgtable_root_deref(); litmus: publish-root. */
	smp_store_release(&root->word, word);
}

static __always_inline struct pgtable_walk_tree __pgtable_root_decode(unsigned long word)
{
	return (struct pgtable_walk_tree) {
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
 *	    a condition for lockdep (litmus: publish-root, retire-lock)
 *
 * Context: RCU read section, or whatever @locked says.  The snapshot is good for
 * as long as that lasts.
 *
 * Return: a snapshot; its table is NULL if none is published.
 */
#define pgtable_root_deref(root, locked)						\
({											\
	struct pgtable_walk_tree __tree;						\
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
 * Hardware does not know RCU: the caller makes sure that no guest uses the tables any more,
 * through a loaded root or through what was cached from it.
 *
 * Context: sleeps; the MMU lock is not held.
 * Ordering: fully ordered.  What walkers read or wrote before comes before what the owner
 * does to the tables afterwards (litmus: retire-root).
 * Return: the root, to one caller only; a table of NULL to all others.
 */
static inline struct pgtable_walk_tree pgtable_root_retire(struct pgtable_root *root)
{
	struct pgtable_walk_tree tree;

	might_sleep();

	tree = __pgtable_root_decode(xchg(&root->word, 0));
	if (tree.table)
		synchronize_rcu();
	return tree;
}

#endif /* _LINUX_PGTABLE_ROOT_H */
