// SPDX-License-Identifier: GPL-2.0
/// RISC-V: KVM: Age guest memory without mmu_lock
///
/// The root and the tables outlive whoever found them under RCU, and all who write
/// to entries expect A bits to go away meanwhile. So leave mmu_lock alone when
/// asked whether pages were used.
///
/// Age ranges while at it. What is there looks at the first leaf of a range only, so
/// a transparent huge page, which the G-stage maps in pages of 4 KiB, is old as long
/// as nobody touches its first page; and it warns about the ranges that remain where
/// a memslot's edge clips one.
///
/// 32-bit kernels walk the same way, under mmu_lock.
// File: arch/riscv/kvm/mmu.c
// Hunks: gstage_get_leaf_entry 1
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
