// SPDX-License-Identifier: GPL-2.0

static u64 *rmap_get_first(struct kvm_rmap_head *rmap_head,
			   struct rmap_iterator *iter)
{
	return __rmap_get_first(kvm_rmap_get(rmap_head), iter);
}
