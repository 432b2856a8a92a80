// SPDX-License-Identifier: GPL-2.0

#ifdef CONFIG_MMU_NOTIFIER_AGE
	"mmu_notifier_age_range",
	"mmu_notifier_age_refused",
#endif
