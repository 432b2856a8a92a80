/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The lock bit of an rmap head.  It protects the list from changes while the lockless
 * aging walk reads it.
 *
 * Lists of SPTEs change with mmu_lock held for write.  The aging walk does not take
 * mmu_lock, so each head has a lock bit of its own.  While the walk holds the bit, neither
 * the list (pte_list_desc) nor the pages with the SPTEs are freed: a shadow page is freed after
 * all its SPTEs are off their rmaps.  The values of SPTEs may change all the same.
 *
 *  - Holders of mmu_lock for write change a list between kvm_rmap_lock() and
 *    kvm_rmap_unlock(), which stores the new head.  They read lists without locking,
 *    through kvm_rmap_get(): nobody else changes them.
 *  - The aging walk uses kvm_rmap_lock_readonly() and kvm_rmap_unlock_readonly().  It reads
 *    the list and never changes it.  It does not lock an empty head.
 *
 * The bit is taken inside of mmu_lock or without it, no other lock is taken inside of it,
 * and it is held for the length of one list with preemption off.  Nothing is freed under
 * it: with PREEMPT_RT that might sleep.
 *
 * 32-bit kernels age with mmu_lock held and have no lock bit.
 */
#ifndef __KVM_X86_MMU_RMAP_LOCK_H
#define __KVM_X86_MMU_RMAP_LOCK_H

#include <linux/kvm_host.h>

#include "mmu_internal.h"

#ifdef CONFIG_KVM_GENERIC_AGING

/* Bit 0 is KVM_RMAP_MANY. */
#define KVM_RMAP_LOCKED	BIT(1)

/* Acquire; pairs with the release of __kvm_rmap_unlock(); litmus: rmap-list, rmap-free. */
static inline unsigned long __kvm_rmap_lock(struct kvm_rmap_head *head)
{
	long val;

	preempt_disable();
	for (;;) {
		val = atomic_long_read(&head->val);
		if (!(val & KVM_RMAP_LOCKED) &&
		    atomic_long_try_cmpxchg_acquire(&head->val, &val, val | KVM_RMAP_LOCKED))
			return val;
		cpu_relax();
	}
}

static inline void __kvm_rmap_unlock(struct kvm_rmap_head *head, unsigned long val)
{
	KVM_MMU_WARN_ON(val & KVM_RMAP_LOCKED);

	/* Pairs with the acquire of __kvm_rmap_lock(); litmus: rmap-list, rmap-free. */
	atomic_long_set_release(&head->val, val);
	preempt_enable();
}

/* Returns 0, with nothing locked, if the list is empty. */
static inline unsigned long kvm_rmap_lock_readonly(struct kvm_rmap_head *head)
{
	unsigned long val;

	if (!atomic_long_read(&head->val))
		return 0;

	val = __kvm_rmap_lock(head);
	if (!val)
		__kvm_rmap_unlock(head, 0);
	return val;
}

/* @val is what kvm_rmap_lock_readonly() returned, and not 0. */
static inline void kvm_rmap_unlock_readonly(struct kvm_rmap_head *head, unsigned long val)
{
	KVM_MMU_WARN_ON(atomic_long_read(&head->val) != (val | KVM_RMAP_LOCKED));
	__kvm_rmap_unlock(head, val);
}

#else

#define KVM_RMAP_LOCKED	0UL

static inline unsigned long __kvm_rmap_lock(struct kvm_rmap_head *head)
{
	return atomic_long_read(&head->val);
}

static inline void __kvm_rmap_unlock(struct kvm_rmap_head *head, unsigned long val)
{
	atomic_long_set(&head->val, val);
}

#endif /* CONFIG_KVM_GENERIC_AGING */

/* The list, for holders of mmu_lock; the aging walk may be reading it. */
static inline unsigned long kvm_rmap_get(const struct kvm_rmap_head *head)
{
	return atomic_long_read(&head->val) & ~KVM_RMAP_LOCKED;
}

/* Returns the head as kvm_rmap_get() does. */
static inline unsigned long kvm_rmap_lock(struct kvm *kvm, struct kvm_rmap_head *head)
{
	lockdep_assert_held_write(&kvm->mmu_lock);

	return __kvm_rmap_lock(head);
}

/* @val is what the head holds from now on. */
static inline void kvm_rmap_unlock(struct kvm *kvm, struct kvm_rmap_head *head, unsigned long val)
{
	lockdep_assert_held_write(&kvm->mmu_lock);

	__kvm_rmap_unlock(head, val);
}

/* Empties the head: its former list is the caller's. */
static inline unsigned long kvm_rmap_take(struct kvm *kvm, struct kvm_rmap_head *head)
{
	unsigned long val;

	lockdep_assert_held_write(&kvm->mmu_lock);

	/* Nobody else adds to it. */
	if (!kvm_rmap_get(head))
		return 0;

	val = kvm_rmap_lock(kvm, head);
	kvm_rmap_unlock(kvm, head, 0);
	return val;
}

#endif /* __KVM_X86_MMU_RMAP_LOCK_H */
