// SPDX-License-Identifier: GPL-2.0-only
/*
 * What MGLRU makes of guests that use a part of their memory, and what it asks for that.
 *
 * Each test has a process and a cgroup of its own.  Those of the outcome (which pages
 * count as young, which ones are reclaimed) run on any kernel with MGLRU, and print
 * figures to compare kernels by; the others need the counters and switches of
 * pgtable_walk.  Pages are of 4K.
 */
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/wait.h>

#include "lockless_aging.h"

#define LRU_GEN		"/sys/kernel/debug/lru_gen"
#define LRU_GEN_ENABLED	"/sys/kernel/mm/lru_gen/enabled"
#define CGROUP_ROOT	"/sys/fs/cgroup"
#define SWITCH(name)	"/sys/module/pgtable_walk/parameters/" name

#define MAX_GENS	4
#define HUGE_PAGE_SIZE	SZ_2M

static uint64_t hot_pages = 4 * LA_CHUNK_PAGES;
static uint64_t cold_pages = 28 * LA_CHUNK_PAGES;
static const char *swap_device;
static bool on_stock;		/* no counters, no switches */
/* Of this test alone, for what was removed may still be listed. */
static char own_group[64];
static char other_group[64];
static bool passed = true;	/* the test that this process runs */

#define CHECK(cond) do {						\
	if (!(cond)) {							\
		ksft_print_msg("line %d: not so: %s\n", __LINE__, #cond);	\
		passed = false;						\
	}								\
} while (0)

/* A line that can be compared with that of another kernel. */
static void print_figure(const char *name, uint64_t value)
{
	ksft_print_msg("figure %s %lu\n", name, value);
}

/*
 * cgroups and generations
 */

static void group_write(const char *group, const char *file, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), CGROUP_ROOT "%s/%s", group, file);
	la_write(path, text);
}

static void group_read(const char *group, const char *file, char *text, size_t size)
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

/* One generation of a cgroup, on node 0. */
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
static struct lru lru_read(const char *group)
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
			mine = !strcmp(path, group);
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

	TEST_ASSERT(lru.nr, "No generations of %s in " LRU_GEN, group);
	return lru;
}

static unsigned long youngest(const struct lru *lru)
{
	return lru->gens[lru->nr - 1].seq;
}

/* A pass over everything, or over what the Bloom filter of the last pass says. */
static void age_group(const char *group, bool everything)
{
	struct lru lru = lru_read(group);
	char text[128];

	/* A process has run since the last pass if it was switched to. */
	usleep(1000);
	snprintf(text, sizeof(text), "+ %lu 0 %lu 1 %d\n", lru.memcg, youngest(&lru), everything);
	la_write(LRU_GEN, text);
}

static void age(void)
{
	age_group(own_group, true);
}

/* Reclaims up to @pages of all but the two youngest generations. */
static void evict(uint64_t pages)
{
	struct lru lru = lru_read(own_group);
	char text[128];

	snprintf(text, sizeof(text), "- %lu 0 %lu 200 %lu\n", lru.memcg, youngest(&lru) - 2, pages);
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

/*
 * Guests
 */

static uint64_t guest_pages(void)
{
	return hot_pages + cold_pages;
}

static char *create_guest(struct la_vm *v, uint64_t pages)
{
	char *mem = la_alloc(pages << LA_PAGE_SHIFT);

	la_vm_create(v, 1);
	la_add_slot(v, LA_SLOT, 0, LA_GPA, LA_GPA, mem, pages << LA_PAGE_SHIFT);
	la_touch(v, LA_OP_WRITE, LA_GPA, pages);
	return mem;
}

/* What a TLB has does not set accessed bits again. */
static void use(struct la_vm *v, uint64_t pages)
{
	la_flush_tlb(v);
	la_touch(v, LA_OP_READ, LA_GPA, pages);
}

static uint64_t young_in_guest(struct la_vm *v, char *mem, uint64_t first, uint64_t pages)
{
	return la_test(v->age, mem + (first << LA_PAGE_SHIFT), pages << LA_PAGE_SHIFT);
}

/*
 * What is asked
 */

#define TRACING		"/sys/kernel/debug/tracing/"
#define TRACE_BATCH	TRACING "events/pgtable_walk/pgtable_walk_batch/enable"

static void trace_event(void)
{
	const uint64_t pages = 2 * LA_CHUNK_PAGES;
	static char text[1 << 16];
	uint64_t wanted, young, all_wanted = 0, all_young = 0;
	struct la_stats stats;
	struct la_vm v;
	char *line;

	create_guest(&v, pages);
	use(&v, pages);
	la_write(TRACING "trace", "");
	la_stats_zero();
	la_write(TRACE_BATCH, "1");
	age();
	la_write(TRACE_BATCH, "0");
	stats = la_stats_read();

	TEST_ASSERT(la_read(TRACING "trace", text, sizeof(text)), "Cannot read the trace");
	for (line = strstr(text, "pgtable_walk_batch: "); line;
	     line = strstr(line + 1, "pgtable_walk_batch: ")) {
		CHECK(sscanf(line, "%*s clear %*x-%*x shift=%*u wanted=%lu young=%lu",
			     &wanted, &young) == 2);
		all_wanted += wanted;
		all_young += young;
	}
	CHECK(all_wanted == stats.batch_wanted && all_wanted >= pages);
	CHECK(all_young == stats.batch_young && all_young >= pages);
	la_vm_free(&v);
}

/* All that this process has, give or take what the kernel has not summed up yet. */
static uint64_t resident_pages(void)
{
	uint64_t pages;
	char text[128];

	TEST_ASSERT(la_read("/proc/self/statm", text, sizeof(text)) &&
		    sscanf(text, "%*u %lu", &pages) == 1, "Cannot read /proc/self/statm");
	return pages;
}

static void counts(void)
{
	const uint64_t pages = guest_pages();
	struct la_stats stats;
	struct la_vm v;

	create_guest(&v, pages);
	use(&v, pages);

	la_stats_zero();
	age();
	stats = la_stats_read();
	ksft_print_msg("a pass over %lu pages: %lu batches for %lu, %lu fallbacks, %lu mmu_lock\n",
		       pages, stats.batches, stats.batch_wanted, stats.batch_fallback,
		       stats.mmu_lock);
	CHECK(stats.young >= pages * 9 / 10);
	CHECK(stats.batches && stats.batches <= 40);
	/* Every page of the guest, and no page twice. */
	CHECK(stats.batch_wanted >= pages && stats.batch_wanted < resident_pages() + 128);
	CHECK(stats.batch_young >= pages * 9 / 10 && stats.batch_young <= stats.batch_wanted);
	CHECK(!stats.batch_fallback);
	CHECK(!stats.mmu_lock);
	la_vm_free(&v);
}

static void batch_switched_off(void)
{
	const uint64_t pages = guest_pages();
	struct la_stats stats;
	struct la_vm v;

	create_guest(&v, pages);
	la_write(SWITCH("batch"), "N");
	la_stats_zero();
	age();
	stats = la_stats_read();
	la_write(SWITCH("batch"), "Y");
	CHECK(!stats.batches);
	CHECK(stats.batch_fallback && stats.batch_fallback == stats.batch_off);
	CHECK(stats.walks >= pages);
	la_vm_free(&v);
}

static void consult_switched_off(void)
{
	struct la_stats stats;
	struct la_vm v;

	create_guest(&v, guest_pages());
	la_write(SWITCH("consult"), "N");
	la_stats_zero();
	age();
	stats = la_stats_read();
	la_write(SWITCH("consult"), "Y");
	CHECK(!stats.walks);
	la_vm_free(&v);
}

/* Of two VMs that map the same memory, both are asked, and both forget. */
static void every_subscriber(void)
{
	const uint64_t pages = 2 * LA_CHUNK_PAGES;
	struct la_vm first, second;
	char *mem;

	mem = create_guest(&first, pages);
	la_vm_create(&second, 1);
	la_add_slot(&second, LA_SLOT, 0, LA_GPA, LA_GPA, mem, pages << LA_PAGE_SHIFT);
	use(&first, pages);
	use(&second, pages);
	CHECK(young_in_guest(&first, mem, 0, pages) == pages);
	age();
	CHECK(!young_in_guest(&first, mem, 0, pages));

	/* One of them is enough for a page to be young. */
	use(&second, pages);
	la_stats_zero();
	age();
	CHECK(la_stats_read().batch_young >= pages);
	la_vm_free(&second);
	la_vm_free(&first);
}

/* The answer is known for what the host used itself, but the guest has to forget too. */
static void young_in_host_too(void)
{
	const uint64_t pages = 2 * LA_CHUNK_PAGES;
	struct la_vm v;
	uint64_t i;
	char *mem;

	mem = create_guest(&v, pages);
	age();
	use(&v, pages);
	for (i = 0; i < pages; i++)
		READ_ONCE(mem[i << LA_PAGE_SHIFT]);
	age();
	CHECK(!young_in_guest(&v, mem, 0, pages));
	la_vm_free(&v);
}

/* Pages of two cgroups in turns: a pass for one must not make the other's old. */
static void evidence_of_others(void)
{
	const uint64_t pages = 2 * LA_CHUNK_PAGES;
	uint64_t i, others = 0, ours = 0;
	struct la_vm v;
	char *mem;

	mem = la_alloc(pages << LA_PAGE_SHIFT);
	for (i = 0; i < pages; i += 2)
		mem[i << LA_PAGE_SHIFT] = 1;
	group_write(other_group, "cgroup.procs", "0");
	for (i = 1; i < pages; i += 2)
		mem[i << LA_PAGE_SHIFT] = 1;

	la_vm_create(&v, 1);
	la_add_slot(&v, LA_SLOT, 0, LA_GPA, LA_GPA, mem, pages << LA_PAGE_SHIFT);
	use(&v, pages);
	age_group(other_group, true);
	for (i = 0; i < pages; i++)
		*(i % 2 ? &ours : &others) += young_in_guest(&v, mem, i, 1);
	CHECK(!ours);
	CHECK(others == pages / 2);
	la_vm_free(&v);
}

/* Several VMAs below one PMD, none of which starts where the table does. */
static void vmas_that_share_a_table(void)
{
	const uint64_t pages = LA_CHUNK_PAGES, first = 5, last = 505;
	unsigned long used[LA_CHUNK_PAGES / 64] = {};
	uint64_t i, nr_used = 0;
	struct la_stats stats;
	long before, after;
	struct la_vm v;
	struct lru lru;
	char *mem;

	mem = la_alloc(pages << LA_PAGE_SHIFT);
	for (i = first; i < last; i++)
		mem[i << LA_PAGE_SHIFT] = 1;
	munmap(mem, first << LA_PAGE_SHIFT);
	munmap(mem + (200 << LA_PAGE_SHIFT), 7 << LA_PAGE_SHIFT);
	munmap(mem + (last << LA_PAGE_SHIFT), (pages - last) << LA_PAGE_SHIFT);

	la_vm_create(&v, 1);
	la_add_slot(&v, LA_SLOT, 0, LA_GPA, LA_GPA, mem, pages << LA_PAGE_SHIFT);
	/* Not before: riscv has no slots over what can't be written. */
	mprotect(mem + (60 << LA_PAGE_SHIFT), 40 << LA_PAGE_SHIFT, PROT_READ);
	for (i = first; i < last; i++) {
		if (i % 3 || (i >= 200 && i < 207))
			continue;
		__set_bit(i, used);
		nr_used++;
	}

	age();
	age();
	lru = lru_read(own_group);
	before = young_pages(&lru, 2);
	la_flush_tlb(&v);
	la_touch_map(&v, LA_OP_READ, LA_GPA, pages, used);
	la_stats_zero();
	age();
	stats = la_stats_read();
	lru = lru_read(own_group);
	after = young_pages(&lru, 2);

	ksft_print_msg("%lu pages used: %lu young, %ld in young generations (idle: %ld)\n",
		       nr_used, stats.young, after, before);
	CHECK(!young_in_guest(&v, mem, 0, pages));
	CHECK(after - before >= (long)nr_used && after - before < 2 * (long)nr_used);
	CHECK(stats.walks < nr_used);
	CHECK(!stats.batch_fallback);
	la_vm_free(&v);
}

/* Without force_scan a pass goes to where the last one found enough that was young. */
static void bloom_filters(void)
{
	const uint64_t pages = 8 * LA_CHUNK_PAGES;
	struct la_stats stats;
	struct la_vm v;
	char *mem;

	mem = create_guest(&v, pages);
	/* Until here the host's entries are young too, for they were just made. */
	age();
	use(&v, pages);
	age();
	use(&v, pages);
	evict(1);
	la_stats_zero();
	age_group(own_group, false);
	stats = la_stats_read();
	ksft_print_msg("%lu pages in tables that were young: %lu batches, %lu young left\n", pages,
		       stats.batches, young_in_guest(&v, mem, 0, pages));
	CHECK(!young_in_guest(&v, mem, 0, pages));

	/* It was young then, but is not now: the pass after this one may leave it out. */
	evict(1);
	age_group(own_group, false);
	/* Before the guest uses them again: reclaim tells the filter of what it finds young. */
	evict(1);
	use(&v, pages);
	age_group(own_group, false);
	CHECK(young_in_guest(&v, mem, 0, pages) == pages);
	la_vm_free(&v);
}

#define HUGE_PAGES	4

/* A guest on huge pages of the host: with small leaves (dirty logging), or huge ones. */
static char *create_huge_guest(struct la_vm *v, uint32_t flags)
{
	const size_t bytes = HUGE_PAGES * HUGE_PAGE_SIZE;
	unsigned int i;
	char *mem;

	mem = la_mmap_aligned(bytes);
	TEST_ASSERT(!madvise(mem, bytes, MADV_HUGEPAGE), "MADV_HUGEPAGE: %s", strerror(errno));
	for (i = 0; i < HUGE_PAGES; i++)
		mem[i * HUGE_PAGE_SIZE] = 1;
	la_vm_create(v, 1);
	if (flags)
		la_add_slot(v, LA_SLOT, flags, LA_TABLE_GPA(0), LA_TABLE_GPA(0), mem, bytes);
	else
		la_add_huge_slot(v, LA_SLOT, 0, LA_TABLE_GPA(0), LA_TABLE_GPA(0), mem, bytes);

	la_flush_tlb(v);
	la_touch(v, LA_OP_WRITE, LA_TABLE_GPA(0), HUGE_PAGES * LA_CHUNK_PAGES);
	return mem;
}

static void huge_pages(uint32_t flags)
{
	const uint64_t nr = HUGE_PAGES, pages = nr * LA_CHUNK_PAGES;
	struct la_stats stats;
	struct la_vm v;
	char *mem;

	mem = create_huge_guest(&v, flags);
	la_stats_zero();
	age();
	stats = la_stats_read();
	ksft_print_msg("%lu huge pages: %lu batches, %lu leaves looked at, %lu young\n", nr,
		       stats.batches, stats.visited, stats.young);
	CHECK(!stats.batch_fallback);
#ifdef __riscv
	flags = 1;	/* 6.12 has huge leaves for hugetlb memory only. */
#endif
	CHECK(flags ? stats.young >= pages : stats.young < pages / 2);
	CHECK(!young_in_guest(&v, mem, 0, pages));
	CHECK(stats.walks < pages / 4);
	la_vm_free(&v);
}

static void huge_pages_over_small_leaves(void)
{
	huge_pages(KVM_MEM_LOG_DIRTY_PAGES);
}

static void huge_pages_over_huge_leaves(void)
{
	huge_pages(0);
}

static void huge_pages_not_consulted(void)
{
	const uint64_t pages = HUGE_PAGES * LA_CHUNK_PAGES;
	struct la_vm v;
	char *mem;

	mem = create_huge_guest(&v, KVM_MEM_LOG_DIRTY_PAGES);
	la_write(SWITCH("consult"), "N");
	la_stats_zero();
	age();
	CHECK(!la_stats_read().walks);
	la_write(SWITCH("consult"), "Y");
	CHECK(young_in_guest(&v, mem, 0, pages) == pages);
	la_vm_free(&v);
}

/*
 * What comes of it
 */

/* Passes over a guest that uses its hot pages; returns what MGLRU makes of it. */
static struct lru classify(struct la_vm *v)
{
	int i;

	age();
	age();
	for (i = 0; i < 4; i++) {
		use(v, hot_pages);
		age();
	}
	return lru_read(own_group);
}

static void hot_and_cold(void)
{
	struct la_vm v;
	struct lru lru;

	create_guest(&v, guest_pages());
	lru = classify(&v);
	print_figure("young_pages", young_pages(&lru, 2));
	print_figure("old_pages", old_pages(&lru, 2));
	/* Of both kinds: cold ones among the young would make up for hot ones that are not. */
	CHECK(young_pages(&lru, 2) >= (long)hot_pages * 9 / 10);
	CHECK(old_pages(&lru, 2) >= (long)cold_pages * 9 / 10);
	la_vm_free(&v);
}

/* The same by calls for each page, which an MMU that can't do without its lock gets. */
static void hot_and_cold_with_mmu_lock(void)
{
	struct la_stats stats;

	la_set_lockless(false);
	la_stats_zero();
	hot_and_cold();
	stats = la_stats_read();
	la_set_lockless(true);
	CHECK(!stats.batches);
	CHECK(stats.batch_fallback && stats.batch_fallback == stats.batch_locked);
	CHECK(stats.mmu_lock >= guest_pages());
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

static void swap_on(void)
{
	struct {
		char boot[1024];
		uint32_t version, last_page, nr_bad;
	} *header;
	char *page = calloc(1, LA_PAGE_SIZE);
	uint64_t bytes;
	int fd;

	fd = open(swap_device, O_RDWR);
	TEST_ASSERT(page && fd >= 0 && !ioctl(fd, BLKGETSIZE64, &bytes), "Cannot use %s: %s",
		    swap_device, strerror(errno));
	header = (void *)page;
	header->version = 1;
	header->last_page = (bytes >> LA_PAGE_SHIFT) - 1;
	memcpy(page + LA_PAGE_SIZE - 10, "SWAPSPACE2", 10);
	TEST_ASSERT(pwrite(fd, page, LA_PAGE_SIZE, 0) == LA_PAGE_SIZE && !fsync(fd),
		    "Cannot write to %s: %s", swap_device, strerror(errno));
	close(fd);
	free(page);
	TEST_ASSERT(!swapon(swap_device, 0), "swapon %s: %s", swap_device, strerror(errno));
}

static void proactive_reclaim(void)
{
	uint64_t hot, cold;
	struct la_vm v;
	char *mem;

	mem = create_guest(&v, guest_pages());
	classify(&v);
	swap_on();
	evict(cold_pages / 2);
	hot = swapped_out(mem, hot_pages);
	cold = swapped_out(mem + (hot_pages << LA_PAGE_SHIFT), cold_pages);
	print_figure("reclaimed_hot_pages", hot);
	print_figure("reclaimed_cold_pages", cold);
	CHECK(hot <= hot_pages / 10);
	CHECK(cold >= cold_pages / 4);
	la_vm_free(&v);
}

static uint64_t nr_refaults(void)
{
	char text[8192];

	group_read(own_group, "memory.stat", text, sizeof(text));
	return la_stat(text, "workingset_refault_anon");
}

/*
 * A cgroup that is too small for all its guest's memory, of which the guest uses a part
 * again and again while it goes through the rest.  Returns how often the part was not there.
 */
static uint64_t stream_through(const char *name)
{
	const uint64_t pages = guest_pages(), bytes = pages << LA_PAGE_SHIFT;
	uint64_t hot_faults = 0, refaults, page;
	char text[8192];
	struct la_vm v;
	char *mem;

	mem = la_alloc(bytes);
	la_vm_create(&v, 1);
	la_add_slot(&v, LA_SLOT, 0, LA_GPA, LA_GPA, mem, bytes);
	refaults = nr_refaults();
	group_read(own_group, "memory.current", text, sizeof(text));
	snprintf(text, sizeof(text), "%llu", strtoull(text, NULL, 10) + bytes * 6 / 10);
	group_write(own_group, "memory.max", text);
	swap_on();

	la_touch(&v, LA_OP_WRITE, LA_GPA, hot_pages);
	for (page = hot_pages; page < pages; page += LA_CHUNK_PAGES) {
		la_touch(&v, LA_OP_WRITE, LA_GPA + (page << LA_PAGE_SHIFT), LA_CHUNK_PAGES);
		hot_faults += swapped_out(mem, hot_pages);
		la_touch(&v, LA_OP_READ, LA_GPA, hot_pages);
	}

	ksft_print_msg("figure %s_hot_faults %lu\n", name, hot_faults);
	ksft_print_msg("figure %s_refaults %lu\n", name, nr_refaults() - refaults);
	la_vm_free(&v);
	munmap(mem, bytes);
	swapoff(swap_device);
	group_write(own_group, "memory.max", "max");
	return hot_faults;
}

static void memory_max(void)
{
	uint64_t ours, base;

	ours = stream_through("memory_max");
	if (on_stock)
		return;

	la_set_lockless(false);
	base = stream_through("memory_max_with_mmu_lock");
	la_set_lockless(true);
	/* One page in fifty, of those that could have been missing, is noise. */
	CHECK(ours <= base + cold_pages / LA_CHUNK_PAGES * hot_pages / 50);
}

/*
 * The tests
 */

static const struct test {
	const char *name;
	void (*fn)(void);
	bool on_stock;
	bool swaps;
	bool thp;
	const char *file;	/* that it needs */
} tests[] = {
	{ "counts", counts },
	{ "trace_event", trace_event, .file = TRACE_BATCH },
	{ "batch_switched_off", batch_switched_off },
	{ "consult_switched_off", consult_switched_off },
	{ "every_subscriber", every_subscriber },
	{ "young_in_host_too", young_in_host_too },
	{ "evidence_of_others", evidence_of_others },
	{ "vmas_that_share_a_table", vmas_that_share_a_table },
	{ "bloom_filters", bloom_filters },
	{ "huge_pages_over_small_leaves", huge_pages_over_small_leaves, .thp = true },
	{ "huge_pages_over_huge_leaves", huge_pages_over_huge_leaves, .thp = true },
	{ "huge_pages_not_consulted", huge_pages_not_consulted, .thp = true },
	{ "hot_and_cold", hot_and_cold, .on_stock = true },
	{ "hot_and_cold_with_mmu_lock", hot_and_cold_with_mmu_lock },
	{ "proactive_reclaim", proactive_reclaim, .on_stock = true, .swaps = true },
	{ "memory_max", memory_max, .on_stock = true, .swaps = true },
};

/* To what they are by default, whatever the test before has left. */
static void reset_switches(void)
{
	if (on_stock)
		return;

	la_write(SWITCH("batch"), "Y");
	la_write(SWITCH("consult"), "Y");
	la_set_lockless(true);
}

static void run(const struct test *test)
{
	int status;
	pid_t pid;

	if (on_stock && !test->on_stock) {
		ksft_test_result_skip("%s: needs %s\n", test->name, la_missing());
		return;
	}
	if (test->swaps && !swap_device) {
		ksft_test_result_skip("%s: needs -s device\n", test->name);
		return;
	}
	if (test->file && access(test->file, W_OK)) {
		ksft_test_result_skip("%s: needs %s\n", test->name, test->file);
		return;
	}
	if (test->thp && !thp_configured()) {
		ksft_test_result_skip("%s: needs transparent huge pages\n", test->name);
		return;
	}

	reset_switches();
	make_group(own_group, sizeof(own_group), test->name);
	make_group(other_group, sizeof(other_group), "other");
	fflush(stdout);
	pid = fork();
	if (!pid) {
		group_write(own_group, "cgroup.procs", "0");
		test->fn();
		exit(passed ? KSFT_PASS : KSFT_FAIL);
	}
	TEST_ASSERT(pid > 0 && waitpid(pid, &status, 0) == pid, "Cannot wait for the guest");
	if (test->swaps)
		swapoff(swap_device);
	remove_group(own_group);
	remove_group(other_group);
	ksft_test_result(WIFEXITED(status) && WEXITSTATUS(status) == KSFT_PASS, "%s\n",
			 test->name);
}

static void help(const char *name)
{
	unsigned int i;

	printf("usage: %s [-h] [-m MiB] [-s device] [-n test]\n"
	       " -m: most memory of a guest, in units of 16 MiB (default: 64)\n"
	       " -s: a block device to swap to; what is on it is lost\n"
	       " -n: one of these alone:\n", name);
	for (i = 0; i < ARRAY_SIZE(tests); i++)
		printf("     %s\n", tests[i].name);
}

int main(int argc, char **argv)
{
	const char *only = NULL;
	char enabled[32] = "";
	unsigned int i, nr = 0;
	int opt;

	while ((opt = getopt(argc, argv, "hm:s:n:")) != -1) {
		switch (opt) {
		case 'm':
			hot_pages = atoi_positive("MiB", optarg) / 16 * LA_CHUNK_PAGES;
			cold_pages = 7 * hot_pages;
			break;
		case 's':
			swap_device = optarg;
			break;
		case 'n':
			only = optarg;
			break;
		default:
			help(argv[0]);
			return opt == 'h' ? KSFT_PASS : KSFT_FAIL;
		}
	}
	for (i = 0; i < ARRAY_SIZE(tests); i++)
		nr += !only || !strcmp(only, tests[i].name);
	if (!nr || !hot_pages) {
		help(argv[0]);
		return KSFT_FAIL;
	}

	ksft_print_header();
	if (access("/dev/kvm", R_OK | W_OK))
		ksft_exit_skip("No /dev/kvm\n");
	if (!la_read(LRU_GEN_ENABLED, enabled, sizeof(enabled)) || access(LRU_GEN, W_OK))
		ksft_exit_skip("No MGLRU with debugfs\n");

	/* What is counted would be a guest of 1G with pages of 64K. */
	if (LA_PAGE_SIZE > SZ_4K)
		ksft_exit_skip("Made for pages of 4K\n");

	la_write(LRU_GEN_ENABLED, "7");
	la_read(LRU_GEN_ENABLED, enabled, sizeof(enabled));
	if (!(strtoul(enabled, NULL, 0) & 2))
		ksft_exit_skip("MGLRU walks no page tables: hardware sets no accessed bits\n");

	on_stock = la_missing();
	ksft_set_plan(nr);
	for (i = 0; i < ARRAY_SIZE(tests); i++)
		if (!only || !strcmp(only, tests[i].name))
			run(&tests[i]);
	reset_switches();
	ksft_finished();
}
