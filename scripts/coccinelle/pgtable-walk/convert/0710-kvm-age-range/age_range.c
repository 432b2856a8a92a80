// SPDX-License-Identifier: GPL-2.0

#ifdef CONFIG_KVM_MMU_LOCKLESS_AGING
static int kvm_mmu_notifier_age_range(struct mmu_notifier *mn, struct mm_struct *mm,
				      const struct mmu_notifier_age *age)
{
	struct kvm *kvm = mmu_notifier_to_kvm(mn);
	struct kvm_mmu_notifier_range range = {
		.arg.age	= age,
		.handler	= kvm_age_gfn_batch,
		.on_lock	= (void *)kvm_null_fn,
		.lockless	= true,
	};
	unsigned long first = 0, end = age->nr;

	if (!kvm_age_lockless(kvm))
		return -EOPNOTSUPP;

	/* One walk, which skips what is not wanted, costs less than one for each run of parts. */
	if (age->want) {
		first = find_first_bit(age->want, age->nr);
		if (first >= age->nr)
			return 0;
		end = find_last_bit(age->want, age->nr) + 1;
	}

	range.start = age->start + (first << age->shift);
	range.end = age->start + (end << age->shift);
	if (age->clear)
		trace_kvm_age_hva(range.start, range.end);
	else
		trace_kvm_test_age_hva(range.start);
	__kvm_handle_hva_range(kvm, &range);
	return 0;
}
#else
#define kvm_mmu_notifier_age_range NULL
#endif
