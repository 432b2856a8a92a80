// SPDX-License-Identifier: GPL-2.0
/// KVM: arm64: End the stage 2 of a VM that could not be made
///
/// The stage 2 is torn down by the mmu notifier's ->release(), when the VMM exits or
/// when the VM ends. KVM_CREATE_VM makes the stage 2 first and registers the notifier
/// then, which fails if a signal is pending: nobody is left to call ->release(), and
/// the root table, struct kvm_pgtable and the per-CPU data are lost.
///
/// Let the end of struct kvm see to it. It finds nothing to do after ->release().
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
