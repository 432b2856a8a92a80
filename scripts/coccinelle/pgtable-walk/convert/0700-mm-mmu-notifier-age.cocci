// SPDX-License-Identifier: GPL-2.0
/// mm/mmu_notifier: Ask about many pages in one call
///
/// A walker that goes through a page table asks secondary MMUs about each of its pages,
/// 512 times for a table: two SRCU sections, an indirect call, and in KVM the lookup of
/// a memslot and a walk from the root, for one bit each.
///
/// Add an operation that is told of many pages by a bitmap, and answers by one. Bits are
/// wanted one by one, for pages that the caller will not promote must not be made old:
/// that is evidence for others. All subscribers see the same question and add to the same
/// answer.
///
/// It is meant for those who can answer without the lock of their MMU, which may change
/// from call to call. The others, and those who don't have the operation, get the calls
/// that they have always got, one for each bit.
// File: include/linux/mmu_notifier.h
// Hunks: - 1
// Applied: - ^struct mmu_notifier_age;
// File: mm/mmu_notifier.c
// Hunks: - 1
// Applied: - linux/mmu_notifier_age\.h

@@
@@
 struct mmu_notifier;
+struct mmu_notifier_age;

@@
@@
 #include <linux/mmu_notifier.h>
+#include <linux/mmu_notifier_age.h>
