/* SPDX-License-Identifier: GPL-2.0 */

#ifdef CONFIG_MMU_NOTIFIER_AGE
	struct folio_age *age;
#endif
