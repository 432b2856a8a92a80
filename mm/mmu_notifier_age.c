// SPDX-License-Identifier: GPL-2.0
/*
 * Query secondary MMUs about the accessed state of many pages in one call: the operator's
 * switch, counters and the trace event.
 */
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/mmu_notifier_age.h>
#include <linux/moduleparam.h>

#define CREATE_TRACE_POINTS
#include <trace/events/mmu_notifier_age.h>

static bool batch __read_mostly = true;
module_param(batch, bool, 0644);
MODULE_PARM_DESC(batch, "Query secondary MMUs about many pages in one call (default: Y)");

/**
 * mmu_notifier_age_one() - query one secondary MMU
 * @subscription: the subscriber
 * @mm: its address space
 * @age: the query
 *
 * A subscriber without young operations knows nothing of what was used.  One that has some
 * of them can only be queried page by page.
 *
 * Context: SRCU read section of the mmu notifiers; page-table locks may be held.
 * Return: 0 or -EOPNOTSUPP, see mmu_notifier_age_range().
 */
int mmu_notifier_age_one(struct mmu_notifier *subscription, struct mm_struct *mm,
			 const struct mmu_notifier_age *age)
{
	const struct mmu_notifier_ops *ops = subscription->ops;

	if (!ops->clear_young && !ops->test_young)
		return 0;

	if (!READ_ONCE(batch) || !ops->age_range)
		return -EOPNOTSUPP;

	return ops->age_range(subscription, mm, age);
}

/**
 * mmu_notifier_age_done() - count and trace a query
 * @age: the query, answered
 * @ret: what mmu_notifier_age_range() returns
 */
void mmu_notifier_age_done(const struct mmu_notifier_age *age, int ret)
{
	count_vm_event(ret ? MMU_NOTIFIER_AGE_REFUSED : MMU_NOTIFIER_AGE_RANGE);
	trace_mmu_notifier_age_range(age, ret);
}
