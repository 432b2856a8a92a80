// SPDX-License-Identifier: GPL-2.0
/// KVM: arm64: Free the stage 2 of a VM whose creation fails
///
/// The mmu notifier's ->release() tears down the stage 2, when the VMM exits
/// or when the VM is destroyed. KVM_CREATE_VM creates the stage 2 first and
/// registers the notifier then, which fails if a signal is pending. Nothing
/// calls ->release() in that case, and the root table, struct kvm_pgtable and
/// the per-CPU data are lost.
///
/// Tear it down when struct kvm is destroyed. That finds nothing to do after
/// ->release().
// File: arch/arm64/kvm/arm.c
// Hunks: kvm_arch_destroy_vm 1
// Applied: kvm_arch_destroy_vm \bkvm_uninit_stage2_mmu\b

@@
identifier kvm;
@@
 kvm_arch_destroy_vm(struct kvm *kvm)
 {
+	/* A VM whose creation failed may have no notifier that did it. */
+	kvm_uninit_stage2_mmu(kvm);
+
 	bitmap_free(kvm->arch.pmu_filter);
 	...
 }
