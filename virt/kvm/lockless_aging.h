/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Whether a VM is aged without mmu_lock.
 */
#ifndef _KVM_LOCKLESS_AGING_H
#define _KVM_LOCKLESS_AGING_H

#include <linux/kvm_host.h>

#ifdef CONFIG_KVM_GENERIC_AGING
/*
 * An architecture whose VMs differ in this defines kvm_arch_can_age_lockless().  32-bit
 * kernels keep mmu_lock.
 */
#ifndef kvm_arch_can_age_lockless
static inline bool kvm_arch_can_age_lockless(struct kvm *kvm)
{
	return IS_ENABLED(CONFIG_64BIT);
}
#endif

extern bool kvm_lockless_aging;

/* The answer may change at any time: call this once per operation. */
static inline bool kvm_age_lockless(struct kvm *kvm)
{
	return READ_ONCE(kvm_lockless_aging) && kvm_arch_can_age_lockless(kvm);
}

#ifdef CONFIG_MMU_NOTIFIER_AGE
#include <linux/mmu_notifier_age.h>

bool kvm_age_wanted(const struct mmu_notifier_age *age, u64 *start, u64 *end);
bool kvm_age_gfn_batch(struct kvm *kvm, struct kvm_gfn_range *range);
#endif
#else
/* An architecture that has handlers of its own and selects this never takes mmu_lock in them. */
static inline bool kvm_age_lockless(struct kvm *kvm)
{
	return IS_ENABLED(CONFIG_KVM_MMU_LOCKLESS_AGING);
}
#endif /* CONFIG_KVM_GENERIC_AGING */

#endif /* _KVM_LOCKLESS_AGING_H */
