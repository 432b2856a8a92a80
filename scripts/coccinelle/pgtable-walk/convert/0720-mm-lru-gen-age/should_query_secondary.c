// SPDX-License-Identifier: GPL-2.0

static bool should_query_secondary(struct mm_struct *mm)
{
#ifdef CONFIG_MMU_NOTIFIER_AGE
	if (!get_cap(LRU_GEN_SECONDARY))
		return false;
#endif
	return mm_has_notifiers(mm);
}
