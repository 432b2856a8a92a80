// SPDX-License-Identifier: GPL-2.0-only

static bool good_count(struct kvm_rmap_head *rmap_head)
{
	return kvm_rmap_get(rmap_head) & KVM_RMAP_MANY;
}

static unsigned long good_other(struct other *other, struct mine *rmapped)
{
	return other->val + rmapped->val;
}

static inline unsigned long kvm_rmap_get(const struct kvm_rmap_head *head)
{
	return READ_ONCE(head->val) & ~KVM_RMAP_LOCKED;
}
