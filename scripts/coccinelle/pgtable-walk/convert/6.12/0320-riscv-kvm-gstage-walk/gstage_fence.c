// SPDX-License-Identifier: GPL-2.0

void gstage_fence(struct kvm *kvm, gpa_t start, gpa_t size, unsigned int order)
{
	kvm_riscv_hfence_gvma_vmid_gpa(kvm, -1UL, 0, start, size, order);
}
