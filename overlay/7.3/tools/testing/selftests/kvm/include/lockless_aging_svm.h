/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Nested guests and guests' page tables on x86, whose helpers differ by kernel.
 */
#ifndef SELFTEST_KVM_LOCKLESS_AGING_SVM_H
#define SELFTEST_KVM_LOCKLESS_AGING_SVM_H

#include "kvm_util.h"
#include "processor.h"
#include "svm_util.h"

static inline int la_guest_levels(struct kvm_vm *vm)
{
	return vm->mmu.pgtable_levels;
}

static inline uint64_t la_guest_alloc(struct kvm_vm *vm, size_t bytes)
{
	return vm_alloc(vm, bytes, KVM_UTIL_MIN_VADDR);
}

static inline uint64_t *la_guest_pte(struct kvm_vm *vm, uint64_t gva)
{
	return vm_get_pte(vm, gva);
}

/* Called by L1. No nested paging if @npt is 0. */
static inline void la_svm_setup(struct svm_test_data *svm, void *l2_main, void *stack, uint64_t npt)
{
	svm->stack = stack;
	svm->ncr3_gpa = npt;
	generic_svm_setup(svm, l2_main);
}

#endif /* SELFTEST_KVM_LOCKLESS_AGING_SVM_H */
