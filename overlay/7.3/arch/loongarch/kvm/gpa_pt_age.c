// SPDX-License-Identifier: GPL-2.0
/*
 * Age guest memory: test, and clear, the V bits of leaves.
 *
 * Runs under RCU, and under mmu_lock only while the operator's switch is off.  What it may
 * meet, and what keeps it safe:
 *
 *  - The root goes away: it is retired before it is torn down, which waits for a grace period
 *    (gpa_pt_free(); litmus: retire-root).
 *  - A table goes away: gathered after it was unlinked, freed by RCU after TLBs were flushed
 *    (gpa_pt_drop(); litmus: free-table).
 *  - A leaf is zapped, write-protected, split or aged by others: the cmpxchg fails, nothing is
 *    written, and the leaf counts as young.
 *  - Memslots change: the caller holds kvm->srcu.
 */
#include <linux/kvm_age.h>

#include "gpa_pt_format.h"

/* The loops, apart from all else: a test reads their object code for calls. */
static noinline void gpa_pt_age(const struct pgtable_walk_tree *tree, struct pgtable_age *age)
{
	pgtable_age_tree(&gpa_pt_format, tree, age);
}

void kvm_arch_age(struct kvm *kvm, const struct kvm_memory_slot *slot, struct pgtable_age *age)
{
	struct pgtable_walk_tree tree;

	rcu_read_lock();
	tree = pgtable_root_deref(&kvm->arch.root, false);
	gpa_pt_age(&tree, age);
	rcu_read_unlock();
}
