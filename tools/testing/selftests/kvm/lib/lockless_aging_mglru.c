// SPDX-License-Identifier: GPL-2.0-only
/*
 * Passes of MGLRU over guests, in a cgroup of their own.  Pages are of 4K.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/wait.h>

#include "lockless_aging_mglru.h"

uint64_t la_hot_pages = 4 * LA_CHUNK_PAGES;
uint64_t la_cold_pages = 28 * LA_CHUNK_PAGES;
const char *la_swap_device;
bool la_on_stock;		/* no counters, no switches */
static bool nonleaf_young;	/* MGLRU passes over what such bits say was not used */
/* Of this test alone, for what was removed may still be listed. */
char la_own_group[64];
char la_other_group[64];
bool la_passed = true;	/* the test that this process runs */

void la_group_write(const char *group, const char *file, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), CGROUP_ROOT "%s/%s", group, file);
	la_write(path, text);
}

void la_group_read(const char *group, const char *file, char *text, size_t size)
{
	char path[128];

	snprintf(path, sizeof(path), CGROUP_ROOT "%s/%s", group, file);
	TEST_ASSERT(la_read(path, text, size), "Cannot read %s", path);
}

static void make_group(char *group, size_t size, const char *name)
{
	static unsigned int nr;
	char path[128];

	snprintf(group, size, "/lockless_aging_mglru.%s.%u", name, nr++);
	snprintf(path, sizeof(path), CGROUP_ROOT "%s", group);
	TEST_ASSERT(!mkdir(path, 0755), "Cannot make %s: %s", path, strerror(errno));
}

static void remove_group(const char *group)
{
	char path[128];

	snprintf(path, sizeof(path), CGROUP_ROOT "%s", group);
	rmdir(path);
}

/* Anonymous and file pages of each generation, oldest first. */
struct la_lru la_lru_read(const char *group)
{
	const size_t size = 1 << 16;
	char *text = malloc(size);
	struct la_lru lru = {};
	bool mine = false, node0 = false;
	char *line, *save;

	TEST_ASSERT(text && la_read(LRU_GEN, text, size), "Cannot read " LRU_GEN);
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		unsigned long id, seq;
		char path[256] = "";
		long anon, file;
		unsigned int node;

		if (sscanf(line, "memcg %lu %255s", &id, path) >= 1) {
			mine = !strcmp(path, group);
			node0 = false;
			if (mine)
				lru.memcg = id;
		} else if (sscanf(line, " node %u", &node) == 1) {
			node0 = !node;
		} else if (mine && node0 && lru.nr < MAX_GENS &&
			   sscanf(line, "%lu %*u %ld %ld", &seq, &anon, &file) == 3) {
			lru.gens[lru.nr++] = (struct la_gen) { seq, anon + file };
		}
	}

	free(text);
	TEST_ASSERT(lru.nr, "No generations of %s in " LRU_GEN, group);
	return lru;
}

static unsigned long youngest(const struct la_lru *lru)
{
	return lru->gens[lru->nr - 1].seq;
}

/*
 * A pass over everything, or over what the Bloom filter of the last pass says; over
 * anonymous memory too, or over files alone.
 */
void __la_lru_age_group(const char *group, bool anon, bool everything)
{
	struct la_lru lru;
	char text[128];
	int ret;

	/* Some kernels leave new pages alone that wait on a CPU to be put on the list. */
	la_write(DROP_CACHES, "1");
	lru = la_lru_read(group);

	/* A process has run since the last pass if it was switched to. */
	usleep(1000);
	snprintf(text, sizeof(text), "+ %lu 0 %lu %d %d\n", lru.memcg, youngest(&lru), anon,
		 everything);
	ret = __la_write(LRU_GEN, text);
	/* While reclaim lags behind, there is no room for another generation. */
	TEST_ASSERT(!ret || (ret == -ERANGE && !everything), "Cannot write '%s' to " LRU_GEN ": %s",
		    text, strerror(-ret));
}

void la_lru_age_group(const char *group, bool everything)
{
	__la_lru_age_group(group, true, everything);
}

void la_lru_age(void)
{
	la_lru_age_group(la_own_group, true);
}

/* Reclaims up to @pages of all but the two youngest generations. */
void la_lru_evict(uint64_t pages)
{
	struct la_lru lru = la_lru_read(la_own_group);
	char text[128];

	snprintf(text, sizeof(text), "- %lu 0 %lu 200 %lu\n", lru.memcg, youngest(&lru) - 2, pages);
	la_write(LRU_GEN, text);
}

/* Pages in the @nr youngest generations, and in the others. */
long la_lru_young(const struct la_lru *lru, int nr)
{
	long pages = 0;
	int i;

	for (i = lru->nr - 1; i >= 0 && i >= lru->nr - nr; i--)
		pages += lru->gens[i].pages;
	return pages;
}

long la_lru_old(const struct la_lru *lru, int nr)
{
	return la_lru_young(lru, lru->nr) - la_lru_young(lru, nr);
}

uint64_t la_guest_pages(void)
{
	return la_hot_pages + la_cold_pages;
}

char *la_create_guest(struct la_vm *v, uint64_t pages)
{
	char *mem = la_vm_create_mem(v, 1, PAGES(pages));

	la_touch(v, LA_OP_WRITE, LA_GPA, pages);
	return mem;
}

/* What a TLB has does not set accessed bits again. */
void la_use(struct la_vm *v, uint64_t pages)
{
	la_flush_tlb(v);
	la_touch(v, LA_OP_READ, LA_GPA, pages);
}

uint64_t la_young_in_guest(struct la_vm *v, char *mem, uint64_t first, uint64_t pages)
{
	return la_test(v->age, mem + (first << LA_PAGE_SHIFT), pages << LA_PAGE_SHIFT);
}

/* What the process itself has in its TLB does not set accessed bits again. */
void la_use_in_host(char *mem, uint64_t pages)
{
	uint64_t i;

	mprotect(mem, pages << LA_PAGE_SHIFT, PROT_READ);
	mprotect(mem, pages << LA_PAGE_SHIFT, PROT_READ | PROT_WRITE);
	for (i = 0; i < pages; i++)
		READ_ONCE(mem[i << LA_PAGE_SHIFT]);
}

/* Bit 3 of this file: walks query secondary MMUs. */
void la_consult(bool on)
{
	char enabled[32] = "";

	la_write(LRU_GEN_ENABLED, on ? "0x000f" : "0x0007");
	la_read(LRU_GEN_ENABLED, enabled, sizeof(enabled));
	TEST_ASSERT(!(strtoul(enabled, NULL, 0) & 8) == !on, LRU_GEN_ENABLED " is %s", enabled);
}

void la_trace_begin(const char *event)
{
	/* What is opened so forgets its events. */
	close(open(LA_TRACING "trace", O_WRONLY | O_TRUNC));
	la_write(event, "1");
}

/* All of a file, until the next call. */
char *la_read_all(const char *path)
{
	static char text[1 << 18];

	TEST_ASSERT(la_read(path, text, sizeof(text)), "Cannot read %s", path);
	return text;
}

const char *la_trace_end(const char *event)
{
	la_write(event, "0");
	return la_read_all(LA_TRACING "trace");
}

/* The first such event in a trace, and where the next ones are; or NULL. */
const char *la_next_batch_event(const char *trace, struct la_batch_event *e)
{
	static const char name[] = "mmu_notifier_age_range: ";

	trace = strstr(trace, name);
	if (!trace)
		return NULL;

	trace += strlen(name);
	TEST_ASSERT(sscanf(trace, "%7s %lx-%lx shift=%u wanted=%lu young=%lu ret=%d", e->op,
			   &e->start, &e->end, &e->shift, &e->wanted, &e->young, &e->ret) == 7,
		    "Unknown event: %.100s", trace);
	return trace;
}

/* To what they are by default, whatever the test before has left. */
static void reset_switches(void)
{
	if (la_on_stock)
		return;

	la_write(BATCH_SWITCH, "Y");
	la_consult(true);
	la_set_lockless(true);
}

static void run(const struct la_lru_test *test)
{
	int status;
	pid_t pid;

	if (la_on_stock && !test->on_stock) {
		ksft_test_result_skip("%s: needs %s\n", test->name, la_missing());
		return;
	}
	if (test->swaps && !la_swap_device) {
		ksft_test_result_skip("%s: needs -s device\n", test->name);
		return;
	}
	if (test->file && access(test->file, W_OK)) {
		ksft_test_result_skip("%s: needs %s\n", test->name, test->file);
		return;
	}
	if (test->nonleaf && !nonleaf_young) {
		ksft_test_result_skip("%s: needs accessed bits of page tables\n", test->name);
		return;
	}
	if (test->thp && !thp_configured()) {
		ksft_test_result_skip("%s: needs transparent huge pages\n", test->name);
		return;
	}

	reset_switches();
	make_group(la_own_group, sizeof(la_own_group), test->name);
	make_group(la_other_group, sizeof(la_other_group), "other");
	fflush(stdout);
	pid = fork();
	if (!pid) {
		la_group_write(la_own_group, "cgroup.procs", "0");
		test->fn();
		exit(la_passed ? KSFT_PASS : KSFT_FAIL);
	}
	TEST_ASSERT(pid > 0 && waitpid(pid, &status, 0) == pid, "Cannot wait for the guest");
	if (test->swaps)
		swapoff(la_swap_device);
	remove_group(la_own_group);
	remove_group(la_other_group);
	ksft_test_result(WIFEXITED(status) && WEXITSTATUS(status) == KSFT_PASS, "%s\n",
			 test->name);
}

static void help(const char *name, const struct la_lru_test *tests, int nr)
{
	int i;

	printf("usage: %s [-h] [-m MiB] [-s device] [-n test]\n"
	       " -m: most memory of a guest, in units of 16 MiB (default: 64)\n"
	       " -s: a block device to swap to; what is on it is lost\n"
	       " -n: one of these alone:\n", name);
	for (i = 0; i < nr; i++)
		printf("     %s\n", tests[i].name);
}

/* Runs the test that the arguments name, or all, and exits. */
void la_lru_main(int argc, char *argv[], const struct la_lru_test *tests, int nr_tests)
{
	const char *only = NULL;
	char enabled[32] = "";
	int i, opt, nr = 0;

	while ((opt = getopt(argc, argv, "hm:s:n:")) != -1) {
		switch (opt) {
		case 'm':
			la_hot_pages = atoi_positive("MiB", optarg) / 16 * LA_CHUNK_PAGES;
			la_cold_pages = 7 * la_hot_pages;
			break;
		case 's':
			la_swap_device = optarg;
			break;
		case 'n':
			only = optarg;
			break;
		default:
			help(argv[0], tests, nr_tests);
			exit(opt == 'h' ? KSFT_PASS : KSFT_FAIL);
		}
	}
	for (i = 0; i < nr_tests; i++)
		nr += !only || !strcmp(only, tests[i].name);
	if (!nr || !la_hot_pages) {
		help(argv[0], tests, nr_tests);
		exit(KSFT_FAIL);
	}

	ksft_print_header();
	if (access("/dev/kvm", R_OK | W_OK))
		ksft_exit_skip("No /dev/kvm\n");
	if (!la_read(LRU_GEN_ENABLED, enabled, sizeof(enabled)) || access(LRU_GEN, W_OK))
		ksft_exit_skip("No MGLRU with debugfs\n");

	/* What is counted would be a guest of 1G with pages of 64K. */
	if (LA_PAGE_SIZE > SZ_4K)
		ksft_exit_skip("Made for pages of 4K\n");

	la_write(LRU_GEN_ENABLED, "y");
	la_read(LRU_GEN_ENABLED, enabled, sizeof(enabled));
	if (!(strtoul(enabled, NULL, 0) & 2))
		ksft_exit_skip("MGLRU walks no page tables: hardware sets no accessed bits\n");

	/* From the second time on it logs nothing. */
	la_write(DROP_CACHES, "4");
	nonleaf_young = strtoul(enabled, NULL, 0) & 4;
	la_on_stock = la_missing();
	ksft_set_plan(nr);
	for (i = 0; i < nr_tests; i++)
		if (!only || !strcmp(only, tests[i].name))
			run(&tests[i]);
	reset_switches();
	ksft_finished();
}
