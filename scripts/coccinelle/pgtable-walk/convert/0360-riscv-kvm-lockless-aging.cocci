// SPDX-License-Identifier: GPL-2.0
/// RISC-V: KVM: Age guest memory without mmu_lock
///
/// RCU keeps the root and the tables from being freed under a walk, and all
/// code that writes to entries expects A bits to be cleared meanwhile. So
/// don't take mmu_lock to query or clear the accessed state.
///
/// Age whole ranges. The old code looks at the first leaf of a range only: a
/// transparent huge page, which the G-stage maps in pages of 4 KiB, counts as
/// old unless its first page is used. It also warns when the edge of a memslot
/// clips a range.
///
/// 32-bit kernels use the same walk, under mmu_lock.
// File: arch/riscv/kvm/mmu.c
// Hunks: gstage_get_leaf_entry 1
// Hunks 7.3: gstage_get_leaf_entry 0
// Hunks: kvm_age_gfn 1
// Hunks: kvm_test_age_gfn 1
// Applied: - !\b(gstage_get_leaf_entry|kvm_(test_)?age_gfn)\b

@@
identifier f = { kvm_age_gfn, kvm_test_age_gfn };
type T;
@@
-T f(...) { ... }

@@
type T;
@@
-static T gstage_get_leaf_entry(...) { ... }
