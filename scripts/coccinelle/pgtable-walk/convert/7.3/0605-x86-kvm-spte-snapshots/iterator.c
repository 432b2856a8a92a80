// SPDX-License-Identifier: GPL-2.0

#define for_each_rmap_spte(_rmap_head_, _iter_, _sptep_)			\
	__for_each_rmap_spte(_rmap_head_, _iter_, _sptep_)			\
		if (!WARN_ON_ONCE(!is_shadow_present_pte(READ_ONCE(*(_sptep_)))))
