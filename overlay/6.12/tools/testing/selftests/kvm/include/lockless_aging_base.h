/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs by kernel: whether clear_flush_young flushes TLBs, and how the library of the
 * selftests reads a statistic of a VM.
 */
#ifndef SELFTEST_KVM_LOCKLESS_AGING_BASE_H
#define SELFTEST_KVM_LOCKLESS_AGING_BASE_H

#define LA_FLUSHES_YOUNG	true

#define la_vm_stat(vm, stat)	vm_get_stat(vm, #stat)

#endif /* SELFTEST_KVM_LOCKLESS_AGING_BASE_H */
