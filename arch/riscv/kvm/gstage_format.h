/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The G-stage page tables, Sv39x4, Sv48x4 and Sv57x4 (Sv32x4 on 32-bit), for the
 * page-table walker.
 *
 * Privileged specification, "Two-Stage Address Translation": a valid entry is a leaf
 * if it grants anything and a table if not, at every level.  The root has four times
 * the entries of the other tables, 2 more index bits.
 */
#ifndef _RISCV_KVM_GSTAGE_FORMAT_H
#define _RISCV_KVM_GSTAGE_FORMAT_H

#include <linux/pfn.h>
#include <linux/pgtable.h>
#include <linux/pgtable_walk.h>

#define GSTAGE_PAGE_SHIFT	12
#define GSTAGE_INDEX_BITS	(IS_ENABLED(CONFIG_64BIT) ? 9 : 10)
#define GSTAGE_ROOT_EXTRA_BITS	2

static __always_inline enum pgtable_walk_kind gstage_kind(vpte_t pte, unsigned int level)
{
	if (!(pte & _PAGE_PRESENT))
		return PGTABLE_WALK_NONE;
	if (pte & _PAGE_LEAF)
		return PGTABLE_WALK_LEAF;
	/* The lowest level has no tables below: hardware faults, we see nothing. */
	return level ? PGTABLE_WALK_TABLE : PGTABLE_WALK_NONE;
}

static __always_inline vpte_t *gstage_child(vpte_t pte)
{
	return phys_to_virt(PFN_PHYS((pte & _PAGE_PFN_MASK) >> _PAGE_PFN_SHIFT));
}

/* Hardware sets A and D if menvcfg.ADUE is on; the aging walk clears A. */
#define GSTAGE_VOLATILE_BITS	(_PAGE_ACCESSED | _PAGE_DIRTY)

static const struct pgtable_walk_format gstage_format __maybe_unused = {
	.page_shift = GSTAGE_PAGE_SHIFT,
	.index_bits = GSTAGE_INDEX_BITS,
	.accessed = _PAGE_ACCESSED,
	.volatile_bits = GSTAGE_VOLATILE_BITS,
	.kind = gstage_kind,
	.child = gstage_child,
};

/* The width of guest physical addresses that so many levels translate. */
static inline unsigned int gstage_addr_bits(unsigned int levels)
{
	return GSTAGE_PAGE_SHIFT + levels * GSTAGE_INDEX_BITS + GSTAGE_ROOT_EXTRA_BITS;
}

#endif /* _RISCV_KVM_GSTAGE_FORMAT_H */
