// SPDX-License-Identifier: GPL-2.0

/* All that ages a range comes through here, so that no lock goes uncounted. */
static __always_inline bool kvm_age_hva_range(struct kvm *kvm,
					      const struct kvm_mmu_notifier_range *range)
{
	kvm_mn_ret_t r = __kvm_handle_hva_range(kvm, range);

	kvm_count_aging(r.found_memslot, range->lockless);
	return r.ret;
}
