// SPDX-License-Identifier: GPL-2.0
/*
 * Walks of the G-stage page tables by their owner: unmap, write-protect, free.
 *
 * mmu_lock excludes everybody but hardware and the aging walk (gstage_age.c).
 * These change A and D of leaves, so an entry is taken down by xchg and changed by
 * vpte_update(), never by a store.
 *
 * The end of a table whose range was unmapped:
 *
 *   unlink (xchg, mmu_lock held)
 *   -> HFENCE.GVMA of the VMID, by kvm_flush_remote_tlbs(): a fence by address would
 *	only cover leaf entries.  When it returns, a vCPU in the guest has left it and
 *	fences before it enters again.  A vCPU outside of the guest may not have fenced
 *	yet: it does before it enters, and before it looks at guest memory by HLV or HLVX
 *	(guest_read.c), so that no access by the guest or by KVM starts from what
 *	it still caches.
 *   -> RCU grace period: no aging walk can hold a pointer to it
 *   -> free (litmus: free-table, guest-read)
 *
 * The end of all tables, when the VM's last reference or the process is gone: no vCPU
 * runs any more, nor is one loaded, and the root is retired, which includes the grace
 * period.  From then on the tables belong to one caller.  They are not fenced.  Whatever
 * a CPU has cached of them, or goes on to cache while hgatp still holds the root, it has
 * under the VM's VMID, and no other VM uses that on a CPU before it was fenced there: by
 * KVM_REQ_UPDATE_HGATP, when a vCPU begins to use a new VMID, and by kvm_arch_vcpu_load(),
 * when it comes from another CPU.  Without VMIDs, loading a vCPU of another VM fences.
 */
#include <linux/gfp.h>
#include <linux/pgtable_gather.h>
#include <linux/sched.h>

#include "gstage_walk.h"

struct gstage_change {
	struct kvm *kvm;
	u64 start;
	u64 end;
	u64 resumed;	/* where the walk went on when mmu_lock was taken last */
	bool may_block;
	/* what has to be fenced before mmu_lock is dropped: tables, and leaves in a range */
	struct pgtable_gather tables;
	u64 fence_start;
	u64 fence_end;
	unsigned int fence_level;	/* the lowest level that a leaf was found at */
};

#define DEFINE_GSTAGE_CHANGE(_name, _kvm, _start, _end, _may_block)	\
	struct gstage_change _name = {					\
		.kvm = (_kvm),						\
		.start = (_start),					\
		.end = (_end),						\
		.may_block = (_may_block),				\
		.tables.tables = LIST_HEAD_INIT((_name).tables.tables),	\
	}

#ifdef KVM_HAVE_MMU_RWLOCK
#define gstage_lock(kvm)	write_lock(&(kvm)->mmu_lock)
#define gstage_unlock(kvm)	write_unlock(&(kvm)->mmu_lock)
#define gstage_yield(kvm)	cond_resched_rwlock_write(&(kvm)->mmu_lock)
#define gstage_needbreak(kvm)	rwlock_needbreak(&(kvm)->mmu_lock)
#else
#define gstage_lock(kvm)	spin_lock(&(kvm)->mmu_lock)
#define gstage_unlock(kvm)	spin_unlock(&(kvm)->mmu_lock)
#define gstage_yield(kvm)	cond_resched_lock(&(kvm)->mmu_lock)
#define gstage_needbreak(kvm)	spin_needbreak(&(kvm)->mmu_lock)
#endif

static struct pgtable_walk_tree gstage_tree(struct kvm *kvm)
{
	return pgtable_root_deref(&kvm->arch.gstage_root, lockdep_is_held(&kvm->mmu_lock));
}

static __always_inline bool gstage_walk(const struct pgtable_walk_ops *ops,
					const struct pgtable_walk_tree *tree,
					struct pgtable_walk *walk)
{
	return pgtable_walk_range(&gstage_format, PGTABLE_WALK_EXCLUSIVE, ops, tree, walk);
}

static enum pgtable_walk_next gstage_next(struct kvm *kvm, bool may_block)
{
	if (may_block && (need_resched() || gstage_needbreak(kvm)))
		return PGTABLE_WALK_STOP;
	return PGTABLE_WALK_NEXT;
}

/*
 * Leaves are fenced by their addresses, in steps of the smallest.  Beyond 512 steps,
 * kvm_riscv_local_hfence_gvma_vmid_gpa() makes that one fence of the VMID.
 */
static void gstage_flush_change(struct gstage_change *change)
{
	if (!pgtable_gather_empty(&change->tables))
		kvm_flush_remote_tlbs(change->kvm);
	else if (change->fence_start != change->fence_end)
		gstage_fence(change->kvm, change->fence_start,
			     change->fence_end - change->fence_start,
			     pgtable_walk_level_shift(&gstage_format, change->fence_level));
	change->fence_start = 0;
	change->fence_end = 0;

	pgtable_gather_free(&change->tables);
}

/* Walks go upwards, so the last leaf ends the range to be fenced. */
static __always_inline enum pgtable_walk_next
gstage_unmap_leaf(const struct pgtable_walk_format *fmt, const struct pgtable_walk *walk,
		  vpte_t *ptep)
{
	struct gstage_change *change = walk->arg;

	vpte_xchg(ptep, 0);
	if (change->fence_start == change->fence_end) {
		change->fence_start = walk->addr;
		change->fence_level = walk->level;
	}
	change->fence_end = walk->addr + (1ULL << pgtable_walk_level_shift(fmt, walk->level));
	change->fence_level = min(change->fence_level, walk->level);

	return gstage_next(change->kvm, change->may_block);
}

static bool gstage_table_empty(const struct pgtable_walk_format *fmt, const vpte_t *table)
{
	unsigned int i;

	for (i = 0; i < 1U << fmt->index_bits; i++) {
		if (vpte_read(&table[i]))
			return false;
	}
	return true;
}

/*
 * Drop a table whose whole range goes; where a part of it stays, so does the table.
 * While mmu_lock was dropped, kvm_riscv_gstage_ioremap() or a fault may have filled what
 * the walk had passed: so a table that it goes on in the middle of has to be empty.  That
 * is one table a level each time, and none of those that were walked under one lock hold.
 * Yield here as well: a range may hold nothing but empty tables.
 */
static __always_inline enum pgtable_walk_next
gstage_unmap_table(const struct pgtable_walk_format *fmt, const struct pgtable_walk *walk,
		   vpte_t *ptep)
{
	const u64 size = 1ULL << pgtable_walk_level_shift(fmt, walk->level);
	struct gstage_change *change = walk->arg;

	if (walk->addr >= change->start && change->end - walk->addr >= size &&
	    (walk->addr >= change->resumed || gstage_table_empty(fmt, fmt->child(walk->pte))))
		pgtable_gather_table(&change->tables, fmt->child(vpte_xchg(ptep, 0)));

	return gstage_next(change->kvm, change->may_block);
}

/**
 * gstage_unmap() - unmap a range of guest physical addresses
 * @kvm: the VM
 * @start: first address
 * @end: exclusive end address
 * @may_block: whether mmu_lock may be dropped and taken again meanwhile
 *
 * A huge leaf that reaches out of the range is unmapped too: the rest of it faults
 * in again, while what the range covers must be gone.  When this returns, no vCPU
 * that enters the guest has a translation of the range left.
 *
 * Context: mmu_lock held for write; may sleep if @may_block.
 */
void gstage_unmap(struct kvm *kvm, gpa_t start, gpa_t end, bool may_block)
{
	static const struct pgtable_walk_ops ops = {
		.leaf = gstage_unmap_leaf,
		.table_post = gstage_unmap_table,
	};
	DEFINE_GSTAGE_CHANGE(change, kvm, start, end, may_block);
	struct pgtable_walk walk = { .arg = &change, .next = start, .end = end };
	bool done;

	lockdep_assert_held_write(&kvm->mmu_lock);

	do {
		/* Anew each time: the root may go while the lock is dropped. */
		const struct pgtable_walk_tree tree = gstage_tree(kvm);

		change.resumed = walk.next;
		done = gstage_walk(&ops, &tree, &walk);
		gstage_flush_change(&change);
		if (!done)
			gstage_yield(kvm);
	} while (!done);
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
	const u64 size = 1ULL << pgtable_walk_level_shift(&gstage_format, level);
	const u64 start = addr & ~(size - 1);

	gstage_unmap(kvm, start, start + size, false);
}

static __always_inline enum pgtable_walk_next
gstage_free_table(const struct pgtable_walk_format *fmt, const struct pgtable_walk *walk,
		  vpte_t *ptep)
{
	/* Not unlinked: the walk goes on behind it, and there is no other. */
	pgtable_gather_table(walk->arg, fmt->child(walk->pte));
	return need_resched() ? PGTABLE_WALK_STOP : PGTABLE_WALK_NEXT;
}

/* All tables but the root's.  Leaves go with the table that they are in. */
static void gstage_free_tables(const struct pgtable_walk_tree *tree)
{
	static const struct pgtable_walk_ops ops = { .table_post = gstage_free_table };
	DEFINE_PGTABLE_GATHER(tables);
	struct pgtable_walk walk = { .arg = &tables, .end = 1ULL << tree->addr_bits };
	bool done;

	do {
		done = gstage_walk(&ops, tree, &walk);
		pgtable_gather_free_retired(&tables);
		cond_resched();
	} while (!done);
}

/**
 * kvm_riscv_gstage_free_pgd() - end the G-stage of a VM
 * @kvm: the VM; no vCPU runs, nor will one
 *
 * The process' end, the VM's end and its failed creation may all call this, in any order
 * and at once.  One of them frees; the others return at once.
 *
 * Context: sleeps; also as a reader of kvm->srcu and of the notifiers' SRCU domain.
 *
 * Return: true to the one who freed.
 */
bool kvm_riscv_gstage_free_pgd(struct kvm *kvm)
{
	struct pgtable_walk_tree tree = pgtable_root_retire(&kvm->arch.gstage_root);

	if (!tree.table)
		return false;

	/* Also waits for an unmap that found the root before that; litmus: retire-lock. */
	gstage_lock(kvm);
	kvm->arch.pgd = NULL;
	kvm->arch.pgd_phys = 0;
	gstage_unlock(kvm);

	gstage_free_tables(&tree);
	free_pages((unsigned long)tree.table, GSTAGE_ROOT_EXTRA_BITS);
	return true;
}

static __always_inline enum pgtable_walk_next
gstage_wrprotect_leaf(const struct pgtable_walk_format *fmt, const struct pgtable_walk *walk,
		      vpte_t *ptep)
{
	struct gstage_change *change = walk->arg;
	vpte_t old = walk->pte;

	if (old & _PAGE_WRITE)
		WARN_ON_ONCE(!vpte_update(ptep, &old, _PAGE_WRITE, 0, fmt->volatile_bits));
	return gstage_next(change->kvm, change->may_block);
}

static __always_inline enum pgtable_walk_next
gstage_wrprotect_table(const struct pgtable_walk_format *fmt, const struct pgtable_walk *walk,
		       vpte_t *ptep)
{
	struct gstage_change *change = walk->arg;

	return gstage_next(change->kvm, change->may_block);
}

/**
 * gstage_wrprotect() - make a range of guest physical addresses read-only
 * @kvm: the VM
 * @start: first address
 * @end: exclusive end address
 * @may_block: whether mmu_lock may be dropped and taken again meanwhile
 *
 * A huge leaf that reaches out of the range is made read-only as a whole.  Does not
 * fence: vCPUs may write until the caller has called kvm_flush_remote_tlbs(), which
 * those who collect dirty pages do once for many ranges, behind mmu_lock.
 *
 * Context: mmu_lock held for write; may sleep if @may_block.
 */
void gstage_wrprotect(struct kvm *kvm, gpa_t start, gpa_t end, bool may_block)
{
	static const struct pgtable_walk_ops ops = {
		.leaf = gstage_wrprotect_leaf,
		.table_post = gstage_wrprotect_table,
	};
	DEFINE_GSTAGE_CHANGE(change, kvm, start, end, may_block);
	struct pgtable_walk walk = { .arg = &change, .next = start, .end = end };
	bool done;

	lockdep_assert_held_write(&kvm->mmu_lock);

	do {
		const struct pgtable_walk_tree tree = gstage_tree(kvm);

		done = gstage_walk(&ops, &tree, &walk);
		if (!done)
			gstage_yield(kvm);
	} while (!done);
}
