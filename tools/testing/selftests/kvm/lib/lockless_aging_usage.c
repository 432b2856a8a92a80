// SPDX-License-Identifier: GPL-2.0-only
/*
 * How much memory VMs take: what is charged to a cgroup, and what is free.
 */
#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lockless_aging_usage.h"

#define MEMINFO		"/proc/meminfo"
/* Has each CPU add what it counted to the sums. */
#define STAT_REFRESH	"/proc/sys/vm/stat_refresh"

char la_cgroup[128];

/* What memory.stat says the kernel's memory is for. */
static const char * const kinds[LA_NR_KINDS] = {
	"kernel_stack", "pagetables", "sec_pagetables", "percpu", "vmalloc",
	"slab_reclaimable", "slab_unreclaimable",
};

static void cgroup_file(char *path, size_t size, const char *name)
{
	snprintf(path, size, "%s/%s", la_cgroup, name);
}

/* Returns false if there are no cgroups that count memory. */
bool la_make_cgroup(const char *name)
{
	char path[256];

	snprintf(la_cgroup, sizeof(la_cgroup), CGROUP_ROOT "/%s.%d", name, getpid());
	if (__la_write(CGROUP_ROOT "/cgroup.subtree_control", "+memory"))
		return false;
	if (mkdir(la_cgroup, 0755))
		return false;
	cgroup_file(path, sizeof(path), "memory.stat");
	return !access(path, R_OK);
}

void la_remove_cgroup(void)
{
	rmdir(la_cgroup);
}

void la_enter_cgroup(void)
{
	char path[256];

	cgroup_file(path, sizeof(path), "cgroup.procs");
	la_write(path, "0");
}

/* 0 if it is not counted there. */
static int64_t meminfo_kb(const char *text, const char *name)
{
	const char *line = strstr(text, name);

	return line ? atol(line + strlen(name)) : 0;
}

/* Free, but still in the lists of a CPU. */
static int64_t pages_in_cpu_lists(void)
{
	const size_t size = 1 << 16;
	char *text = malloc(size), *pos = text;
	int64_t pages = 0;

	TEST_ASSERT(text && la_read("/proc/zoneinfo", text, size), "Cannot read /proc/zoneinfo");
	while ((pos = strstr(pos, " count:"))) {
		pos += strlen(" count:");
		pages += atol(pos);
	}
	free(text);
	return pages;
}

struct la_usage la_usage(void)
{
	char path[256], text[8192];
	struct la_usage now;
	int i;

	/* This one sums up what the CPUs counted; memory.stat may be seconds behind. */
	cgroup_file(path, sizeof(path), "cpu.stat");
	TEST_ASSERT(la_read(path, text, sizeof(text)), "Cannot read %s", path);
	cgroup_file(path, sizeof(path), "memory.stat");
	TEST_ASSERT(la_read(path, text, sizeof(text)), "Cannot read %s", path);
	now.kernel = la_stat(text, "kernel") / LA_PAGE_SIZE;
	for (i = 0; i < LA_NR_KINDS; i++)
		now.kind[i] = la_stat(text, kinds[i]);

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
 * CPUs keep what is left of pages that they charged for small objects, and add to it what
 * they could not give back when an interrupt freed some. Lowering the limit makes all of
 * them hand that over to the cgroup, and the next small object that is charged and freed
 * there makes the cgroup give it back. Nothing is done while somebody is in the cgroup, as
 * check_cycles() is: the limit would hold.
 */
static void give_charges_back(void)
{
	char path[256], text[16];
	cpu_set_t cpus, one;
	pid_t pid;
	int cpu;

	cgroup_file(path, sizeof(path), "cgroup.procs");
	if (!la_read(path, text, sizeof(text)) || *text)
		return;
	cgroup_file(path, sizeof(path), "memory.high");
	la_write(path, "0");
	la_write(path, "max");

	TEST_ASSERT(!sched_getaffinity(0, sizeof(cpus), &cpus), "sched_getaffinity");
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &cpus))
			continue;
		pid = fork();
		if (!pid) {
			CPU_ZERO(&one);
			CPU_SET(cpu, &one);
			sched_setaffinity(0, sizeof(one), &one);
			la_enter_cgroup();
			_exit(close(open("/dev/null", O_RDONLY)));
		}
		TEST_ASSERT(pid > 0 && waitpid(pid, NULL, 0) == pid, "fork: %s", strerror(errno));
	}
}

/*
 * What it settles at. Tables wait for a grace period and what else a process had for
 * various workers, so look until nothing changed for longer. Looking itself takes a
 * page or two and gives them back.
 */
struct la_usage la_settled(void)
{
	struct la_usage now, last;
	int idle, looks = 0;

	give_charges_back();
	last = la_usage();
	for (idle = 0; idle < 24 && looks < 300; idle++, looks++) {
		usleep(100000);
		now = la_usage();
		if (labs(now.kernel - last.kernel) > 2 || now.secondary != last.secondary) {
			last = now;
			idle = 0;
		}
	}
	return now;
}

static bool usage_is(struct la_usage first, struct la_usage now, unsigned int tolerance)
{
	return now.kernel <= first.kernel + tolerance && now.secondary == first.secondary;
}

/*
 * Whether it comes back to what @first was, but for @tolerance pages, after @nr more of
 * what used it. @now is what it came to. On a busy machine it may take long.
 */
bool la_usage_returns(const char *name, struct la_usage first, unsigned int nr,
		      unsigned int tolerance, struct la_usage *now)
{
	int i, looks;

	*now = la_usage();
	for (looks = 0; looks < 600 && !usage_is(first, *now, tolerance); looks++) {
		usleep(100000);
		if (looks % 50 == 49)
			give_charges_back();
		*now = la_usage();
	}

	ksft_print_msg("%s: %ld pages at first, %ld after %u more (tolerated: +%u)\n",
		       name, first.kernel, now->kernel, nr, tolerance);
	for (i = 0; looks == 600 && i < LA_NR_KINDS; i++)
		if (now->kind[i] != first.kind[i])
			ksft_print_msg("%s: %s %+ld bytes\n", name, kinds[i],
				       now->kind[i] - first.kind[i]);
	if (first.secondary || now->secondary)
		ksft_print_msg("%s: SecPageTables %ld kB at first, %ld kB in the end\n",
			       name, first.secondary, now->secondary);
	return looks < 600;
}
