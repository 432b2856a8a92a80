/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Aging of guest memory: what an architecture gives to virt/kvm/age.c.
 */
#ifndef _LINUX_KVM_AGE_H
#define _LINUX_KVM_AGE_H

#include <linux/kvm_host.h>
#include <linux/pgtable_age.h>

/**
 * kvm_arch_age() - answer a request about guest memory
 * @kvm: the VM
 * @slot: the memslot that the range is in
 * @age: the request, in guest physical addresses
 *
 * Each architecture that selects KVM_GENERIC_AGING defines it: looks up the roots of the
 * VM and calls pgtable_age_tree() with the format of its page tables, all in one RCU read section.
 * What it finds otherwise, as x86 does by rmaps, it answers with pgtable_age_wanted(),
 * pgtable_age_clears() and pgtable_age_mark_young().
 *
 * Context: kvm->srcu held, which protects the memslot.  mmu_lock held for write if the VM
 * can't be aged without it, or if that is switched off.  Does not sleep.
 */
void kvm_arch_age(struct kvm *kvm, const struct kvm_memory_slot *slot, struct pgtable_age *age);

#endif /* _LINUX_KVM_AGE_H */
