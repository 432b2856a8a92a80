/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What architectures' kvm_age_gfn() share.
 */
#ifndef _LINUX_KVM_AGE_H
#define _LINUX_KVM_AGE_H

#include <linux/kvm_host.h>
#include <linux/mmu_notifier_age.h>
#include <linux/pgtable_age.h>

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
 * kvm_age_gfn_batch() - test which parts of a range of guest memory were used
 * @kvm: the VM
 * @range: guest frames; @range->arg.age says what is asked about them
 *
 * Each architecture that selects KVM_MMU_LOCKLESS_AGING has one.
 *
 * Context: kvm->srcu held, mmu_lock not.  Does not sleep.
 *
 * Return: true if a wanted part of the range was young.
 */
bool kvm_age_gfn_batch(struct kvm *kvm, struct kvm_gfn_range *range);

/**
 * kvm_age_batch() - what kvm_age_gfn_batch() is asked, in terms of guest memory
 * @range: guest frames, all of one memslot
 *
 * Return: the question, nothing answered yet.
 */
static inline struct pgtable_age_batch kvm_age_batch(const struct kvm_gfn_range *range)
{
	const struct mmu_notifier_age *age = range->arg.age;
	const u64 start = (u64)range->start << PAGE_SHIFT;
	const unsigned long hva = __gfn_to_hva_memslot(range->slot, range->start);

	return (struct pgtable_age_batch) {
		.start = start,
		.end = (u64)range->end << PAGE_SHIFT,
		.origin = start - (hva - age->start),
		.shift = age->shift,
		.clear = age->clear,
		.want = age->want,
		.young = age->young,
	};
}

/**
 * kvm_age_batch_done() - count and trace what came of it
 * @batch: the question, answered
 *
 * Return: what kvm_age_gfn_batch() returns.
 */
static inline bool kvm_age_batch_done(const struct pgtable_age_batch *batch)
{
	pgtable_walk_account_age(batch->start, batch->end, batch->clear, &batch->stats);
	return batch->stats.young;
}

/**
 * kvm_age_root_batch() - kvm_age_gfn_batch() for VMs that have one root
 * @kvm: the VM
 * @range: as for kvm_age_gfn_batch()
 * @root: where the root of the VM's page tables is published
 * @age: calls pgtable_age_batch() with the format of these tables
 *
 * Return: as kvm_age_gfn_batch().
 */
static __always_inline bool
kvm_age_root_batch(struct kvm *kvm, const struct kvm_gfn_range *range,
		   const struct pgtable_root *root,
		   void (*age)(const struct pgtable_tree *tree, struct pgtable_age_batch *batch))
{
	struct pgtable_age_batch batch = kvm_age_batch(range);
	struct pgtable_tree tree;

	kvm_age_assert_locks(kvm, range);

	rcu_read_lock();
	tree = pgtable_root_deref(root, false);
	age(&tree, &batch);
	rcu_read_unlock();

	return kvm_age_batch_done(&batch);
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
