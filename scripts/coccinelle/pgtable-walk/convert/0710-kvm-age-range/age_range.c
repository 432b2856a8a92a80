// SPDX-License-Identifier: GPL-2.0

#ifdef CONFIG_KVM_MMU_LOCKLESS_AGING
/* The events of clear_young, with the whole range, and of test_young. */
static void kvm_trace_age_range(const struct mmu_notifier_age *age, unsigned long first,
				unsigned long end)
{
	const unsigned int shift = age->shift;

	if (age->clear) {
		trace_kvm_age_hva(age->start + (first << shift), age->start + (end << shift));
		return;
	}
	if (!trace_kvm_test_age_hva_enabled())
		return;

	for_each_set_bit_from(first, age->want, end)
		trace_kvm_test_age_hva(age->start + (first << shift));
}

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
	unsigned long first, end;

	if (!kvm_age_lockless(kvm))
		return -EOPNOTSUPP;

	/*
	 * One walk costs less than one for each run of wanted pages, but between huge ones
	 * there may be as much as a table of pages for each bit.
	 */
	for (first = find_first_bit(age->want, age->nr); first < age->nr;
	     first = find_next_bit(age->want, age->nr, end)) {
		end = age->shift > PAGE_SHIFT ? find_next_zero_bit(age->want, age->nr, first) :
						find_last_bit(age->want, age->nr) + 1;
		range.start = age->start + (first << age->shift);
		range.end = age->start + (end << age->shift);
		kvm_trace_age_range(age, first, end);
		kvm_age_hva_range(kvm, &range);
	}
	return 0;
}
#else
#define kvm_mmu_notifier_age_range NULL
#endif
