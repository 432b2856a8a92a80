// SPDX-License-Identifier: GPL-2.0
/// KVM: arm64: Age guest memory without mmu_lock
///
/// The root and the tables outlive whoever found them under RCU, and all who write to
/// entries expect the access flag to go away meanwhile. So leave mmu_lock alone when
/// asked whether pages were used, and let the shared walker look.
///
/// What goes is stage2_age_walker(), which stored under the lock what it had read
/// before, and took the invalid entry of somebody else's break-before-make for granted
/// to be none of its business only because of one test.
///
/// The switch of protected KVM (kvm-arm.mode=protected) does not change who has a
/// guest's stage 2: in 6.12 the host still builds it, in page tables, and hardware walks
/// those. All VMs are aged by the same walk there, but with mmu_lock held for write, as
/// before. That is untested: QEMU 7.2 does not get that far, on stock neither.
// File: arch/arm64/include/asm/kvm_pgtable.h
// Hunks: - 1
// Applied: - !\bkvm_pgtable_stage2_test_clear_young\b
// File: arch/arm64/kvm/hyp/pgtable.c
// Hunks: struct stage2_age_data 1
// Hunks: stage2_age_walker 1
// Hunks: kvm_pgtable_stage2_test_clear_young 1
// Applied: - !\bstage2_age_\w+
// File: arch/arm64/kvm/mmu.c
// Hunks: kvm_age_gfn 1
// Hunks: kvm_test_age_gfn 1
// Applied: - !\bkvm_(test_)?age_gfn\b

@@
type T;
@@
-T kvm_pgtable_stage2_test_clear_young(...);

@@
@@
-struct stage2_age_data { ... };

@@
type T;
identifier f = { stage2_age_walker, kvm_pgtable_stage2_test_clear_young };
@@
(
-static T f(...) { ... }
|
-T f(...) { ... }
)

@@
type T;
identifier f = { kvm_age_gfn, kvm_test_age_gfn };
@@
-T f(...) { ... }
