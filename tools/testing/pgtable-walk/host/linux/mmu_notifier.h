/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The mmu notifier, as far as queries need it here: names of types, and what is never called.
 */
#ifndef PGTABLE_WALK_HOST_MMU_NOTIFIER_H
#define PGTABLE_WALK_HOST_MMU_NOTIFIER_H

#include <linux/types.h>

struct mm_struct;
struct mmu_notifier;

bool mm_has_notifiers(struct mm_struct *mm);

#endif /* PGTABLE_WALK_HOST_MMU_NOTIFIER_H */
