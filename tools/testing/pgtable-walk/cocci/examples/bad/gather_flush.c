// SPDX-License-Identifier: GPL-2.0-only

static void bad_no_flush(struct kvm *kvm, struct pgtable_gather *gather)
{
	pgtable_gather_free(gather); /* expect */
}

static void bad_flush_after(struct kvm *kvm, struct pgtable_gather *gather)
{
	pgtable_gather_free(gather); /* expect */
	kvm_flush_remote_tlbs(kvm);
}

static void bad_leaves_only(struct kvm *kvm, struct change *change)
{
	if (change->leaves > 1)
		kvm_flush_remote_tlbs(kvm);
	else if (change->leaves)
		mine_remote_tlb_flush(kvm, change->addr);
	pgtable_gather_free(&change->tables); /* expect */
}

static void bad_branch(struct kvm *kvm, struct change *change)
{
	if (!pgtable_gather_empty(&change->tables))
		change->count++;
	else if (change->leaves)
		mine_remote_tlb_flush(kvm, change->addr);
	pgtable_gather_free(&change->tables); /* expect */
}
