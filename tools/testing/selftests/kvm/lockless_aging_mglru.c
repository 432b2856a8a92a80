// SPDX-License-Identifier: GPL-2.0-only
/*
 * What MGLRU makes of guests that use a part of their memory, and what it asks for that.
 *
 * Each test has a process and a cgroup of its own.  Those of the outcome (which pages
 * count as young, which ones are reclaimed) run on any kernel with MGLRU, and print
 * figures to compare kernels by; the others need the counters and switches of
 * pgtable_walk.  Pages are of 4K.
 */
#include <ctype.h>
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
#define BATCH_SWITCH	"/sys/module/mmu_notifier_age/parameters/batch"

#define MAX_GENS	4
#define HUGE_PAGE_SIZE	SZ_2M

static uint64_t hot_pages = 4 * LA_CHUNK_PAGES;
static uint64_t cold_pages = 28 * LA_CHUNK_PAGES;
static const char *swap_device;
static bool on_stock;		/* no counters, no switches */
static bool nonleaf_young;	/* MGLRU passes over what such bits say was not used */
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

/* A line that is compared with that of another kernel; "noisy" ones by people only. */
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

/*
 * A pass over everything, or over what the Bloom filter of the last pass says; over
 * anonymous memory too, or over files alone.
 */
static void __age_group(const char *group, bool anon, bool everything)
{
	struct lru lru = lru_read(group);
	char text[128];
	int ret;

	/* A process has run since the last pass if it was switched to. */
	usleep(1000);
	snprintf(text, sizeof(text), "+ %lu 0 %lu %d %d\n", lru.memcg, youngest(&lru), anon,
		 everything);
	ret = __la_write(LRU_GEN, text);
	/* While reclaim lags behind, there is no room for another generation. */
	TEST_ASSERT(!ret || (ret == -ERANGE && !everything), "Cannot write '%s' to " LRU_GEN ": %s",
		    text, strerror(-ret));
}

static void age_group(const char *group, bool everything)
{
	__age_group(group, true, everything);
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
#define TRACE_BATCH	TRACING "events/mmu_notifier_age/mmu_notifier_age_range/enable"
#define TRACE_CLEAR	TRACING "events/kvm/kvm_age_hva/enable"
#define TRACE_TEST	TRACING "events/kvm/kvm_test_age_hva/enable"

/* Bit 3 of this file: walks query secondary MMUs. */
static void consult(bool on)
{
	la_write("/sys/kernel/mm/lru_gen/enabled", on ? "0x000f" : "0x0007");
}

static void trace_begin(const char *event)
{
	la_write(TRACING "trace", "");
	la_write(event, "1");
}

/* All of a file that gives a part at a time. */
static char *read_all(const char *path)
{
	static char text[1 << 18];
	int fd = open(path, O_RDONLY);
	size_t len = 0;
	ssize_t ret;

	TEST_ASSERT(fd >= 0, "Cannot open %s: %s", path, strerror(errno));
	do {
		ret = read(fd, text + len, sizeof(text) - 1 - len);
		TEST_ASSERT(ret >= 0, "Cannot read %s: %s", path, strerror(errno));
		len += ret;
	} while (ret);
	text[len] = '\0';
	close(fd);
	return text;
}

static const char *trace_end(const char *event)
{
	la_write(event, "0");
	return read_all(TRACING "trace");
}

/* Stock's events: one for the start of a batch that tests, one for all that one clears. */
static void kvm_trace_events(void)
{
	const uint64_t pages = 64, bytes = pages << LA_PAGE_SHIFT;
	unsigned long start, end, addr;
	uint64_t cleared = 0, tested = 0;
	const char *line;
	char cmd[96];
	struct la_vm v;
	char *mem;
	int len;

	mem = create_guest(&v, pages);
	addr = (unsigned long)mem;
	use(&v, pages);

	len = snprintf(cmd, sizeof(cmd), "batch-test %#lx %#lx %#lx 2", addr, addr + bytes,
		       LA_PAGE_SIZE);
	trace_begin(TRACE_TEST);
	TEST_ASSERT(write(v.age, cmd, len) == len, "%s: %s", cmd, strerror(errno));
	for (line = strstr(trace_end(TRACE_TEST), "kvm_test_age_hva: "); line;
	     line = strstr(line + 1, "kvm_test_age_hva: ")) {
		CHECK(sscanf(line, "%*s mmu notifier test age hva: %lx", &start) == 1);
		CHECK(start == addr);
		tested++;
	}
	CHECK(tested == 1);

	trace_begin(TRACE_CLEAR);
	age();
	for (line = strstr(trace_end(TRACE_CLEAR), "kvm_age_hva: "); line;
	     line = strstr(line + 1, "kvm_age_hva: ")) {
		CHECK(sscanf(line, "%*s mmu notifier age hva: %lx -- %lx", &start, &end) == 2);
		start = max(start, addr);
		end = min(end, addr + bytes);
		if (start < end)
			cleared += end - start;
	}
	CHECK(cleared == bytes);
	la_vm_free(&v);
}

static void trace_event(void)
{
	const uint64_t pages = 2 * LA_CHUNK_PAGES;
	uint64_t wanted, young, events = 0, found = 0, cleared = 0;
	struct la_stats stats;
	const char *line;
	struct la_vm v;
	char op[8];
	int ret;

	create_guest(&v, pages);
	use(&v, pages);
	la_stats_zero();
	trace_begin(TRACE_BATCH);
	age();
	line = trace_end(TRACE_BATCH);
	stats = la_stats_read();

	for (line = strstr(line, "mmu_notifier_age_range: "); line;
	     line = strstr(line + 1, "mmu_notifier_age_range: ")) {
		CHECK(sscanf(line, "%*s %7s %*x-%*x shift=%*u wanted=%lu young=%lu ret=%d",
			     op, &wanted, &young, &ret) == 4);
		CHECK(!ret);
		events++;
		found += young;
		if (!strcmp(op, "clear"))
			cleared += wanted;
		else
			CHECK(!strcmp(op, "test") && young <= wanted);
	}
	CHECK(events == stats.batches);
	/* All that the guest used, and hardly more: each was found once and made old once. */
	CHECK(found >= pages && found == cleared && 2 * found <= stats.young + 2 * 64);
	la_vm_free(&v);
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
	ksft_print_msg("a pass over %lu pages: %lu batches, %lu leaves visited, %lu young\n",
		       pages, stats.batches, stats.visited, stats.young);
	/* Every page of the guest twice: to test it, and to make it old. */
	CHECK(stats.young >= 2 * pages * 9 / 10 && stats.young <= stats.visited);
	CHECK(stats.visited >= 2 * pages && stats.visited <= 2 * pages + 2 * LA_CHUNK_PAGES);
	CHECK(stats.batches && stats.batches <= 80);
	CHECK(!stats.refused);
	CHECK(!stats.mmu_lock);

	/* All of it is old now, so there is nothing left to be made old. */
	la_stats_zero();
	age();
	stats = la_stats_read();
	CHECK(stats.visited >= pages && stats.visited <= pages + LA_CHUNK_PAGES);
	CHECK(stats.young <= LA_CHUNK_PAGES / 8);
	CHECK(stats.batches && stats.batches <= 48);
	la_vm_free(&v);
}

static void batch_switched_off(void)
{
	const uint64_t pages = guest_pages();
	struct la_stats stats;
	struct la_vm v;

	create_guest(&v, pages);
	la_write(BATCH_SWITCH, "N");
	la_stats_zero();
	age();
	stats = la_stats_read();
	la_write(BATCH_SWITCH, "Y");
	/* One call a page. */
	CHECK(!stats.batches && stats.refused);
	CHECK(stats.walks >= pages);
	CHECK(!stats.mmu_lock);
	la_vm_free(&v);
}

static void consult_switched_off(void)
{
	struct la_stats stats;
	struct la_vm v;

	create_guest(&v, guest_pages());
	consult(false);
	la_stats_zero();
	age();
	stats = la_stats_read();
	consult(true);
	CHECK(!stats.walks && !stats.batches && !stats.refused);
	la_vm_free(&v);
}

/* Tables of page-table entries that passes went into, since there are passes. */
static unsigned long tables_found(void)
{
	unsigned long found = -1;
	char path[128], *line;

	snprintf(path, sizeof(path), " %s\n", own_group);
	line = strstr(read_all(LRU_GEN "_full"), path);
	TEST_ASSERT(line, "No %s in " LRU_GEN "_full", own_group);
	/* The only line of a cgroup that begins so, at the end of the youngest generation. */
	for (line = strtok(line, "\n"); line; line = strtok(NULL, "\n"))
		if (sscanf(line, " %*uT %*uY %luF", &found) == 1)
			break;
	TEST_ASSERT(line, "No statistics of %s in " LRU_GEN "_full", own_group);
	return found;
}

/* What the process itself has in its TLB does not set accessed bits again. */
static void use_in_host(char *mem, uint64_t pages)
{
	uint64_t i;

	mprotect(mem, pages << LA_PAGE_SHIFT, PROT_READ);
	mprotect(mem, pages << LA_PAGE_SHIFT, PROT_READ | PROT_WRITE);
	for (i = 0; i < pages; i++)
		READ_ONCE(mem[i << LA_PAGE_SHIFT]);
}

/*
 * Passes over a guest whose tables of the host are old, but were young before.  Without
 * a guest, or if that is not to be asked, nothing young can be in such a table.
 */
static unsigned long tables_found_if_old(uint64_t pages, bool consulted)
{
	unsigned long found;
	struct la_vm v;
	char *mem;

	mem = create_guest(&v, pages);
	consult(consulted);
	use_in_host(mem, pages);
	age();
	evict(1);
	/* Now the tables are in the filter, and their own entries become old. */
	use_in_host(mem, pages);
	age_group(own_group, false);
	evict(1);
	use(&v, pages);
	found = tables_found();
	age_group(own_group, false);
	found = tables_found() - found;
	consult(true);
	la_vm_free(&v);
	munmap(mem, pages << LA_PAGE_SHIFT);
	return found;
}

static void consult_off_passes_over_tables(void)
{
	const unsigned long more = 12;
	long few, many, on, off;

	/* The process has other tables, and uses some; so see what more of the old ones add. */
	few = tables_found_if_old(LA_CHUNK_PAGES, false);
	many = tables_found_if_old((1 + more) * LA_CHUNK_PAGES, false);
	off = many - few;
	few = tables_found_if_old(LA_CHUNK_PAGES, true);
	many = tables_found_if_old((1 + more) * LA_CHUNK_PAGES, true);
	on = many - few;
	ksft_print_msg("%lu old tables more: a pass goes into %ld if KVM is asked, %ld if not\n",
		       more, on, off);
	CHECK(on > (long)more / 2);
	CHECK(off < (long)more / 2);
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
	CHECK(la_stats_read().young >= pages);
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

/*
 * The same for huge pages, of which one question takes 65, and the walk one more that it
 * asks about alone.
 */
static void huge_pages_of_two_cgroups(void)
{
	const uint64_t nr = 70, bytes = nr * HUGE_PAGE_SIZE;
	uint64_t i, others = 0, ours = 0;
	struct la_stats stats;
	struct la_vm v;
	char *mem;

	mem = la_mmap_aligned(bytes);
	TEST_ASSERT(!madvise(mem, bytes, MADV_HUGEPAGE), "MADV_HUGEPAGE: %s", strerror(errno));
	for (i = 0; i < nr; i++) {
		group_write(i % 2 ? other_group : own_group, "cgroup.procs", "0");
		mem[i * HUGE_PAGE_SIZE] = 1;
	}

	la_vm_create(&v, 1);
	la_add_huge_slot(&v, LA_SLOT, 0, LA_TABLE_GPA(0), LA_TABLE_GPA(0), mem, bytes);
	v.step = HUGE_PAGE_SIZE;
	la_flush_tlb(&v);
	la_touch(&v, LA_OP_WRITE, LA_TABLE_GPA(0), nr);

	group_write(other_group, "cgroup.procs", "0");
	la_stats_zero();
	age_group(other_group, true);
	stats = la_stats_read();
	for (i = 0; i < nr; i++)
		*(i % 2 ? &ours : &others) += !!la_test(v.age, mem + i * HUGE_PAGE_SIZE,
							LA_PAGE_SIZE);
	ksft_print_msg("%lu batches; young are %lu huge pages of the group, %lu of the other\n",
		       stats.batches, ours, others);
	CHECK(!ours);
	CHECK(others == nr / 2);
	CHECK(stats.batches && !stats.mmu_lock);
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
	CHECK(!stats.refused);
	la_vm_free(&v);
}

/*
 * Slots that share a table of the host, and lie in the guest in reverse order: each page
 * answers for itself, whatever the distance between its two addresses.
 */
static void slots_that_share_a_table(void)
{
	const uint64_t pages = LA_CHUNK_PAGES, nr = 4, slot_pages = pages / nr;
	unsigned long used[LA_CHUNK_PAGES / 64] = {};
	uint64_t i, gpa, nr_used = 0, wrong = 0;
	char cmd[96], text[4096], *mem, *pos;
	struct la_vm v;
	int len;

	mem = la_alloc(pages << LA_PAGE_SHIFT);
	la_vm_create(&v, 1);
	for (i = 0; i < nr; i++) {
		gpa = LA_CHUNK_GPA(nr - 1 - i) + (3 * i << LA_PAGE_SHIFT);
		la_add_slot(&v, LA_SLOT + i, 0, gpa, gpa, mem + (i * slot_pages << LA_PAGE_SHIFT),
			    slot_pages << LA_PAGE_SHIFT);
		la_touch(&v, LA_OP_WRITE, gpa, slot_pages);
	}
	age();
	CHECK(!young_in_guest(&v, mem, 0, pages));

	la_flush_tlb(&v);
	for (i = 0; i < pages; i += 2 + i % 5) {
		const uint64_t slot = i / slot_pages;

		gpa = LA_CHUNK_GPA(nr - 1 - slot) + (3 * slot + i % slot_pages) * LA_PAGE_SIZE;
		la_touch(&v, LA_OP_READ, gpa, 1);
		__set_bit(i, used);
		nr_used++;
	}

	/* From the first page on, and from the middle of a slot. */
	for (i = 0; i < 2; i++) {
		const uint64_t first = i * 37;
		unsigned long bit, last, found[LA_CHUNK_PAGES / 64] = {};

		len = snprintf(cmd, sizeof(cmd), "batch-test %#lx %#lx %#lx",
			       (unsigned long)mem + (first << LA_PAGE_SHIFT),
			       (unsigned long)mem + (pages << LA_PAGE_SHIFT), LA_PAGE_SIZE);
		TEST_ASSERT(write(v.age, cmd, len) == len, "%s: %s", cmd, strerror(errno));
		len = pread(v.age, text, sizeof(text) - 1, 0);
		TEST_ASSERT(len > 0, "Cannot read " LA_AGE ": %s", strerror(errno));
		text[len] = '\0';
		pos = strchr(text, '\n');
		while (pos && isdigit(*++pos)) {
			bit = strtoul(pos, &pos, 10);
			last = *pos == '-' ? strtoul(pos + 1, &pos, 10) : bit;
			for (; bit <= last; bit++)
				__set_bit(bit + first, found);
		}
		for (bit = first; bit < pages; bit++)
			wrong += test_bit(bit, found) != test_bit(bit, used);
	}
	ksft_print_msg("%lu of %lu pages used, %lu answers wrong\n", nr_used, pages, wrong);
	CHECK(!wrong);

	age();
	CHECK(!young_in_guest(&v, mem, 0, pages));
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
	CHECK(!stats.refused);
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
	consult(false);
	la_stats_zero();
	age();
	CHECK(!la_stats_read().walks);
	consult(true);
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

static struct la_stats __hot_and_cold(void)
{
	struct la_stats stats = {};
	struct la_vm v;
	struct lru lru;

	create_guest(&v, guest_pages());
	lru = classify(&v);
	print_figure("young_pages", young_pages(&lru, 2));
	print_figure("old_pages", old_pages(&lru, 2));
	/* Of both kinds: cold ones among the young would make up for hot ones that are not. */
	CHECK(young_pages(&lru, 2) >= (long)hot_pages * 9 / 10);
	CHECK(old_pages(&lru, 2) >= (long)cold_pages * 9 / 10);
	if (!on_stock)
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
	struct lru lru;
	char *mem;
	int i;

	mem = la_alloc(guest_pages() << LA_PAGE_SHIFT);
	for (i = 0; i < guest_pages(); i++)
		mem[(uint64_t)i << LA_PAGE_SHIFT] = 1;

	if (!on_stock)
		la_stats_zero();
	age();
	age();
	for (i = 0; i < 4; i++) {
		use_in_host(mem, hot_pages);
		age();
	}
	if (!on_stock)
		stats = la_stats_read();
	lru = lru_read(own_group);
	print_figure("without_vm_young_pages", young_pages(&lru, 2));
	print_figure("without_vm_old_pages", old_pages(&lru, 2));
	CHECK(young_pages(&lru, 2) >= (long)hot_pages * 9 / 10);
	CHECK(old_pages(&lru, 2) >= (long)cold_pages * 9 / 10);
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

/*
 * Reclaim finds a page young, and looks at those around it: what the guest used stays,
 * though it forgets so at once.  Reclaim goes through pages in the order in which they
 * were made, here such that it meets neighbours long after it has looked at them.
 */
static void look_around(void)
{
	const uint64_t pages = 8 * LA_CHUNK_PAGES, around = 64;
	unsigned long map[8 * LA_CHUNK_PAGES / 64];
	uint64_t i, j, used = 0, unused = 0;
	struct la_stats stats = {};
	struct la_vm v;
	char *mem;

	mem = la_alloc(pages << LA_PAGE_SHIFT);
	for (j = 0; j < around; j++)
		for (i = j; i < pages; i += around)
			mem[i << LA_PAGE_SHIFT] = 1;
	la_vm_create(&v, 1);
	la_add_slot(&v, LA_SLOT, 0, LA_GPA, LA_GPA, mem, pages << LA_PAGE_SHIFT);
	la_touch(&v, LA_OP_WRITE, LA_GPA, pages);
	for (i = 0; i < 4; i++)
		age();

	/* Every other run of as many as are looked at. */
	for (i = 0; i < ARRAY_SIZE(map); i++)
		map[i] = i % 2 ? 0 : ~0UL;
	la_flush_tlb(&v);
	la_touch_map(&v, LA_OP_READ, LA_GPA, pages, map);

	swap_on();
	if (!on_stock)
		la_stats_zero();
	evict(pages);
	if (!on_stock)
		stats = la_stats_read();
	for (i = 0; i < pages; i += around)
		*(i / around % 2 ? &unused : &used) +=
			swapped_out(mem + (i << LA_PAGE_SHIFT), around);
	print_figure("look_around_reclaimed_used_pages", used);
	print_figure("look_around_reclaimed_unused_pages", unused);
	CHECK(used <= pages / 2 / 20);
	CHECK(unused >= pages / 2 / 2);
	if (!on_stock) {
		ksft_print_msg("%lu batches, %lu leaves young\n", stats.batches, stats.young);
		CHECK(stats.batches && stats.young);
		CHECK(!stats.refused && !stats.mmu_lock);
	}
	la_vm_free(&v);
}

/*
 * A pass over files alone leaves anonymous memory to the passes that may swap, also where
 * it lies between pages of a file: every other page of a private mapping was written to.
 */
static void file_at_swappiness_0(void)
{
	const uint64_t pages = 2 * LA_CHUNK_PAGES, bytes = pages << LA_PAGE_SHIFT;
	char *anon, *file = la_mmap_aligned(bytes);
	uint64_t i, of_file = 0, of_copy = 0;
	struct la_stats stats;
	struct la_vm v;
	int fd;

	fd = open(swap_device, O_RDWR);
	TEST_ASSERT(fd >= 0, "Cannot open %s: %s", swap_device, strerror(errno));
	file = mmap(file, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, fd, 0);
	TEST_ASSERT(file != MAP_FAILED, "Cannot map %s: %s", swap_device, strerror(errno));
	close(fd);

	for (i = 1; i < pages; i += 2)
		file[i << LA_PAGE_SHIFT] = 1;

	anon = create_guest(&v, pages);
	la_add_slot(&v, LA_SLOT + 1, 0, LA_CHUNK_GPA(1), LA_CHUNK_GPA(1), file, bytes);
	la_touch(&v, LA_OP_READ, LA_CHUNK_GPA(1), pages);
	age();
	use(&v, pages);
	la_touch(&v, LA_OP_READ, LA_CHUNK_GPA(1), pages);

	la_stats_zero();
	__age_group(own_group, false, true);
	stats = la_stats_read();
	for (i = 0; i < pages; i++)
		*(i % 2 ? &of_copy : &of_file) += young_in_guest(&v, file, i, 1);
	ksft_print_msg("%lu batches; %lu pages of the file are young, %lu copied ones\n",
		       stats.batches, of_file, of_copy);
	CHECK(!of_file);
	CHECK(of_copy == pages / 2);
	CHECK(young_in_guest(&v, anon, 0, pages) == pages);
	CHECK(!stats.refused && !stats.mmu_lock);
	la_vm_free(&v);
	munmap(file, bytes);
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

	ksft_print_msg("figure %s_hot_faults %lu, noisy\n", name, hot_faults);
	ksft_print_msg("figure %s_refaults %lu, noisy\n", name, nr_refaults() - refaults);
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
	u.mem = create_guest(&v, pages);
	if (reclaim)
		swap_on();
	la_stats_zero();
	la_set_stalls(20000, 5);
	TEST_ASSERT(!pthread_create(&u.thread, NULL, user_main, &u), "pthread_create");
	while (passes < goes || READ_ONCE(u.rounds) < goes) {
		age_group(own_group, passes % 4 != 3);
		if (reclaim)
			evict(pages / 2);
		else if (passes % 4 == 2)
			evict(1);
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
	use(&v, pages);
	CHECK(young_in_guest(&v, u.mem, 0, pages) == pages);
	age();
	CHECK(!young_in_guest(&v, u.mem, 0, pages));
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

/*
 * The tests
 */

static const struct test {
	const char *name;
	void (*fn)(void);
	bool on_stock;
	bool swaps;
	bool thp;
	bool nonleaf;		/* entries of page tables, too, have accessed bits */
	const char *file;	/* that it needs */
} tests[] = {
	{ "counts", counts },
	{ "trace_event", trace_event, .file = TRACE_BATCH },
	{ "kvm_trace_events", kvm_trace_events, .file = TRACE_CLEAR },
	{ "batch_switched_off", batch_switched_off },
	{ "consult_switched_off", consult_switched_off },
	{ "consult_off_passes_over_tables", consult_off_passes_over_tables, .nonleaf = true },
	{ "every_subscriber", every_subscriber },
	{ "young_in_host_too", young_in_host_too },
	{ "evidence_of_others", evidence_of_others },
	{ "vmas_that_share_a_table", vmas_that_share_a_table },
	{ "slots_that_share_a_table", slots_that_share_a_table },
	{ "bloom_filters", bloom_filters },
	{ "huge_pages_over_small_leaves", huge_pages_over_small_leaves, .thp = true },
	{ "huge_pages_over_huge_leaves", huge_pages_over_huge_leaves, .thp = true },
	{ "huge_pages_not_consulted", huge_pages_not_consulted, .thp = true },
	{ "huge_pages_of_two_cgroups", huge_pages_of_two_cgroups, .thp = true },
	{ "passes_against_guest", passes_against_guest },
	{ "reclaim_against_guest", reclaim_against_guest, .swaps = true },
	{ "file_at_swappiness_0", file_at_swappiness_0, .swaps = true },
	{ "without_vm", without_vm, .on_stock = true },
	{ "hot_and_cold", hot_and_cold, .on_stock = true },
	{ "hot_and_cold_with_mmu_lock", hot_and_cold_with_mmu_lock },
	{ "proactive_reclaim", proactive_reclaim, .on_stock = true, .swaps = true },
	{ "look_around", look_around, .on_stock = true, .swaps = true },
	{ "memory_max", memory_max, .on_stock = true, .swaps = true },
};

/* To what they are by default, whatever the test before has left. */
static void reset_switches(void)
{
	if (on_stock)
		return;

	la_write(BATCH_SWITCH, "Y");
	consult(true);
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
	if (test->nonleaf && !nonleaf_young) {
		ksft_test_result_skip("%s: needs accessed bits of page tables\n", test->name);
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

	nonleaf_young = strtoul(enabled, NULL, 0) & 4;
	on_stock = la_missing();
	ksft_set_plan(nr);
	for (i = 0; i < ARRAY_SIZE(tests); i++)
		if (!only || !strcmp(only, tests[i].name))
			run(&tests[i]);
	reset_switches();
	ksft_finished();
}
