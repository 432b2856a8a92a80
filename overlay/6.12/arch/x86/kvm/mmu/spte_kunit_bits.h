/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Bits of SPTEs that hardware ignores, and a name: for spte_kunit.c.
 */
#define SPTE_FROZEN	(BIT_ULL(63) | 0x5a0)

#define EPT_XU		0ULL
#define EPT_AD_DISABLED	BIT_ULL(52)
#define EPT_AD_WRPROT	BIT_ULL(53)
#define EPT_SAVED_SHIFT	54
#define EPT_HOST_W	BIT_ULL(57)
#define EPT_MMU_W	BIT_ULL(58)

/* Nothing tells that an SPTE without A/D bits was used but that it may be. */
#define EPT_SOFT_A	0ULL

#include "spte_writers.h"

#define spte_needs_atomic_update spte_rwx_volatile
