/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whether clear_flush_young flushes TLBs, which differs by kernel.
 */
#ifndef SELFTEST_KVM_LOCKLESS_AGING_FLUSH_H
#define SELFTEST_KVM_LOCKLESS_AGING_FLUSH_H

/* x86 selects KVM_ELIDE_TLB_FLUSH_IF_YOUNG. */
#ifdef __x86_64__
#define LA_FLUSHES_YOUNG	false
#else
#define LA_FLUSHES_YOUNG	true
#endif

#endif /* SELFTEST_KVM_LOCKLESS_AGING_FLUSH_H */
