// SPDX-License-Identifier: GPL-2.0

#ifdef CONFIG_MMU_NOTIFIER_AGE
	if (get_cap(LRU_GEN_SECONDARY))
		caps |= BIT(LRU_GEN_SECONDARY);

#endif
