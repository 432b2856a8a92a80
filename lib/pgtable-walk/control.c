// SPDX-License-Identifier: GPL-2.0
/*
 * What an operator sees of lockless aging: the switch, counters, trace events.
 */
#include <linux/debugfs.h>
#include <linux/export.h>
#include <linux/init.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/pgtable_age.h>
#include <linux/pgtable_walk.h>
#include <linux/seq_file.h>

#include "internal.h"

#define CREATE_TRACE_POINTS
#include <trace/events/pgtable_walk.h>

DEFINE_STATIC_KEY_TRUE(pgtable_walk_lockless_key);
EXPORT_SYMBOL_GPL(pgtable_walk_lockless_key);
DEFINE_STATIC_KEY_TRUE(pgtable_walk_batch_key);
DEFINE_STATIC_KEY_TRUE(pgtable_walk_consult_key);

static int switch_set(const char *val, const struct kernel_param *kp)
{
	struct static_key_true *key = kp->arg;
	bool on;
	int ret = kstrtobool(val, &on);

	if (ret)
		return ret;

	if (on)
		static_branch_enable(key);
	else
		static_branch_disable(key);
	return 0;
}

static int switch_get(char *buffer, const struct kernel_param *kp)
{
	struct static_key_true *key = kp->arg;

	return sysfs_emit(buffer, "%c\n", static_key_enabled(key) ? 'Y' : 'N');
}

static const struct kernel_param_ops switch_ops = {
	.set = switch_set,
	.get = switch_get,
};

module_param_cb(lockless, &switch_ops, &pgtable_walk_lockless_key, 0644);
MODULE_PARM_DESC(lockless, "Age secondary MMUs without taking their lock (default: Y)");

module_param_cb(batch, &switch_ops, &pgtable_walk_batch_key, 0644);
MODULE_PARM_DESC(batch, "Ask secondary MMUs about many pages at once (default: Y)");

module_param_cb(consult, &switch_ops, &pgtable_walk_consult_key, 0644);
MODULE_PARM_DESC(consult, "Ask secondary MMUs in MGLRU's walks of page tables (default: Y)");

static DEFINE_PER_CPU(u64[PGTABLE_NR_COUNTERS], counters);

static const char * const counter_names[PGTABLE_NR_COUNTERS] = {
	[PGTABLE_WALKS] = "walks",
	[PGTABLE_VISITED] = "visited",
	[PGTABLE_YOUNG] = "young",
	[PGTABLE_LOST] = "lost",
	[PGTABLE_BUSY_MET] = "busy",
	[PGTABLE_MMU_LOCK] = "mmu_lock",
	[PGTABLE_FALLBACK] = "fallback",
	[PGTABLE_FREED] = "freed",
	[PGTABLE_BATCHES] = "batches",
	[PGTABLE_BATCH_WANTED] = "batch_wanted",
	[PGTABLE_BATCH_YOUNG] = "batch_young",
	[PGTABLE_BATCH_FALLBACK] = "batch_fallback",
	[PGTABLE_BATCH_OFF] = "batch_off",
	[PGTABLE_BATCH_UNABLE] = "batch_unable",
	[PGTABLE_BATCH_LOCKED] = "batch_locked",
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
	pgtable_walk_count(PGTABLE_VISITED, stats->visited);
	if (stats->young)
		pgtable_walk_count(PGTABLE_YOUNG, stats->young);
	if (stats->lost)
		pgtable_walk_count(PGTABLE_LOST, stats->lost);
	if (stats->busy)
		pgtable_walk_count(PGTABLE_BUSY_MET, stats->busy);

	trace_pgtable_walk_age(age);
}
EXPORT_SYMBOL_GPL(pgtable_walk_account_age);

/* What the counters stood at when they were last zeroed. */
static u64 counters_base[PGTABLE_NR_COUNTERS];
static DEFINE_MUTEX(counters_base_lock);

static u64 counter_sum(enum pgtable_walk_counter counter)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu(counters[counter], cpu));
	return sum;
}

static int stats_show(struct seq_file *m, void *unused)
{
	int i;

	mutex_lock(&counters_base_lock);
	for (i = 0; i < PGTABLE_NR_COUNTERS; i++)
		seq_printf(m, "%s %llu\n", counter_names[i], counter_sum(i) - counters_base[i]);
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
	for (i = 0; i < PGTABLE_NR_COUNTERS; i++)
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
