// SPDX-License-Identifier: GPL-2.0
/*
 * Walks of the G-stage page tables under mmu_lock: unmap, write-protect.
 *
 * mmu_lock excludes everybody but hardware and the lockless ager (gstage_age.c).
 * These change A and D of leaves, so an entry is taken down by xchg and changed by
 * vpte_update(), never by a store.
 *
 * The end of a table, whether its range was unmapped or the VM goes away:
 *
 *   unlink (xchg, mmu_lock held)
 *   -> all vCPUs out of the guest and HFENCE.GVMA of the VMID before they return;
 *	a fence by address would only cover leaf entries, hence kvm_flush_remote_tlbs()
 *   -> RCU grace period: no ager can hold a pointer to it
 *   -> free
 */
#include <linux/sched.h>

#include "gstage_walk.h"

struct gstage_change {
	struct kvm *kvm;
	u64 start;
	u64 end;
	bool may_block;
	/* what has to be flushed before mmu_lock is dropped */
	struct pgtable_gather tables;
	unsigned int leaves;
	struct pgtable_entry leaf;
};

#define DEFINE_GSTAGE_CHANGE(_name, _kvm, _start, _end, _may_block)	\
	struct gstage_change _name = {					\
		.kvm = (_kvm),						\
		.start = (_start),					\
		.end = (_end),						\
		.may_block = (_may_block),				\
		.tables.tables = LIST_HEAD_INIT((_name).tables.tables),	\
	}

static bool gstage_should_yield(struct kvm *kvm)
{
#ifdef KVM_HAVE_MMU_RWLOCK
	return need_resched() || rwlock_needbreak(&kvm->mmu_lock);
#else
	return need_resched() || spin_needbreak(&kvm->mmu_lock);
#endif
}

static void gstage_yield(struct kvm *kvm)
{
#ifdef KVM_HAVE_MMU_RWLOCK
	cond_resched_rwlock_write(&kvm->mmu_lock);
#else
	cond_resched_lock(&kvm->mmu_lock);
#endif
}

/* One leaf is fenced by its address; for more, one fence of the VMID is cheaper. */
static void gstage_flush_change(struct gstage_change *change)
{
	if (change->leaves > 1 || !pgtable_gather_empty(&change->tables))
		kvm_flush_remote_tlbs(change->kvm);
	else if (change->leaves)
		gstage_remote_tlb_flush(change->kvm, change->leaf.level, change->leaf.addr);
	change->leaves = 0;

	pgtable_gather_free(&change->tables);
}

static void gstage_changed_leaf(struct gstage_change *change, const struct pgtable_entry *leaf)
{
	change->leaf = *leaf;
	change->leaves++;
}

static __always_inline enum pgtable_walk_next
gstage_unmap_leaf(const struct pgtable_format *fmt, const struct pgtable_entry *entry,
		  vpte_t *ptep, void *arg)
{
	struct gstage_change *change = arg;

	vpte_xchg(ptep, 0);
	gstage_changed_leaf(change, entry);

	if (change->may_block && gstage_should_yield(change->kvm))
		return PGTABLE_WALK_STOP;
	return PGTABLE_WALK_NEXT;
}

/* Drop a table whose whole range goes; where a part of it stays, so does the table. */
static __always_inline void
gstage_unmap_table(const struct pgtable_format *fmt, const struct pgtable_entry *entry,
		   vpte_t *ptep, void *arg)
{
	struct gstage_change *change = arg;
	u64 size = 1ULL << pgtable_level_shift(fmt, entry->level);

	if (entry->addr < change->start || change->end - entry->addr < size)
		return;

	pgtable_gather_table(&change->tables, fmt->child(vpte_xchg(ptep, 0)));
}

/* Goes on from change->start to change->end, or to where it had better yield. */
static void gstage_unmap_some(const struct pgtable_tree *tree, struct gstage_change *change)
{
	static const struct pgtable_walk_ops ops = {
		.leaf = gstage_unmap_leaf,
		.table_post = gstage_unmap_table,
	};
	struct pgtable_walk_stats stats = {};

	lockdep_assert_held_write(&change->kvm->mmu_lock);

	change->start = pgtable_walk_range(&gstage_format, tree, change->start, change->end,
					   PGTABLE_WALK_EXCLUSIVE, &ops, &stats, change);
	gstage_flush_change(change);
}

/**
 * gstage_unmap() - unmap a range of guest physical addresses
 * @kvm: the VM
 * @start: first address
 * @end: address behind the last
 * @may_block: whether mmu_lock may be dropped and taken again meanwhile
 *
 * A huge leaf that reaches out of the range is unmapped too: the rest of it faults
 * in again, while what the range covers must be gone.  When this returns, no vCPU
 * has a translation of the range left.
 *
 * Context: mmu_lock held for write; may sleep if @may_block.
 */
void gstage_unmap(struct kvm *kvm, gpa_t start, gpa_t end, bool may_block)
{
	DEFINE_GSTAGE_CHANGE(change, kvm, start, end, may_block);

	while (change.start < change.end) {
		/* Anew each time: the root may go while the lock is dropped. */
		struct pgtable_tree tree = pgtable_root_deref(&kvm->arch.gstage_root,
							      lockdep_is_held(&kvm->mmu_lock));

		gstage_unmap_some(&tree, &change);
		if (change.start < change.end)
			gstage_yield(kvm);
	}
}

/**
 * gstage_unmap_entry() - unmap all that one entry maps
 * @kvm: the VM
 * @level: level of the entry
 * @addr: any guest physical address that it maps
 *
 * Leaves the entry empty, be it a leaf or a table.  The table that holds it stays.
 *
 * Context: mmu_lock held for write.
 */
void gstage_unmap_entry(struct kvm *kvm, u32 level, gpa_t addr)
{
	const u64 size = 1ULL << pgtable_level_shift(&gstage_format, level);
	const u64 start = addr & ~(size - 1);

	gstage_unmap(kvm, start, start + size, false);
}

/**
 * gstage_unmap_tree() - unmap everything below a root that was retired
 * @kvm: the VM
 * @tree: the root; the caller frees the root table
 *
 * Context: mmu_lock held for write.
 */
void gstage_unmap_tree(struct kvm *kvm, const struct pgtable_tree *tree)
{
	DEFINE_GSTAGE_CHANGE(change, kvm, 0, 1ULL << tree->addr_bits, false);

	gstage_unmap_some(tree, &change);
}

static __always_inline enum pgtable_walk_next
gstage_wrprotect_leaf(const struct pgtable_format *fmt, const struct pgtable_entry *entry,
		      vpte_t *ptep, void *arg)
{
	vpte_t old = entry->pte;

	if (!(old & _PAGE_WRITE))
		return PGTABLE_WALK_NEXT;

	WARN_ON_ONCE(!vpte_update(ptep, &old, _PAGE_WRITE, 0, fmt->volatile_bits));
	gstage_changed_leaf(arg, entry);
	return PGTABLE_WALK_NEXT;
}

/**
 * gstage_wrprotect() - make a range of guest physical addresses read-only
 * @kvm: the VM
 * @start: first address
 * @end: address behind the last
 *
 * A huge leaf that reaches out of the range is made read-only as a whole.  When this
 * returns, no vCPU can write to the range without a fault.
 *
 * Context: mmu_lock held for write.
 */
void gstage_wrprotect(struct kvm *kvm, gpa_t start, gpa_t end)
{
	static const struct pgtable_walk_ops ops = { .leaf = gstage_wrprotect_leaf };
	struct pgtable_tree tree = pgtable_root_deref(&kvm->arch.gstage_root,
						      lockdep_is_held(&kvm->mmu_lock));
	DEFINE_GSTAGE_CHANGE(change, kvm, start, end, false);
	struct pgtable_walk_stats stats = {};

	lockdep_assert_held_write(&kvm->mmu_lock);

	pgtable_walk_range(&gstage_format, &tree, start, end, PGTABLE_WALK_EXCLUSIVE, &ops,
			   &stats, &change);
	gstage_flush_change(&change);
}
