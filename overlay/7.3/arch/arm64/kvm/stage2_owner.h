/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who owns the stage 2 of guests: the kernel, but EL2 with protected KVM.  There, a VM has no
 * page tables that the kernel could walk, but a tree of the mappings that it asked EL2 for:
 * what is the root of a table else, is the root of that tree.  mmu_lock protects it.
 */
#ifndef _ARM64_KVM_STAGE2_OWNER_H
#define _ARM64_KVM_STAGE2_OWNER_H

#include <linux/pgtable_age.h>
#include <asm/kvm_host.h>
#include <asm/kvm_pkvm.h>
#include <asm/virt.h>

static inline bool stage2_owned_by_el2(void)
{
	return is_protected_kvm_enabled();
}

/* A request for parts is never made here: it would be answered for the whole range. */
static inline void stage2_age_by_el2(struct kvm *kvm, struct pgtable_age *age)
{
	struct kvm_pgtable *pgt = kvm->arch.mmu.pgt;

	lockdep_assert_held_write(&kvm->mmu_lock);

	/* Torn down; or the pages are the guest's alone, and pinned. */
	if (!pgt || kvm_vm_is_protected(kvm) || WARN_ON_ONCE(age->shift))
		return;

	if (pkvm_pgtable_stage2_test_clear_young(pgt, age->start, age->end - age->start,
						 age->clear))
		age->stats.young++;
}

#endif /* _ARM64_KVM_STAGE2_OWNER_H */
