// SPDX-License-Identifier: GPL-2.0

void kvm_riscv_mmu_free_pgd(struct kvm *kvm)
{
	/* Once, although ->release() may run twice at the same time. */
	if (kvm_riscv_gstage_free_pgd(kvm))
		kvm_mmu_free_memory_cache(&kvm->arch.pgd_split_page_cache);
}
