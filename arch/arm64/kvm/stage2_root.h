/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The stage-2 root as walkers without mmu_lock find it.
 */
#ifndef _ARM64_KVM_STAGE2_ROOT_H
#define _ARM64_KVM_STAGE2_ROOT_H

#include <linux/pgtable_root.h>
#include <asm/kvm_host.h>
#include <asm/kvm_mmu.h>
#include <asm/kvm_pgtable.h>

#include "stage2_owner.h"

/* Concatenated tables are one large root: its size follows from the address width. */
static inline void stage2_publish_root(struct kvm_s2_mmu *mmu)
{
	const struct pgtable_walk_tree tree = {
		.table = (vpte_t __force *)mmu->pgt->pgd,
		.levels = KVM_PGTABLE_LAST_LEVEL - mmu->pgt->start_level + 1,
		.addr_bits = mmu->pgt->ia_bits,
	};

	pgtable_root_publish(&mmu->root, &tree);
}

/*
 * True for the one caller that frees mmu->pgt: when it returns, nothing without mmu_lock
 * uses the root or what it leads to, in software or by having loaded it for a TLB flush,
 * and nothing will.  Another caller must not touch mmu->pgt, for the first may still wait.
 *
 * No root is published of a nested guest's MMU, nor where EL2 owns the tables: all callers
 * go on then, and one finds pgt under mmu_lock.
 */
static inline bool stage2_retire_root(struct kvm *kvm, struct kvm_s2_mmu *mmu)
{
	return kvm_is_nested_s2_mmu(kvm, mmu) || stage2_owned_by_el2() ||
	       pgtable_root_retire(&mmu->root).table;
}

/*
 * Flush all that TLBs hold of a VM, unless its root is retired: it no longer runs then.  To
 * flush, the root is loaded, and hardware may walk from there: the root must not go (litmus:
 * retire-flush).
 */
static inline void stage2_flush_tlbs(struct kvm_s2_mmu *mmu)
{
	rcu_read_lock();
	if (pgtable_root_deref(&mmu->root, false).table) {
		WARN_ON_ONCE(!mmu->pgd_phys);
		kvm_call_hyp(__kvm_tlb_flush_vmid, mmu);
	}
	rcu_read_unlock();
}

#endif /* _ARM64_KVM_STAGE2_ROOT_H */
