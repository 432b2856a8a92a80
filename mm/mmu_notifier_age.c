// SPDX-License-Identifier: GPL-2.0
/*
 * Ask secondary MMUs about many parts of a range at once, or, those that can't answer
 * so, about one part after the other.
 */
#include <linux/bitmap.h>
#include <linux/mmu_notifier.h>
#include <linux/mmu_notifier_age.h>
#include <linux/pgtable_walk.h>

#include <trace/events/pgtable_walk.h>

/* What was asked of a subscriber before there was ->age_range(), part by part. */
static void age_part_by_part(struct mmu_notifier *subscription, struct mm_struct *mm,
			     const struct mmu_notifier_age *age)
{
	const struct mmu_notifier_ops *ops = subscription->ops;
	unsigned int i;

	for_each_set_bit(i, age->want, age->nr) {
		unsigned long addr = age->start + ((unsigned long)i << age->shift);
		const unsigned long end = addr + (1UL << age->shift);
		bool young = false;

		if (age->clear)
			young = ops->clear_young(subscription, mm, addr, end);
		else
			for (; !young && addr < end; addr += PAGE_SIZE)
				young = ops->test_young(subscription, mm, addr);

		if (young)
			__set_bit(i, age->young);
	}
}

static void age_without_batch(struct mmu_notifier *subscription, struct mm_struct *mm,
			      const struct mmu_notifier_age *age, enum pgtable_walk_counter reason)
{
	pgtable_walk_count(PGTABLE_BATCH_FALLBACK, 1);
	pgtable_walk_count(reason, 1);
	age_part_by_part(subscription, mm, age);
}

/**
 * mmu_notifier_age_one() - ask one secondary MMU
 * @subscription: the subscriber
 * @mm: its address space
 * @age: what is asked; bits are added to what earlier subscribers answered
 *
 * A subscriber that can't answer without the lock of its MMU says -EOPNOTSUPP, now or as
 * soon as it can't any more, and has then touched nothing.  It gets the calls that it
 * would get if there was no ->age_range(); so do all while batching is switched off.
 * Nothing is asked of one that has not got these, as before.
 *
 * Context: SRCU read section of the mmu notifiers; page-table locks may be held.
 */
void mmu_notifier_age_one(struct mmu_notifier *subscription, struct mm_struct *mm,
			  const struct mmu_notifier_age *age)
{
	const struct mmu_notifier_ops *ops = subscription->ops;
	unsigned int known;

	/* It knows nothing of what was used. */
	if (age->clear ? !ops->clear_young : !ops->test_young)
		return;

	if (!ops->age_range) {
		age_without_batch(subscription, mm, age, PGTABLE_BATCH_UNABLE);
		return;
	}
	if (!pgtable_walk_batch_enabled()) {
		age_without_batch(subscription, mm, age, PGTABLE_BATCH_OFF);
		return;
	}

	known = bitmap_weight(age->young, age->nr);
	if (ops->age_range(subscription, mm, age) == -EOPNOTSUPP) {
		age_without_batch(subscription, mm, age, PGTABLE_BATCH_LOCKED);
		return;
	}

	pgtable_walk_count(PGTABLE_BATCHES, 1);
	pgtable_walk_count(PGTABLE_BATCH_WANTED, bitmap_weight(age->want, age->nr));
	pgtable_walk_count(PGTABLE_BATCH_YOUNG, bitmap_weight(age->young, age->nr) - known);
}

/**
 * mmu_notifier_age_done() - trace what all secondary MMUs said
 * @age: the question, answered
 */
void mmu_notifier_age_done(const struct mmu_notifier_age *age)
{
	if (trace_pgtable_walk_batch_enabled())
		trace_pgtable_walk_batch(age, bitmap_weight(age->want, age->nr),
					 bitmap_weight(age->young, age->nr));
}
