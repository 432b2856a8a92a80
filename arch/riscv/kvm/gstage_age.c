// SPDX-License-Identifier: GPL-2.0
/*
 * Age guest memory: test, and clear, the accessed bits of G-stage leaves.
 *
 * Runs under RCU, and under mmu_lock only while the operator's switch is off.  What
 * it may meet, and what keeps it safe:
 *
 *  - The root goes away: it is retired before it is torn down, which waits for a grace
 *    period (kvm_riscv_gstage_free_pgd()).  Levels come with the root in one word.
 *  - A table goes away: gathered after it was unlinked and fenced, freed by RCU
 *    (gstage_walk.c).
 *  - A leaf is zapped, write-protected, remapped or aged by others: the cmpxchg
 *    fails, nothing is written, and the leaf counts as young.
 *  - Memslots change: the caller holds kvm->srcu.
 */
#include <linux/kvm_age.h>
#include <linux/pgtable_age.h>

#include "gstage_walk.h"

/* The loops, apart from all else: a test reads their object code for calls. */
static noinline bool gstage_age_clear(const struct pgtable_tree *tree, u64 start, u64 end,
				      struct pgtable_walk_stats *stats)
{
	return pgtable_age_range(&gstage_format, tree, start, end, true, stats);
}

static noinline bool gstage_age_test(const struct pgtable_tree *tree, u64 start, u64 end,
				     struct pgtable_walk_stats *stats)
{
	return pgtable_age_range(&gstage_format, tree, start, end, false, stats);
}

static noinline void gstage_age_batch(const struct pgtable_tree *tree,
				      struct pgtable_age_batch *batch)
{
	pgtable_age_batch(&gstage_format, tree, batch);
}

bool kvm_age_gfn(struct kvm *kvm, struct kvm_gfn_range *range)
{
	return kvm_age_root(kvm, range, &kvm->arch.gstage_root, gstage_age_clear, true);
}

bool kvm_test_age_gfn(struct kvm *kvm, struct kvm_gfn_range *range)
{
	return kvm_age_root(kvm, range, &kvm->arch.gstage_root, gstage_age_test, false);
}

bool kvm_age_gfn_batch(struct kvm *kvm, struct kvm_gfn_range *range)
{
	return kvm_age_root_batch(kvm, range, &kvm->arch.gstage_root, gstage_age_batch);
}
