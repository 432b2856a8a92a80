// SPDX-License-Identifier: GPL-2.0
/*
 * Age secondary MMUs from user space, for tests and measurements.
 *
 * The file works on the address space of the process that opened it, and holds no more
 * than its mm_count: aging may thus overlap the end of that address space, as it does
 * when MGLRU or an rmap walk comes upon a process that exits.
 *
 * A write is one command, numbers in bytes, END exclusive:
 *
 *   clear START END [STEP]	mmu_notifier_clear_young() for each STEP bytes
 *   flush START END [STEP]	mmu_notifier_clear_flush_young(), likewise
 *   test  START END [STEP]	mmu_notifier_test_young() of an address each STEP bytes
 *   batch-clear START END STEP [EVERY]
 *				mmu_notifier_age_range(), a bit for each STEP bytes, a power of
 *				two, of which every EVERY-th is wanted; the last bit may stand for
 *				addresses beyond END, too
 *   batch-test START END STEP [EVERY]
 *				the same, changing nothing
 *
 * If a batch is refused, each wanted part is queried alone, as reclaim does it.
 *
 * STEP is a page for test, and the whole range for clear and flush, if left out.  A read
 * returns "CALLS YOUNG NSEC" of the last command: notifier calls, how many of them
 * said young, and how long they took.  YOUNG of a batch counts bits, and a second line
 * lists those of the last call, as ranges like 0-3,7.
 */
#include <linux/bitmap.h>
#include <linux/debugfs.h>
#include <linux/init.h>
#include <linux/ktime.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/mmu_notifier_age.h>
#include <linux/mutex.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#define AGE_BATCH_BITS	512U

struct age_file {
	struct mm_struct *mm;
	struct mutex lock;	/* serialises commands and protects the result */
	DECLARE_BITMAP(want, AGE_BATCH_BITS);
	DECLARE_BITMAP(bits, AGE_BATCH_BITS);
	u64 calls;
	u64 young;
	u64 ns;
};

static int age_open(struct inode *inode, struct file *file)
{
	struct age_file *age;

	if (!current->mm)
		return -EINVAL;

	age = kzalloc(sizeof(*age), GFP_KERNEL);
	if (!age)
		return -ENOMEM;

	mutex_init(&age->lock);
	mmgrab(current->mm);
	age->mm = current->mm;
	file->private_data = age;
	return 0;
}

static int age_release(struct inode *inode, struct file *file)
{
	struct age_file *age = file->private_data;

	mmdrop(age->mm);
	kfree(age);
	return 0;
}

static int age_run(struct age_file *age, const char *op, u64 start, u64 end, u64 step)
{
	typeof(mmu_notifier_clear_young) *call = NULL;
	ktime_t t0;
	u64 addr;

	if (!strcmp(op, "clear"))
		call = mmu_notifier_clear_young;
	else if (!strcmp(op, "flush"))
		call = mmu_notifier_clear_flush_young;
	else if (strcmp(op, "test"))
		return -EINVAL;

	bitmap_zero(age->bits, AGE_BATCH_BITS);
	age->calls = 0;
	age->young = 0;
	t0 = ktime_get();
	for (addr = start; addr < end; addr += step) {
		if (call)
			age->young += !!call(age->mm, addr, min(addr + step, end));
		else
			age->young += !!mmu_notifier_test_young(age->mm, addr);
		age->calls++;

		if (fatal_signal_pending(current))
			break;
		cond_resched();
	}
	age->ns = ktime_to_ns(ktime_sub(ktime_get(), t0));
	return 0;
}

static void age_each_part(struct mm_struct *mm, const struct mmu_notifier_age *range)
{
	const unsigned long bytes = 1UL << range->shift;
	unsigned long addr, end;
	unsigned int i;

	for_each_set_bit(i, range->want, range->nr) {
		bool young = false;

		addr = range->start + i * bytes;
		end = addr + bytes;
		if (range->clear)
			young = mmu_notifier_clear_young(mm, addr, end);
		else
			for (; !young && addr < end; addr += PAGE_SIZE)
				young = mmu_notifier_test_young(mm, addr);
		if (young)
			__set_bit(i, range->young);
	}
}

static int age_run_batch(struct age_file *age, bool clear, u64 start, u64 end, u64 step, u64 every)
{
	struct mmu_notifier_age range = {
		.shift = ilog2(step),
		.clear = clear,
		.want = age->want,
		.young = age->bits,
	};
	u64 i, t0;

	if (!is_power_of_2(step) || end - start < step || !every)
		return -EINVAL;

	age->calls = 0;
	age->young = 0;
	t0 = ktime_get_ns();
	for (; start < end; start = mmu_notifier_age_end(&range)) {
		range.start = start;
		range.nr = min(DIV_ROUND_UP_ULL(end - start, step), AGE_BATCH_BITS);
		bitmap_zero(age->want, AGE_BATCH_BITS);
		bitmap_zero(age->bits, AGE_BATCH_BITS);
		for (i = 0; i < range.nr; i += every)
			__set_bit(i, age->want);

		if (mmu_notifier_age_range(age->mm, &range)) {
			bitmap_zero(age->bits, AGE_BATCH_BITS);
			age_each_part(age->mm, &range);
		}
		age->young += bitmap_weight(age->bits, range.nr);
		age->calls++;

		if (fatal_signal_pending(current))
			break;
		cond_resched();
	}
	age->ns = ktime_get_ns() - t0;
	return 0;
}

static ssize_t age_write(struct file *file, const char __user *buf, size_t len, loff_t *pos)
{
	struct age_file *age = file->private_data;
	u64 arg[4] = { 0, 0, 0, 1 };
	char *text, *rest, *op, *word;
	int i, max_args, ret = 0;

	text = memdup_user_nul(buf, min_t(size_t, len, 128));
	if (IS_ERR(text))
		return PTR_ERR(text);

	rest = strim(text);
	op = strsep(&rest, " ");
	max_args = strncmp(op, "batch-", 6) ? 3 : 4;
	for (i = 0; !ret && (word = strsep(&rest, " ")); i++)
		ret = i < max_args ? kstrtou64(word, 0, &arg[i]) : -EINVAL;
	if (i < 3)
		arg[2] = strcmp(op, "test") ? arg[1] - arg[0] : PAGE_SIZE;
	/* Below the top of user space no sum of them wraps. */
	if (ret || i < 2 || arg[0] >= arg[1] || max(arg[1], arg[2]) > age->mm->task_size ||
	    !arg[2] || !PAGE_ALIGNED(arg[0] | arg[1] | arg[2]))
		ret = -EINVAL;

	if (!ret) {
		mutex_lock(&age->lock);
		if (!strcmp(op, "batch-clear") || !strcmp(op, "batch-test"))
			ret = age_run_batch(age, !strcmp(op, "batch-clear"), arg[0], arg[1],
					    arg[2], arg[3]);
		else
			ret = age_run(age, op, arg[0], arg[1], arg[2]);
		mutex_unlock(&age->lock);
	}

	kfree(text);
	return ret ?: len;
}

static ssize_t age_read(struct file *file, char __user *buf, size_t len, loff_t *pos)
{
	struct age_file *age = file->private_data;
	char *text = kmalloc(PAGE_SIZE, GFP_KERNEL);
	ssize_t ret;
	int n;

	if (!text)
		return -ENOMEM;

	mutex_lock(&age->lock);
	n = scnprintf(text, PAGE_SIZE, "%llu %llu %llu\n%*pbl\n", age->calls, age->young, age->ns,
		      AGE_BATCH_BITS, age->bits);
	mutex_unlock(&age->lock);

	ret = simple_read_from_buffer(buf, len, pos, text, n);
	kfree(text);
	return ret;
}

static const struct file_operations age_fops = {
	.open = age_open,
	.read = age_read,
	.write = age_write,
	.llseek = default_llseek,
	.release = age_release,
};

static int __init age_debug_init(void)
{
	debugfs_create_file("mmu_notifier_age", 0600, NULL, NULL, &age_fops);
	return 0;
}
late_initcall(age_debug_init);
