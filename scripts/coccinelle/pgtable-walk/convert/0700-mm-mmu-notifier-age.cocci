// SPDX-License-Identifier: GPL-2.0
/// mm/mmu_notifier: Query many pages in one call
///
/// A walker of page tables queries secondary MMUs about each of its pages, 512
/// times for a table. Each of these calls takes two SRCU sections, an indirect
/// call and, in KVM, the lookup of a memslot and a walk from the root.
///
/// Add an operation that takes a bitmap of wanted pages and answers with
/// another one. Pages are wanted one by one, as pages that the caller will not
/// promote must stay young: their accessed state is evidence for others. All
/// subscribers get the same query and add to the same answer.
///
/// The operation is for secondary MMUs that can answer without their lock,
/// which may change from call to call. If one of them cannot, or lacks the
/// operation, the query is refused, and the caller makes one call for each
/// page, as before.
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
