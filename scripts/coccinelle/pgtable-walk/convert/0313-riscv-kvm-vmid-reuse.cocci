// SPDX-License-Identifier: GPL-2.0
/// RISC-V: KVM: Fence a VMID on each CPU where a VM takes it over
///
/// When VMIDs run out, all CPUs are fenced once and VMIDs are assigned anew.
/// Meanwhile hgatp still holds a VMID that its VM no longer owns, also outside
/// of guest mode, so hardware may cache translations under it, which the next
/// VM with that VMID then uses. So far these led to another VM's memory; once
/// tables are freed, they lead to freed tables. A CPU that was offline was not
/// fenced at all.
///
/// Fence a new VMID on each CPU that starts to use it, as the privileged
/// specification asks. A vCPU that comes from another CPU fences when it is
/// loaded. If the VMID is no longer the VM's own, load VMID 0, which no VM
/// gets.
///
/// A vCPU that finds the VMID's version up to date goes on with what hgatp
/// holds, and compares that with the VMID before it reads guest memory. So
/// write the VMID and the request to load hgatp first, then the version with
/// release order, and read the version with acquire order.
// File 6.12: arch/riscv/kvm/mmu.c
// Hunks: kvm_riscv_gstage_update_hgatp 1
// Applied: kvm_riscv_gstage_update_hgatp \bgstage_hgatp_vmid\b
// File 7.3: arch/riscv/kvm/mmu.c
// Hunks: kvm_riscv_mmu_update_hgatp 1
// Applied: kvm_riscv_mmu_update_hgatp \bgstage_hgatp_vmid\b
// File: arch/riscv/kvm/vcpu.c
// Hunks: kvm_riscv_check_vcpu_requests 2
// Applied: kvm_riscv_check_vcpu_requests UPDATE_HGATP, vcpu\)\) \{
// File: arch/riscv/kvm/vmid.c
// Hunks: kvm_riscv_gstage_vmid_ver_changed 1
// Hunks: kvm_riscv_gstage_vmid_update 3
// Applied: kvm_riscv_gstage_vmid_ver_changed \bsmp_load_acquire\b
// Applied: kvm_riscv_gstage_vmid_update \bsmp_store_release\b

@@
identifier f = { kvm_riscv_gstage_update_hgatp, kvm_riscv_mmu_update_hgatp };
identifier vcpu, k;
@@
 f(struct kvm_vcpu *vcpu)
 {
 	<...
-	READ_ONCE(k->vmid.vmid)
+	gstage_hgatp_vmid(vcpu)
 	...>
 }

@@
identifier vcpu, update_hgatp;
identifier fence = { kvm_riscv_hfence_gvma_vmid_all_process, kvm_riscv_tlb_flush_process };
expression whole;
@@
 kvm_riscv_check_vcpu_requests(struct kvm_vcpu *vcpu)
 {
 	<+...
-	if (kvm_check_request(KVM_REQ_UPDATE_HGATP, vcpu))
-		update_hgatp(vcpu);
+	if (kvm_check_request(KVM_REQ_UPDATE_HGATP, vcpu)) {
+		update_hgatp(vcpu);
+		/* Of what was cached for those who had this VMID before. */
+		fence(vcpu);
+	}
 	...
 	if (kvm_check_request(whole, vcpu))
 		fence(vcpu);
 	...+>
 }

@@
identifier vmid;
expression version;
@@
 kvm_riscv_gstage_vmid_ver_changed(struct kvm_vmid *vmid)
 {
 	...
-	return unlikely(READ_ONCE(vmid->vmid_version) != version);
+	/* Pairs with kvm_riscv_gstage_vmid_update(); litmus: vmid-version. */
+	return unlikely(smp_load_acquire(&vmid->vmid_version) != version);
 }

@@
iterator name kvm_for_each_vcpu;
symbol vmid_next, vmid_lock;
identifier vcpu, vmid, i, v;
expression version;
@@
 kvm_riscv_gstage_vmid_update(struct kvm_vcpu *vcpu)
 {
 	...
-	vmid->vmid = vmid_next;
+	WRITE_ONCE(vmid->vmid, vmid_next);
 	...
-	WRITE_ONCE(vmid->vmid_version, version);
-
-	spin_unlock(&vmid_lock);
-
 	/* Request G-stage page table update for all VCPUs */
 	kvm_for_each_vcpu(i, v, vcpu->kvm)
 		kvm_make_request(KVM_REQ_UPDATE_HGATP, v);
+
+	/* Who finds the version finds the VMID and the request; litmus: vmid-version. */
+	smp_store_release(&vmid->vmid_version, version);
+
+	spin_unlock(&vmid_lock);
 }
