/* SPDX-License-Identifier: GPL-2.0 */

#ifdef CONFIG_MMU_NOTIFIER_AGE
	LRU_GEN_SECONDARY,
#endif
