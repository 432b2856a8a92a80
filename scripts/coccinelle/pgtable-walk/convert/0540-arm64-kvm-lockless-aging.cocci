// SPDX-License-Identifier: GPL-2.0
/// KVM: arm64: Age guest memory without mmu_lock
///
/// RCU keeps the root and the tables from being freed under a walk, and all
/// code that writes to entries expects the access flag to be cleared
/// meanwhile. So don't take mmu_lock to query or clear the accessed state, and
/// use the shared walker.
///
/// Keep stage2_age_walker() only where EL2 ages the guests of protected KVM
/// with it, under a lock of its own. For others it is gone: it stored a value
/// under mmu_lock that it had read before, and only a single test kept it from
/// writing to the invalid entry of a break-before-make sequence.
///
/// With protected KVM (kvm-arm.mode=protected), age all VMs with mmu_lock held
/// for write, as before: by the same walk where the kernel still builds the
/// page tables that hardware walks, and by hypercalls where EL2 does. This is
/// untested: QEMU 7.2 does not get that far, with stock 6.12 neither.
// File 6.12: arch/arm64/include/asm/kvm_pgtable.h
// Hunks: - 1
// Applied: - !\bkvm_pgtable_stage2_test_clear_young\b
// File 6.12: arch/arm64/kvm/hyp/pgtable.c
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
