// SPDX-License-Identifier: GPL-2.0
/// KVM: Age many pages in one walk
///
/// Answer ->age_range(): from the first wanted page to the last, the range is looked up
/// in the memslots, all that overlap and of all address spaces, and handed to the
/// architecture, which walks its tables once and sets the bits of the wanted pages that
/// were used. Of parts larger than a page, each run of wanted ones is looked up and
/// walked. VMs that can't be aged without mmu_lock say so and get one call a page as
/// before. The trace events are those of the single calls: one kvm_age_hva for each
/// range, or kvm_test_age_hva for each page.
// File: include/linux/kvm_host.h
// Hunks: union kvm_mmu_notifier_arg 1
// Applied: union kvm_mmu_notifier_arg \bage\b
// File: virt/kvm/kvm_main.c
// Hunks: kvm_mmu_notifier_ops 1
// Applied: kvm_mmu_notifier_ops \bage_range\b

@@
@@
 union kvm_mmu_notifier_arg {
 	unsigned long attributes;
+	const struct mmu_notifier_age *age;
 };

@@
identifier ops;
@@
 struct mmu_notifier_ops ops = {
 	...,
 	.test_young = kvm_mmu_notifier_test_young,
+	.age_range = kvm_mmu_notifier_age_range,
 	...,
 };
