/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Volatile page-table entries: entries that somebody may change although the
 * owner of the table holds its lock.
 *
 * Hardware has always done that (accessed and dirty bits); walkers that run
 * under RCU alone now do it too.  Such a walker only touches leaf entries, only
 * clears or tightens bits, and writes with one compare-and-exchange on the value
 * that it looked at.  What it may change is the format's *volatile bits*.
 *
 * Everyone else therefore has three rules to keep, and these helpers keep them:
 *
 *  - look at an entry once, and decide from that snapshot;
 *  - never overwrite an entry with a plain store unless nobody else may touch
 *    its present value (it is frozen, or the table is not reachable yet);
 *  - when an entry is replaced, act (flush, dirty, free) on the value that was
 *    really there, which the helpers hand back, and not on an older snapshot.
 *
 * A writer that holds the lock exclusively never loses a race outside the
 * volatile bits, so it retries inside the helper and needs no error path.
 *
 * This header has no out-of-line part and no dependency on RCU, lockdep or
 * tracing, so code that runs outside the kernel proper (arm64's EL2) can use it.
 */
#ifndef _LINUX_PGTABLE_WALK_PTE_H
#define _LINUX_PGTABLE_WALK_PTE_H

#include <linux/atomic.h>
#include <linux/compiler.h>
#include <linux/types.h>

#ifdef CONFIG_64BIT
/**
 * typedef vpte_t - the value of an entry
 *
 * As wide as a machine word, which is what cmpxchg can always replace.
 */
typedef u64 vpte_t;
#else
typedef unsigned long vpte_t;
#endif

/* Make race windows wide enough for tests to hit; see lib/pgtable-walk/debug.c. */
#if defined(CONFIG_PGTABLE_WALK_DEBUG) && !defined(__DISABLE_EXPORTS)
void pgtable_walk_stall(void);
#else
static inline void pgtable_walk_stall(void) { }
#endif

/**
 * vpte_read() - take a snapshot of a volatile entry
 * @ptep: the entry
 *
 * Context: any.  The table that holds @ptep must be kept alive by the lock or
 * by RCU.
 *
 * Ordering: what is read through an address taken from the snapshot is ordered
 * after it (address dependency), and so sees everything that came before the
 * vpte_link_table() which published that address (litmus: link-table, snapshot).
 *
 * Return: the entry.
 */
static __always_inline vpte_t vpte_read(const vpte_t *ptep)
{
	return READ_ONCE(*ptep);
}

/**
 * vpte_try_cmpxchg() - replace an entry if it is still the one looked at
 * @ptep: the entry
 * @old: in: the snapshot; out, when it fails: the value found
 * @new: the value to write
 *
 * For writers that share the table with other writers, and for lockless
 * walkers.  One attempt: what a lost race means is for the caller to say.
 *
 * Context: any.
 * Ordering: full when it succeeds, none when it fails (litmus: age-flush, link-shared).
 * Return: true if @new was written.
 */
static __always_inline bool vpte_try_cmpxchg(vpte_t *ptep, vpte_t *old, vpte_t new)
{
	return try_cmpxchg(ptep, old, new);
}

/**
 * vpte_xchg() - replace an entry, whatever it holds
 * @ptep: the entry
 * @new: the value to write
 *
 * For an owner with exclusive access who unmaps or replaces an entry.
 *
 * Context: any; lock held exclusively.
 * Ordering: full (litmus: unmap-dirty, age-unmap, bbm-flush).
 * Return: the value that was replaced, volatile bits included.  Flushing, dirty
 * tracking and freeing must go by this value.
 */
static __always_inline vpte_t vpte_xchg(vpte_t *ptep, vpte_t new)
{
	return xchg(ptep, new);
}

/**
 * vpte_update() - change bits of an entry and keep what others did to the rest
 * @ptep: the entry
 * @old: in: the snapshot that the decision was based on; out: the value that was
 *       replaced or, when it fails, the value found
 * @clear: bits to clear
 * @set: bits to set, after @clear was applied
 * @volatile_bits: bits in which the entry may differ from the snapshot
 *
 * Retries for as long as only volatile bits changed, so an exclusive owner always
 * succeeds.  Without exclusive access it fails as soon as anything else changed,
 * and writes nothing.
 *
 * Context: any; lock held exclusively or shared.
 * Ordering: full when it succeeds (litmus: age-wrprotect, age-dirty).
 * Return: true if the entry was changed.
 */
static __always_inline bool vpte_update(vpte_t *ptep, vpte_t *old, vpte_t clear, vpte_t set,
					vpte_t volatile_bits)
{
	vpte_t seen = *old;
	bool same;

	do {
		same = !((seen ^ *old) & ~volatile_bits);
	} while (same && !vpte_try_cmpxchg(ptep, &seen, (seen & ~clear) | set));

	*old = seen;
	return same;
}

/**
 * vpte_unfreeze() - end a break-before-make
 * @ptep: an entry to which the caller gave the format's frozen value, by a cmpxchg such as
 *	  vpte_update(), and which no walker of any kind may write to since then
 * @new: the value that it holds from now on
 *
 * A store is enough, for a frozen entry has one owner.
 *
 * Context: any.
 * Ordering: release; pairs with the address dependency of vpte_read() (litmus: bbm-make).
 */
static __always_inline void vpte_unfreeze(vpte_t *ptep, vpte_t new)
{
	/* Pairs with the address dependency of vpte_read(); litmus: bbm-make. */
	smp_store_release(ptep, new);
}

/**
 * vpte_link_table() - publish a new table in an empty entry
 * @ptep: an entry that is empty, and that only the caller may fill
 * @table_pte: the entry that points to the table
 *
 * Writers that share the table use vpte_try_cmpxchg(), which orders enough.
 *
 * Context: any; lock held exclusively.
 * Ordering: release: software and hardware walkers that find the table also find
 * what was written to it.  Pairs with the address dependency of vpte_read() (litmus:
 * link-table).
 */
static __always_inline void vpte_link_table(vpte_t *ptep, vpte_t table_pte)
{
	if (!IS_ENABLED(CONFIG_SMP)) {
		/*
		 * The release is for the compiler only then, and hardware walkers don't see it;
		 * litmus: link-table.
		 */
		wmb();
	}
	/* Pairs with the address dependency of vpte_read(); litmus: link-table. */
	smp_store_release(ptep, table_pte);
}

#endif /* _LINUX_PGTABLE_WALK_PTE_H */
