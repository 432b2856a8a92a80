/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Walks of the G-stage page tables, and what the rest of riscv KVM gives to them.
 */
#ifndef _RISCV_KVM_GSTAGE_WALK_H
#define _RISCV_KVM_GSTAGE_WALK_H

#include <linux/kvm_host.h>

#include "gstage_format.h"

void gstage_unmap(struct kvm *kvm, gpa_t start, gpa_t end, bool may_block);
void gstage_unmap_entry(struct kvm *kvm, u32 level, gpa_t addr);
void gstage_wrprotect(struct kvm *kvm, gpa_t start, gpa_t end, bool may_block);
bool kvm_riscv_gstage_free_pgd(struct kvm *kvm);

/* HFENCE.GVMA of leaves, in steps of 1 << @order; more than 512 are one fence of the VMID. */
void gstage_fence(struct kvm *kvm, gpa_t start, gpa_t size, unsigned int order);

/* The VMID for hgatp: 0, which is nobody's, if ours may be another VM's by now. */
static inline unsigned long gstage_hgatp_vmid(struct kvm_vcpu *vcpu)
{
	struct kvm_vmid *vmid = &vcpu->kvm->arch.vmid;

	if (!kvm_riscv_gstage_vmid_ver_changed(vmid))
		return READ_ONCE(vmid->vmid);

	/* Before the guest is entered, it gets a new one, and then comes here again. */
	kvm_make_request(KVM_REQ_UPDATE_HGATP, vcpu);
	return 0;
}

/* The table is zeroed, and stays that large until the root is retired. */
static inline void gstage_publish_root(struct kvm *kvm, unsigned int levels)
{
	const struct pgtable_walk_tree tree = {
		.table = (vpte_t *)kvm->arch.pgd,
		.levels = levels,
		.addr_bits = gstage_addr_bits(levels),
	};

	pgtable_root_publish(&kvm->arch.gstage_root, &tree);
}

/*
 * The largest leaf for a page of @size bytes: guest physical and user addresses have to
 * agree modulo its size, and all of it has to lie in the slot.
 */
static inline unsigned long gstage_leaf_size(const struct kvm_memory_slot *slot, gpa_t gpa,
					     unsigned long size)
{
	const u64 start = (u64)slot->base_gfn << PAGE_SHIFT;
	const u64 end = start + ((u64)slot->npages << PAGE_SHIFT);

	while (size > PAGE_SIZE) {
		const u64 leaf = gpa & ~((u64)size - 1);

		if (!((start ^ slot->userspace_addr) & (size - 1)) && leaf >= start &&
		    end - leaf >= size)
			break;
		size = size > PMD_SIZE ? PMD_SIZE : PAGE_SIZE;
	}
	return size;
}

/* The helpers for volatile entries work on integers. */
static inline vpte_t *gstage_vpte(pte_t *ptep)
{
	return (vpte_t *)&ptep->pte;
}

static inline enum pgtable_walk_kind gstage_entry_kind(pte_t *ptep, u32 level)
{
	return gstage_kind(vpte_read(gstage_vpte(ptep)), level);
}

static inline void gstage_link_table(pte_t *ptep, pte_t table)
{
	vpte_link_table(gstage_vpte(ptep), pte_val(table));
}

static inline pte_t gstage_xchg_pte(pte_t *ptep, pte_t pte)
{
	return __pte(vpte_xchg(gstage_vpte(ptep), pte_val(pte)));
}

#endif /* _RISCV_KVM_GSTAGE_WALK_H */
