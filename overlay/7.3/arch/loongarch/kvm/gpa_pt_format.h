/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The page tables of guest physical addresses, for the page-table walker.  Levels, and index
 * bits of each, are those of the host's own page tables.
 *
 * LoongArch Reference Manual, volume 1, "Page Table Structure Supported by Page Walking": above
 * level 0, an entry is a leaf if its H bit is set.  In level 0, this bit is G.  Whether a leaf is
 * there is up to _PAGE_PRESENT, and V says whether it was used: accesses through an old leaf
 * fault, or hardware sets V, where it walks page tables on its own.
 */
#ifndef __LOONGARCH_KVM_GPA_PT_FORMAT_H
#define __LOONGARCH_KVM_GPA_PT_FORMAT_H

#include <linux/pgtable.h>
#include <linux/pgtable_walk.h>

#define GPA_PT_LEVELS		CONFIG_PGTABLE_LEVELS
#define GPA_PT_INDEX_BITS	(PAGE_SHIFT - 3)

/* An aging walk, and hardware, may change it at any time. */
#define GPA_PT_VOLATILE_BITS	_PAGE_ACCESSED

/* An entry of an empty table.  Hardware goes on from it, through tables that are all empty. */
static __always_inline vpte_t gpa_pt_empty(unsigned int level)
{
	switch (level) {
	case 0:
		return 0;
#if GPA_PT_LEVELS > 2
	case 2:
		return (unsigned long)invalid_pmd_table;
#endif
#if GPA_PT_LEVELS > 3
	case 3:
		return (unsigned long)invalid_pud_table;
#endif
	default:
		return (unsigned long)invalid_pte_table;
	}
}

static __always_inline enum pgtable_walk_kind gpa_pt_kind(vpte_t pte, unsigned int level)
{
	if (!level || (pte & _PAGE_HUGE))
		return pte & _PAGE_PRESENT ? PGTABLE_WALK_LEAF : PGTABLE_WALK_NONE;
	return pte == gpa_pt_empty(level) ? PGTABLE_WALK_NONE : PGTABLE_WALK_TABLE;
}

static __always_inline vpte_t *gpa_pt_child(vpte_t pte)
{
	return __va(PHYSADDR(pte));
}

static const struct pgtable_walk_format gpa_pt_format __maybe_unused = {
	.page_shift = PAGE_SHIFT,
	.index_bits = GPA_PT_INDEX_BITS,
	.accessed = _PAGE_ACCESSED,
	.volatile_bits = GPA_PT_VOLATILE_BITS,
	.kind = gpa_pt_kind,
	.child = gpa_pt_child,
};

#endif /* __LOONGARCH_KVM_GPA_PT_FORMAT_H */
