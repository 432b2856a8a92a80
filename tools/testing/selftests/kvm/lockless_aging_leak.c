// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VM's page tables are freed: all of them when it ends, and those of a range
 * when the range is unmapped.
 *
 * KVM charges them to the memory cgroup of the VMM, so that a cgroup with nothing
 * else in it shows each page that is left. Some architectures also count them as
 * SecPageTables in /proc/meminfo; what was added there has to be taken off again.
 */
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lockless_aging.h"

#define CGROUP_ROOT	"/sys/fs/cgroup"

#define MAX_BYTES	(LA_MAX_PAGES / LA_CHUNK_PAGES * LA_TABLE_SIZE)
#define MEMINFO		"/proc/meminfo"
/* Has each CPU add what it counted to the sums. */
#define STAT_REFRESH	"/proc/sys/vm/stat_refresh"

static size_t vm_bytes;
static unsigned int nr_vms = 8;
static bool secondary_counted;
static char cgroup[128];

static void cgroup_file(char *path, size_t size, const char *name)
{
	snprintf(path, size, "%s/%s", cgroup, name);
}

struct usage {
	int64_t kernel;		/* pages charged to the cgroup as the kernel's */
	int64_t secondary;	/* kB in page tables of any VM, if that is counted */
};

static struct usage usage(void)
{
	char path[256], text[8192], *line;
	struct usage now;

	cgroup_file(path, sizeof(path), "memory.stat");
	TEST_ASSERT(la_read(path, text, sizeof(text)), "Cannot read %s", path);
	now.kernel = la_stat(text, "kernel") / LA_PAGE_SIZE;

	if (!access(STAT_REFRESH, W_OK))
		la_write(STAT_REFRESH, "1");
	TEST_ASSERT(la_read(MEMINFO, text, sizeof(text)), "Cannot read " MEMINFO);
	line = strstr(text, "SecPageTables:");
	now.secondary = line ? atol(line + strlen("SecPageTables:")) : 0;
	return now;
}

/*
 * What it settles at. Tables wait for a grace period and what else a process had for
 * various workers, and memory.stat may be two seconds late, so look until nothing
 * changed for longer. Looking itself takes a page or two and gives them back.
 */
static struct usage settled(void)
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

static bool same_usage(const char *name, struct usage first, struct usage last, unsigned int nr,
		       unsigned int tolerance)
{
	ksft_print_msg("%s: %ld pages at first, %ld after %u more (tolerated: +%u)\n",
		       name, first.kernel, last.kernel, nr, tolerance);
	if (secondary_counted)
		ksft_print_msg("%s: SecPageTables %ld kB at first, %ld kB in the end\n",
			       name, first.secondary, last.secondary);
	return last.kernel <= first.kernel + tolerance &&
	       (!secondary_counted || last.secondary == first.secondary);
}

static void touch_all(struct la_vm *v, uint64_t gpa)
{
	la_touch(v, LA_OP_WRITE, gpa, vm_bytes / v->step);
}

/* It has to have many tables; what is in them matters less. */
static void create_vm(struct la_vm *v, char **mem)
{
	la_vm_create(v, 1);
	v->step = LA_HUGE_STEP;
	*mem = la_alloc(vm_bytes);
	la_add_slot(v, LA_SLOT, 0, LA_TABLE_GPA(0), LA_TABLE_GPA(0), *mem, vm_bytes);
	touch_all(v, LA_TABLE_GPA(0));
}

static bool vm_closed(void)
{
	struct la_vm v;
	char *mem;

	create_vm(&v, &mem);
	la_vm_free(&v);
	return true;
}

static bool vm_exits(void)
{
	struct la_vm v;
	char *mem;

	create_vm(&v, &mem);
	return true;
}

static bool vm_is_killed(void)
{
	struct la_vm v;
	char *mem;

	create_vm(&v, &mem);
	kill(getpid(), SIGKILL);
	return false;
}

/* Runs @fn in the cgroup, in a process of its own; returns whether it passed. */
static bool run_in_cgroup(bool (*fn)(void))
{
	char path[256];
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		cgroup_file(path, sizeof(path), "cgroup.procs");
		la_write(path, "0");
		_exit(fn() ? KSFT_PASS : KSFT_FAIL);
	}
	TEST_ASSERT(pid > 0 && waitpid(pid, &status, 0) == pid, "fork: %s", strerror(errno));
	return WIFEXITED(status) ? !WEXITSTATUS(status) : fn == vm_is_killed;
}

/* Goes on from @base, and leaves there what it ends with. */
static bool check_vms(const char *name, bool (*fn)(void), struct usage *base)
{
	const struct usage first = *base;
	unsigned int i;

	for (i = 0; i < nr_vms; i++)
		if (!run_in_cgroup(fn))
			return false;
	*base = settled();
	/* Less than a page for each VM is slabs and per-CPU stocks. */
	return same_usage(name, first, *base, nr_vms, nr_vms / 2);
}

/* Where a slot is moved to. */
#define NR_PLACES	8
#define NR_CYCLES	(25 * NR_PLACES)

static bool check_cycles(const char *name, void (*cycle)(struct la_vm *v, char *mem, int i))
{
	struct usage first, last;
	struct la_vm v;
	char *mem;
	int i;

	vm_bytes /= 2;
	create_vm(&v, &mem);
	v.step = LA_TABLE_SIZE / 4;
	for (i = 0; i < NR_PLACES; i++)
		cycle(&v, mem, i);
	first = settled();
	for (i = 0; i < NR_CYCLES; i++)
		cycle(&v, mem, NR_PLACES + i);
	last = settled();
	la_vm_free(&v);
	/* A vCPU keeps up to 40 pages for tables in stock; now more of them, now less. */
	return same_usage(name, first, last, NR_CYCLES, 64);
}

static void unmap_cycle(struct la_vm *v, char *mem, int i)
{
	TEST_ASSERT(!madvise(mem, vm_bytes, MADV_DONTNEED), "MADV_DONTNEED: %s", strerror(errno));
	touch_all(v, LA_TABLE_GPA(0));
}

/* To another place each time, which takes tables of its own. */
static void slot_cycle(struct la_vm *v, char *mem, int i)
{
	const uint64_t gpa = LA_TABLE_GPA(0) + (1 + i % NR_PLACES) * vm_bytes;

	la_del_slot(v, LA_SLOT);
	if (i < NR_PLACES)
		la_add_slot(v, LA_SLOT, 0, gpa, gpa, mem, vm_bytes);
	else
		vm_set_user_memory_region(v->vm, LA_SLOT, 0, gpa, vm_bytes, mem);
	touch_all(v, gpa);
}

static bool unmap_cycles(void)
{
	return check_cycles("unmap", unmap_cycle);
}

static bool slot_cycles(void)
{
	return check_cycles("memslot", slot_cycle);
}

static bool make_cgroup(void)
{
	char path[256];

	snprintf(cgroup, sizeof(cgroup), CGROUP_ROOT "/lockless_aging_leak.%d", getpid());
	if (__la_write(CGROUP_ROOT "/cgroup.subtree_control", "+memory"))
		return false;
	if (mkdir(cgroup, 0755))
		return false;
	cgroup_file(path, sizeof(path), "memory.stat");
	return !access(path, R_OK);
}

static void help(const char *name)
{
	printf("usage: %s [-h] [-m MiB] [-n VMs]\n"
	       " -m: memory of a VM, in MiB, a multiple of %lu (default: %lu, most: %lu)\n"
	       " -n: VMs, one after another, after the first (default: 8)\n",
	       name, 2 * LA_TABLE_SIZE / SZ_1M, vm_bytes / SZ_1M, MAX_BYTES / SZ_1M);
}

int main(int argc, char *argv[])
{
	struct usage base;
	struct la_vm v;
	char *mem;
	int opt;

	vm_bytes = 8 * LA_TABLE_SIZE;
	while ((opt = getopt(argc, argv, "hm:n:")) != -1) {
		switch (opt) {
		case 'm':
			vm_bytes = (size_t)atoi_positive("MiB", optarg) * SZ_1M;
			if (vm_bytes % (2 * LA_TABLE_SIZE) || vm_bytes > MAX_BYTES) {
				help(argv[0]);
				return KSFT_FAIL;
			}
			break;
		case 'n':
			nr_vms = atoi_positive("VMs", optarg);
			break;
		default:
			help(argv[0]);
			return opt == 'h' ? KSFT_PASS : KSFT_FAIL;
		}
	}

	ksft_print_header();
	__TEST_REQUIRE(!access("/dev/kvm", R_OK | W_OK), "needs /dev/kvm");
	__TEST_REQUIRE(make_cgroup(), "needs cgroup2 with memory at " CGROUP_ROOT);
	ksft_set_plan(5);

	/* A VM to the end, for the count would not show that it fell below 0. */
	base = usage();
	create_vm(&v, &mem);
	secondary_counted = usage().secondary > base.secondary;
	if (!secondary_counted)
		ksft_print_msg("SecPageTables does not count a VM's tables here\n");

	/* The first one in the cgroup also makes what stays for good. */
	TEST_ASSERT(run_in_cgroup(vm_closed), "A VM could not be made");
	base = settled();
	ksft_test_result(check_vms("closed", vm_closed, &base), "tables_freed_when_vm_closed\n");
	ksft_test_result(check_vms("exited", vm_exits, &base), "tables_freed_when_vmm_exits\n");
	ksft_test_result(check_vms("killed", vm_is_killed, &base),
			 "tables_freed_when_vmm_is_killed\n");
	ksft_test_result(run_in_cgroup(unmap_cycles), "no_growth_by_unmapping\n");
	ksft_test_result(run_in_cgroup(slot_cycles), "no_growth_by_moving_slots\n");

	la_vm_free(&v);
	rmdir(cgroup);
	ksft_finished();
}
