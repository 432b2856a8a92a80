// SPDX-License-Identifier: GPL-2.0

#ifdef CONFIG_KVM_MMU_LOCKLESS_AGING
static void kvm_rmap_age_batch(const struct kvm_memory_slot *slot,
			       struct pgtable_age_batch *batch)
{
	struct kvm_rmap_head *head;
	int level;
	gpa_t gpa;

	for (level = PG_LEVEL_4K; level <= KVM_MAX_HUGEPAGE_LEVEL; level++) {
		const u64 size = KVM_HPAGE_SIZE(level);

		for (gpa = batch->start & ~(size - 1); gpa < batch->end; gpa += size) {
			if (!pgtable_age_wanted(batch, gpa, size, false))
				continue;

			head = gfn_to_rmap(gpa_to_gfn(gpa), level, slot);
			if (kvm_rmap_age(head, pgtable_age_clears(batch, gpa, size),
					 &batch->stats))
				pgtable_age_wanted(batch, gpa, size, true);
		}
	}
}

bool kvm_age_gfn_batch(struct kvm *kvm, struct kvm_gfn_range *range)
{
	struct pgtable_age_batch batch = kvm_age_batch(range);

	kvm_age_assert_locks(kvm, range);

	if (kvm_may_have_shadow_sptes(kvm))
		kvm_rmap_age_batch(range->slot, &batch);
	if (tdp_mmu_enabled)
		kvm_tdp_mmu_age_batch(kvm, range->slot->as_id, &batch);

	return kvm_age_batch_done(&batch);
}
#endif
