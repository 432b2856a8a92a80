// SPDX-License-Identifier: GPL-2.0

#ifdef CONFIG_KVM_MMU_LOCKLESS_AGING
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

	__for_each_rmap_spte(val, &iter, sptep) {
		young |= spte_age(sptep, clear, stats);
		if (young && !clear)
			break;
	}
	kvm_rmap_unlock_readonly(rmap_head, val);
	return young;
}

/* The memslot, and with it the heads, is protected by kvm->srcu. */
static bool kvm_rmap_age_gfn_range(struct kvm *kvm, struct kvm_gfn_range *range,
				   bool test_only)
{
	struct pgtable_walk_stats stats = {};
	struct kvm_rmap_head *head, *last;
	int level;

	kvm_age_assert_locks(kvm, range);

	for (level = PG_LEVEL_4K; level <= KVM_MAX_HUGEPAGE_LEVEL; level++) {
		head = gfn_to_rmap(range->start, level, range->slot);
		last = gfn_to_rmap(range->end - 1, level, range->slot);

		for (; head <= last; head++)
			if (kvm_rmap_age(head, !test_only, &stats) && test_only)
				goto out;
	}
out:
	pgtable_walk_account_age(gfn_to_gpa(range->start), gfn_to_gpa(range->end), !test_only,
				 &stats);
	return stats.young;
}
#else
