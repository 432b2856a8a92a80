// SPDX-License-Identifier: GPL-2.0
/// KVM: Age many pages in one walk
///
/// Implement ->age_range(). Look up the range from the first wanted page to
/// the last in the memslots of all address spaces, and hand each overlap to
/// the architecture, which walks its tables once and sets the bits of the
/// wanted pages that were used. The walk skips unwanted parts.
///
/// VMs that cannot be aged without mmu_lock return -EOPNOTSUPP and get one
/// call per page, as before. A query emits the trace event of a single call
/// once: kvm_age_hva for the range, or kvm_test_age_hva for its first address.
// File: include/linux/kvm_host.h
// Hunks: union kvm_mmu_notifier_arg 1
// Applied: union kvm_mmu_notifier_arg \bage\b

@@
@@
 union kvm_mmu_notifier_arg {
 	unsigned long attributes;
+	const struct mmu_notifier_age *age;
 };
