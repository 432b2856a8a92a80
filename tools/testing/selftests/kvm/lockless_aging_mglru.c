// SPDX-License-Identifier: GPL-2.0-only
/*
 * What MGLRU asks KVM for in its passes over a guest of small pages, and what it leaves alone.
 * The tests need the counters and switches of page-table walks; pages are of 4K.
 */
#include <ctype.h>
#include <sys/mman.h>

#include "lockless_aging_mglru.h"

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

	mem = la_create_guest(&v, pages);
	addr = (unsigned long)mem;
	la_use(&v, pages);

	len = snprintf(cmd, sizeof(cmd), "batch-test %#lx %#lx %#lx 2", addr, addr + bytes,
		       LA_PAGE_SIZE);
	la_trace_begin(LA_TRACE_TEST);
	TEST_ASSERT(write(v.age, cmd, len) == len, "%s: %s", cmd, strerror(errno));
	for (line = strstr(la_trace_end(LA_TRACE_TEST), "kvm_test_age_hva: "); line;
	     line = strstr(line + 1, "kvm_test_age_hva: ")) {
		CHECK(sscanf(line, "%*s mmu notifier test age hva: %lx", &start) == 1);
		CHECK(start == addr);
		tested++;
	}
	CHECK(tested == 1);

	la_trace_begin(LA_TRACE_CLEAR);
	la_lru_age();
	for (line = strstr(la_trace_end(LA_TRACE_CLEAR), "kvm_age_hva: "); line;
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

/*
 * KVM walks once for each query, from the first wanted part to the last one, and leaves of no
 * wanted part are not even looked at.
 */
static void wanted_parts(void)
{
	static const struct {
		uint64_t size, every;
	} of[] = { { 1, 1 }, { 1, 5 }, { 4, 1 }, { 4, 3 } };
	const uint64_t pages = 64, bytes = pages << LA_PAGE_SHIFT;
	unsigned long start, end, addr;
	const char *line;
	char cmd[96];
	struct la_vm v;
	int i, len;

	addr = (unsigned long)la_create_guest(&v, pages);
	for (i = 0; i < ARRAY_SIZE(of); i++) {
		const uint64_t every = of[i].every, parts = (pages / of[i].size - 1) / every + 1;
		const uint64_t size = of[i].size << LA_PAGE_SHIFT;

		len = snprintf(cmd, sizeof(cmd), "batch-clear %#lx %#lx %#lx %lu", addr,
			       addr + bytes, size, every);
		la_stats_zero();
		la_trace_begin(LA_TRACE_CLEAR);
		TEST_ASSERT(write(v.age, cmd, len) == len, "%s: %s", cmd, strerror(errno));
		line = strstr(la_trace_end(LA_TRACE_CLEAR), "kvm_age_hva: ");
		CHECK(line && !strstr(line + 1, "kvm_age_hva: "));
		CHECK(sscanf(line, "%*s mmu notifier age hva: %lx -- %lx", &start, &end) == 2);
		CHECK(start == addr && end == addr + (parts - 1) * every * size + size);
		TEST_ASSERT_EQ(la_stats_read().visited, parts * of[i].size);
	}
	la_vm_free(&v);
}

static void trace_event(void)
{
	const uint64_t pages = 2 * LA_CHUNK_PAGES;
	uint64_t events = 0, found = 0, cleared = 0;
	struct la_batch_event e;
	struct la_stats stats;
	const char *trace;
	struct la_vm v;

	la_create_guest(&v, pages);
	la_use(&v, pages);
	la_stats_zero();
	la_trace_begin(LA_TRACE_BATCH);
	la_lru_age();
	trace = la_trace_end(LA_TRACE_BATCH);
	stats = la_stats_read();

	while ((trace = la_next_batch_event(trace, &e))) {
		CHECK(e.start < e.end && e.wanted <= (e.end - e.start) >> e.shift);
		CHECK(!e.ret);
		events++;
		found += e.young;
		if (!strcmp(e.op, "clear"))
			cleared += e.wanted;
		else
			CHECK(!strcmp(e.op, "test") && e.young <= e.wanted);
	}
	CHECK(events == stats.batches);
	/* All that the guest used, and hardly more: each was found once and made old once. */
	CHECK(found >= pages && found == cleared && 2 * found <= stats.young + 2 * 64);
	la_vm_free(&v);
}

static void counts(void)
{
	const uint64_t pages = la_guest_pages();
	struct la_stats stats;
	struct la_vm v;

	la_create_guest(&v, pages);
	la_use(&v, pages);

	la_stats_zero();
	la_lru_age();
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
	la_lru_age();
	stats = la_stats_read();
	CHECK(stats.visited >= pages && stats.visited <= pages + LA_CHUNK_PAGES);
	CHECK(stats.young <= LA_CHUNK_PAGES / 8);
	CHECK(stats.batches && stats.batches <= 48);
	la_vm_free(&v);
}

static void batch_switched_off(void)
{
	const uint64_t pages = la_guest_pages();
	struct la_stats stats;
	struct la_vm v;

	la_create_guest(&v, pages);
	la_write(BATCH_SWITCH, "N");
	la_stats_zero();
	la_lru_age();
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

	la_create_guest(&v, la_guest_pages());
	la_consult(false);
	la_stats_zero();
	la_lru_age();
	stats = la_stats_read();
	la_consult(true);
	CHECK(!stats.walks && !stats.batches && !stats.refused);
	la_vm_free(&v);
}

/* Tables of page-table entries that passes went into, since there are passes. */
static unsigned long tables_found(void)
{
	unsigned long found = -1;
	char path[128], *line;

	snprintf(path, sizeof(path), " %s\n", la_own_group);
	line = strstr(la_read_all(LRU_GEN "_full"), path);
	TEST_ASSERT(line, "No %s in " LRU_GEN "_full", la_own_group);
	/* The only line of a cgroup that begins so, at the end of the youngest generation. */
	for (line = strtok(line, "\n"); line; line = strtok(NULL, "\n"))
		if (sscanf(line, " %*uT %*uY %luF", &found) == 1)
			break;
	TEST_ASSERT(line, "No statistics of %s in " LRU_GEN "_full", la_own_group);
	return found;
}

/* A pass to where the filter says, for which reclaim must have made room. */
static void age_by_filter(void)
{
	struct la_lru lru = la_lru_read(la_own_group);
	const unsigned long seq = lru.gens[lru.nr - 1].seq;

	la_lru_age_group(la_own_group, false);
	lru = la_lru_read(la_own_group);
	CHECK(lru.gens[lru.nr - 1].seq == seq + 1);
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

	mem = la_create_guest(&v, pages);
	la_consult(consulted);
	la_use_in_host(mem, pages);
	la_lru_age();
	la_lru_evict(pages);
	/* Now the tables are in the filter, and their own entries become old. */
	la_use_in_host(mem, pages);
	age_by_filter();
	la_lru_evict(pages);
	la_use(&v, pages);
	found = tables_found();
	age_by_filter();
	found = tables_found() - found;
	la_consult(true);
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
	uint64_t i;
	char *mem;

	mem = la_create_guest(&first, pages);
	la_vm_create(&second, 1);
	la_add_slot(&second, LA_SLOT, 0, LA_GPA, LA_GPA, mem, pages << LA_PAGE_SHIFT);
	la_use(&first, pages);
	la_use(&second, pages);
	CHECK(la_young_in_guest(&first, mem, 0, pages) == pages);
	la_lru_age();
	CHECK(!la_young_in_guest(&first, mem, 0, pages));

	/* One of them is enough for a page to be young, and each uses pages of each table. */
	la_flush_tlb(&first);
	la_flush_tlb(&second);
	for (i = 0; i < pages; i++)
		la_touch(i % 2 ? &first : &second, LA_OP_READ, LA_GPA + (i << LA_PAGE_SHIFT), 1);
	CHECK(la_young_in_guest(&first, mem, 0, pages) == pages);
	la_lru_age();
	CHECK(!la_young_in_guest(&first, mem, 0, pages));
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

	mem = la_create_guest(&v, pages);
	la_lru_age();
	la_use(&v, pages);
	for (i = 0; i < pages; i++)
		READ_ONCE(mem[i << LA_PAGE_SHIFT]);
	la_lru_age();
	CHECK(!la_young_in_guest(&v, mem, 0, pages));
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
	la_group_write(la_other_group, "cgroup.procs", "0");
	for (i = 1; i < pages; i += 2)
		mem[i << LA_PAGE_SHIFT] = 1;

	la_vm_create(&v, 1);
	la_add_slot(&v, LA_SLOT, 0, LA_GPA, LA_GPA, mem, pages << LA_PAGE_SHIFT);
	la_use(&v, pages);
	la_lru_age_group(la_other_group, true);
	for (i = 0; i < pages; i++)
		*(i % 2 ? &ours : &others) += la_young_in_guest(&v, mem, i, 1);
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
	struct la_lru lru;
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

	la_lru_age();
	la_lru_age();
	lru = la_lru_read(la_own_group);
	before = la_lru_young(&lru, 2);
	la_flush_tlb(&v);
	la_touch_map(&v, LA_OP_READ, LA_GPA, pages, used);
	la_stats_zero();
	la_lru_age();
	stats = la_stats_read();
	lru = la_lru_read(la_own_group);
	after = la_lru_young(&lru, 2);

	ksft_print_msg("%lu pages used: %lu young, %ld in young generations (idle: %ld)\n",
		       nr_used, stats.young, after, before);
	CHECK(!la_young_in_guest(&v, mem, 0, pages));
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
	la_lru_age();
	CHECK(!la_young_in_guest(&v, mem, 0, pages));

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

	la_lru_age();
	CHECK(!la_young_in_guest(&v, mem, 0, pages));
	la_vm_free(&v);
}

/* Without force_scan a pass goes to where the last one found enough that was young. */
static void bloom_filters(void)
{
	const uint64_t pages = 8 * LA_CHUNK_PAGES;
	struct la_stats stats;
	struct la_vm v;
	char *mem;

	mem = la_create_guest(&v, pages);
	/* Until here the host's entries are young too, for they were just made. */
	la_lru_age();
	la_use(&v, pages);
	la_lru_age();
	la_use(&v, pages);
	la_lru_evict(pages);
	la_stats_zero();
	age_by_filter();
	stats = la_stats_read();
	ksft_print_msg("%lu pages in tables that were young: %lu batches, %lu young left\n", pages,
		       stats.batches, la_young_in_guest(&v, mem, 0, pages));
	CHECK(!la_young_in_guest(&v, mem, 0, pages));

	/* It was young then, but is not now: the pass after this one may leave it out. */
	la_lru_evict(pages);
	age_by_filter();
	/* Before the guest uses them again: reclaim tells the filter of what it finds young. */
	la_lru_evict(pages);
	la_use(&v, pages);
	age_by_filter();
	CHECK(la_young_in_guest(&v, mem, 0, pages) == pages);
	la_vm_free(&v);
}

static const struct la_lru_test tests[] = {
	{ "counts", counts },
	{ "trace_event", trace_event, .file = LA_TRACE_BATCH },
	{ "kvm_trace_events", kvm_trace_events, .file = LA_TRACE_CLEAR },
	{ "wanted_parts", wanted_parts, .file = LA_TRACE_CLEAR },
	{ "batch_switched_off", batch_switched_off },
	{ "consult_switched_off", consult_switched_off },
	{ "consult_off_passes_over_tables", consult_off_passes_over_tables, .nonleaf = true },
	{ "every_subscriber", every_subscriber },
	{ "young_in_host_too", young_in_host_too },
	{ "evidence_of_others", evidence_of_others },
	{ "vmas_that_share_a_table", vmas_that_share_a_table },
	{ "slots_that_share_a_table", slots_that_share_a_table },
	{ "bloom_filters", bloom_filters },
};

int main(int argc, char *argv[])
{
	la_lru_main(argc, argv, tests, ARRAY_SIZE(tests));
}
