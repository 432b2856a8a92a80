// SPDX-License-Identifier: GPL-2.0
/*
 * Guest memory that is read through the guest's page tables, by HLV and HLVX, while the
 * vCPU is outside of guest mode.
 *
 * Hardware may start from anything that this CPU has cached under the VM's VMID, pointers
 * to tables included.  What keeps it off tables that are on their way to be freed:
 *
 *  - While a read is under way, the vCPU's mode says so, and those who request a fence
 *    wait until interrupts are on again, as they do for a vCPU in the guest.
 *  - A fence that was requested before is made up for here.  The request stays, for the
 *    next entry to the guest.
 *  - A fence that another CPU got in place of this one: kvm_arch_vcpu_load() fences when
 *    the CPU changes.
 *  - A VMID that may be another VM's by now, or VMID 0 for want of one: fenced before the
 *    read, so that nothing of another VM is used, and behind it, so that nothing stays for
 *    another VM to use.
 */
#include <linux/irqflags.h>
#include <linux/smp.h>
#include <asm/csr.h>

#include "guest_read.h"

/* The VMID that reads are made with: that of the last kvm_riscv_gstage_update_hgatp(). */
static unsigned long guest_read_vmid(void)
{
	return (csr_read(CSR_HGATP) & HGATP_VMID) >> HGATP_VMID_SHIFT;
}

/*
 * VMIDs have run out since, and ours was, or will be, given to somebody else.  Where the
 * version is that of now, so is the VMID: it is written first, and read behind an acquire
 * (litmus: vmid-version).
 */
static bool guest_read_foreign_vmid(struct kvm_vcpu *vcpu)
{
	struct kvm_vmid *vmid = &vcpu->kvm->arch.vmid;

	return kvm_riscv_gstage_vmid_ver_changed(vmid) ||
	       guest_read_vmid() != READ_ONCE(vmid->vmid);
}

/**
 * kvm_riscv_guest_read_begin() - get ready to read through the guest's page tables
 * @vcpu: the vCPU, loaded, outside of guest mode
 *
 * Context: interrupts off, until kvm_riscv_guest_read_end().
 */
void kvm_riscv_guest_read_begin(struct kvm_vcpu *vcpu)
{
	lockdep_assert_irqs_disabled();

	WRITE_ONCE(vcpu->mode, READING_SHADOW_PAGE_TABLES);
	/*
	 * Either the one who requests a fence sees the mode, or we see the request.  Pairs
	 * with smp_mb__before_atomic() in kvm_vcpu_exiting_guest_mode(); litmus: guest-read.
	 */
	smp_mb();

	if (kvm_test_request(KVM_REQ_TLB_FLUSH, vcpu) ||
	    kvm_test_request(KVM_REQ_HFENCE, vcpu) || guest_read_foreign_vmid(vcpu))
		kvm_riscv_local_hfence_gvma_vmid_all(guest_read_vmid());
}

/**
 * kvm_riscv_guest_read_end() - done with reading through the guest's page tables
 * @vcpu: the vCPU
 *
 * Context: interrupts off since kvm_riscv_guest_read_begin().
 */
void kvm_riscv_guest_read_end(struct kvm_vcpu *vcpu)
{
	if (guest_read_foreign_vmid(vcpu))
		kvm_riscv_local_hfence_gvma_vmid_all(guest_read_vmid());

	/* The reads come first, then nobody waits for them; litmus: guest-read. */
	smp_store_release(&vcpu->mode, OUTSIDE_GUEST_MODE);
}
