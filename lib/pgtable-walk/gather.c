// SPDX-License-Identifier: GPL-2.0
/*
 * The end of page tables that lockless walkers may still be in.
 */
#include <linux/export.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/pgtable_gather.h>
#include <linux/pgtable_walk.h>

static void pgtable_gather_free_page(struct page *page)
{
	__free_page(page);
	pgtable_walk_count(PGTABLE_WALK_FREED, 1);
}

static void pgtable_gather_free_rcu(struct rcu_head *head)
{
	pgtable_gather_free_page(container_of(head, struct page, rcu_head));
}

/**
 * pgtable_gather_table() - take a table that was just unlinked
 * @gather: where to put it
 * @table: one page, no longer reachable from the root.  It was allocated on its own,
 *	   and nobody else uses its struct page's list or RCU head.
 *
 * The table itself is not written to: walkers may still read it.
 *
 * Context: any; the MMU lock held for write, or the root retired.
 */
void pgtable_gather_table(struct pgtable_gather *gather, void *table)
{
	list_add(&virt_to_page(table)->lru, &gather->tables);
}
EXPORT_SYMBOL_GPL(pgtable_gather_table);

/**
 * pgtable_gather_free() - free gathered tables once no walker can be in them
 * @gather: what was gathered; empty afterwards
 *
 * Hardware walkers don't know RCU: the caller has invalidated all TLBs and
 * page-walk caches that may hold a pointer to one of the tables since they were
 * unlinked, and waited for that (litmus: free-table).
 *
 * Context: any that call_rcu() may be used in.  The callback is in the kernel image,
 * so a module that calls this needs no rcu_barrier() for it.
 */
void pgtable_gather_free(struct pgtable_gather *gather)
{
	struct page *page, *next;

	list_for_each_entry_safe(page, next, &gather->tables, lru)
		call_rcu(&page->rcu_head, pgtable_gather_free_rcu);

	INIT_LIST_HEAD(&gather->tables);
}
EXPORT_SYMBOL_GPL(pgtable_gather_free);

/**
 * pgtable_gather_free_retired() - free gathered tables that hung on a retired root
 * @gather: what was gathered; empty afterwards
 *
 * For the owner of a root that pgtable_root_retire() returned: its grace period was that
 * of all tables below, so there is no need for one more, nor for an RCU callback each
 * (litmus: retire-root).
 * As with pgtable_gather_free(), no hardware walker may be left.
 *
 * Context: any.
 */
void pgtable_gather_free_retired(struct pgtable_gather *gather)
{
	struct page *page, *next;

	list_for_each_entry_safe(page, next, &gather->tables, lru)
		pgtable_gather_free_page(page);

	INIT_LIST_HEAD(&gather->tables);
}
EXPORT_SYMBOL_GPL(pgtable_gather_free_retired);
