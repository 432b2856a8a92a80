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
	unsigned long first = 0, end;

	if (!kvm_age_lockless(kvm))
		return -EOPNOTSUPP;

	/*
	 * One walk costs less than one for each run of wanted pages, but an unwanted huge part
	 * may hold a whole table of leaves.
	 */
	for (; first < age->nr; first = end) {
		end = age->nr;
		if (age->want) {
			first = find_next_bit(age->want, age->nr, first);
			if (first >= age->nr)
				break;
			end = age->shift > PAGE_SHIFT ?
			      find_next_zero_bit(age->want, age->nr, first) :
			      find_last_bit(age->want, age->nr) + 1;
		}

		range.start = age->start + (first << age->shift);
		range.end = age->start + (end << age->shift);
		if (age->clear)
			trace_kvm_age_hva(range.start, range.end);
		else
			trace_kvm_test_age_hva(range.start);
		__kvm_handle_hva_range(kvm, &range);
	}
	return 0;
}
#else
#define kvm_mmu_notifier_age_range NULL
#endif
