// SPDX-License-Identifier: GPL-2.0
/*
 * Walks of the page tables of guest physical addresses by their owner: unmap, write-protect,
 * free.
 *
 * The end of a table whose range is dropped:
 *
 *   unlink (xchg, mmu_lock held)
 *   -> kvm_flush_remote_tlbs(): when it returns, a vCPU in the guest has left it, a refill of
 *	its TLB included, and gets a new VPID before it enters again, as others do
 *   -> RCU grace period: no aging walk can hold a pointer to it
 *   -> free (litmus: free-table)
 *
 * The end of all tables, when the VM's last reference or the process is gone: no vCPU runs any
 * more, and the root is retired, which includes the grace period.  From then on the tables
 * belong to one caller.  TLBs are not flushed: what they hold, they hold by the VPIDs of these
 * vCPUs, and no VPID is used again on a CPU before that CPU has flushed all guests.
 */
#include <linux/pgtable_gather.h>
#include <linux/sched.h>

#include "gpa_pt_walk.h"

struct gpa_pt_change {
	struct kvm *kvm;
	u64 start;
	u64 end;
	unsigned long mask;
	bool changed;
	struct pgtable_gather *tables;
};

static __always_inline void gpa_pt_walk(const struct pgtable_walk_ops *ops,
					struct gpa_pt_change *change)
{
	const struct pgtable_walk_tree tree =
		pgtable_root_deref(&change->kvm->arch.root,
				   lockdep_is_held(&change->kvm->mmu_lock));
	struct pgtable_walk walk = { .arg = change, .next = change->start, .end = change->end };

	lockdep_assert_held(&change->kvm->mmu_lock);
	pgtable_walk_range(&gpa_pt_format, PGTABLE_WALK_EXCLUSIVE, ops, &tree, &walk);
}

static __always_inline enum pgtable_walk_next
gpa_pt_unmap_leaf(const struct pgtable_walk_format *fmt, const struct pgtable_walk *walk,
		  vpte_t *ptep)
{
	struct gpa_pt_change *change = walk->arg;

	vpte_xchg(ptep, gpa_pt_empty(walk->level));
	if (walk->level)
		change->kvm->stat.hugepages--;
	else
		change->kvm->stat.pages--;
	change->changed = true;
	return PGTABLE_WALK_NEXT;
}

/* Drop a table whose whole range goes. */
static __always_inline enum pgtable_walk_next
gpa_pt_drop_table(const struct pgtable_walk_format *fmt, const struct pgtable_walk *walk,
		  vpte_t *ptep)
{
	const u64 size = 1ULL << pgtable_walk_level_shift(fmt, walk->level);
	struct gpa_pt_change *change = walk->arg;

	if (walk->addr >= change->start && change->end - walk->addr >= size)
		pgtable_gather_table(change->tables,
				     fmt->child(vpte_xchg(ptep, gpa_pt_empty(walk->level))));
	return PGTABLE_WALK_NEXT;
}

/**
 * gpa_pt_unmap() - unmap a range of guest physical addresses, and keep its tables
 * @kvm: the VM
 * @start: first address
 * @end: exclusive end address
 *
 * A huge leaf that extends beyond the range is unmapped, too.
 *
 * Context: mmu_lock held.
 *
 * Return: true if anything was mapped, and so the caller has to flush TLBs.
 */
bool gpa_pt_unmap(struct kvm *kvm, gpa_t start, gpa_t end)
{
	static const struct pgtable_walk_ops ops = { .leaf = gpa_pt_unmap_leaf };
	struct gpa_pt_change change = { .kvm = kvm, .start = start, .end = end };

	gpa_pt_walk(&ops, &change);
	return change.changed;
}

/**
 * gpa_pt_drop() - unmap a range of guest physical addresses, and free its tables
 * @kvm: the VM
 * @start: first address
 * @end: exclusive end address
 *
 * When this returns, no vCPU that enters the guest has a translation of the range left.
 *
 * Context: takes mmu_lock.
 */
void gpa_pt_drop(struct kvm *kvm, gpa_t start, gpa_t end)
{
	static const struct pgtable_walk_ops ops = {
		.leaf = gpa_pt_unmap_leaf,
		.table_post = gpa_pt_drop_table,
	};
	DEFINE_PGTABLE_GATHER(tables);
	struct gpa_pt_change change = {
		.kvm = kvm, .start = start, .end = end, .tables = &tables,
	};

	spin_lock(&kvm->mmu_lock);
	gpa_pt_walk(&ops, &change);
	/* An unmap that comes next finds nothing, so it does not flush, and its pages are freed. */
	if (change.changed || !pgtable_gather_empty(&tables))
		kvm_flush_remote_tlbs(kvm);
	spin_unlock(&kvm->mmu_lock);

	pgtable_gather_free(&tables);
}

static __always_inline enum pgtable_walk_next
gpa_pt_wrprotect_leaf(const struct pgtable_walk_format *fmt, const struct pgtable_walk *walk,
		      vpte_t *ptep)
{
	struct gpa_pt_change *change = walk->arg;
	vpte_t old = walk->pte;

	/* Other pages of a huge leaf fault once more, and what it maps is split then. */
	if (!walk->level && change->mask != ~0UL &&
	    !(change->mask & BIT((walk->addr - change->start) >> fmt->page_shift)))
		return PGTABLE_WALK_NEXT;

	if (kvm_pte_dirty(old)) {
		WARN_ON_ONCE(!vpte_update(ptep, &old, __WRITEABLE, 0, fmt->volatile_bits));
		change->changed = true;
	}
	return PGTABLE_WALK_NEXT;
}

/**
 * gpa_pt_wrprotect() - make pages of a range of guest physical addresses read-only
 * @kvm: the VM
 * @start: first address
 * @end: exclusive end address
 * @mask: which pages, the first one by bit 0; ~0UL for all pages of a range of any size
 *
 * Context: mmu_lock held.
 *
 * Return: true if anything was writable, and so the caller has to flush TLBs.
 */
bool gpa_pt_wrprotect(struct kvm *kvm, gpa_t start, gpa_t end, unsigned long mask)
{
	static const struct pgtable_walk_ops ops = { .leaf = gpa_pt_wrprotect_leaf };
	struct gpa_pt_change change = {
		.kvm = kvm, .start = start, .end = end, .mask = mask,
	};

	gpa_pt_walk(&ops, &change);
	return change.changed;
}

static __always_inline enum pgtable_walk_next
gpa_pt_free_table(const struct pgtable_walk_format *fmt, const struct pgtable_walk *walk,
		  vpte_t *ptep)
{
	/* Not unlinked: the walk goes on behind it, and there is no other. */
	pgtable_gather_table(walk->arg, fmt->child(walk->pte));
	return need_resched() ? PGTABLE_WALK_STOP : PGTABLE_WALK_NEXT;
}

/* All tables but the root's.  Leaves go with the table that they are in. */
static void gpa_pt_free_tables(const struct pgtable_walk_tree *tree)
{
	static const struct pgtable_walk_ops ops = { .table_post = gpa_pt_free_table };
	DEFINE_PGTABLE_GATHER(tables);
	struct pgtable_walk walk = { .arg = &tables, .end = 1ULL << tree->addr_bits };
	bool done;

	do {
		done = pgtable_walk_range(&gpa_pt_format, PGTABLE_WALK_EXCLUSIVE, &ops, tree,
					  &walk);
		pgtable_gather_free_retired(&tables);
		cond_resched();
	} while (!done);
}

/**
 * gpa_pt_free() - end the page tables of a VM
 * @kvm: the VM; no vCPU runs, nor will one
 *
 * The process' end, the VM's end and its failed creation may all call this, in any order and
 * at once.  One of them frees; the others return at once.
 *
 * Context: sleeps; also as a reader of kvm->srcu and of the notifiers' SRCU domain.
 */
void gpa_pt_free(struct kvm *kvm)
{
	struct pgtable_walk_tree tree = pgtable_root_retire(&kvm->arch.root);

	if (!tree.table)
		return;

	/* Also waits for an unmap that found the root before it was retired. */
	spin_lock(&kvm->mmu_lock);
	kvm->arch.pgd = NULL;
	kvm->stat.pages = 0;
	kvm->stat.hugepages = 0;
	spin_unlock(&kvm->mmu_lock);

	gpa_pt_free_tables(&tree);
	free_page((unsigned long)tree.table);
}
