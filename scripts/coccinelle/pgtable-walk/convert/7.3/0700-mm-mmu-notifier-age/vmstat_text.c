// SPDX-License-Identifier: GPL-2.0

#ifdef CONFIG_MMU_NOTIFIER_AGE
	[I(MMU_NOTIFIER_AGE_RANGE)]		= "mmu_notifier_age_range",
	[I(MMU_NOTIFIER_AGE_REFUSED)]		= "mmu_notifier_age_refused",
#endif
