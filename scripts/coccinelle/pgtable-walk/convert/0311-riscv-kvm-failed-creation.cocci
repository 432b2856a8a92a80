// SPDX-License-Identifier: GPL-2.0
/// RISC-V: KVM: Free the G-stage of a VM whose creation fails
///
/// The G-stage is freed by the notifier's ->release(), which is called when the VM ends.
/// If a signal is pending, or memory is short, when KVM_CREATE_VM registers the notifier,
/// there is no notifier to call, and 16 KiB are lost. The root stays published as well.
///
/// Free it in kvm_arch_destroy_vm(), which both paths come to. Where ->release() was
/// there first, it does nothing.
// File: arch/riscv/kvm/vm.c
// Hunks: kvm_arch_destroy_vm 1
// Applied: kvm_arch_destroy_vm \bkvm_riscv_gstage_free_pgd\b

@@
identifier kvm;
@@
 kvm_arch_destroy_vm(struct kvm *kvm)
 {
 	...
 	kvm_riscv_aia_destroy_vm(kvm);
+
+	kvm_riscv_gstage_free_pgd(kvm);
 	...
 }
