// SPDX-License-Identifier: GPL-2.0-only
/*
 * What aging guests costs, in ticks of the counter that user space reads.
 *
 * Meant for a machine whose counter counts instructions, such as QEMU's with -icount:
 * then a round is enough, and what else the build machine does has no part in it.  Runs
 * on any kernel with MGLRU; one with pgtable_walk is measured with each of its switches.
 *
 * Prints a line "BENCH {...}" for each measurement, which the build machine collects.
 */
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/wait.h>
#include <sched.h>

#include "lockless_aging.h"

#define LRU_GEN		"/sys/kernel/debug/lru_gen"
#define LRU_GEN_ENABLED	"/sys/kernel/mm/lru_gen/enabled"
#define CGROUP		"/sys/fs/cgroup"
#define THP		"/sys/kernel/mm/transparent_hugepage/"
#define PAGE_IDLE	"/sys/kernel/mm/page_idle/bitmap"
#define BATCH_SWITCH	"/sys/module/mmu_notifier_age/parameters/batch"
#define SLOT_GPA	((uint64_t)SZ_1G)
#define TABLES_GPA	((uint64_t)SZ_256M)
#define TABLES_SLOT	(LA_SLOT + 1)

#define MAX_WORKERS	4
#define MAX_VMS		4
/* A part of the guest is hot in the mixed states: one page of so many. */
#define HOT_PART	8

/* How the kernel is switched while it is measured. */
static const struct mode {
	const char *name;
	bool lockless, batch, consult;
} modes[] = {
	{ "stock" },
	{ "lock", false, true, true },
	{ "paged", true, false, true },
	{ "batch", true, true, true },
	{ "noconsult", true, true, false },
};

#define DEFAULT_MODE	3

/* What is used of the guest's memory between two passes. */
static const struct state {
	const char *name;
	char cmd;
} states[] = {
	{ "old", 'o' },
	{ "young", 'y' },
	{ "mixed", 'm' },
	{ "scattered", 's' },
};

/* The memory that is aged: the process that has it, and what maps it. */
static struct {
	const char *what;	/* to be measured */
	const char *kind;	/* of folios: 4k, 64k, 2m */
	uint64_t mib;
	int vms;		/* that map it, 0 for the process alone */
	int workers;		/* processes with a part of the memory each */
	int rounds;
	const char *swap;
} opt = { .what = "pass", .kind = "4k", .mib = 64, .vms = 1, .workers = 1, .rounds = 1 };

static bool on_stock;
static char *group;		/* the cgroup that is aged */
static struct {
	int to, from;
} workers[MAX_WORKERS];
static uint64_t worker_pages;
static int nr_vcpus = 1;

static bool is(const char *a, const char *b)
{
	return !strcmp(a, b);
}

/*
 * Lines for the build machine
 */

static void print_counters(void)
{
	struct la_stats stats;

	if (on_stock)
		return;
	stats = la_stats_read();
	printf(", \"walks\": %lu, \"visited\": %lu, \"batches\": %lu, \"mmu_lock\": %lu",
	       stats.walks, stats.visited, stats.batches, stats.mmu_lock);
}

static void zero_counters(void)
{
	if (!on_stock)
		la_stats_zero();
}

static void begin_result(const char *mode, const char *state)
{
	printf("BENCH {\"mode\": \"%s\", \"state\": \"%s\"", mode, state);
}

static void end_result(void)
{
	print_counters();
	printf("}\n");
	fflush(stdout);
}

static void print_result(const char *mode, const char *state, uint64_t ticks, uint64_t pages,
			 uint64_t found)
{
	begin_result(mode, state);
	printf(", \"ticks\": %lu, \"pages\": %lu, \"found\": %lu", ticks, pages, found);
	end_result();
}

/*
 * Switches
 */

/* False if the kernel has no such mode. */
static bool set_mode(const struct mode *mode)
{
	if (on_stock || is(mode->name, "stock"))
		return on_stock && is(mode->name, "stock");

	la_set_lockless(mode->lockless);
	la_write(BATCH_SWITCH, mode->batch ? "Y" : "N");
	/* Bit 3: walks query secondary MMUs. */
	la_write(LRU_GEN_ENABLED, mode->consult ? "0x000f" : "0x0007");
	return true;
}

/* Nobody is asked where there is no VM, so there is but one way not to. */
static bool mode_applies(const struct mode *mode)
{
	return on_stock || opt.vms || is(mode->name, "batch");
}

/* The next mode that there is, set; NULL behind the last.  The first comes after NULL. */
static const struct mode *next_mode(const struct mode *mode)
{
	for (mode = mode ? mode + 1 : modes; mode < modes + ARRAY_SIZE(modes); mode++)
		if (mode_applies(mode) && set_mode(mode))
			return mode;
	return NULL;
}

/*
 * The cgroup and its generations
 */

static void make_group(void)
{
	char path[128];
	static int nr;

	TEST_ASSERT(asprintf(&group, "/bench.%d.%d", getpid(), nr++) > 0, "No memory");
	snprintf(path, sizeof(path), CGROUP "%s", group);
	TEST_ASSERT(!mkdir(path, 0755), "Cannot make %s: %s", path, strerror(errno));
}

static void enter_group(void)
{
	char path[128];

	snprintf(path, sizeof(path), CGROUP "%s/cgroup.procs", group);
	la_write(path, "0");
}

struct lru {
	unsigned long memcg, youngest;
	long pages[8];		/* by generation, the youngest first */
};

static void lru_read(struct lru *lru)
{
	static char text[1 << 16];
	char end[80], *line;
	long anon, file;
	unsigned long seq;
	int i;

	TEST_ASSERT(la_read(LRU_GEN, text, sizeof(text)), "Cannot read " LRU_GEN);
	snprintf(end, sizeof(end), " %s\n", group);
	line = strstr(text, end);
	TEST_ASSERT(line, "No %s in " LRU_GEN, group);
	*line = '\0';
	lru->memcg = strtoul(strrchr(text, ' ') + 1, NULL, 10);
	line += strlen(end);
	TEST_ASSERT(!strncmp(line, " node ", 6), "No node of %s in " LRU_GEN, group);

	memset(lru->pages, 0, sizeof(lru->pages));
	for (line = strchr(line, '\n'); line; line = strchr(line + 1, '\n')) {
		if (sscanf(line, "%lu %*u %ld %ld", &seq, &anon, &file) != 3)
			break;
		for (i = ARRAY_SIZE(lru->pages) - 1; i; i--)
			lru->pages[i] = lru->pages[i - 1];
		lru->pages[0] = anon + file;
		lru->youngest = seq;
	}
}

/* Only what the command itself takes, without getting there. */
static uint64_t lru_command(const char *cmd)
{
	int fd = open(LRU_GEN, O_WRONLY);
	uint64_t start;
	ssize_t ret;

	TEST_ASSERT(fd >= 0, "Cannot open " LRU_GEN ": %s", strerror(errno));
	start = la_guest_cycles();
	ret = write(fd, cmd, strlen(cmd));
	start = la_guest_cycles() - start;
	TEST_ASSERT(ret > 0, "Cannot write '%s' to " LRU_GEN ": %s", cmd, strerror(errno));
	close(fd);
	return start;
}

/* A forced pass over all of the cgroup.  Returns ticks. */
static uint64_t force_pass(void)
{
	struct lru lru;
	char cmd[80];

	lru_read(&lru);
	snprintf(cmd, sizeof(cmd), "+ %lu 0 %lu 1 1\n", lru.memcg, lru.youngest);
	return lru_command(cmd);
}

/* The same, and what it counts. */
static uint64_t age(void)
{
	zero_counters();
	return force_pass();
}

/* What the last pass has promoted. */
static long promoted(void)
{
	struct lru lru;

	lru_read(&lru);
	return lru.pages[1];
}

/*
 * The processes with the guests
 */

struct worker {
	struct la_vm vm[MAX_VMS];
	char *mem;
	size_t bytes;
	uint64_t pages;
	uint64_t huge;		/* bytes of a folio, or 0 */
};

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

static void alloc_memory(struct worker *w)
{
	w->huge = is(opt.kind, "64k") ? SZ_64K : is(opt.kind, "2m") ? SZ_2M : 0;
	set_kind(w->huge / SZ_1K);
	w->mem = la_mmap_aligned(w->bytes);
	TEST_ASSERT(!madvise(w->mem, w->bytes, w->huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE),
		    "madvise: %s", strerror(errno));
}

static void create_vms(struct worker *w)
{
	int i;

	for (i = 0; i < opt.vms; i++) {
		la_vm_create(&w->vm[i], nr_vcpus);
		/* There is more to map than the framework has page tables for. */
		vm_userspace_mem_region_add(w->vm[i].vm, VM_MEM_SRC_ANONYMOUS, TABLES_GPA,
					    TABLES_SLOT, w->pages / 256 + 64, 0);
		w->vm[i].vm->memslots[MEM_REGION_PT] = TABLES_SLOT;
		la_add_slot(&w->vm[i], LA_SLOT, 0, SLOT_GPA, SLOT_GPA, w->mem, w->bytes);
	}
}

static void populate_host(struct worker *w)
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
static void touch(struct worker *w, uint64_t pages, uint64_t step)
{
	uint64_t i;

	for (i = 0; i < opt.vms; i++) {
		w->vm[i].step = step << LA_PAGE_SHIFT;
		la_touch(&w->vm[i], LA_OP_READ, SLOT_GPA, pages / step);
	}
	if (opt.vms)
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

static int cmp_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void read_pfns(struct worker *w)
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
	qsort(pfns, w->pages, sizeof(*pfns), cmp_u64);
}

/* Has all the pages made idle.  Returns ticks, and of how many pages in @pages. */
static uint64_t mark_idle(struct worker *w, uint64_t *pages)
{
	static uint64_t ones[512];
	int fd = open(PAGE_IDLE, O_WRONLY);
	uint64_t i, first, words, start, ticks = 0;
	ssize_t ret;

	TEST_ASSERT(fd >= 0, "Cannot open " PAGE_IDLE);
	memset(ones, 0xff, sizeof(ones));
	*pages = 0;
	for (i = 0; i + 64 <= w->pages;) {
		first = i;
		for (words = 0; words < ARRAY_SIZE(ones) && i + 64 <= w->pages; words++, i += 64)
			if (pfns[i + 63] != pfns[first] + words * 64 + 63)
				break;
		if (!words || pfns[first] % 64) {
			i = first + 1;
			continue;
		}
		start = la_guest_cycles();
		ret = pwrite(fd, ones, words * 8, pfns[first] / 8);
		ticks += la_guest_cycles() - start;
		TEST_ASSERT(ret == (ssize_t)words * 8, "Cannot write to " PAGE_IDLE);
		*pages += words * 64;
	}
	close(fd);
	return ticks;
}

/* What a process with memory is told to do, a letter each. */
struct reply {
	uint64_t ticks;
	uint64_t pages;
};

static struct reply obey(struct worker *w, char cmd)
{
	struct reply r = {};
	int i;

	switch (cmd) {
	case 'v':
		create_vms(w);
		break;
	case 'p':
		populate_host(w);
		for (i = 0; i < opt.vms; i++)
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
		read_pfns(w);
		break;
	case 'i':
		r.ticks = mark_idle(w, &r.pages);
		break;
	default:
		TEST_FAIL("Unknown command %c", cmd);
	}
	return r;
}

static void work(int from, int to)
{
	struct worker w = { .pages = worker_pages, .bytes = worker_pages << LA_PAGE_SHIFT };
	struct reply r;
	char cmd;

	enter_group();
	alloc_memory(&w);
	while (read(from, &cmd, 1) == 1) {
		r = obey(&w, cmd);
		if (write(to, &r, sizeof(r)) != sizeof(r))
			break;
	}
	_exit(0);
}

static struct reply tell(char cmd)
{
	struct reply r, sum = {};
	int i;

	for (i = 0; i < opt.workers; i++) {
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

static void start_workers(void)
{
	int to[2], from[2], i;

	make_group();
	worker_pages = (opt.mib * SZ_1M >> LA_PAGE_SHIFT) / opt.workers;
	for (i = 0; i < opt.workers; i++) {
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

static void end_workers(void)
{
	char path[128];
	int i;

	for (i = 0; i < opt.workers; i++)
		close(workers[i].to);
	while (wait(NULL) > 0)
		;
	snprintf(path, sizeof(path), CGROUP "%s", group);
	rmdir(path);
}

static uint64_t all_pages(void)
{
	return worker_pages * opt.workers;
}

/*
 * What is measured
 */

/* A pass that promotes all, with the switches as they are by default. */
static uint64_t promote_all(void)
{
	set_mode(&modes[DEFAULT_MODE]);
	tell('y');
	return age();
}

static void measure_states(const struct mode *mode)
{
	unsigned int i;
	uint64_t ticks;

	for (i = 0; i < ARRAY_SIZE(states); i++) {
		if (i % 2 == 0) {
			ticks = promote_all();
			if (on_stock || mode == &modes[DEFAULT_MODE])
				print_result(mode->name, "lists", ticks, all_pages(), promoted());
			set_mode(mode);
		}
		tell(states[i].cmd);
		ticks = age();
		print_result(mode->name, states[i].name, ticks, all_pages(), promoted());
	}
}

/*
 * A forced pass.  One pass in three also goes through the lists of pages, namely that of
 * the oldest generation.  If that one promotes all pages, the next two are free of it: so
 * all is measured in those, and "lists" is what the third takes.  "empty" is a pass before
 * the memory is there.
 */
static void measure_pass(void)
{
	const struct mode *mode = NULL;
	int i, round;

	start_workers();
	tell('v');
	while ((mode = next_mode(mode))) {
		age();
		tell('o');
		print_result(mode->name, "empty", age(), 0, promoted());
	}
	tell('p');
	for (i = 0; i < 3; i++)
		promote_all();

	for (round = 0; round < opt.rounds; round++)
		while ((mode = next_mode(mode)))
			measure_states(mode);
	end_workers();
}

static void measure_idle(void)
{
	const struct mode *mode = NULL;
	struct reply r;
	int round, i;

	start_workers();
	tell('v');
	tell('p');
	tell('f');
	tell('i');
	for (round = 0; round < opt.rounds; round++) {
		while ((mode = next_mode(mode))) {
			for (i = 0; i < 2; i++) {
				tell(states[i].cmd);
				zero_counters();
				r = tell('i');
				print_result(mode->name, states[i].name, r.ticks, r.pages, 0);
			}
		}
	}
	end_workers();
}

/*
 * Eviction by the same command of debugfs: of old pages, which are swapped out, and of
 * young ones, which are found by the walk of their mappings, or by a look around another
 * one, and kept.
 */

/* A RAM disk allocates its pages when they are written to first. */
static void fill_disk(const char *path)
{
	char *page = calloc(1, LA_PAGE_SIZE);
	int fd = open(path, O_RDWR);
	off_t bytes = lseek(fd, 0, SEEK_END), offset;

	TEST_ASSERT(page && bytes > 0, "Cannot use %s: %s", path, strerror(errno));
	for (offset = 0; offset < bytes; offset += LA_PAGE_SIZE)
		TEST_ASSERT(pwrite(fd, page, LA_PAGE_SIZE, offset) == LA_PAGE_SIZE,
			    "Cannot write to %s: %s", path, strerror(errno));
	close(fd);
	free(page);
}

/* A line of /proc/meminfo. */
static long meminfo_kib(const char *name)
{
	char text[4096], *line;

	TEST_ASSERT(la_read("/proc/meminfo", text, sizeof(text)), "Cannot read /proc/meminfo");
	line = strstr(text, name);
	TEST_ASSERT(line, "No %s in /proc/meminfo", name);
	return atol(line + strlen(name));
}

static void measure_eviction(const struct mode *mode, const struct state *state)
{
	uint64_t ticks, evicted;
	struct lru lru;
	char cmd[80];
	int i;

	start_workers();
	tell('v');
	tell('p');
	for (i = 0; i < 4; i++)
		promote_all();
	for (i = 0; i < 2; i++) {
		tell('o');
		age();
	}
	set_mode(mode);
	tell(state->cmd);

	/* All but the two youngest generations can be evicted. */
	lru_read(&lru);
	snprintf(cmd, sizeof(cmd), "- %lu 0 %lu 200 %lu\n", lru.memcg, lru.youngest - 2,
		 all_pages() / 4);
	zero_counters();
	evicted = meminfo_kib("SwapFree:");
	ticks = lru_command(cmd);
	evicted = (evicted - meminfo_kib("SwapFree:")) / (LA_PAGE_SIZE / SZ_1K);
	print_result(mode->name, state->name, ticks, is(state->name, "old") ? evicted : all_pages(),
		     evicted);
	end_workers();
}

static void measure_evict(void)
{
	const struct mode *mode = NULL;
	int round, i;

	TEST_ASSERT(opt.swap, "Evicts to a swap device, see -s");
	fill_disk(opt.swap);
	la_swap_on(opt.swap);
	for (round = 0; round < opt.rounds; round++)
		while ((mode = next_mode(mode)))
			for (i = 0; i < 2; i++)
				measure_eviction(mode, &states[i]);
	swapoff(opt.swap);
}

/*
 * What is not aging, and must not pay for it.  Where there is time to wait, what counts
 * is what the CPU does meanwhile; a process that has it when nobody else wants it shows
 * how much is left.
 */

static pid_t idler;
static clockid_t idler_clock;

struct lap {
	uint64_t ticks;
	uint64_t ns;
	uint64_t idle_ns;
};

static void start_idler(void)
{
	struct sched_param param = {};

	fflush(stdout);
	idler = fork();
	if (!idler) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		TEST_ASSERT(!sched_setscheduler(0, SCHED_IDLE, &param), "SCHED_IDLE");
		for (;;)
			barrier();
	}
	TEST_ASSERT(!clock_getcpuclockid(idler, &idler_clock), "clock_getcpuclockid");
	kill(idler, SIGSTOP);
}

static struct lap lap_now(void)
{
	struct timespec ts;
	struct lap lap;

	clock_gettime(idler_clock, &ts);
	lap.idle_ns = timespec_to_ns(ts);
	lap.ns = la_now_ns();
	lap.ticks = la_guest_cycles();
	return lap;
}

static struct lap lap_start(void)
{
	/* Until what the last measurement has left behind is done with. */
	usleep(500000);
	kill(idler, SIGCONT);
	return lap_now();
}

/* Ticks since @start in which the CPU had something to do; all of them are "found". */
static void print_lap(const struct lap *start, const char *state, uint64_t nr)
{
	struct lap now = lap_now();
	double idle = now.idle_ns - start->idle_ns;
	uint64_t ticks = now.ticks - start->ticks;

	print_result(on_stock ? "stock" : "batch", state,
		     ticks * (1 - idle / (now.ns - start->ns)), nr, ticks);
}

/* The same with what was left to be done later, such as the end of what RCU waits for. */
static void print_whole_lap(const struct lap *start, const char *state, uint64_t nr)
{
	usleep(100000);
	print_lap(start, state, nr);
	kill(idler, SIGSTOP);
}

/* Faults of a guest, the end of their mappings, and their protection in between. */
static void measure_mapping(void)
{
	struct worker w = { .pages = opt.mib * SZ_1M >> LA_PAGE_SHIFT };
	struct lap lap;

	w.bytes = w.pages << LA_PAGE_SHIFT;
	alloc_memory(&w);
	create_vms(&w);
	populate_host(&w);

	lap = lap_start();
	la_touch(&w.vm[0], LA_OP_WRITE, SLOT_GPA, w.pages);
	print_lap(&lap, "fault", w.pages);
	lap = lap_start();
	vm_set_user_memory_region(w.vm[0].vm, LA_SLOT, KVM_MEM_LOG_DIRTY_PAGES, SLOT_GPA, w.bytes,
				  w.mem);
	print_lap(&lap, "protect", w.pages);
	lap = lap_start();
	la_touch(&w.vm[0], LA_OP_WRITE, SLOT_GPA, w.pages);
	print_lap(&lap, "dirty", w.pages);
	lap = lap_start();
	TEST_ASSERT(!madvise(w.mem, w.bytes, MADV_DONTNEED), "MADV_DONTNEED");
	print_lap(&lap, "unmap", w.pages);
	print_whole_lap(&lap, "unmap-whole", w.pages);
	la_vm_free(&w.vm[0]);
}

/* Nothing but a VM that runs for a moment. */
static void one_life(void)
{
	struct la_vm v;

	la_vm_create(&v, 1);
	la_touch(&v, LA_OP_NOP, 0, 0);
	la_vm_free(&v);
}

static void measure_lives(void)
{
	const int lives = 5, at_once = 100;
	pid_t pids[100];
	struct lap lap;
	int ready[2], i;
	char c = 0;

	one_life();
	lap = lap_start();
	for (i = 0; i < lives; i++)
		one_life();
	print_whole_lap(&lap, "life", lives);

	TEST_ASSERT(!pipe2(ready, O_CLOEXEC), "pipe");
	for (i = 0; i < at_once; i++) {
		fflush(stdout);
		pids[i] = fork();
		if (!pids[i]) {
			struct la_vm v;

			la_vm_create(&v, 1);
			la_touch(&v, LA_OP_NOP, 0, 0);
			TEST_ASSERT(write(ready[1], &c, 1) == 1, "pipe");
			for (;;)
				pause();
		}
		TEST_ASSERT(read(ready[0], &c, 1) == 1, "A process with a guest is gone");
	}
	lap = lap_start();
	for (i = 0; i < at_once; i++)
		kill(pids[i], SIGKILL);
	for (i = 0; i < at_once; i++)
		waitpid(pids[i], NULL, 0);
	print_lap(&lap, "ends-at-once", at_once);
	print_whole_lap(&lap, "ends-at-once-whole", at_once);
}

static void measure_elsewhere(void)
{
	start_idler();
	measure_mapping();
	measure_lives();
	kill(idler, SIGKILL);
}

/*
 * vCPUs that fault while others age the memory of their process.  Those that age another
 * process take as much of the machine's CPUs, but none of what this VM needs.
 */

static const char * const aging[] = { "none", "elsewhere", "one", "two" };

#define FRESH_PAGES	512UL
#define FRESH_GPA(cpu)	(SLOT_GPA + SZ_512M + (cpu) * (uint64_t)SZ_8M)
#define OUT_GPA(cpu)	(FRESH_GPA(cpu) + SZ_4M)

static struct {
	struct worker w;
	char *fresh[LA_MAX_VCPUS];
	uint64_t *latency[LA_MAX_VCPUS];
	char *own_group, *other_group;
	bool stop;
	uint64_t passes;
} contended;

/* Forced passes over the group that is named last. */
static void *pass_main(void *unused)
{
	while (!READ_ONCE(contended.stop)) {
		force_pass();
		__atomic_fetch_add(&contended.passes, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void *idle_main(void *unused)
{
	uint64_t pages;

	while (!READ_ONCE(contended.stop)) {
		mark_idle(&contended.w, &pages);
		__atomic_fetch_add(&contended.passes, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void *vcpu_main(void *arg)
{
	const int cpu = (long)arg;

	la_vcpu_do(&contended.w.vm[0], cpu, LA_OP_LATENCY, FRESH_GPA(cpu), FRESH_PAGES, 0);
	return NULL;
}

static void start_thread(pthread_t *thread, void *(*fn)(void *arg), void *arg)
{
	TEST_ASSERT(!pthread_create(thread, NULL, fn, arg), "pthread_create");
}

static void measure_contention(const struct mode *mode, unsigned int kind, int vcpus)
{
	const bool pass = strcmp(aging[kind], "none"), idle = is(aging[kind], "two");
	uint64_t *all = calloc(vcpus * FRESH_PAGES, sizeof(*all)), ticks, ns;
	pthread_t threads[LA_MAX_VCPUS], pass_thread, idle_thread;
	const int nr = vcpus * FRESH_PAGES;
	long cpu;

	for (cpu = 0; cpu < vcpus; cpu++)
		TEST_ASSERT(!madvise(contended.fresh[cpu], FRESH_PAGES << LA_PAGE_SHIFT,
				     MADV_DONTNEED), "MADV_DONTNEED");
	group = is(aging[kind], "elsewhere") ? contended.other_group : contended.own_group;
	contended.stop = false;
	contended.passes = 0;
	zero_counters();
	if (pass)
		start_thread(&pass_thread, pass_main, NULL);
	if (idle)
		start_thread(&idle_thread, idle_main, NULL);
	usleep(20000);

	ns = la_now_ns();
	ticks = la_guest_cycles();
	for (cpu = 0; cpu < vcpus; cpu++)
		start_thread(&threads[cpu], vcpu_main, (void *)cpu);
	for (cpu = 0; cpu < vcpus; cpu++)
		pthread_join(threads[cpu], NULL);
	ticks = la_guest_cycles() - ticks;
	ns = la_now_ns() - ns;

	WRITE_ONCE(contended.stop, true);
	if (pass)
		pthread_join(pass_thread, NULL);
	if (idle)
		pthread_join(idle_thread, NULL);
	for (cpu = 0; cpu < vcpus; cpu++)
		memcpy(all + cpu * FRESH_PAGES, contended.latency[cpu], FRESH_PAGES * sizeof(*all));
	qsort(all, nr, sizeof(*all), cmp_u64);

	begin_result(mode->name, aging[kind]);
	printf(", \"ticks\": %lu, \"pages\": %d, \"found\": %lu, \"vcpus\": %d", ticks, nr,
	       contended.passes, vcpus);
	printf(", \"ns\": %lu, \"p50\": %lu, \"p99\": %lu", ns, all[nr / 2],
	       all[nr - 1 - nr / 100]);
	end_result();
	free(all);
}

static void measure_contend(void)
{
	const size_t bytes = FRESH_PAGES << LA_PAGE_SHIFT;
	const struct mode *mode = NULL;
	struct worker *w = &contended.w;
	struct la_vm *v = &w->vm[0];
	unsigned int kind;
	int round, cpu;

	opt.vms = 0;
	start_workers();
	tell('p');
	contended.other_group = group;
	make_group();
	contended.own_group = group;
	enter_group();

	opt.vms = 1;
	nr_vcpus = LA_MAX_VCPUS;
	w->pages = worker_pages;
	w->bytes = worker_pages << LA_PAGE_SHIFT;
	alloc_memory(w);
	create_vms(w);
	obey(w, 'p');
	read_pfns(w);
	for (cpu = 0; cpu < LA_MAX_VCPUS; cpu++) {
		contended.fresh[cpu] = la_alloc(bytes);
		la_add_slot(v, TABLES_SLOT + 1 + cpu, 0, FRESH_GPA(cpu), FRESH_GPA(cpu),
			    contended.fresh[cpu], bytes);
		contended.latency[cpu] = la_alloc(LA_PAGE_SIZE);
		la_add_slot(v, TABLES_SLOT + 1 + LA_MAX_VCPUS + cpu, 0, OUT_GPA(cpu), OUT_GPA(cpu),
			    contended.latency[cpu], LA_PAGE_SIZE);
		v->cmds[cpu].out = OUT_GPA(cpu);
	}

	for (round = 0; round < opt.rounds; round++)
		while ((mode = next_mode(mode)))
			for (cpu = 1; cpu <= LA_MAX_VCPUS; cpu *= 2)
				for (kind = 0; kind < ARRAY_SIZE(aging); kind++)
					measure_contention(mode, kind, cpu);
	la_vm_free(v);
	end_workers();
}

/* The counter counts what it should: so many instructions, the loop has two or three. */
static void measure_clock(void)
{
	uint64_t start, n = 1000000;
	int i;

	for (i = 0; i < 3; i++) {
		start = la_guest_cycles();
#if defined(__x86_64__)
		asm volatile("1: sub $1, %0\n\tjnz 1b" : "+r" (n));
#elif defined(__aarch64__)
		asm volatile("1: subs %0, %0, #1\n\tb.ne 1b" : "+r" (n));
#else
		asm volatile("1: addi %0, %0, -1\n\tbnez %0, 1b" : "+r" (n));
#endif
		start = la_guest_cycles() - start;
		n = 1000000;
		print_result("any", "loop", start, 2 * n, 0);
	}
}

static const struct {
	const char *name;
	void (*fn)(void);
} measures[] = {
	{ "clock", measure_clock },
	{ "pass", measure_pass },
	{ "page_idle", measure_idle },
	{ "evict", measure_evict },
	{ "elsewhere", measure_elsewhere },
	{ "contend", measure_contend },
};

static void help(const char *name)
{
	unsigned int i;

	printf("usage: %s [-h] [-c what] [-k kind] [-m MiB] [-v VMs] [-w workers] [-r rounds]\n"
	       "	[-s device]\n"
	       " -k: folios of 4k, 64k or 2m (default: 4k)\n"
	       " -m: of all guest memory (default: 64)\n"
	       " -v: VMs that map it, 0 to %d (default: 1)\n"
	       " -w: processes that share it, 1 to %d, with so many VMs each (default: 1)\n"
	       " -s: a block device to swap to; what is on it is lost\n"
	       " -c: one of these:\n", name, MAX_VMS, MAX_WORKERS);
	for (i = 0; i < ARRAY_SIZE(measures); i++)
		printf("     %s\n", measures[i].name);
}

int main(int argc, char *argv[])
{
	unsigned int i;
	int c;

	while ((c = getopt(argc, argv, "hc:k:m:v:w:r:s:")) != -1) {
		switch (c) {
		case 'c':
			opt.what = optarg;
			break;
		case 'k':
			opt.kind = optarg;
			break;
		case 'm':
			opt.mib = atoi_positive("MiB", optarg);
			break;
		case 'v':
			opt.vms = min_t(int, atoi_non_negative("VMs", optarg), MAX_VMS);
			break;
		case 'w':
			opt.workers = min_t(int, atoi_positive("Workers", optarg), MAX_WORKERS);
			break;
		case 'r':
			opt.rounds = atoi_positive("Rounds", optarg);
			break;
		case 's':
			opt.swap = optarg;
			break;
		default:
			help(argv[0]);
			return c == 'h' ? KSFT_PASS : KSFT_FAIL;
		}
	}

	if (access("/dev/kvm", R_OK | W_OK) || access(LRU_GEN, W_OK))
		ksft_exit_skip("No /dev/kvm, or no MGLRU with debugfs\n");
	la_write(LRU_GEN_ENABLED, "0x000f");
	on_stock = access(LA_STATS, W_OK);

	for (i = 0; i < ARRAY_SIZE(measures); i++) {
		if (!is(measures[i].name, opt.what))
			continue;
		measures[i].fn();
		set_mode(&modes[DEFAULT_MODE]);
		return KSFT_PASS;
	}
	help(argv[0]);
	return KSFT_FAIL;
}
