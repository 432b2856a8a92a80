// SPDX-License-Identifier: GPL-2.0-only
/*
 * What MGLRU makes of a guest that uses a part of its memory.
 *
 * The guest's memory is that of one cgroup, 4K pages.  A forced aging pass goes through
 * all of it, and counts what that took: calls of the notifier, acquisitions of mmu_lock.
 * Then, pass after pass, the guest uses its hot pages, and in the end MGLRU must have them
 * among the young and the others not.
 */
#include <sys/stat.h>
#include <sys/wait.h>

#include "lockless_aging.h"

#define LRU_GEN		"/sys/kernel/debug/lru_gen"
#define LRU_GEN_ENABLED	"/sys/kernel/mm/lru_gen/enabled"
#define CGROUP		"/sys/fs/cgroup/lockless_aging_mglru"
#define SWITCH(name)	"/sys/module/pgtable_walk/parameters/" name

#define MAX_GENS	4

static uint64_t hot_pages = 4 * LA_CHUNK_PAGES;
static uint64_t cold_pages = 28 * LA_CHUNK_PAGES;

/* One generation of the cgroup, on node 0. */
struct gen {
	unsigned long seq;
	long pages;
};

struct lru {
	unsigned long memcg;
	struct gen gens[MAX_GENS];
	int nr;
};

/* Anonymous and file pages of each generation, oldest first. */
static struct lru lru_read(void)
{
	static char text[1 << 16];
	struct lru lru = {};
	bool mine = false, node0 = false;
	char *line, *save;

	TEST_ASSERT(la_read(LRU_GEN, text, sizeof(text)), "Cannot read " LRU_GEN);
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		unsigned long id, seq;
		char path[256] = "";
		long anon, file;
		unsigned int node;

		if (sscanf(line, "memcg %lu %255s", &id, path) >= 1) {
			mine = !strcmp(path, "/lockless_aging_mglru");
			node0 = false;
			if (mine)
				lru.memcg = id;
		} else if (sscanf(line, " node %u", &node) == 1) {
			node0 = !node;
		} else if (mine && node0 && lru.nr < MAX_GENS &&
			   sscanf(line, "%lu %*u %ld %ld", &seq, &anon, &file) == 3) {
			lru.gens[lru.nr++] = (struct gen) { seq, anon + file };
		}
	}

	TEST_ASSERT(lru.nr, "No generations of " CGROUP " in " LRU_GEN);
	return lru;
}

/* A pass over everything, whatever the Bloom filters say. */
static void age(void)
{
	struct lru lru = lru_read();
	char text[128];

	snprintf(text, sizeof(text), "+ %lu 0 %lu 1 1\n", lru.memcg, lru.gens[lru.nr - 1].seq);
	la_write(LRU_GEN, text);
}

/* Pages in the @nr youngest generations, and in the others. */
static long young_pages(const struct lru *lru, int nr)
{
	long pages = 0;
	int i;

	for (i = lru->nr - 1; i >= 0 && i >= lru->nr - nr; i--)
		pages += lru->gens[i].pages;
	return pages;
}

static long old_pages(const struct lru *lru, int nr)
{
	return young_pages(lru, lru->nr) - young_pages(lru, nr);
}

static void use_hot_pages(struct la_vm *v)
{
	/* What a TLB has does not set accessed bits again. */
	la_flush_tlb(v);
	la_touch(v, LA_OP_READ, LA_GPA, hot_pages);
}

static void guest(void)
{
	const uint64_t pages = hot_pages + cold_pages;
	const size_t bytes = pages << LA_PAGE_SHIFT;
	const uint64_t tables = pages / LA_CHUNK_PAGES + 2;
	struct la_stats stats;
	struct lru lru;
	struct la_vm v;
	char *mem;
	int i;

	la_vm_create(&v, 1);
	mem = la_alloc(bytes);
	TEST_ASSERT(!madvise(mem, bytes, MADV_NOHUGEPAGE) || errno == EINVAL,
		    "madvise() says %s", strerror(errno));
	la_add_slot(&v, LA_SLOT, 0, LA_GPA, LA_GPA, mem, bytes);
	la_touch(&v, LA_OP_WRITE, LA_GPA, pages);

	la_stats_zero();
	age();
	stats = la_stats_read();
	ksft_print_msg("a pass over %lu pages: %lu batches, %lu fallbacks, %lu mmu_lock\n",
		       pages, stats.batches, stats.batch_fallback, stats.mmu_lock);
	ksft_test_result(stats.young >= pages * 9 / 10, "all_found_young\n");
	ksft_test_result(stats.batches && stats.batches <= tables + 6, "one_call_a_table\n");
	ksft_test_result(!stats.batch_fallback && !stats.mmu_lock, "no_mmu_lock\n");

	la_write(SWITCH("batch"), "N");
	la_touch(&v, LA_OP_READ, LA_GPA, pages);
	la_stats_zero();
	age();
	stats = la_stats_read();
	la_write(SWITCH("batch"), "Y");
	ksft_test_result(!stats.batches && stats.batch_fallback && stats.walks >= pages,
			 "one_call_a_page_while_switched_off\n");

	la_write(SWITCH("consult"), "N");
	la_touch(&v, LA_OP_READ, LA_GPA, pages);
	la_stats_zero();
	age();
	stats = la_stats_read();
	la_write(SWITCH("consult"), "Y");
	ksft_test_result(!stats.walks, "nobody_asked_while_switched_off\n");

	age();
	age();
	for (i = 0; i < 4; i++) {
		use_hot_pages(&v);
		age();
	}
	lru = lru_read();
	ksft_print_msg("%ld pages in the two youngest generations, %ld older, %lu are hot\n",
		       young_pages(&lru, 2), old_pages(&lru, 2), hot_pages);
	/* Of both kinds: cold ones among the young would make up for hot ones that are not. */
	ksft_test_result(young_pages(&lru, 2) >= (long)hot_pages * 9 / 10, "hot_pages_are_young\n");
	ksft_test_result(old_pages(&lru, 2) >= (long)cold_pages * 9 / 10, "cold_pages_are_old\n");

	la_vm_free(&v);
}

int main(int argc, char **argv)
{
	const char *missing = la_missing();
	char enabled[32] = "";
	int status;
	pid_t pid;

	ksft_print_header();
	if (missing)
		ksft_exit_skip("No %s\n", missing);
	if (!la_read(LRU_GEN_ENABLED, enabled, sizeof(enabled)) || access(LRU_GEN, W_OK))
		ksft_exit_skip("No MGLRU with debugfs\n");

	/* What is counted would be a guest of 1G with pages of 64K. */
	if (LA_PAGE_SIZE > SZ_4K)
		ksft_exit_skip("Made for pages of 4K\n");

	la_write(LRU_GEN_ENABLED, "7");
	la_read(LRU_GEN_ENABLED, enabled, sizeof(enabled));
	if (!(strtoul(enabled, NULL, 0) & 2))
		ksft_exit_skip("MGLRU walks no page tables: hardware sets no accessed bits\n");
	ksft_set_plan(7);

	mkdir(CGROUP, 0755);
	pid = fork();
	if (!pid) {
		la_write(CGROUP "/cgroup.procs", "0");
		guest();
		exit(ksft_get_fail_cnt() ? KSFT_FAIL : KSFT_PASS);
	}
	TEST_ASSERT(pid > 0 && waitpid(pid, &status, 0) == pid, "Cannot wait for the guest");
	rmdir(CGROUP);
	return WIFEXITED(status) ? WEXITSTATUS(status) : KSFT_FAIL;
}
