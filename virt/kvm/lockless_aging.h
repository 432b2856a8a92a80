/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Whether a VM is aged without mmu_lock, and the count of those that are not.
 */
#ifndef _KVM_LOCKLESS_AGING_H
#define _KVM_LOCKLESS_AGING_H

#include <linux/kvm_host.h>

#ifdef CONFIG_KVM_MMU_LOCKLESS_AGING
#include <linux/mmu_notifier_age.h>
#include <linux/pgtable_walk.h>

/*
 * An architecture whose VMs differ in this defines kvm_arch_can_age_lockless(); the
 * answer may change at any time, so ask once per operation.  32-bit kernels keep mmu_lock.
 */
#ifndef kvm_arch_can_age_lockless
static inline bool kvm_arch_can_age_lockless(struct kvm *kvm)
{
	return IS_ENABLED(CONFIG_64BIT);
}
#endif

bool kvm_age_gfn_batch(struct kvm *kvm, struct kvm_gfn_range *range);

static inline bool kvm_age_lockless(struct kvm *kvm)
{
	return pgtable_walk_lockless_enabled() && kvm_arch_can_age_lockless(kvm);
}

/* One acquisition of mmu_lock covers all the slots of a range. */
static inline void kvm_count_aging(bool found_memslot, bool lockless)
{
	if (!found_memslot || lockless)
		return;

	pgtable_walk_count(PGTABLE_MMU_LOCK, 1);
	if (pgtable_walk_lockless_enabled())
		pgtable_walk_count(PGTABLE_FALLBACK, 1);
}
#else
static inline bool kvm_age_lockless(struct kvm *kvm) { return false; }
static inline void kvm_count_aging(bool found_memslot, bool lockless) { }
#endif /* CONFIG_KVM_MMU_LOCKLESS_AGING */

#endif /* _KVM_LOCKLESS_AGING_H */
