/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Ask secondary MMUs about many parts of a range at once.
 */
#ifndef _LINUX_MMU_NOTIFIER_AGE_H
#define _LINUX_MMU_NOTIFIER_AGE_H

#include <linux/mmu_notifier.h>

/**
 * struct mmu_notifier_age - what is asked of secondary MMUs
 * @start: first address, aligned to a page
 * @nr: how many bits the bitmaps have; bit i stands for the addresses from
 *	@start + (i << @shift) on, 1 << @shift bytes of them
 * @shift: see @nr; at least PAGE_SHIFT
 * @clear: forget that the wanted parts were used, as clear_young() does
 * @want: which parts are asked about, the same for all subscribers
 * @young: those that were used are set here, and nothing is cleared: the caller does that
 *	   before, and each subscriber adds what it knows
 */
struct mmu_notifier_age {
	unsigned long start;
	unsigned int nr;
	unsigned int shift;
	bool clear;
	const unsigned long *want;
	unsigned long *young;
};

/**
 * mmu_notifier_age_end() - the address behind what is asked about
 * @age: what is asked
 *
 * Return: the address behind what the last bit stands for.
 */
static inline unsigned long mmu_notifier_age_end(const struct mmu_notifier_age *age)
{
	return age->start + ((unsigned long)age->nr << age->shift);
}

#ifdef CONFIG_MMU_NOTIFIER_AGE
void __mmu_notifier_age_range(struct mm_struct *mm, const struct mmu_notifier_age *age);
void mmu_notifier_age_one(struct mmu_notifier *subscription, struct mm_struct *mm,
			  const struct mmu_notifier_age *age);
void mmu_notifier_age_done(const struct mmu_notifier_age *age);

/**
 * mmu_notifier_age_range() - ask secondary MMUs which parts of a range were used
 * @mm: the address space
 * @age: what is asked, and where the answer goes
 *
 * Context: any that clear_young() may be called in: page-table locks may be held, and a
 * subscriber that can't do without the lock of its MMU takes it.
 */
static inline void mmu_notifier_age_range(struct mm_struct *mm, const struct mmu_notifier_age *age)
{
	if (mm_has_notifiers(mm))
		__mmu_notifier_age_range(mm, age);
}
#else
static inline void mmu_notifier_age_range(struct mm_struct *mm, const struct mmu_notifier_age *age)
{
}
#endif

#endif /* _LINUX_MMU_NOTIFIER_AGE_H */
