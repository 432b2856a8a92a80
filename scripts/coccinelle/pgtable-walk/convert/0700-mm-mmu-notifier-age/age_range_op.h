/* SPDX-License-Identifier: GPL-2.0 */

	/*
	 * age_range is clear_young or test_young of many parts of a range, see
	 * struct mmu_notifier_age. It must not sleep nor take the lock of the
	 * secondary MMU: it returns -EOPNOTSUPP, and has touched nothing, if it
	 * would have to. Else it returns 0.
	 */
	int (*age_range)(struct mmu_notifier *subscription,
			 struct mm_struct *mm,
			 const struct mmu_notifier_age *age);
