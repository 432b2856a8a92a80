/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Walks of the page tables of guest physical addresses, and their root.
 */
#ifndef __LOONGARCH_KVM_GPA_PT_WALK_H
#define __LOONGARCH_KVM_GPA_PT_WALK_H

#include "gpa_pt_entry.h"

bool gpa_pt_unmap(struct kvm *kvm, gpa_t start, gpa_t end);
void gpa_pt_drop(struct kvm *kvm, gpa_t start, gpa_t end);
bool gpa_pt_wrprotect(struct kvm *kvm, gpa_t start, gpa_t end, unsigned long mask);
void gpa_pt_free(struct kvm *kvm);

/* The table is initialised, and stays until the root is retired. */
static inline void gpa_pt_publish_root(struct kvm *kvm)
{
	const struct pgtable_walk_tree tree = {
		.table = (vpte_t *)kvm->arch.pgd,
		.levels = GPA_PT_LEVELS,
		.addr_bits = PAGE_SHIFT + GPA_PT_LEVELS * GPA_PT_INDEX_BITS,
	};

	pgtable_root_publish(&kvm->arch.root, &tree);
}

#endif /* __LOONGARCH_KVM_GPA_PT_WALK_H */
