// SPDX-License-Identifier: GPL-2.0

/* Under mmu_lock, what is on a list is present. What is not does not end it. */
static u64 *rmap_skip_absent(u64 *sptep, struct rmap_iterator *iter)
{
	while (sptep && WARN_ON_ONCE(!is_shadow_present_pte(READ_ONCE(*sptep))))
		sptep = rmap_get_next(iter);
	return sptep;
}

#define for_each_rmap_spte(_rmap_head_, _iter_, _spte_)			\
	for (_spte_ = rmap_skip_absent(rmap_get_first(_rmap_head_, _iter_), _iter_); \
	     _spte_; _spte_ = rmap_skip_absent(rmap_get_next(_iter_), _iter_))
