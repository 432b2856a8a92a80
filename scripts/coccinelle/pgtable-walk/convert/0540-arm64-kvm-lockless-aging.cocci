// SPDX-License-Identifier: GPL-2.0
/// KVM: arm64: Age guest memory without mmu_lock
///
/// RCU keeps the root and the tables from being freed under a walk, and all
/// code that writes to entries expects the access flag to be cleared
/// meanwhile. So don't take mmu_lock to query or clear the accessed state, and
/// use the shared walker.
///
/// Remove stage2_age_walker(). It stored a value under the lock that it had
/// read before, and only a single test kept it from writing to the invalid
/// entry of a break-before-make sequence.
///
/// Protected KVM (kvm-arm.mode=protected) does not change who owns a guest's
/// stage 2: in 6.12 the host still builds it, in page tables, and hardware
/// walks those. Age all VMs there by the same walk, but with mmu_lock held for
/// write, as before. This is untested: QEMU 7.2 does not get that far, with
/// stock 6.12 neither.
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
iterator name for_each_possible_cpu;
@@
-T f(...) { ... }
