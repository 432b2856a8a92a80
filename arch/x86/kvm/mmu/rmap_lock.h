/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The lock of an rmap head, which serves the lockless ager and nobody else.
 *
 * Lists of SPTEs change with mmu_lock held for write.  The ager does not take that, and
 * so each head has a lock bit of its own.  While the ager holds it, the head's list stays
 * (pte_list_desc), and so do the pages that hold the SPTEs: a shadow page is freed after
 * all its SPTEs are off their rmaps.  The values of SPTEs may change all the same.
 *
 *  - Who changes a list takes the lock before, and drops it with the store of the new
 *    head.  release, pairs with the acquire of whoever locks next.
 *  - Who holds mmu_lock may read lists without, and masks the bit.
 *  - The ager leaves an empty head alone after a look.
 *
 * A leaf in the order of locks, held for the length of one list, with preemption off, so
 * nobody spins for long.  Nothing is freed under it: with PREEMPT_RT that might sleep.
 */
#ifndef __KVM_X86_MMU_RMAP_LOCK_H
#define __KVM_X86_MMU_RMAP_LOCK_H

#include <linux/kvm_host.h>

/* Bit 0 is KVM_RMAP_MANY. */
#define KVM_RMAP_LOCKED	BIT(1)

/* With mmu_lock held for write, or for lists that others hold. */
static inline unsigned long kvm_rmap_get(const struct kvm_rmap_head *head)
{
	return READ_ONCE(head->val) & ~KVM_RMAP_LOCKED;
}

/* Returns the head as kvm_rmap_get() does. */
static inline unsigned long kvm_rmap_lock(struct kvm_rmap_head *head)
{
	unsigned long val;

	preempt_disable();
	for (;;) {
		val = READ_ONCE(head->val);
		if (!(val & KVM_RMAP_LOCKED) &&
		    try_cmpxchg_acquire(&head->val, &val, val | KVM_RMAP_LOCKED))
			return val;
		cpu_relax();
	}
}

/* @val is what the head holds from now on. */
static inline void kvm_rmap_unlock(struct kvm_rmap_head *head, unsigned long val)
{
	/* Pairs with the acquire of kvm_rmap_lock(). */
	smp_store_release(&head->val, val);
	preempt_enable();
}

/* Empties the head: its former list is the caller's, who holds mmu_lock for write. */
static inline unsigned long kvm_rmap_take(struct kvm_rmap_head *head)
{
	unsigned long val = kvm_rmap_lock(head);

	kvm_rmap_unlock(head, 0);
	return val;
}

#endif /* __KVM_X86_MMU_RMAP_LOCK_H */
