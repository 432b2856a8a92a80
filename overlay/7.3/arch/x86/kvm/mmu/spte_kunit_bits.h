/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Bits of SPTEs that hardware ignores: for spte_kunit.c.
 */
#define SPTE_FROZEN	(BIT_ULL(63) | 0x1a0)

#define EPT_XU		BIT_ULL(10)
#define EPT_AD_DISABLED	BIT_ULL(60)
#define EPT_AD_WRPROT	BIT_ULL(61)
#define EPT_SAVED_SHIFT	52
#define EPT_HOST_W	BIT_ULL(53)
#define EPT_MMU_W	BIT_ULL(55)

/* SPTEs without A/D bits have EPT's accessed bit all the same, for KVM alone. */
#define EPT_SOFT_A	BIT_ULL(8)
