// SPDX-License-Identifier: GPL-2.0-only
/*
 * What MGLRU makes of guests that use a part of their memory: which pages count as young,
 * and which ones are reclaimed.  Most tests run on any kernel with MGLRU, and print figures
 * to compare kernels by.  Pages are of 4K.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/swap.h>

#include "lockless_aging_mglru.h"

#define FOLIOS_OF(size)	"/sys/kernel/mm/transparent_hugepage/hugepages-" size "/enabled"

/* A line that is compared with that of another kernel; "noisy" ones by people only. */
static void print_figure(const char *name, uint64_t value)
{
	ksft_print_msg("figure %s %lu\n", name, value);
}

/* Passes over a guest that uses its hot pages; returns what MGLRU makes of it. */
static struct la_lru classify(struct la_vm *v)
{
	int i;

	la_lru_age();
	la_lru_age();
	for (i = 0; i < 4; i++) {
		la_use(v, la_hot_pages);
		la_lru_age();
	}
	return la_lru_read(la_own_group);
}

static struct la_stats __hot_and_cold(void)
{
	struct la_stats stats = {};
	struct la_vm v;
	struct la_lru lru;

	la_create_guest(&v, la_guest_pages());
	lru = classify(&v);
	print_figure("young_pages", la_lru_young(&lru, 2));
	print_figure("old_pages", la_lru_old(&lru, 2));
	/* Of both kinds: cold ones among the young would make up for hot ones that are not. */
	CHECK(la_lru_young(&lru, 2) >= (long)la_hot_pages * 9 / 10);
	CHECK(la_lru_old(&lru, 2) >= (long)la_cold_pages * 9 / 10);
	if (!la_on_stock)
		stats = la_stats_read();
	la_vm_free(&v);
	return stats;
}

static void hot_and_cold(void)
{
	__hot_and_cold();
}

/* A process without a VM has nobody to be asked. */
static void without_vm(void)
{
	struct la_stats stats = {};
	struct la_lru lru;
	char *mem;
	int i;

	mem = la_alloc(la_guest_pages() << LA_PAGE_SHIFT);
	for (i = 0; i < la_guest_pages(); i++)
		mem[(uint64_t)i << LA_PAGE_SHIFT] = 1;

	if (!la_on_stock)
		la_stats_zero();
	la_lru_age();
	la_lru_age();
	for (i = 0; i < 4; i++) {
		la_use_in_host(mem, la_hot_pages);
		la_lru_age();
	}
	if (!la_on_stock)
		stats = la_stats_read();
	lru = la_lru_read(la_own_group);
	print_figure("without_vm_young_pages", la_lru_young(&lru, 2));
	print_figure("without_vm_old_pages", la_lru_old(&lru, 2));
	CHECK(la_lru_young(&lru, 2) >= (long)la_hot_pages * 9 / 10);
	CHECK(la_lru_old(&lru, 2) >= (long)la_cold_pages * 9 / 10);
	CHECK(!stats.walks && !stats.batches && !stats.refused && !stats.mmu_lock);
}

/* The same by calls for each page, which an MMU that can't do without its lock gets. */
static void hot_and_cold_with_mmu_lock(void)
{
	struct la_stats stats;

	la_set_lockless(false);
	la_stats_zero();
	stats = __hot_and_cold();
	la_set_lockless(true);
	CHECK(!stats.batches);
	CHECK(stats.refused);
	CHECK(stats.mmu_lock >= la_guest_pages());
}

/* How many pages of a range are swapped out. */
static uint64_t swapped_out(char *mem, uint64_t pages)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	uint64_t i, entry, nr = 0;

	TEST_ASSERT(fd >= 0, "Cannot open /proc/self/pagemap: %s", strerror(errno));
	for (i = 0; i < pages; i++) {
		const off_t pos = (((unsigned long)mem >> LA_PAGE_SHIFT) + i) * sizeof(entry);

		TEST_ASSERT(pread(fd, &entry, sizeof(entry), pos) == sizeof(entry), "pagemap");
		nr += entry >> 62 & 1;
	}
	close(fd);
	return nr;
}

static void proactive_reclaim(void)
{
	uint64_t hot, cold;
	struct la_vm v;
	char *mem;

	mem = la_create_guest(&v, la_guest_pages());
	classify(&v);
	la_swap_on(la_swap_device);
	la_lru_evict(la_cold_pages / 2);
	hot = swapped_out(mem, la_hot_pages);
	cold = swapped_out(mem + (la_hot_pages << LA_PAGE_SHIFT), la_cold_pages);
	print_figure("reclaimed_hot_pages", hot);
	print_figure("reclaimed_cold_pages", cold);
	CHECK(hot <= la_hot_pages / 10);
	CHECK(cold >= la_cold_pages / 4);
	la_vm_free(&v);
}

/* Of the pages that the guest uses, and of the others. */
struct looked_around {
	uint64_t used_reclaimed;
	uint64_t unused_reclaimed;
	uint64_t young;
	struct la_stats stats;
};

#define RUN_PAGES	64UL
#define RUNS_PAGES	(8 * LA_CHUNK_PAGES)

/* Reclaim of a guest's memory, of which it uses pages that have a bit in the map. */
static struct looked_around reclaim_unused(char *mem, const unsigned long *map, bool consult)
{
	const uint64_t pages = RUNS_PAGES;
	struct looked_around found = {};
	struct la_vm v;
	uint64_t i;

	la_vm_create(&v, 1);
	la_add_slot(&v, LA_SLOT, 0, LA_GPA, LA_GPA, mem, pages << LA_PAGE_SHIFT);
	la_touch(&v, LA_OP_WRITE, LA_GPA, pages);
	for (i = 0; i < 4; i++)
		la_lru_age();

	la_flush_tlb(&v);
	la_touch_map(&v, LA_OP_READ, LA_GPA, pages, map);

	la_swap_on(la_swap_device);
	if (!consult)
		la_consult(false);
	if (!la_on_stock)
		la_stats_zero();
	la_lru_evict(pages);
	if (!la_on_stock) {
		found.stats = la_stats_read();
		found.young = la_young_in_guest(&v, mem, 0, pages);
		ksft_print_msg("%lu batches, %lu walks, %lu leaves young; %lu left young\n",
			       found.stats.batches, found.stats.walks, found.stats.young,
			       found.young);
	}
	if (!consult)
		la_consult(true);
	for (i = 0; i < pages; i += RUN_PAGES)
		*(map[i / RUN_PAGES] ? &found.used_reclaimed : &found.unused_reclaimed) +=
			swapped_out(mem + (i << LA_PAGE_SHIFT), RUN_PAGES);
	la_vm_free(&v);
	return found;
}

/*
 * The guest uses every other run of as many pages as are looked at.  Reclaim goes through
 * pages in the order in which they were made, here such that it meets neighbours long after
 * it has looked at them.
 */
static struct looked_around reclaim_runs(bool consult)
{
	unsigned long map[RUNS_PAGES / RUN_PAGES];
	char *mem = la_alloc(RUNS_PAGES << LA_PAGE_SHIFT);
	uint64_t i, j;

	for (j = 0; j < RUN_PAGES; j++)
		for (i = j; i < RUNS_PAGES; i += RUN_PAGES)
			mem[i << LA_PAGE_SHIFT] = 1;
	for (i = 0; i < ARRAY_SIZE(map); i++)
		map[i] = i % 2 ? 0 : ~0UL;
	return reclaim_unused(mem, map, consult);
}

/*
 * Reclaim finds a page young, and looks at those around it: what the guest used stays,
 * though it forgets so at once.
 */
static void look_around(void)
{
	const struct looked_around found = reclaim_runs(true);
	const uint64_t pages = RUNS_PAGES / 2;

	print_figure("look_around_reclaimed_used_pages", found.used_reclaimed);
	print_figure("look_around_reclaimed_unused_pages", found.unused_reclaimed);
	CHECK(found.used_reclaimed <= pages / 20);
	CHECK(found.unused_reclaimed >= pages / 2);
	if (la_on_stock)
		return;

	CHECK(found.stats.batches && found.stats.young);
	CHECK(!found.stats.refused && !found.stats.mmu_lock);
	CHECK(found.young <= pages / 20);
}

/* Then the guest is queried about a page alone, and about none around it. */
static void look_around_not_consulted(void)
{
	const struct looked_around found = reclaim_runs(false);

	CHECK(found.stats.walks);
	CHECK(!found.stats.batches && !found.stats.refused);
}

/*
 * A large folio stays if the guest used any of its pages, not always the same one, and takes
 * one query if it used none.
 */
static void large_folios(void)
{
	const uint64_t bytes = RUNS_PAGES << LA_PAGE_SHIFT, folio = SZ_64K >> LA_PAGE_SHIFT;
	unsigned long map[RUNS_PAGES / RUN_PAGES] = {};
	char *mem = la_mmap_aligned(bytes);
	struct looked_around found;
	uint64_t i;

	la_write(FOLIOS_OF("2048kB"), "never");
	la_write(FOLIOS_OF("64kB"), "madvise");
	TEST_ASSERT(!madvise(mem, bytes, MADV_HUGEPAGE), "madvise: %s", strerror(errno));
	for (i = 0; i < RUNS_PAGES; i++)
		mem[i << LA_PAGE_SHIFT] = 1;
	la_write(FOLIOS_OF("64kB"), "never");
	la_write(FOLIOS_OF("2048kB"), "inherit");

	for (i = 0; i < RUNS_PAGES; i += folio)
		if (i / RUN_PAGES % 2)
			map[i / RUN_PAGES] |= 1UL << (i % RUN_PAGES + i * 5 / folio % folio);
	found = reclaim_unused(mem, map, true);
	print_figure("large_folios_reclaimed_used_pages", found.used_reclaimed);
	print_figure("large_folios_reclaimed_unused_pages", found.unused_reclaimed);
	CHECK(found.used_reclaimed <= RUNS_PAGES / 2 / 20);
	CHECK(found.unused_reclaimed >= RUNS_PAGES / 2 / 2);
	if (la_on_stock)
		return;

	CHECK(found.stats.walks && found.stats.walks < RUNS_PAGES / 2);
	CHECK(!found.stats.refused && !found.stats.mmu_lock);
}

/*
 * A pass over files alone leaves anonymous memory to the passes that may swap.  Some kernels also
 * leave anonymous pages that lie between pages of a file: every other page of a private mapping
 * was written to.  What a batch makes old is what a call for each page does.
 */
static void file_at_swappiness_0(void)
{
	const uint64_t pages = 2 * LA_CHUNK_PAGES, bytes = pages << LA_PAGE_SHIFT;
	uint64_t i, of_file[2] = {}, of_copy[2] = {};
	char *anon, *file = la_mmap_aligned(bytes);
	struct la_stats stats;
	struct la_vm v;
	int fd, batch;

	fd = open(la_swap_device, O_RDWR);
	TEST_ASSERT(fd >= 0, "Cannot open %s: %s", la_swap_device, strerror(errno));
	file = mmap(file, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0);
	TEST_ASSERT(file != MAP_FAILED, "Cannot map %s: %s", la_swap_device, strerror(errno));
	close(fd);

	for (i = 1; i < pages; i += 2)
		file[i << LA_PAGE_SHIFT] = 1;

	anon = la_create_guest(&v, pages);
	la_add_slot(&v, LA_SLOT + 1, 0, LA_CHUNK_GPA(1), LA_CHUNK_GPA(1), file, bytes);
	la_touch(&v, LA_OP_READ, LA_CHUNK_GPA(1), pages);
	la_lru_age();
	for (batch = 0; batch < 2; batch++) {
		la_use(&v, pages);
		la_touch(&v, LA_OP_READ, LA_CHUNK_GPA(1), pages);

		la_write(BATCH_SWITCH, batch ? "Y" : "N");
		la_stats_zero();
		__la_lru_age_group(la_own_group, false, true);
		stats = la_stats_read();
		for (i = 0; i < pages; i++)
			*(i % 2 ? &of_copy[batch] : &of_file[batch]) +=
				la_young_in_guest(&v, file, i, 1);
		ksft_print_msg("%lu batches; %lu pages of the file are young, %lu copied ones\n",
			       stats.batches, of_file[batch], of_copy[batch]);
		CHECK(!of_file[batch]);
		CHECK(la_young_in_guest(&v, anon, 0, pages) == pages);
		CHECK(batch ? stats.batches && !stats.refused : !stats.batches);
		CHECK(!stats.mmu_lock);
	}
	CHECK(of_copy[0] == of_copy[1]);
	la_vm_free(&v);
	munmap(file, bytes);
}

static uint64_t nr_refaults(void)
{
	char text[8192];

	la_group_read(la_own_group, "memory.stat", text, sizeof(text));
	return la_stat(text, "workingset_refault_anon");
}

/*
 * A cgroup that is too small for all its guest's memory, of which the guest uses a part
 * again and again while it goes through the rest.  Returns how often the part was not there.
 */
static uint64_t stream_through(const char *name)
{
	const uint64_t pages = la_guest_pages(), bytes = pages << LA_PAGE_SHIFT;
	uint64_t hot_faults = 0, refaults, page;
	char text[8192];
	struct la_vm v;
	char *mem;

	mem = la_vm_create_mem(&v, 1, bytes);
	refaults = nr_refaults();
	la_group_read(la_own_group, "memory.current", text, sizeof(text));
	snprintf(text, sizeof(text), "%llu", strtoull(text, NULL, 10) + bytes * 6 / 10);
	la_group_write(la_own_group, "memory.max", text);
	la_swap_on(la_swap_device);

	la_touch(&v, LA_OP_WRITE, LA_GPA, la_hot_pages);
	for (page = la_hot_pages; page < pages; page += LA_CHUNK_PAGES) {
		la_touch(&v, LA_OP_WRITE, LA_GPA + (page << LA_PAGE_SHIFT), LA_CHUNK_PAGES);
		hot_faults += swapped_out(mem, la_hot_pages);
		la_touch(&v, LA_OP_READ, LA_GPA, la_hot_pages);
	}

	ksft_print_msg("figure %s_hot_faults %lu, noisy\n", name, hot_faults);
	ksft_print_msg("figure %s_refaults %lu, noisy\n", name, nr_refaults() - refaults);
	la_vm_free(&v);
	munmap(mem, bytes);
	swapoff(la_swap_device);
	la_group_write(la_own_group, "memory.max", "max");
	return hot_faults;
}

static void memory_max(void)
{
	uint64_t ours, base;

	ours = stream_through("memory_max");
	if (la_on_stock)
		return;

	la_set_lockless(false);
	base = stream_through("memory_max_with_mmu_lock");
	la_set_lockless(true);
	/* One page in fifty, of those that could have been missing, is noise. */
	CHECK(ours <= base + la_cold_pages / LA_CHUNK_PAGES * la_hot_pages / 50);
}

/*
 * Passes against a guest that runs
 */

struct user {
	pthread_t thread;
	struct la_vm *v;
	char *mem;
	uint64_t pages;
	uint64_t rounds;
	uint64_t bad;
	bool stop;
};

/* Stamps all pages and finds its stamps again, over memory that is there or was dropped. */
static void *user_main(void *arg)
{
	struct user *u = arg;
	uint64_t round;

	for (round = 0; !READ_ONCE(u->stop); round++) {
		if (round % 2)
			madvise(u->mem, u->pages << LA_PAGE_SHIFT, MADV_DONTNEED);
		la_vcpu_do(u->v, 0, LA_OP_STAMP, LA_GPA, u->pages, round);
		u->bad += la_vcpu_do(u->v, 0, LA_OP_CHECK, LA_GPA, u->pages, round)->bad;
		WRITE_ONCE(u->rounds, round + 1);
	}
	return NULL;
}

/* Each has so many goes, however slow the machine is. */
static void against_guest(bool reclaim)
{
	const uint64_t pages = 2 * LA_CHUNK_PAGES, goes = 12;
	struct user u = { .pages = pages };
	uint64_t passes = 0, batches, lost;
	struct la_stats stats;
	struct la_vm v;

	u.v = &v;
	u.mem = la_create_guest(&v, pages);
	if (reclaim)
		la_swap_on(la_swap_device);
	la_stats_zero();
	la_set_stalls(20000, 5);
	TEST_ASSERT(!pthread_create(&u.thread, NULL, user_main, &u), "pthread_create");
	while (passes < goes || READ_ONCE(u.rounds) < goes) {
		la_lru_age_group(la_own_group, passes % 4 != 3);
		if (reclaim)
			la_lru_evict(pages / 2);
		else if (passes % 4 == 2)
			la_lru_evict(1);
		passes++;
	}
	WRITE_ONCE(u.stop, true);
	pthread_join(u.thread, NULL);
	la_set_stalls(0, 0);

	stats = la_stats_read();
	batches = stats.batches;
	lost = stats.lost;
	ksft_print_msg("%lu passes against %lu rounds: %lu batches, %lu young, %lu races lost\n",
		       passes, u.rounds, batches, stats.young, lost);
	CHECK(!u.bad);
	CHECK(batches && !stats.refused && !stats.mmu_lock);

	/* What is left of all that still tells what is used. */
	la_use(&v, pages);
	CHECK(la_young_in_guest(&v, u.mem, 0, pages) == pages);
	la_lru_age();
	CHECK(!la_young_in_guest(&v, u.mem, 0, pages));
	la_vm_free(&v);
}

static void passes_against_guest(void)
{
	against_guest(false);
}

static void reclaim_against_guest(void)
{
	against_guest(true);
}

static const struct la_lru_test tests[] = {
	{ "passes_against_guest", passes_against_guest },
	{ "reclaim_against_guest", reclaim_against_guest, .swaps = true },
	{ "file_at_swappiness_0", file_at_swappiness_0, .swaps = true },
	{ "without_vm", without_vm, .on_stock = true },
	{ "hot_and_cold", hot_and_cold, .on_stock = true },
	{ "hot_and_cold_with_mmu_lock", hot_and_cold_with_mmu_lock },
	{ "proactive_reclaim", proactive_reclaim, .on_stock = true, .swaps = true },
	{ "look_around", look_around, .on_stock = true, .swaps = true },
	{ "look_around_not_consulted", look_around_not_consulted, .swaps = true },
	{ "large_folios", large_folios, .on_stock = true, .swaps = true, .thp = true,
	  .file = FOLIOS_OF("64kB") },
	{ "memory_max", memory_max, .on_stock = true, .swaps = true },
};

int main(int argc, char *argv[])
{
	la_lru_main(argc, argv, tests, ARRAY_SIZE(tests));
}
