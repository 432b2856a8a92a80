// SPDX-License-Identifier: GPL-2.0
/*
 * Age guest memory: test, and clear, the access flags of stage-2 leaves.
 *
 * Runs under RCU, and under mmu_lock only while the operator's switch is off or KVM is
 * protected.  What it may meet, and what keeps it safe:
 *
 *  - The root goes away: it is hidden first and freed after a grace period
 *    (stage2_retire_root(); litmus: retire-root, root-word).  Levels and width come with
 *    the root in one word; struct kvm_pgtable, which goes with it, is not looked at.
 *  - A table goes away: freed by RCU after unlink and TLBI, in stage2_unmap_walker() as
 *    where a block replaces it.  It may still be full of valid leaves.
 *  - An entry is in the middle of a break-before-make: it holds KVM_INVALID_PTE_LOCKED,
 *    which may be the bit of the access flag.  It is not valid, so the walk leaves it alone.
 *  - A leaf is zapped, write-protected, remapped or aged by others: the cmpxchg fails,
 *    nothing is written, and the leaf counts as young.
 *  - Memslots change: the caller holds kvm->srcu.
 *
 * There is no TLBI: a leaf with the flag clear is never cached, and one that was cached
 * with it set may hide an access.  ->clear_flush_young() flushes, after the walk.  For
 * that the cmpxchg has to be visible to hardware walkers, which the DSB ahead of the
 * TLBI sees to: it waits for the stores of this CPU (litmus: aarch64/age-flush).
 *
 * Shadow stage 2s of nested guests are not aged.
 */
#include <linux/kvm_age.h>
#include <asm/virt.h>

#include "stage2_format.h"
#include "stage2_owner.h"

/*
 * With protected KVM, mmu_lock as before: to age the guests there without it is untested
 * where the kernel has their page tables, and impossible where EL2 has.
 */
bool kvm_arch_can_age_lockless(struct kvm *kvm)
{
	return !is_protected_kvm_enabled();
}

/* The loops, apart from all else: a test reads their object code for calls. */
static noinline void stage2_age(const struct pgtable_walk_tree *tree, struct pgtable_age *age)
{
	pgtable_age_tree(&stage2_format, tree, age);
}

void kvm_arch_age(struct kvm *kvm, const struct kvm_memory_slot *slot, struct pgtable_age *age)
{
	struct pgtable_walk_tree tree;

	if (stage2_owned_by_el2()) {
		stage2_age_by_el2(kvm, age);
		return;
	}

	rcu_read_lock();
	tree = pgtable_root_deref(&kvm->arch.mmu.root, false);
	stage2_age(&tree, age);
	rcu_read_unlock();
}
