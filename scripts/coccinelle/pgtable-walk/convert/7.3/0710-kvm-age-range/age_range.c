// SPDX-License-Identifier: GPL-2.0

#ifdef CONFIG_MMU_NOTIFIER_AGE
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

	if (!kvm_age_lockless(kvm))
		return -EOPNOTSUPP;

	if (!kvm_age_wanted(age, &range.start, &range.end))
		return 0;

	if (age->clear)
		trace_kvm_age_hva(range.start, range.end);
	else
		trace_kvm_test_age_hva(range.start);
	kvm_handle_hva_range(kvm, &range);
	return 0;
}
#else
#define kvm_mmu_notifier_age_range NULL
#endif
