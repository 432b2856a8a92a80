// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VM's page tables are freed: all of them when it ends, and those of a range
 * when the range is unmapped.
 *
 * KVM charges them to the memory cgroup of the VMM, so that a cgroup with nothing
 * else in it shows each page that is left.
 */
#include <sys/stat.h>
#include <sys/wait.h>

#include "lockless_aging.h"

#define CGROUP_ROOT	"/sys/fs/cgroup"

static size_t vm_bytes = 16 * SZ_1M;
static unsigned int nr_vms = 8;
static char cgroup[128];

static void cgroup_file(char *path, size_t size, const char *name)
{
	snprintf(path, size, "%s/%s", cgroup, name);
}

/* Kernel memory that is charged to the cgroup, in pages. */
static int64_t kernel_pages(void)
{
	char path[256], text[8192];

	cgroup_file(path, sizeof(path), "memory.stat");
	TEST_ASSERT(la_read(path, text, sizeof(text)), "Cannot read %s", path);
	return la_stat(text, "kernel") / LA_PAGE_SIZE;
}

/*
 * The level that it comes down to. Tables wait for a grace period and what else a
 * process had for various workers, so look until nothing went for two seconds.
 */
static int64_t settled(void)
{
	int64_t now, least = kernel_pages();
	int idle;

	for (idle = 0; idle < 20; idle++) {
		usleep(100000);
		now = kernel_pages();
		if (now < least) {
			least = now;
			idle = 0;
		}
	}
	return least;
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
	return WIFEXITED(status) && !WEXITSTATUS(status);
}

static void create_vm(struct la_vm *v, char **mem)
{
	la_vm_create(v, 1);
	*mem = la_alloc(vm_bytes);
	la_add_slot(v, LA_SLOT, 0, LA_GPA, LA_GPA, *mem, vm_bytes);
	la_touch(v, LA_OP_WRITE, LA_GPA, vm_bytes >> LA_PAGE_SHIFT);
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

/*
 * A table a VM is what this has to see, so less than that is tolerated: half a page
 * a VM, for slabs and per-CPU stocks that hold on to a page.
 */
static bool check_vms(const char *name, bool (*fn)(void))
{
	const int64_t tolerance = nr_vms / 2;
	int64_t first, last;
	unsigned int i;

	/* The first one also makes what stays for good. */
	if (!run_in_cgroup(fn))
		return false;
	first = settled();
	for (i = 0; i < nr_vms; i++)
		if (!run_in_cgroup(fn))
			return false;
	last = settled();
	ksft_print_msg("%s: %ld pages after the first VM, %ld after %u more (tolerated: +%ld)\n",
		       name, first, last, nr_vms, tolerance);
	return last <= first + tolerance;
}

#define NR_CYCLES	8

static bool check_cycles(const char *name, void (*cycle)(struct la_vm *v, char *mem, int i))
{
	const int64_t tolerance = NR_CYCLES / 2;
	int64_t first, last;
	struct la_vm v;
	char *mem;
	int i;

	vm_bytes /= 2;
	create_vm(&v, &mem);
	cycle(&v, mem, 0);
	first = settled();
	for (i = 1; i <= NR_CYCLES; i++)
		cycle(&v, mem, i);
	last = settled();
	ksft_print_msg("%s: %ld pages after a cycle, %ld after %d more (tolerated: +%ld)\n",
		       name, first, last, NR_CYCLES, tolerance);
	la_vm_free(&v);
	return last <= first + tolerance;
}

static void unmap_cycle(struct la_vm *v, char *mem, int i)
{
	TEST_ASSERT(!madvise(mem, vm_bytes, MADV_DONTNEED), "MADV_DONTNEED: %s", strerror(errno));
	la_touch(v, LA_OP_WRITE, LA_GPA, vm_bytes >> LA_PAGE_SHIFT);
}

/* To a new place each time, which takes tables of its own. */
static void slot_cycle(struct la_vm *v, char *mem, int i)
{
	const uint64_t gpa = LA_GPA + (i + 1) * vm_bytes;

	la_del_slot(v, LA_SLOT);
	la_add_slot(v, LA_SLOT, 0, gpa, gpa, mem, vm_bytes);
	la_touch(v, LA_OP_WRITE, gpa, vm_bytes >> LA_PAGE_SHIFT);
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
	       " -m: memory of a VM, in MiB, a multiple of 4 (default: 16, most: %lu)\n"
	       " -n: VMs, one after another, after the first (default: 8)\n",
	       name, LA_MAX_PAGES * LA_PAGE_SIZE / SZ_1M);
}

int main(int argc, char *argv[])
{
	int opt;

	while ((opt = getopt(argc, argv, "hm:n:")) != -1) {
		switch (opt) {
		case 'm':
			vm_bytes = atoi_positive("MiB", optarg) * SZ_1M;
			if (vm_bytes % (2 * LA_TABLE_SIZE) ||
			    vm_bytes > LA_MAX_PAGES * LA_PAGE_SIZE) {
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
	ksft_set_plan(4);

	ksft_test_result(check_vms("closed", vm_closed), "tables_freed_when_vm_closed\n");
	ksft_test_result(check_vms("exited", vm_exits), "tables_freed_when_vmm_exits\n");
	ksft_test_result(run_in_cgroup(unmap_cycles), "no_growth_by_unmapping\n");
	ksft_test_result(run_in_cgroup(slot_cycles), "no_growth_by_moving_slots\n");

	rmdir(cgroup);
	ksft_finished();
}
