// SPDX-License-Identifier: GPL-2.0

static u64 *rmap_get_first(struct kvm_rmap_head *rmap_head,
			   struct rmap_iterator *iter)
{
	return __rmap_get_first(kvm_rmap_get(rmap_head), iter);
}

/* Of the list that kvm_rmap_get() or one of the locks returned. */
#define __for_each_rmap_spte(_val_, _iter_, _spte_)			\
	for (_spte_ = __rmap_get_first(_val_, _iter_);			\
	     _spte_; _spte_ = rmap_get_next(_iter_))
