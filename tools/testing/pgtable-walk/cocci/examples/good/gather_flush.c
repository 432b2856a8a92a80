// SPDX-License-Identifier: GPL-2.0-only

static void good_always(struct kvm *kvm, struct pgtable_gather *gather)
{
	kvm_flush_remote_tlbs(kvm);
	pgtable_gather_free(gather);
}

static void good_when_needed(struct kvm *kvm, struct pgtable_gather *gather)
{
	if (!pgtable_gather_empty(gather))
		kvm_riscv_hfence_gvma_vmid_all(kvm, -1UL, 0);
	pgtable_gather_free(gather);
}

static void good_one_of_two(struct kvm *kvm, struct change *change)
{
	if (change->leaves > 1 || !pgtable_gather_empty(&change->tables))
		kvm_flush_remote_tlbs(kvm);
	else if (change->leaves)
		mine_remote_tlb_flush(kvm, change->addr);
	change->leaves = 0;

	pgtable_gather_free(&change->tables);
}
