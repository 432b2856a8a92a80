// SPDX-License-Identifier: GPL-2.0

/* Empties the head: its former list is the caller's. */
static unsigned long kvm_rmap_take(struct kvm *kvm, struct kvm_rmap_head *rmap_head)
{
	unsigned long rmap_val = kvm_rmap_lock(kvm, rmap_head);

	kvm_rmap_unlock(kvm, rmap_head, 0);
	return rmap_val;
}
