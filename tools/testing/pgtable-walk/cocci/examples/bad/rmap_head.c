// SPDX-License-Identifier: GPL-2.0-only

static bool bad_count(struct kvm_rmap_head *any)
{
	return any->val & KVM_RMAP_MANY; /* expect */
	/* patch: return kvm_rmap_get(any) & KVM_RMAP_MANY; */
}

static void bad_store(struct kvm_mmu_page *sp)
{
	WRITE_ONCE(sp->parent_ptes.val, 0); /* expect */
}

static bool bad_iterator(struct slot_rmap_walk_iterator *iterator)
{
	if (iterator->rmap->val) /* expect */
	/* patch: if (kvm_rmap_get(iterator->rmap)) */
		return true;
	return atomic_long_read(&iterator->rmap->val); /* expect */
}

static unsigned long bad_copy(void)
{
	struct kvm_rmap_head head = *some_head();

	return head.val; /* expect */
	/* patch: return kvm_rmap_get(&head); */
}
