/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _PGTABLE_WALK_INTERNAL_H
#define _PGTABLE_WALK_INTERNAL_H

struct dentry;

/* The directory in debugfs; made by stats.c at subsys_initcall time. */
extern struct dentry *pgtable_walk_debugfs;

#endif /* _PGTABLE_WALK_INTERNAL_H */
