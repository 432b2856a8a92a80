// SPDX-License-Identifier: GPL-2.0
/// RISC-V: KVM: Free the G-stage of a VM whose creation fails
///
/// The notifier's ->release() frees the G-stage when the VM is torn down. If
/// KVM_CREATE_VM fails to register the notifier, because a signal is pending
/// or memory is short, nothing calls ->release(): 16 KiB are lost, and the
/// root stays published.
///
/// Free the G-stage in kvm_arch_destroy_vm(), which runs in both cases. It
/// does nothing if ->release() was there first.
// File: arch/riscv/kvm/vm.c
// Hunks: kvm_arch_destroy_vm 1
// Applied: kvm_arch_destroy_vm \bkvm_riscv_(gstage|mmu)_free_pgd\b

@init@
identifier free_pgd = { kvm_riscv_gstage_free_pgd, kvm_riscv_mmu_free_pgd };
identifier kvm;
@@
 kvm_arch_init_vm(struct kvm *kvm, ...)
 {
 	<+...
 	free_pgd(kvm);
 	...+>
 }

@@
identifier init.free_pgd;
identifier kvm;
@@
 kvm_arch_destroy_vm(struct kvm *kvm)
 {
 	...
 	kvm_riscv_aia_destroy_vm(kvm);
+
+	free_pgd(kvm);
 	...
 }
