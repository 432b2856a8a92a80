// SPDX-License-Identifier: GPL-2.0

#ifdef CONFIG_MMU_NOTIFIER_AGE
int __mmu_notifier_age_range(struct mm_struct *mm, const struct mmu_notifier_age *age)
{
	struct mmu_notifier *subscription;
	int id, ret = 0;

	id = srcu_read_lock(&srcu);
	hlist_for_each_entry_srcu(subscription,
				  &mm->notifier_subscriptions->list, hlist,
				  srcu_read_lock_held(&srcu)) {
		ret = mmu_notifier_age_one(subscription, mm, age);
		if (ret)
			break;
	}
	srcu_read_unlock(&srcu, id);

	mmu_notifier_age_done(age, ret);
	return ret;
}
#endif
