// SPDX-License-Identifier: GPL-2.0-only
/*
 * Benchmarks of aging: guests in processes of their own, whose memory is aged.
 */
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sched.h>

#include "lockless_aging_bench.h"

#define THP		"/sys/kernel/mm/transparent_hugepage/"
#define PAGE_IDLE	"/sys/kernel/mm/page_idle/bitmap"

/* A part of the guest is hot in the mixed states: one page of so many. */
#define HOT_PART	8

static const struct la_bench_mode modes[] = {
	{ "stock" },
	{ "lock", false, true, true },
	{ "paged", true, false, true },
	{ "batch", true, true, true },
	{ "noconsult", true, true, false },
};

const struct la_bench_mode *const la_bench_default = &modes[3];

struct la_bench la_bench = {
	.what = "pass", .kind = "4k", .mib = 64, .vms = 1, .nr_vcpus = 1, .workers = 1, .rounds = 1,
};

static struct {
	int to, from;
} workers[MAX_WORKERS];

/*
 * What is measured: three system calls that nothing else makes here, and that do next to
 * nothing, tell the emulator's plugin.
 */

__thread bool la_bench_aside;

uint64_t la_bench_begin(void)
{
	if (!la_bench_aside)
		syscall(SYS_sched_get_priority_min, SCHED_OTHER);
	return la_guest_cycles();
}

/* Returns the ticks since the beginning.  What ends twice is as long as the second end says. */
uint64_t la_bench_end(uint64_t begin)
{
	const uint64_t ticks = la_guest_cycles() - begin;

	if (!la_bench_aside)
		syscall(SYS_sched_get_priority_max, SCHED_OTHER);
	return ticks;
}

/* A line was printed about what ended last. */
static void result_is_out(void)
{
	syscall(SYS_getcpu, NULL, NULL, NULL);
}

/*
 * Lines for the build machine
 */

static void print_counters(void)
{
	struct la_stats stats;

	if (la_on_stock)
		return;
	stats = la_stats_read();
	printf(", \"walks\": %lu, \"visited\": %lu, \"batches\": %lu, \"mmu_lock\": %lu",
	       stats.walks, stats.visited, stats.batches, stats.mmu_lock);
}

void la_bench_zero_counters(void)
{
	if (!la_on_stock)
		la_stats_zero();
}

void la_bench_begin_result(const char *mode, const char *state)
{
	printf("BENCH {\"mode\": \"%s\", \"state\": \"%s\"", mode, state);
}

void la_bench_end_result(void)
{
	print_counters();
	printf("}\n");
	fflush(stdout);
	result_is_out();
}

void la_bench_result(const char *mode, const char *state, uint64_t ticks, uint64_t pages,
		     uint64_t found)
{
	la_bench_begin_result(mode, state);
	printf(", \"ticks\": %lu, \"pages\": %lu, \"found\": %lu", ticks, pages, found);
	la_bench_end_result();
}

/*
 * Switches
 */

/* False if the kernel has no such mode. */
bool la_bench_set_mode(const struct la_bench_mode *mode)
{
	if (la_on_stock || la_is(mode->name, "stock"))
		return la_on_stock && la_is(mode->name, "stock");

	la_set_lockless(mode->lockless);
	la_write(BATCH_SWITCH, mode->batch ? "Y" : "N");
	/* Bit 3: walks query secondary MMUs. */
	la_write(LRU_GEN_ENABLED, mode->consult ? "0x000f" : "0x0007");
	return true;
}

/* Nobody is asked where there is no VM, so there is but one way not to. */
static bool mode_applies(const struct la_bench_mode *mode)
{
	return la_on_stock || la_bench.vms || la_is(mode->name, "batch");
}

/* Switch to the mode after @mode, or to the first if that is NULL.  Returns NULL after the last. */
const struct la_bench_mode *la_bench_next_mode(const struct la_bench_mode *mode)
{
	for (mode = mode ? mode + 1 : modes; mode < modes + ARRAY_SIZE(modes); mode++)
		if (mode_applies(mode) && la_bench_set_mode(mode))
			return mode;
	return NULL;
}

/*
 * The cgroup and its generations
 */

void la_bench_make_group(void)
{
	char path[128];
	static int nr;

	TEST_ASSERT(asprintf(&la_bench.group, "/bench.%d.%d", getpid(), nr++) > 0, "No memory");
	snprintf(path, sizeof(path), CGROUP_ROOT "%s", la_bench.group);
	TEST_ASSERT(!mkdir(path, 0755), "Cannot make %s: %s", path, strerror(errno));
}

void la_bench_enter_group(void)
{
	la_group_write(la_bench.group, "cgroup.procs", "0");
}

/* Only what the command itself takes, without getting there. */
uint64_t la_bench_command(const char *cmd)
{
	int fd = open(LRU_GEN, O_WRONLY);
	uint64_t start;
	ssize_t ret;

	TEST_ASSERT(fd >= 0, "Cannot open " LRU_GEN ": %s", strerror(errno));
	start = la_bench_begin();
	ret = write(fd, cmd, strlen(cmd));
	start = la_bench_end(start);
	TEST_ASSERT(ret > 0, "Cannot write '%s' to " LRU_GEN ": %s", cmd, strerror(errno));
	close(fd);
	return start;
}

/* A forced pass over all of the cgroup.  Returns ticks. */
uint64_t la_bench_pass(void)
{
	struct la_lru lru = la_lru_read(la_bench.group);
	char cmd[80];

	snprintf(cmd, sizeof(cmd), "+ %lu 0 %lu 1 1\n", lru.memcg, lru.gens[lru.nr - 1].seq);
	return la_bench_command(cmd);
}

/*
 * The processes with the guests
 */

static void set_kind(uint64_t kib)
{
	static const unsigned int sizes[] = { 16, 32, 64, 128, 256, 512, 1024, 2048 };
	char path[128];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		snprintf(path, sizeof(path), THP "hugepages-%ukB/enabled", sizes[i]);
		if (!access(path, W_OK))
			la_write(path, sizes[i] == kib ? "madvise" : "never");
	}
}

static long folios_allocated(uint64_t kib)
{
	char path[128], text[32];

	snprintf(path, sizeof(path), THP "hugepages-%lukB/stats/anon_fault_alloc", kib);
	return la_read(path, text, sizeof(text)) ? atol(text) : 0;
}

void la_bench_alloc(struct la_bench_worker *w)
{
	w->huge = la_is(la_bench.kind, "64k") ? SZ_64K : la_is(la_bench.kind, "2m") ? SZ_2M : 0;
	set_kind(w->huge / SZ_1K);
	w->mem = la_mmap_aligned(w->bytes);
	TEST_ASSERT(!madvise(w->mem, w->bytes, w->huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE),
		    "madvise: %s", strerror(errno));
}

void la_bench_create_vms(struct la_bench_worker *w)
{
	int i;

	for (i = 0; i < la_bench.vms; i++) {
		la_vm_create(&w->vm[i], la_bench.nr_vcpus);
		/* There is more to map than the framework has page tables for. */
		vm_userspace_mem_region_add(w->vm[i].vm, VM_MEM_SRC_ANONYMOUS, TABLES_GPA,
					    TABLES_SLOT, w->pages / 256 + 64, 0);
		w->vm[i].vm->memslots[MEM_REGION_PT] = TABLES_SLOT;
		la_add_slot(&w->vm[i], LA_SLOT, 0, SLOT_GPA, SLOT_GPA, w->mem, w->bytes);
	}
}

void la_bench_populate(struct la_bench_worker *w)
{
	long before = folios_allocated(w->huge / SZ_1K);
	uint64_t i;

	for (i = 0; i < w->pages; i++)
		w->mem[i << LA_PAGE_SHIFT] = 1;
	if (w->huge)
		TEST_ASSERT(folios_allocated(w->huge / SZ_1K) - before >=
			    (long)(w->bytes / w->huge * 9 / 10), "Got no folios of %lu bytes",
			    w->huge);
}

/* By the guests, or by the process if there is none. */
static void touch(struct la_bench_worker *w, uint64_t pages, uint64_t step)
{
	uint64_t i;

	for (i = 0; i < la_bench.vms; i++) {
		w->vm[i].step = step << LA_PAGE_SHIFT;
		la_touch(&w->vm[i], LA_OP_READ, SLOT_GPA, pages / step);
	}
	if (la_bench.vms)
		return;

	/* Drops what the TLB has, with which no accessed bit would be set again. */
	TEST_ASSERT(!mprotect(w->mem, w->bytes, PROT_READ) &&
		    !mprotect(w->mem, w->bytes, PROT_READ | PROT_WRITE), "mprotect");
	for (i = 0; i < pages; i += step)
		READ_ONCE(w->mem[i << LA_PAGE_SHIFT]);
}

/*
 * page_idle: the words of its bitmap that are about pages of this memory alone
 */

static uint64_t *pfns;

int la_bench_cmp(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

void la_bench_read_pfns(struct la_bench_worker *w)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t i;

	pfns = calloc(w->pages, sizeof(*pfns));
	TEST_ASSERT(pfns && fd >= 0, "No memory, or no pagemap");
	TEST_ASSERT(pread(fd, pfns, w->pages * sizeof(*pfns),
			  ((unsigned long)w->mem >> LA_PAGE_SHIFT) * sizeof(*pfns)) ==
		    (ssize_t)(w->pages * sizeof(*pfns)), "Cannot read pagemap");
	close(fd);
	for (i = 0; i < w->pages; i++)
		pfns[i] &= (1UL << 55) - 1;
	qsort(pfns, w->pages, sizeof(*pfns), la_bench_cmp);
}

/* Has all the pages made idle.  Returns ticks, and of how many pages in @pages. */
uint64_t la_bench_mark_idle(struct la_bench_worker *w, uint64_t *pages)
{
	static uint64_t ones[512];
	int fd = open(PAGE_IDLE, O_WRONLY);
	uint64_t i, first, words, begin;
	ssize_t ret;

	TEST_ASSERT(fd >= 0, "Cannot open " PAGE_IDLE);
	memset(ones, 0xff, sizeof(ones));
	*pages = 0;
	begin = la_bench_begin();
	for (i = 0; i + 64 <= w->pages;) {
		first = i;
		for (words = 0; words < ARRAY_SIZE(ones) && i + 64 <= w->pages; words++, i += 64)
			if (pfns[i + 63] != pfns[first] + words * 64 + 63)
				break;
		if (!words || pfns[first] % 64) {
			i = first + 1;
			continue;
		}
		ret = pwrite(fd, ones, words * 8, pfns[first] / 8);
		TEST_ASSERT(ret == (ssize_t)words * 8, "Cannot write to " PAGE_IDLE);
		*pages += words * 64;
	}
	begin = la_bench_end(begin);
	close(fd);
	return begin;
}

/* What a process with memory is told to do, a letter each. */
struct la_bench_reply la_bench_obey(struct la_bench_worker *w, char cmd)
{
	struct la_bench_reply r = {};
	int i;

	switch (cmd) {
	case 'v':
		la_bench_create_vms(w);
		break;
	case 'p':
		la_bench_populate(w);
		for (i = 0; i < la_bench.vms; i++)
			la_touch(&w->vm[i], LA_OP_WRITE, SLOT_GPA, w->pages);
		break;
	case 'o':
		break;
	case 'y':
		touch(w, w->pages, 1);
		break;
	case 'm':
		touch(w, w->pages / HOT_PART, 1);
		break;
	case 's':
		touch(w, w->pages, HOT_PART);
		break;
	case 'f':
		la_bench_read_pfns(w);
		break;
	case 'i':
		r.ticks = la_bench_mark_idle(w, &r.pages);
		break;
	default:
		TEST_FAIL("Unknown command %c", cmd);
	}
	return r;
}

static void work(int from, int to)
{
	struct la_bench_worker w = {
		.pages = la_bench.worker_pages,
		.bytes = la_bench.worker_pages << LA_PAGE_SHIFT,
	};
	struct la_bench_reply r;
	char cmd;

	la_bench_enter_group();
	la_bench_alloc(&w);
	while (read(from, &cmd, 1) == 1) {
		r = la_bench_obey(&w, cmd);
		if (write(to, &r, sizeof(r)) != sizeof(r))
			break;
	}
	_exit(0);
}

struct la_bench_reply la_bench_tell(char cmd)
{
	struct la_bench_reply r, sum = {};
	int i;

	for (i = 0; i < la_bench.workers; i++) {
		TEST_ASSERT(write(workers[i].to, &cmd, 1) == 1 &&
			    read(workers[i].from, &r, sizeof(r)) == sizeof(r),
			    "A process with a guest is gone");
		sum.ticks += r.ticks;
		sum.pages += r.pages;
	}
	/* What was switched to is known to have run. */
	usleep(1000);
	return sum;
}

void la_bench_start_workers(void)
{
	int to[2], from[2], i;

	la_bench_make_group();
	la_bench.worker_pages = (la_bench.mib * SZ_1M >> LA_PAGE_SHIFT) / la_bench.workers;
	for (i = 0; i < la_bench.workers; i++) {
		TEST_ASSERT(!pipe2(to, O_CLOEXEC) && !pipe2(from, O_CLOEXEC), "pipe");
		fflush(stdout);
		if (!fork()) {
			/* The end of a pipe is seen when nobody has it open. */
			workers[i].to = to[1];
			for (; i >= 0; i--)
				close(workers[i].to);
			work(to[0], from[1]);
		}
		close(to[0]);
		close(from[1]);
		workers[i].to = to[1];
		workers[i].from = from[0];
	}
}

void la_bench_end_workers(void)
{
	char path[128];
	int i;

	for (i = 0; i < la_bench.workers; i++)
		close(workers[i].to);
	while (wait(NULL) > 0)
		;
	snprintf(path, sizeof(path), CGROUP_ROOT "%s", la_bench.group);
	rmdir(path);
}

static void help(const char *name, const struct la_bench_measure *measures, int nr)
{
	int i;

	printf("usage: %s [-h] [-c what] [-k kind] [-m MiB] [-v VMs] [-w workers] [-r rounds]\n"
	       "	[-s device]\n"
	       " -k: folios of 4k, 64k or 2m (default: 4k)\n"
	       " -m: of all guest memory (default: 64)\n"
	       " -v: VMs that map it, 0 to %d (default: 1)\n"
	       " -w: processes that share it, 1 to %d, with so many VMs each (default: 1)\n"
	       " -s: a block device to swap to; what is on it is lost\n"
	       " -c: one of these:\n", name, MAX_VMS, MAX_WORKERS);
	for (i = 0; i < nr; i++)
		printf("     %s\n", measures[i].name);
}

/* Measures what the arguments name. */
int la_bench_main(int argc, char *argv[], const struct la_bench_measure *measures, int nr)
{
	int i, c;

	while ((c = getopt(argc, argv, "hc:k:m:v:w:r:s:")) != -1) {
		switch (c) {
		case 'c':
			la_bench.what = optarg;
			break;
		case 'k':
			la_bench.kind = optarg;
			break;
		case 'm':
			la_bench.mib = atoi_positive("MiB", optarg);
			break;
		case 'v':
			la_bench.vms = min_t(int, atoi_non_negative("VMs", optarg), MAX_VMS);
			break;
		case 'w':
			la_bench.workers = min_t(int, atoi_positive("Workers", optarg),
						 MAX_WORKERS);
			break;
		case 'r':
			la_bench.rounds = atoi_positive("Rounds", optarg);
			break;
		case 's':
			la_bench.swap = optarg;
			break;
		default:
			help(argv[0], measures, nr);
			return c == 'h' ? KSFT_PASS : KSFT_FAIL;
		}
	}

	if (access("/dev/kvm", R_OK | W_OK) || access(LRU_GEN, W_OK))
		ksft_exit_skip("No /dev/kvm, or no MGLRU with debugfs\n");
	la_write(LRU_GEN_ENABLED, "0x000f");
	la_on_stock = access(LA_STATS, W_OK);

	for (i = 0; i < nr; i++) {
		if (!la_is(measures[i].name, la_bench.what))
			continue;
		measures[i].fn();
		la_bench_set_mode(la_bench_default);
		return KSFT_PASS;
	}
	help(argv[0], measures, nr);
	return KSFT_FAIL;
}
