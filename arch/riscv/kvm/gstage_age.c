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

#include "gstage_walk.h"

/* The loops, apart from all else: a test reads their object code for calls. */
static noinline void gstage_age(const struct pgtable_walk_tree *tree, struct pgtable_age *age)
{
	pgtable_age_tree(&gstage_format, tree, age);
}

void kvm_arch_age(struct kvm *kvm, const struct kvm_memory_slot *slot, struct pgtable_age *age)
{
	struct pgtable_walk_tree tree;

	rcu_read_lock();
	tree = pgtable_root_deref(&kvm->arch.gstage_root, false);
	gstage_age(&tree, age);
	rcu_read_unlock();
}
