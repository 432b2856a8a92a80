/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The page tables of the TDP MMU, EPT and NPT with 4 or 5 levels, for the page-table
 * walker, whose level 0 is PG_LEVEL_4K.
 *
 * What an SPTE is follows from KVM's own bits, not from the hardware's: an access-tracked
 * leaf grants nothing, and an MMIO SPTE of AMD has the P bit.  FROZEN_SPTE has bits that
 * make it look like a young huge leaf but for SPTE_MMU_PRESENT_MASK.
 */
#ifndef __KVM_X86_MMU_SPTE_FORMAT_H
#define __KVM_X86_MMU_SPTE_FORMAT_H

#include <linux/pgtable_walk.h>

#include "spte_volatile.h"

static __always_inline enum pgtable_walk_kind spte_kind(vpte_t spte, unsigned int level)
{
	if (!is_shadow_present_pte(spte))
		return is_frozen_spte(spte) ? PGTABLE_WALK_BUSY : PGTABLE_WALK_NONE;

	return is_last_spte(spte, level + PG_LEVEL_4K) ? PGTABLE_WALK_LEAF : PGTABLE_WALK_TABLE;
}

static __always_inline vpte_t *spte_child(vpte_t spte)
{
	return __va(spte & SPTE_BASE_ADDR_MASK);
}

static __always_inline bool spte_young(vpte_t spte)
{
	return is_accessed_spte(spte);
}

/* Masks differ from vendor to vendor, and SPTEs of one VM have A/D bits or not. */
#define SPTE_FORMAT					\
	.page_shift	= PAGE_SHIFT,			\
	.index_bits	= SPTE_LEVEL_BITS,		\
	.kind		= spte_kind,			\
	.child		= spte_child,			\
	.young		= spte_young,			\
	.mkold		= spte_mkold

static const struct pgtable_walk_format spte_format = { SPTE_FORMAT };

/*
 * @direct_bits: 0, or one bit of addresses that is set in all that the root maps: that of
 * memory that a TDX guest shares.  The walk leaves it out, and indexes the root from the
 * entry that it stands for.
 */
static inline struct pgtable_walk_tree spte_tree(u64 *root, int root_level, gpa_t direct_bits)
{
	const unsigned int shift = PAGE_SHIFT + SPTE_LEVEL_BITS * (root_level - 1);

	return (struct pgtable_walk_tree) {
		.table = root + (direct_bits >> shift),
		.levels = root_level,
		.addr_bits = direct_bits ? __ffs64(direct_bits) : shift + SPTE_LEVEL_BITS,
	};
}

#endif /* __KVM_X86_MMU_SPTE_FORMAT_H */
