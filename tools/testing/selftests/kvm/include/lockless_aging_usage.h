/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How much memory VMs take, for tests that expect all of it back.
 *
 * KVM charges page tables to the memory cgroup of the VMM, so that a cgroup with
 * nothing else in it shows each page that is left. Some architectures also count them
 * as SecPageTables in /proc/meminfo; what was added there has to be taken off again.
 * The root of a VM may be charged to nobody; many of them show in what is free.
 */
#ifndef SELFTEST_KVM_LOCKLESS_AGING_USAGE_H
#define SELFTEST_KVM_LOCKLESS_AGING_USAGE_H

#include <sys/stat.h>

#include "lockless_aging.h"

#define CGROUP_ROOT	"/sys/fs/cgroup"
#define MEMINFO		"/proc/meminfo"
/* Has each CPU add what it counted to the sums. */
#define STAT_REFRESH	"/proc/sys/vm/stat_refresh"

static char cgroup[128];

struct usage {
	int64_t kernel;		/* pages charged to the cgroup as the kernel's */
	int64_t secondary;	/* kB in page tables of any VM, if that is counted */
	int64_t unknown;	/* kB, neither free nor a slab's, a stack or user space's */
};

static inline void cgroup_file(char *path, size_t size, const char *name)
{
	snprintf(path, size, "%s/%s", cgroup, name);
}

/* Returns false if there are no cgroups that count memory. */
static inline bool make_cgroup(const char *name)
{
	char path[256];

	snprintf(cgroup, sizeof(cgroup), CGROUP_ROOT "/%s.%d", name, getpid());
	if (__la_write(CGROUP_ROOT "/cgroup.subtree_control", "+memory"))
		return false;
	if (mkdir(cgroup, 0755))
		return false;
	cgroup_file(path, sizeof(path), "memory.stat");
	return !access(path, R_OK);
}

static inline void remove_cgroup(void)
{
	rmdir(cgroup);
}

static inline void enter_cgroup(void)
{
	char path[256];

	cgroup_file(path, sizeof(path), "cgroup.procs");
	la_write(path, "0");
}

/* 0 if it is not counted there. */
static inline int64_t meminfo_kb(const char *text, const char *name)
{
	const char *line = strstr(text, name);

	return line ? atol(line + strlen(name)) : 0;
}

/* Free, but still in the lists of a CPU. */
static inline int64_t pages_in_cpu_lists(void)
{
	static char text[1 << 16];
	const char *pos = text;
	int64_t pages = 0;

	TEST_ASSERT(la_read("/proc/zoneinfo", text, sizeof(text)), "Cannot read /proc/zoneinfo");
	while ((pos = strstr(pos, " count:"))) {
		pos += strlen(" count:");
		pages += atol(pos);
	}
	return pages;
}

static inline struct usage usage(void)
{
	char path[256], text[8192];
	struct usage now;

	/* This one sums up what the CPUs counted; memory.stat may be seconds behind. */
	cgroup_file(path, sizeof(path), "cpu.stat");
	TEST_ASSERT(la_read(path, text, sizeof(text)), "Cannot read %s", path);
	cgroup_file(path, sizeof(path), "memory.stat");
	TEST_ASSERT(la_read(path, text, sizeof(text)), "Cannot read %s", path);
	now.kernel = la_stat(text, "kernel") / LA_PAGE_SIZE;

	if (!access(STAT_REFRESH, W_OK))
		la_write(STAT_REFRESH, "1");
	TEST_ASSERT(la_read(MEMINFO, text, sizeof(text)), "Cannot read " MEMINFO);
	now.secondary = meminfo_kb(text, "\nSecPageTables:");
	now.unknown = meminfo_kb(text, "MemTotal:") - meminfo_kb(text, "\nMemFree:") -
		      meminfo_kb(text, "\nSlab:") - meminfo_kb(text, "\nAnonPages:") -
		      meminfo_kb(text, "\nCached:") - meminfo_kb(text, "\nPageTables:") -
		      meminfo_kb(text, "\nKernelStack:") -
		      pages_in_cpu_lists() * (int64_t)(LA_PAGE_SIZE / SZ_1K);
	return now;
}

/*
 * What it settles at. Tables wait for a grace period and what else a process had for
 * various workers, so look until nothing changed for longer. Looking itself takes a
 * page or two and gives them back.
 */
static inline struct usage settled(void)
{
	struct usage now, last = usage();
	int idle, looks = 0;

	for (idle = 0; idle < 24 && looks < 300; idle++, looks++) {
		usleep(100000);
		now = usage();
		if (labs(now.kernel - last.kernel) > 2 || now.secondary != last.secondary) {
			last = now;
			idle = 0;
		}
	}
	return now;
}

static inline bool usage_is(struct usage first, struct usage now, unsigned int tolerance)
{
	return now.kernel <= first.kernel + tolerance && now.secondary == first.secondary;
}

/*
 * Whether it comes back to what @first was, but for @tolerance pages, after @nr more of
 * what used it. @now is what it came to. On a busy machine it may take long.
 */
static inline bool usage_returns(const char *name, struct usage first, unsigned int nr,
				 unsigned int tolerance, struct usage *now)
{
	int looks;

	*now = usage();
	for (looks = 0; looks < 600 && !usage_is(first, *now, tolerance); looks++) {
		usleep(100000);
		*now = usage();
	}

	ksft_print_msg("%s: %ld pages at first, %ld after %u more (tolerated: +%u)\n",
		       name, first.kernel, now->kernel, nr, tolerance);
	if (first.secondary || now->secondary)
		ksft_print_msg("%s: SecPageTables %ld kB at first, %ld kB in the end\n",
			       name, first.secondary, now->secondary);
	return looks < 600;
}

#endif /* SELFTEST_KVM_LOCKLESS_AGING_USAGE_H */
