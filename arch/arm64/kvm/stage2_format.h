/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The stage-2 page tables, VMSAv8-64, for the page-table walker.
 *
 * Arm Architecture Reference Manual, "Translation table descriptor formats".  Three
 * things vary: the granule, by the kernel's page size; where high bits of an address
 * are, by granule and FEAT_LPA2; and how many tables are concatenated at the root, by
 * the width of intermediate physical addresses.  The latter is a property of the root.
 *
 * The architecture counts levels downwards to 3, the walker upwards from 0.
 */
#ifndef _ARM64_KVM_STAGE2_FORMAT_H
#define _ARM64_KVM_STAGE2_FORMAT_H

#include <linux/bitfield.h>
#include <linux/io.h>
#include <linux/pgtable_walk.h>
#include <asm/kvm_stage2_pte.h>

static __always_inline enum pgtable_walk_kind stage2_kind(vpte_t pte, unsigned int level)
{
	/* First, for an invalid entry may have AF's bit set and be somebody's. */
	if (!(pte & PTE_VALID))
		return pte & KVM_INVALID_PTE_LOCKED ? PGTABLE_WALK_BUSY : PGTABLE_WALK_NONE;
	if (stage2_pte_leaf(pte, KVM_PGTABLE_LAST_LEVEL - (int)level))
		return PGTABLE_WALK_LEAF;
	/* What is neither at the last level is reserved: hardware faults. */
	return level ? PGTABLE_WALK_TABLE : PGTABLE_WALK_NONE;
}

/* What kvm_pte_to_phys() does, for any granule. */
static __always_inline phys_addr_t stage2_table_phys(vpte_t pte, unsigned int page_shift, bool lpa2)
{
	phys_addr_t phys = pte & GENMASK_ULL(lpa2 ? 49 : 47, page_shift);

	if (lpa2)
		phys |= FIELD_GET(KVM_PTE_ADDR_51_50_LPA2, pte) << 50;
	else if (page_shift == 16)
		phys |= FIELD_GET(KVM_PTE_ADDR_51_48, pte) << 48;
	return phys;
}

static __always_inline vpte_t *stage2_child(vpte_t pte)
{
	return phys_to_virt(stage2_table_phys(pte, PAGE_SHIFT, kvm_lpa2_is_enabled()));
}

#define STAGE2_FORMAT(_page_shift, _child) {			\
	.page_shift = (_page_shift),				\
	.index_bits = (_page_shift) - 3,			\
	.accessed = KVM_PTE_LEAF_ATTR_LO_S2_AF,			\
	.volatile_bits = KVM_PTE_S2_VOLATILE,			\
	.kind = stage2_kind,					\
	.child = (_child),					\
}

static const struct pgtable_walk_format stage2_format = STAGE2_FORMAT(PAGE_SHIFT, stage2_child);

#endif /* _ARM64_KVM_STAGE2_FORMAT_H */
