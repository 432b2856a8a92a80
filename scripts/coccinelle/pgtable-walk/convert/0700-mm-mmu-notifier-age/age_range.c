// SPDX-License-Identifier: GPL-2.0

#ifdef CONFIG_MMU_NOTIFIER_AGE
void __mmu_notifier_age_range(struct mm_struct *mm, const struct mmu_notifier_age *age)
{
	struct mmu_notifier *subscription;
	int id;

	id = srcu_read_lock(&srcu);
	hlist_for_each_entry_rcu(subscription,
				 &mm->notifier_subscriptions->list, hlist,
				 srcu_read_lock_held(&srcu))
		mmu_notifier_age_one(subscription, mm, age);
	srcu_read_unlock(&srcu, id);

	mmu_notifier_age_done(age);
}
#endif
