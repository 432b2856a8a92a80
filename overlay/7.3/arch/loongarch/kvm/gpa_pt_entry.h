/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Entries of the page tables of guest physical addresses: mmu_lock excludes everybody but
 * hardware and the aging walk, which change GPA_PT_VOLATILE_BITS of leaves.
 */
#ifndef __LOONGARCH_KVM_GPA_PT_ENTRY_H
#define __LOONGARCH_KVM_GPA_PT_ENTRY_H

#include <linux/kvm_host.h>

#include "gpa_pt_format.h"

kvm_pte_t *gpa_pt_entry(struct kvm *kvm, struct kvm_mmu_memory_cache *cache, gpa_t gpa,
			unsigned int level);
kvm_pte_t *gpa_pt_split(struct kvm_vcpu *vcpu, kvm_pte_t *ptep, gfn_t gfn);
void gpa_pt_map(struct kvm *kvm, kvm_pte_t *ptep, kvm_pte_t pte);

/* The helpers for volatile entries work on integers of that name. */
static inline vpte_t *gpa_pt_vpte(kvm_pte_t *ptep)
{
	return (vpte_t *)ptep;
}

static inline kvm_pte_t gpa_pt_read_vpte(kvm_pte_t *ptep)
{
	return vpte_read(gpa_pt_vpte(ptep));
}

/* Whatever has become of its volatile bits since it was @old. */
static inline void gpa_pt_update_pte(kvm_pte_t *ptep, kvm_pte_t old, kvm_pte_t set)
{
	vpte_t seen = old;

	WARN_ON_ONCE(!vpte_update(gpa_pt_vpte(ptep), &seen, 0, set, GPA_PT_VOLATILE_BITS));
}

#endif /* __LOONGARCH_KVM_GPA_PT_ENTRY_H */
