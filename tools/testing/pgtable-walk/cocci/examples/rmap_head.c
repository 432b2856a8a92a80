// SPDX-License-Identifier: GPL-2.0-only

static bool bad_count(struct kvm_rmap_head *any)
{
	return any->val & KVM_RMAP_MANY; /* expect */
}

static void bad_store(struct kvm_mmu_page *sp)
{
	WRITE_ONCE(sp->parent_ptes.val, 0); /* expect */
}

static bool bad_iterator(struct slot_rmap_walk_iterator *iterator)
{
	if (iterator->rmap->val) /* expect */
		return true;
	return atomic_long_read(&iterator->rmap->val); /* expect */
}

static unsigned long bad_copy(void)
{
	struct kvm_rmap_head head = *some_head();

	return head.val; /* expect */
}

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
