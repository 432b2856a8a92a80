/* SPDX-License-Identifier: GPL-2.0 */

	/*
	 * age_range is clear_young or test_young of many parts of a range, see
	 * struct mmu_notifier_age. It must not sleep nor take the lock of the
	 * secondary MMU; -EOPNOTSUPP says that this can't be done for now, and
	 * that nothing was touched. Else 0.
	 */
	int (*age_range)(struct mmu_notifier *subscription,
			 struct mm_struct *mm,
			 const struct mmu_notifier_age *age);
