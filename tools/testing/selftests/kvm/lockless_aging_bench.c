// SPDX-License-Identifier: GPL-2.0-only
/*
 * What it costs to age guests: by passes of MGLRU, by page_idle, and when memory is evicted.
 */
#include <sys/swap.h>

#include "lockless_aging_bench.h"

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

static uint64_t all_pages(void)
{
	return la_bench.worker_pages * la_bench.workers;
}

/* A forced pass, and what it counts. */
static uint64_t age(void)
{
	la_bench_zero_counters();
	return la_bench_pass();
}

/* What the last pass has promoted. */
static long promoted(void)
{
	struct la_lru lru = la_lru_read(la_bench.group);

	return lru.nr > 1 ? lru.gens[lru.nr - 2].pages : 0;
}

/* A pass that promotes all, with the switches as they are by default. */
static uint64_t promote_all(void)
{
	la_bench_set_mode(la_bench_default);
	la_bench_tell('y');
	return age();
}

static void measure_states(const struct la_bench_mode *mode)
{
	unsigned int i;
	uint64_t ticks;

	for (i = 0; i < ARRAY_SIZE(states); i++) {
		if (i % 2 == 0) {
			ticks = promote_all();
			if (la_on_stock || mode == la_bench_default)
				la_bench_result(mode->name, "lists", ticks, all_pages(),
						promoted());
			la_bench_set_mode(mode);
		}
		la_bench_tell(states[i].cmd);
		ticks = age();
		la_bench_result(mode->name, states[i].name, ticks, all_pages(), promoted());
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
	const struct la_bench_mode *mode = NULL;
	int i, round;

	la_bench_start_workers();
	la_bench_tell('v');
	while ((mode = la_bench_next_mode(mode))) {
		age();
		la_bench_tell('o');
		la_bench_result(mode->name, "empty", age(), 0, promoted());
	}
	la_bench_tell('p');
	for (i = 0; i < 3; i++)
		promote_all();

	for (round = 0; round < la_bench.rounds; round++)
		while ((mode = la_bench_next_mode(mode)))
			measure_states(mode);
	la_bench_end_workers();
}

static void measure_idle(void)
{
	const struct la_bench_mode *mode = NULL;
	struct la_bench_reply r;
	int round, i;

	la_bench_start_workers();
	la_bench_tell('v');
	la_bench_tell('p');
	la_bench_tell('f');
	la_bench_tell('i');
	for (round = 0; round < la_bench.rounds; round++) {
		while ((mode = la_bench_next_mode(mode))) {
			for (i = 0; i < 2; i++) {
				la_bench_tell(states[i].cmd);
				la_bench_zero_counters();
				r = la_bench_tell('i');
				la_bench_result(mode->name, states[i].name, r.ticks, r.pages, 0);
			}
		}
	}
	la_bench_end_workers();
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

static void measure_eviction(const struct la_bench_mode *mode, const struct state *state)
{
	uint64_t ticks, evicted;
	struct la_lru lru;
	char cmd[80];
	int i;

	la_bench_start_workers();
	la_bench_tell('v');
	la_bench_tell('p');
	for (i = 0; i < 4; i++)
		promote_all();
	for (i = 0; i < 2; i++) {
		la_bench_tell('o');
		age();
	}
	la_bench_set_mode(mode);
	la_bench_tell(state->cmd);

	/* All but the two youngest generations can be evicted. */
	lru = la_lru_read(la_bench.group);
	snprintf(cmd, sizeof(cmd), "- %lu 0 %lu 200 %lu\n", lru.memcg, lru.gens[lru.nr - 1].seq - 2,
		 all_pages() / 4);
	la_bench_zero_counters();
	evicted = meminfo_kib("SwapFree:");
	ticks = la_bench_command(cmd);
	evicted = (evicted - meminfo_kib("SwapFree:")) / (LA_PAGE_SIZE / SZ_1K);
	la_bench_result(mode->name, state->name, ticks,
			la_is(state->name, "old") ? evicted : all_pages(), evicted);
	la_bench_end_workers();
}

static void measure_evict(void)
{
	const struct la_bench_mode *mode = NULL;
	int round, i;

	TEST_ASSERT(la_bench.swap, "Evicts to a swap device, see -s");
	fill_disk(la_bench.swap);
	la_swap_on(la_bench.swap);
	for (round = 0; round < la_bench.rounds; round++)
		while ((mode = la_bench_next_mode(mode)))
			for (i = 0; i < 2; i++)
				measure_eviction(mode, &states[i]);
	swapoff(la_bench.swap);
}

static const struct la_bench_measure measures[] = {
	{ "pass", measure_pass },
	{ "page_idle", measure_idle },
	{ "evict", measure_evict },
};

int main(int argc, char *argv[])
{
	return la_bench_main(argc, argv, measures, ARRAY_SIZE(measures));
}
