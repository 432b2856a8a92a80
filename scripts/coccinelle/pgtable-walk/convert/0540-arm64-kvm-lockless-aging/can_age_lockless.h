/* SPDX-License-Identifier: GPL-2.0 */

bool kvm_arch_can_age_lockless(struct kvm *kvm);
#define kvm_arch_can_age_lockless kvm_arch_can_age_lockless
