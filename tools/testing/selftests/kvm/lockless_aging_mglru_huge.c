// SPDX-License-Identifier: GPL-2.0-only
/*
 * What MGLRU asks KVM for in its passes over huge pages of the host, of which a guest has
 * leaves of the same size, or small ones.  Pages are of 4K.
 */
#include <sys/mman.h>

#include "lockless_aging_mglru.h"

#define HUGE_PAGE_SIZE	SZ_2M

static char *map_huge(size_t nr)
{
	const size_t bytes = nr * HUGE_PAGE_SIZE;
	char *mem = la_mmap_aligned(bytes);
	size_t i;

	TEST_ASSERT(!madvise(mem, bytes, MADV_HUGEPAGE), "MADV_HUGEPAGE: %s", strerror(errno));
	for (i = 0; i < nr; i++)
		mem[i * HUGE_PAGE_SIZE] = 1;
	return mem;
}

#define HUGE_PAGES	4

/* A guest on huge pages of the host: with small leaves (dirty logging), or huge ones. */
static char *create_huge_guest(struct la_vm *v, uint32_t flags)
{
	const size_t bytes = HUGE_PAGES * HUGE_PAGE_SIZE;
	char *mem = map_huge(HUGE_PAGES);

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
	la_lru_age();
	stats = la_stats_read();
	ksft_print_msg("%lu huge pages: %lu batches, %lu leaves looked at, %lu young\n", nr,
		       stats.batches, stats.visited, stats.young);
	CHECK(!stats.refused);
	CHECK(!flags || stats.young >= pages);
#ifndef __riscv	/* where some kernels have huge leaves for hugetlb memory only */
	CHECK(flags || stats.young < pages / 2);
#endif
	CHECK(!la_young_in_guest(&v, mem, 0, pages));
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
	la_consult(false);
	la_stats_zero();
	la_lru_age();
	CHECK(!la_stats_read().walks);
	la_consult(true);
	CHECK(la_young_in_guest(&v, mem, 0, pages) == pages);
	la_vm_free(&v);
}

/* Every other one was split, and is a table of small pages. */
static void huge_pages_between_tables(void)
{
	const uint64_t nr = 8, bytes = nr * HUGE_PAGE_SIZE;
	uint64_t i, tested = 0, cleared = 0;
	struct la_batch_event e;
	const char *trace;
	struct la_vm v;
	char *mem;

	mem = map_huge(nr);
	/* From now on, khugepaged makes no more of them. */
	TEST_ASSERT(!madvise(mem, bytes, MADV_NOHUGEPAGE), "MADV_NOHUGEPAGE: %s", strerror(errno));
	for (i = 1; i < nr; i += 2) {
		mprotect(mem + i * HUGE_PAGE_SIZE, LA_PAGE_SIZE, PROT_READ);
		mprotect(mem + i * HUGE_PAGE_SIZE, LA_PAGE_SIZE, PROT_READ | PROT_WRITE);
	}
	la_vm_create(&v, 1);
	la_add_slot(&v, LA_SLOT, KVM_MEM_LOG_DIRTY_PAGES, LA_TABLE_GPA(0), LA_TABLE_GPA(0), mem,
		    bytes);
	la_flush_tlb(&v);
	la_touch(&v, LA_OP_WRITE, LA_TABLE_GPA(0), nr * LA_CHUNK_PAGES);

	la_trace_begin(LA_TRACE_BATCH);
	la_lru_age();
	trace = la_trace_end(LA_TRACE_BATCH);
	while ((trace = la_next_batch_event(trace, &e)))
		if (e.shift > LA_PAGE_SHIFT && e.start >= (unsigned long)mem &&
		    e.start < (unsigned long)mem + bytes)
			*(strcmp(e.op, "clear") ? &tested : &cleared) += e.wanted;
	ksft_print_msg("of %lu huge pages, %lu were tested, and %lu made old\n", nr / 2, tested,
		       cleared);
	CHECK(tested == nr / 2);
	CHECK(cleared == nr / 2);
	CHECK(!la_young_in_guest(&v, mem, 0, nr * LA_CHUNK_PAGES));
	la_vm_free(&v);
}

/*
 * Huge pages of two cgroups in turns: a pass for one must not make the other's old.  A query
 * is about 65 of them, and the walk makes one more about one alone.
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
		la_group_write(i % 2 ? la_other_group : la_own_group, "cgroup.procs", "0");
		mem[i * HUGE_PAGE_SIZE] = 1;
	}

	la_vm_create(&v, 1);
	la_add_huge_slot(&v, LA_SLOT, 0, LA_TABLE_GPA(0), LA_TABLE_GPA(0), mem, bytes);
	v.step = HUGE_PAGE_SIZE;
	la_flush_tlb(&v);
	la_touch(&v, LA_OP_WRITE, LA_TABLE_GPA(0), nr);

	la_group_write(la_other_group, "cgroup.procs", "0");
	la_stats_zero();
	la_lru_age_group(la_other_group, true);
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

static const struct la_lru_test tests[] = {
	{ "huge_pages_over_small_leaves", huge_pages_over_small_leaves, .thp = true },
	{ "huge_pages_over_huge_leaves", huge_pages_over_huge_leaves, .thp = true },
	{ "huge_pages_not_consulted", huge_pages_not_consulted, .thp = true },
	{ "huge_pages_of_two_cgroups", huge_pages_of_two_cgroups, .thp = true },
	{ "huge_pages_between_tables", huge_pages_between_tables, .thp = true,
	  .file = LA_TRACE_BATCH },
};

int main(int argc, char *argv[])
{
	la_lru_main(argc, argv, tests, ARRAY_SIZE(tests));
}
