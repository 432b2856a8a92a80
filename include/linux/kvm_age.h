/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What architectures' kvm_age_gfn() share.
 */
#ifndef _LINUX_KVM_AGE_H
#define _LINUX_KVM_AGE_H

#include <linux/kvm_host.h>
#include <linux/pgtable_walk.h>

/**
 * kvm_age_assert_locks() - check that a range is aged as its caller said
 * @kvm: the VM
 * @range: guest frames, and whether the caller left mmu_lock alone
 */
static inline void kvm_age_assert_locks(struct kvm *kvm, const struct kvm_gfn_range *range)
{
	if (range->lockless)
		lockdep_assert_not_held(&kvm->mmu_lock);
	else
		lockdep_assert_held_write(&kvm->mmu_lock);
}

/**
 * kvm_age_root() - test whether a range of guest memory was used
 * @kvm: the VM
 * @range: guest frames, and whether the caller left mmu_lock alone
 * @root: where the root of the VM's page tables is published
 * @age: walks the tree from @start to @end, which are guest physical addresses; calls
 *	 pgtable_age_range() with the format of these tables
 * @clear: whether @age makes what it finds old
 *
 * What @age meets is counted and traced.
 *
 * Context: kvm->srcu held, which protects the memslot.  mmu_lock held for write, or,
 * if @range is lockless, not held.  Does not sleep.
 *
 * Return: true if a part of the range was young.
 */
static __always_inline bool kvm_age_root(struct kvm *kvm, const struct kvm_gfn_range *range,
					 const struct pgtable_root *root,
					 bool (*age)(const struct pgtable_tree *tree,
						     u64 start, u64 end,
						     struct pgtable_walk_stats *stats),
					 bool clear)
{
	const u64 start = range->start << PAGE_SHIFT, end = range->end << PAGE_SHIFT;
	struct pgtable_walk_stats stats = {};
	struct pgtable_tree tree;
	bool young;

	kvm_age_assert_locks(kvm, range);

	rcu_read_lock();
	tree = pgtable_root_deref(root, false);
	young = age(&tree, start, end, &stats);
	rcu_read_unlock();

	pgtable_walk_account_age(start, end, clear, &stats);
	return young;
}

#endif /* _LINUX_KVM_AGE_H */
