/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Query secondary MMUs about the accessed state of many pages in one call.
 */
#ifndef _LINUX_MMU_NOTIFIER_AGE_H
#define _LINUX_MMU_NOTIFIER_AGE_H

#include <linux/mmu_notifier.h>

/**
 * struct mmu_notifier_age - a query of secondary MMUs about parts of a range
 * @start: first address, aligned to a page
 * @nr: how many parts there are, one bit for each in the bitmaps; bit i stands for the
 *	addresses from @start + (i << @shift) on, 1 << @shift bytes of them
 * @shift: see @nr; at least PAGE_SHIFT
 * @clear: make the wanted parts old; otherwise change nothing
 * @want: the parts that the query is about, the same for all subscribers; NULL for all parts
 * @young: bits of wanted parts that were young are set here, and none is cleared, so that
 *	   the answers of several subscribers add up; NULL if the answer is not needed
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
 * mmu_notifier_age_end() - exclusive end address of a query
 * @age: the query
 *
 * Return: the address after the last part.
 */
static inline unsigned long mmu_notifier_age_end(const struct mmu_notifier_age *age)
{
	return age->start + ((unsigned long)age->nr << age->shift);
}

#ifdef CONFIG_MMU_NOTIFIER_AGE
int __mmu_notifier_age_range(struct mm_struct *mm, const struct mmu_notifier_age *age);
int mmu_notifier_age_one(struct mmu_notifier *subscription, struct mm_struct *mm,
			 const struct mmu_notifier_age *age);
void mmu_notifier_age_done(const struct mmu_notifier_age *age, int ret);

/**
 * mmu_notifier_age_range() - query all secondary MMUs about parts of a range
 * @mm: the address space
 * @age: the query
 *
 * A query may be refused because a subscriber has to take the lock of its MMU to answer, or
 * because the operator switched such queries off.  A test that was refused has changed
 * nothing.  A clear that was refused may have made parts old, whose answer is lost, and have
 * left others young: clear only what a test found young.  The caller can use
 * mmu_notifier_clear_young() and mmu_notifier_test_young() instead.
 *
 * Context: any that mmu_notifier_clear_young() may be called in: page-table locks may be held.
 *
 * Return: 0; -EOPNOTSUPP if the query was refused, and the bits in @age->young mean nothing.
 */
static inline int mmu_notifier_age_range(struct mm_struct *mm, const struct mmu_notifier_age *age)
{
	return mm_has_notifiers(mm) ? __mmu_notifier_age_range(mm, age) : 0;
}
#endif

#endif /* _LINUX_MMU_NOTIFIER_AGE_H */
