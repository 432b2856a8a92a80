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
void gstage_unmap_tree(struct kvm *kvm, const struct pgtable_tree *tree);
void gstage_wrprotect(struct kvm *kvm, gpa_t start, gpa_t end);

/* In mmu.c: invalidate what vCPUs cached of one leaf, and wait for it. */
void gstage_remote_tlb_flush(struct kvm *kvm, u32 level, gpa_t addr);

/* The table is zeroed, and stays that large until the root is retired. */
static inline void gstage_publish_root(struct kvm *kvm, unsigned int levels)
{
	const struct pgtable_tree tree = {
		.table = (vpte_t *)kvm->arch.pgd,
		.levels = levels,
		.addr_bits = gstage_addr_bits(levels),
	};

	pgtable_root_publish(&kvm->arch.gstage_root, &tree);
}

/* The helpers for volatile entries work on integers. */
static inline vpte_t *gstage_vpte(pte_t *ptep)
{
	return (vpte_t *)&ptep->pte;
}

static inline enum pgtable_kind gstage_entry_kind(pte_t *ptep, u32 level)
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
