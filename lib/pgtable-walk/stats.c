// SPDX-License-Identifier: GPL-2.0
/*
 * What an operator sees of walks: counters and a trace event.
 */
#include <linux/debugfs.h>
#include <linux/export.h>
#include <linux/init.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/pgtable_age.h>
#include <linux/pgtable_walk.h>
#include <linux/seq_file.h>

#include "internal.h"

#define CREATE_TRACE_POINTS
#include <trace/events/pgtable_walk.h>

static DEFINE_PER_CPU(unsigned long[PGTABLE_WALK_NR_COUNTERS], counters);

static const char * const counter_names[PGTABLE_WALK_NR_COUNTERS] = {
	[PGTABLE_WALKS] = "walks",
	[PGTABLE_WALK_VISITED] = "visited",
	[PGTABLE_WALK_YOUNG] = "young",
	[PGTABLE_WALK_LOST] = "lost",
	[PGTABLE_WALK_BUSY_MET] = "busy",
	[PGTABLE_WALK_FREED] = "freed",
};

/**
 * pgtable_walk_count() - count an event
 * @counter: which
 * @n: how many
 *
 * Context: any.
 */
void pgtable_walk_count(enum pgtable_walk_counter counter, unsigned int n)
{
	this_cpu_add(counters[counter], n);
}
EXPORT_SYMBOL_GPL(pgtable_walk_count);

/**
 * pgtable_walk_account_age() - count and trace a request to age a range
 * @age: the request, answered
 *
 * Once a request and not once an entry, so that the loop stays free of calls.
 *
 * Context: any.
 */
void pgtable_walk_account_age(const struct pgtable_age *age)
{
	const struct pgtable_walk_stats *stats = &age->stats;

	pgtable_walk_count(PGTABLE_WALKS, 1);
	pgtable_walk_count(PGTABLE_WALK_VISITED, stats->visited);
	if (stats->young)
		pgtable_walk_count(PGTABLE_WALK_YOUNG, stats->young);
	if (stats->lost)
		pgtable_walk_count(PGTABLE_WALK_LOST, stats->lost);
	if (stats->busy)
		pgtable_walk_count(PGTABLE_WALK_BUSY_MET, stats->busy);

	trace_pgtable_walk_age(age);
}
EXPORT_SYMBOL_GPL(pgtable_walk_account_age);

/* What the counters stood at when they were last zeroed. */
static unsigned long counters_base[PGTABLE_WALK_NR_COUNTERS];
static DEFINE_MUTEX(counters_base_lock);

static unsigned long counter_sum(enum pgtable_walk_counter counter)
{
	unsigned long sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu(counters[counter], cpu));
	return sum;
}

static int stats_show(struct seq_file *m, void *unused)
{
	int i;

	mutex_lock(&counters_base_lock);
	for (i = 0; i < PGTABLE_WALK_NR_COUNTERS; i++)
		seq_printf(m, "%s %lu\n", counter_names[i], counter_sum(i) - counters_base[i]);
	mutex_unlock(&counters_base_lock);
	return 0;
}

static int stats_open(struct inode *inode, struct file *file)
{
	return single_open(file, stats_show, NULL);
}

static ssize_t stats_write(struct file *file, const char __user *buf, size_t len, loff_t *pos)
{
	int i;

	mutex_lock(&counters_base_lock);
	for (i = 0; i < PGTABLE_WALK_NR_COUNTERS; i++)
		counters_base[i] = counter_sum(i);
	mutex_unlock(&counters_base_lock);
	return len;
}

static const struct file_operations stats_fops = {
	.open = stats_open,
	.read = seq_read,
	.write = stats_write,
	.llseek = seq_lseek,
	.release = single_release,
};

struct dentry *pgtable_walk_debugfs;

static int __init pgtable_walk_init(void)
{
	pgtable_walk_debugfs = debugfs_create_dir("pgtable_walk", NULL);
	debugfs_create_file("stats", 0600, pgtable_walk_debugfs, NULL, &stats_fops);
	return 0;
}
subsys_initcall(pgtable_walk_init);
