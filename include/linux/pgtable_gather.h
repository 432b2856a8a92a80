/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The end of page tables that lockless walkers may still be in, see gather.c.
 */
#ifndef _LINUX_PGTABLE_GATHER_H
#define _LINUX_PGTABLE_GATHER_H

#include <linux/list.h>
#include <linux/types.h>

/**
 * struct pgtable_gather - tables that were unlinked and wait for their end
 * @tables: a list of their pages
 */
struct pgtable_gather {
	struct list_head tables;
};

/**
 * DEFINE_PGTABLE_GATHER() - define an empty gather
 * @name: of the variable
 */
#define DEFINE_PGTABLE_GATHER(name) struct pgtable_gather name = { LIST_HEAD_INIT((name).tables) }

void pgtable_gather_table(struct pgtable_gather *gather, void *table);
void pgtable_gather_free(struct pgtable_gather *gather);
void pgtable_gather_free_retired(struct pgtable_gather *gather);

/**
 * pgtable_gather_empty() - has no table been gathered?
 * @gather: the gather
 *
 * Return: true if there is nothing to free, and so no reason to flush TLBs for it.
 */
static inline bool pgtable_gather_empty(const struct pgtable_gather *gather)
{
	return list_empty(&gather->tables);
}

#endif /* _LINUX_PGTABLE_GATHER_H */
