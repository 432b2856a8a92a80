/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The mmu notifier, as far as queries need it here: names of types.
 */
#ifndef PGTABLE_WALK_HOST_MMU_NOTIFIER_H
#define PGTABLE_WALK_HOST_MMU_NOTIFIER_H

#include <linux/types.h>

struct mm_struct;
struct mmu_notifier;

#endif /* PGTABLE_WALK_HOST_MMU_NOTIFIER_H */
