// SPDX-License-Identifier: GPL-2.0

#ifdef CONFIG_KVM_GENERIC_AGING
/* Was one of the SPTEs young?  Without @clear the first that is ends it. */
static bool kvm_rmap_age(struct kvm_rmap_head *rmap_head, bool clear,
			 struct pgtable_walk_stats *stats)
{
	struct rmap_iterator iter;
	unsigned long val;
	bool young = false;
	u64 *sptep;

	val = kvm_rmap_lock_readonly(rmap_head);
	if (!val)
		return false;

	for (sptep = __rmap_get_first(val, &iter); sptep; sptep = rmap_get_next(&iter)) {
		young |= spte_age(sptep, clear, stats);
		if (young && !clear)
			break;
	}
	kvm_rmap_unlock_readonly(rmap_head, val);
	return young;
}

/* A head that the request is not about is not even locked. */
static void kvm_rmap_age_range(const struct kvm_memory_slot *slot, struct pgtable_age *age)
{
	struct kvm_rmap_head *head;
	int level;
	gpa_t gpa;

	for (level = PG_LEVEL_4K; level <= KVM_MAX_HUGEPAGE_LEVEL; level++) {
		const u64 size = KVM_HPAGE_SIZE(level);

		for (gpa = age->start & ~(size - 1); gpa < age->end; gpa += size) {
			if (age->want)
				gpa = pgtable_age_seek(age, max(gpa, age->start)) & ~(size - 1);
			if (gpa >= age->end || !pgtable_age_wanted(age, gpa, size))
				continue;

			head = gfn_to_rmap(gpa_to_gfn(gpa), level, slot);
			if (!kvm_rmap_age(head, pgtable_age_clears(age, gpa, size), &age->stats))
				continue;

			pgtable_age_mark_young(age, gpa, size);
			if (pgtable_age_done(age))
				return;
		}
	}
}

/* An rmap may have hundreds of SPTEs, so the TDP MMU is queried first. */
void kvm_arch_age(struct kvm *kvm, const struct kvm_memory_slot *slot, struct pgtable_age *age)
{
	if (tdp_mmu_enabled)
		kvm_tdp_mmu_age(kvm, slot->as_id, age);
	if (!pgtable_age_done(age) && kvm_may_have_shadow_mmu_sptes(kvm))
		kvm_rmap_age_range(slot, age);
}
#endif /* CONFIG_KVM_GENERIC_AGING */
