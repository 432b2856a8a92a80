// SPDX-License-Identifier: GPL-2.0
/*
 * Age guest memory: what the mmu notifier's young operations and its batches have in common.
 *
 * What protects a walk that does not hold mmu_lock:
 *
 *  - memslots: kvm->srcu, which the caller holds, as with mmu_lock (litmus: slot-change);
 *  - page tables: RCU, in kvm_arch_age(); what x86 finds by rmaps: the lock of each head;
 *  - their entries: one cmpxchg on the value that was looked at, in pgtable_age_tree(), and in
 *    spte_age() for rmaps.
 */
#include <linux/kvm_age.h>
#include <linux/moduleparam.h>

#include "lockless_aging.h"

bool __read_mostly kvm_lockless_aging = true;
module_param_named(lockless_aging, kvm_lockless_aging, bool, 0644);
MODULE_PARM_DESC(lockless_aging, "Age guest memory without taking mmu_lock (default: Y)");

static bool kvm_age(struct kvm *kvm, const struct kvm_gfn_range *range, struct pgtable_age *age)
{
	age->start = gfn_to_gpa(range->start);
	age->end = gfn_to_gpa(range->end);

	if (range->lockless) {
		lockdep_assert_not_held(&kvm->mmu_lock);
	} else {
		lockdep_assert_held_write(&kvm->mmu_lock);
		kvm->stat.generic.aged_locked++;
	}

	kvm_arch_age(kvm, range->slot, age);
	pgtable_walk_account_age(age);
	return age->stats.young;
}

bool kvm_age_gfn(struct kvm *kvm, struct kvm_gfn_range *range)
{
	struct pgtable_age age = { .clear = true };

	return kvm_age(kvm, range, &age);
}

bool kvm_test_age_gfn(struct kvm *kvm, struct kvm_gfn_range *range)
{
	struct pgtable_age age = { .clear = false };

	return kvm_age(kvm, range, &age);
}

#ifdef CONFIG_MMU_NOTIFIER_AGE
/**
 * kvm_age_wanted() - where the wanted parts of a query begin and end
 * @age: the query
 * @start: set to the address of the first wanted part
 * @end: set to the address after the last one
 *
 * One walk from the first to the last, which skips what is not wanted, costs less than one for
 * each run of wanted parts.
 *
 * Return: true if there is a wanted part.
 */
bool kvm_age_wanted(const struct mmu_notifier_age *age, u64 *start, u64 *end)
{
	unsigned long first = 0, last = age->nr - 1;

	if (age->want) {
		first = find_first_bit(age->want, age->nr);
		last = find_last_bit(age->want, age->nr);
		if (first >= age->nr)
			return false;
	}

	*start = age->start + (first << age->shift);
	*end = age->start + ((last + 1) << age->shift);
	return true;
}

/**
 * kvm_age_gfn_batch() - test, or make old, parts of a range of guest memory
 * @kvm: the VM
 * @range: guest frames, all of one memslot; @range->arg.age says which parts of them the
 *	   request is about, in host virtual addresses
 *
 * Context: kvm->srcu held, mmu_lock not.  Does not sleep.
 *
 * Return: true if a wanted part of the range was young.
 */
bool kvm_age_gfn_batch(struct kvm *kvm, struct kvm_gfn_range *range)
{
	const struct mmu_notifier_age *parts = range->arg.age;
	const unsigned long hva = __gfn_to_hva_memslot(range->slot, range->start);
	struct pgtable_age age = {
		.clear = parts->clear,
		.want = parts->want,
		.young = parts->young,
		.origin = gfn_to_gpa(range->start) - (hva - parts->start),
		.shift = parts->shift,
	};

	return kvm_age(kvm, range, &age);
}
#endif /* CONFIG_MMU_NOTIFIER_AGE */
