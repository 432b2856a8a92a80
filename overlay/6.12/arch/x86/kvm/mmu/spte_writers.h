/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What holders of mmu_lock go by because SPTEs are aged without it, see spte_volatile.h.
 */
#ifndef __KVM_X86_MMU_SPTE_WRITERS_H
#define __KVM_X86_MMU_SPTE_WRITERS_H

#include "spte.h"

/*
 * May R, W and X of a leaf change without mmu_lock?  Where the walk holds it too, only
 * fast_page_fault() changes them, and only if the leaf is access-tracked.
 */
static inline bool spte_rwx_volatile(u64 spte)
{
	return IS_ENABLED(CONFIG_KVM_GENERIC_AGING) ? !spte_ad_enabled(spte) :
						      is_access_track_spte(spte);
}

#endif /* __KVM_X86_MMU_SPTE_WRITERS_H */
