/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who changes SPTEs without mmu_lock, and how its holders cope.
 *
 * A shadow-present leaf SPTE may change at any time:
 *
 * ==================  =====================================  =======================
 * bits                changed by                             to
 * ==================  =====================================  =======================
 * A, D                hardware, if A/D bits are enabled      set
 * A                   the lockless ager (tdp_mmu_age.c,      clear
 *                     kvm_rmap_age_gfn_range())
 * R, X, saved R/X, W  the ager, if A/D bits are disabled     access-tracked, not W
 * R, X, saved R/X     fast_page_fault()                      what they were
 * W                   fast_page_fault(), if MMU-writable     set
 * ==================  =====================================  =======================
 *
 * No state of these bits is one in which nobody would touch them: with A clear hardware
 * sets it, with A set the ager clears it.  So leaves are written to atomically, always,
 * and all else (TLB flushes, dirty tracking) goes by the value that was replaced, which
 * the helpers return.  Everything that is not shadow-present, a frozen SPTE and MMIO
 * among it, belongs to whoever holds mmu_lock; so do SPTEs that point to tables, where
 * nobody looks at A.
 *
 * The dirty state of a page is in its folio, and nowhere else, once an SPTE that can
 * become writable maps it: faults and prefetches mark the folio while they hold mmu_lock
 * and a reference (kvm_mmu_dirty_mapped_pfn()).  Write-back starts with an invalidation,
 * so that the next write faults, and marks it again.  The ager may therefore take W from
 * an SPTE without telling anybody, and must not mark folios: it may be late, when the
 * page has already been written back and belongs to somebody else.
 */
#ifndef __KVM_X86_MMU_SPTE_VOLATILE_H
#define __KVM_X86_MMU_SPTE_VOLATILE_H

#include <linux/pgtable_walk.h>

#include "spte.h"

/*
 * What becomes of an accessed, shadow-present leaf SPTE when it is aged.  Without A/D bits
 * nothing can be done with the page until fast_page_fault() puts R and X back, which this
 * saves, and W if the SPTE is MMU-writable.
 */
static __always_inline u64 spte_mkold(u64 spte)
{
	if (spte_ad_enabled(spte))
		return spte & ~shadow_accessed_mask;

	spte |= (spte & SHADOW_ACC_TRACK_SAVED_BITS_MASK) << SHADOW_ACC_TRACK_SAVED_BITS_SHIFT;
	return spte & ~shadow_acc_track_mask;
}

/*
 * Replace a shadow-present leaf by one that maps the same page, with mmu_lock held for
 * write.  @old is what @new was made from.  If they agree on A, what hardware or an ager
 * does to A meanwhile stays.  Returns what was replaced.
 */
static __always_inline u64 spte_replace(u64 *sptep, u64 old, u64 new)
{
	const u64 keep = (old ^ new) & shadow_accessed_mask ? 0 : shadow_accessed_mask;
	u64 seen = old;

	do {
		new = (new & ~keep) | (seen & keep);
	} while (!try_cmpxchg64(sptep, &seen, new));

	return seen;
}

/* One look and one cmpxchg, as in a lockless walk; for SPTEs that are found by rmaps. */
static __always_inline void spte_age(u64 *sptep, bool clear, struct pgtable_walk_stats *stats)
{
	u64 spte = READ_ONCE(*sptep);

	/* Zapped, but not off the rmap yet. */
	if (!is_shadow_present_pte(spte))
		return;

	stats->visited++;
	if (!is_accessed_spte(spte))
		return;

	stats->young++;
	if (!clear)
		return;

	pgtable_walk_stall();
	if (!try_cmpxchg64(sptep, &spte, spte_mkold(spte)))
		stats->lost++;
}

/* A fault has mapped @pfn, or tried to: before mmu_lock and the reference are dropped. */
static inline void kvm_mmu_dirty_mapped_pfn(struct kvm_page_fault *fault, kvm_pfn_t pfn, int r)
{
	if (r != RET_PF_RETRY && fault->map_writable && !is_error_noslot_pfn(pfn))
		kvm_set_pfn_dirty(pfn);
}

#endif /* __KVM_X86_MMU_SPTE_VOLATILE_H */
