// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VM's page tables are freed: all of them when it ends, and those of a range
 * when the range is unmapped. Ends that aging races with are in
 * lockless_aging_stress.
 */
#include <signal.h>
#include <sys/wait.h>

#include "lockless_aging_usage.h"

#define MAX_BYTES	(LA_MAX_PAGES / LA_CHUNK_PAGES * LA_TABLE_SIZE)

static size_t vm_bytes;
static unsigned int nr_vms = 8;

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
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		la_enter_cgroup();
		_exit(fn() ? KSFT_PASS : KSFT_FAIL);
	}
	TEST_ASSERT(pid > 0 && waitpid(pid, &status, 0) == pid, "fork: %s", strerror(errno));
	return WIFEXITED(status) ? !WEXITSTATUS(status) : fn == vm_is_killed;
}

/* Goes on from @base, and leaves there what it ends with. */
static bool check_vms(const char *name, bool (*fn)(void), struct la_usage *base)
{
	const struct la_usage first = *base;
	unsigned int i;
	bool same;

	for (i = 0; i < nr_vms; i++)
		if (!run_in_cgroup(fn))
			return false;
	/* Less than a page for each VM is slabs and per-CPU stocks. */
	same = la_usage_returns(name, first, nr_vms, nr_vms / 2, base);
	*base = la_settled();
	return same;
}

/* Where a slot is moved to. */
#define NR_PLACES	8
#define NR_CYCLES	(25 * NR_PLACES)

static bool check_cycles(const char *name, void (*cycle)(struct la_vm *v, char *mem, int i))
{
	struct la_usage first, last;
	struct la_vm v;
	char *mem;
	bool same;
	int i;

	vm_bytes /= 2;
	create_vm(&v, &mem);
	v.step = LA_TABLE_SIZE / 4;
	for (i = 0; i < NR_PLACES; i++)
		cycle(&v, mem, i);
	first = la_settled();
	for (i = 0; i < NR_CYCLES; i++)
		cycle(&v, mem, NR_PLACES + i);
	/* A vCPU keeps up to 40 pages for tables in stock; now more of them, now less. */
	same = la_usage_returns(name, first, NR_CYCLES, 64, &last);
	la_vm_free(&v);
	return same;
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

static void help(const char *name)
{
	printf("usage: %s [-h] [-m MiB] [-n VMs]\n"
	       " -m: memory of a VM, in MiB, a multiple of %lu (default: %lu, most: %lu)\n"
	       " -n: VMs, one after another, after the first (default: 8)\n",
	       name, 2 * LA_TABLE_SIZE / SZ_1M, vm_bytes / SZ_1M, MAX_BYTES / SZ_1M);
}

int main(int argc, char *argv[])
{
	struct la_usage base;
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
	__TEST_REQUIRE(la_make_cgroup("lockless_aging_leak"),
		       "needs cgroup2 with memory at " CGROUP_ROOT);
	ksft_set_plan(5);

	/* A VM to the end, for the count would not show that it fell below 0. */
	base = la_usage();
	create_vm(&v, &mem);
	if (la_usage().secondary <= base.secondary)
		ksft_print_msg("SecPageTables does not count a VM's tables here\n");

	/* The first one in the cgroup also makes what stays for good. */
	TEST_ASSERT(run_in_cgroup(vm_closed), "A VM could not be made");
	base = la_settled();
	ksft_test_result(check_vms("closed", vm_closed, &base), "tables_freed_when_vm_closed\n");
	ksft_test_result(check_vms("exited", vm_exits, &base), "tables_freed_when_vmm_exits\n");
	ksft_test_result(check_vms("killed", vm_is_killed, &base),
			 "tables_freed_when_vmm_is_killed\n");
	ksft_test_result(run_in_cgroup(unmap_cycles), "no_growth_by_unmapping\n");
	ksft_test_result(run_in_cgroup(slot_cycles), "no_growth_by_moving_slots\n");

	la_vm_free(&v);
	la_remove_cgroup();
	ksft_finished();
}
