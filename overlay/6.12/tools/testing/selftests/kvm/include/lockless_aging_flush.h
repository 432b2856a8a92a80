/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Whether clear_flush_young flushes TLBs, which differs by kernel.
 */
#ifndef SELFTEST_KVM_LOCKLESS_AGING_FLUSH_H
#define SELFTEST_KVM_LOCKLESS_AGING_FLUSH_H

#define LA_FLUSHES_YOUNG	true

#endif /* SELFTEST_KVM_LOCKLESS_AGING_FLUSH_H */
