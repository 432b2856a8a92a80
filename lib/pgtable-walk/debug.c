// SPDX-License-Identifier: GPL-2.0
/*
 * Wider race windows for walkers.
 */
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <linux/export.h>
#include <linux/init.h>
#include <linux/percpu.h>
#include <linux/pgtable_walk.h>

#include "internal.h"

static u32 stall_ns;
static u32 stall_one_in;
static DEFINE_PER_CPU(u32, stall_windows);

/**
 * pgtable_walk_stall() - dawdle in a race window
 *
 * Called by walkers between a read and what is done with it.  Waits
 * stall_ns nanoseconds once in stall_one_in calls (debugfs, 0: never).
 *
 * Context: any.
 */
void pgtable_walk_stall(void)
{
	u32 one_in = READ_ONCE(stall_one_in), ns = READ_ONCE(stall_ns);

	if (!one_in || !ns || this_cpu_inc_return(stall_windows) % one_in)
		return;

	/* Not at once: some architectures' udelay() overflows. */
	for (; ns >= NSEC_PER_MSEC; ns -= NSEC_PER_MSEC)
		udelay(USEC_PER_MSEC);
	udelay(ns / NSEC_PER_USEC);
	ndelay(ns % NSEC_PER_USEC);
}
EXPORT_SYMBOL_GPL(pgtable_walk_stall);

/* How many windows were passed while they could be widened. */
static int windows_get(void *data, u64 *val)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu(stall_windows, cpu));
	*val = sum;
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(windows_fops, windows_get, NULL, "%llu\n");

static int __init pgtable_walk_debug_init(void)
{
	debugfs_create_u32("stall_ns", 0600, pgtable_walk_debugfs, &stall_ns);
	debugfs_create_u32("stall_one_in", 0600, pgtable_walk_debugfs, &stall_one_in);
	debugfs_create_file("windows", 0400, pgtable_walk_debugfs, NULL, &windows_fops);
	return 0;
}
late_initcall(pgtable_walk_debug_init);
