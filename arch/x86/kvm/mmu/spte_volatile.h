/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Which bits of an SPTE change without mmu_lock, and what its holders do about it.
 *
 * A shadow-present leaf SPTE may change at any time:
 *
 * ==================  =======================================  =====================
 * bits                changed by                               to
 * ==================  =======================================  =====================
 * A, D                hardware, if A/D bits are enabled        set
 * A                   the aging walk (tdp_mmu_age.c,           clear
 *                     kvm_rmap_age())
 * R, X, saved R/X, W  the walk, if A/D bits are disabled       access-tracked, not W
 * R, X, saved R/X     fast_page_fault(), for direct MMUs       what they were
 * W                   fast_page_fault(), if MMU-writable       set
 * ==================  =======================================  =====================
 *
 * SPTEs without A/D bits may have an A that only KVM knows: it is set unless they are
 * access-tracked.
 *
 * What nested guests without A/D bits map is not for fast_page_fault(): such a leaf is
 * made anew by FNAME(page_fault), with mmu_lock held for write.
 *
 * Holders of mmu_lock exchange a leaf if a plain store could lose more than its age, which
 * spte.c tells them, and go by the value that was there.  If A/D bits are enabled, and D is
 * set or W is not and can't become so, they may store plainly.  That may undo what the walk
 * did to A since they looked, which is as if it had come before: the page counts as used
 * once more (litmus: age-undone).
 *
 * Everything that is not shadow-present, a frozen SPTE and MMIO among it, belongs to the
 * holders of mmu_lock; so do SPTEs that point to tables, of which nobody looks at A.
 *
 * The walk must not mark pages dirty: it may be late, when the page has been written back
 * and belongs to somebody else.  Without A/D bits, W is all that tells of a write, so at
 * least then the page is marked when it is mapped writable: those who map it hold mmu_lock,
 * and a reference or an SPTE of the page.  Write-back starts with an invalidation, so that
 * the next write faults, and marks the page again.  The walk may therefore take W from an
 * SPTE and tell nobody.
 *
 * 32-bit kernels have no walk: they age by functions of their own.
 */
#ifndef __KVM_X86_MMU_SPTE_VOLATILE_H
#define __KVM_X86_MMU_SPTE_VOLATILE_H

#include <linux/pgtable_walk.h>

#include "spte.h"

/*
 * What becomes of an accessed, shadow-present leaf SPTE when it is aged: what
 * mark_spte_for_access_track() makes of it, inline.  Without A/D bits nothing can be done
 * with the page until a fault puts R and X back, which this saves, and W if it may.
 */
static __always_inline u64 spte_mkold(u64 spte)
{
	if (spte_ad_enabled(spte))
		return spte & ~shadow_accessed_mask;

	spte |= (spte & SHADOW_ACC_TRACK_SAVED_BITS_MASK) << SHADOW_ACC_TRACK_SAVED_BITS_SHIFT;
	return spte & ~(shadow_acc_track_mask | shadow_accessed_mask);
}

#ifdef CONFIG_KVM_GENERIC_AGING
/*
 * One look and one cmpxchg, as in a lockless walk; for SPTEs that are found by rmaps.
 * Returns whether the SPTE was young.
 */
static __always_inline bool spte_age(u64 *sptep, bool clear, struct pgtable_walk_stats *stats)
{
	u64 spte = READ_ONCE(*sptep);

	/* Zapped, but not off the rmap yet. */
	if (!is_shadow_present_pte(spte))
		return false;

	stats->visited++;
	if (!is_accessed_spte(spte))
		return false;

	stats->young++;
	if (clear) {
		pgtable_walk_stall();
		if (!try_cmpxchg64(sptep, &spte, spte_mkold(spte)))
			stats->lost++;
	}
	return true;
}
#endif

#endif /* __KVM_X86_MMU_SPTE_VOLATILE_H */
