// SPDX-License-Identifier: GPL-2.0-only
/*
 * Aging of huge leaves on x86, of all their pages or some, and while they are split and
 * recovered.
 */
#include "lockless_aging_base.h"
#include "lockless_aging_race.h"

#define PARAM(name)	"/sys/module/kvm/parameters/" name

/* What tests change, and how it was. */
static struct {
	const char *path;
	char value[16];
} params[] = {
	{ PARAM("eager_page_split") },
	{ PARAM("nx_huge_pages") },
	{ PARAM("nx_huge_pages_recovery_ratio") },
	{ PARAM("nx_huge_pages_recovery_period_ms") },
};

static void save_params(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(params); i++)
		la_read(params[i].path, params[i].value, sizeof(params[i].value));
}

static void restore_params(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(params); i++)
		if (params[i].value[0])
			__la_write(params[i].path, params[i].value);
}

static const char *no_hugetlb(void)
{
	return la_missing_hugetlb(3 * LA_TABLE_SIZE);
}

/*
 * Huge leaves
 */

static void test_huge_leaf_covers_range(void)
{
	const uint64_t T = LA_TABLE_PAGES, gpa = LA_TABLE_GPA(2);
	const struct {
		uint64_t page;		/* that is touched */
		uint64_t first, nr;	/* of the range that is cleared */
	} cases[] = {
		/* Some pages, all, the first, the last, and those of it in a larger range */
		{ T + 300, T + 10, 7 }, { T + 300, T, T }, { T + 1, T, 1 },
		{ T, 2 * T - 1, 1 }, { T + 3, 0, 3 * T },
		/* Ranges that begin within a huge page and end within the next ones */
		{ T + 5, 300, T }, { T + 5, T - 1, 2 }, { T + 511, 300, T - 299 },
		{ 2 * T + 1, 1, 2 * T }, { 2 * T + 9, T + 511, 2 }, { 0, 511, 2 * T },
		{ 511, 300, T }, { 2 * T + 511, T + 511, T },
	};
	char *mem = la_alloc_hugetlb(3 * LA_TABLE_SIZE);
	struct la_vm v;
	int i;

	la_vm_create(&v, 1);
	la_add_huge_slot(&v, LA_SLOT, 0, gpa, gpa, mem, 3 * LA_TABLE_SIZE);
	v.step = LA_TABLE_SIZE;
	la_touch(&v, LA_OP_WRITE, gpa, 3);
	v.step = LA_PAGE_SIZE;
	la_stats_zero();
	TEST_ASSERT_EQ(la_clear_pages(v.age, mem, 3 * LA_TABLE_SIZE), 3);
	TEST_ASSERT_EQ(la_stats_read().young, 3);
	TEST_ASSERT_EQ(la_stats_read().visited, 3 * T);

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		la_flush_tlb(&v);
		la_touch(&v, LA_OP_READ, gpa + PAGES(cases[i].page), 1);
		TEST_ASSERT_EQ(la_count_young(&v, mem, 0, 3 * T), T);
		TEST_ASSERT_EQ(la_count_young(&v, mem, cases[i].page / T * T, T), T);
		la_stats_zero();
		TEST_ASSERT(la_clear_some(&v, mem, cases[i].first, cases[i].nr),
			    "Page %lu was touched, and clearing [%lu, +%lu) does not see it",
			    cases[i].page, cases[i].first, cases[i].nr);
		TEST_ASSERT_EQ(la_stats_read().young, 1);
		TEST_ASSERT(!la_clear_some(&v, mem, cases[i].first, cases[i].nr), "Young twice");
		TEST_ASSERT_EQ(la_count_young(&v, mem, 0, 3 * T), 0);
	}
	la_check_locks();
	la_vm_free(&v);
}

/*
 * Of a huge leaf all bits are young whose pages it maps, and it is made old only if the
 * batch is about all of it.
 */
static void test_huge_leaf_by_batch(void)
{
	const uint64_t T = LA_TABLE_PAGES, gpa = LA_TABLE_GPA(2);
	const struct {
		uint64_t page;			/* that is touched */
		uint64_t first, nr, step;	/* of the batch; 512 bits at a time */
		uint64_t young;
		bool whole;
	} cases[] = {
		{ T + 300, T + 10, 7, 1, 7 }, { T + 300, T, T, 1, T, true },
		{ T + 1, T, 1, 1, 1 }, { T, 2 * T - 1, 2, 1, 1 }, { T + 5, T + 1, T - 1, 1, T - 1 },
		{ T + 5, T - 1, T, 1, T - 1 }, { 2 * T + 9, T + 511, 2, 1, 1 },
		{ T + 5, 0, 3 * T, 8, T / 8, true }, { T + 5, 8, 3 * T - 8, 8, T / 8, true },
		{ T + 5, T + 8, T, 8, T / 8 - 1 }, { 2 * T, 0, 3 * T, T, 1, true },
	};
	char *mem = la_alloc_hugetlb(3 * LA_TABLE_SIZE);
	struct la_vm v;
	int i;

	la_vm_create(&v, 1);
	la_add_huge_slot(&v, LA_SLOT, 0, gpa, gpa, mem, 3 * LA_TABLE_SIZE);
	v.step = LA_TABLE_SIZE;
	la_touch(&v, LA_OP_WRITE, gpa, 3);
	v.step = LA_PAGE_SIZE;
	TEST_ASSERT_EQ(la_clear_pages(v.age, mem, 3 * LA_TABLE_SIZE), 3);

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		const uint64_t first = cases[i].first, nr = cases[i].nr, step = cases[i].step;
		const uint64_t left = T * !cases[i].whole;

		la_flush_tlb(&v);
		la_touch(&v, LA_OP_READ, gpa + PAGES(cases[i].page), 1);
		TEST_ASSERT_EQ(la_batch(&v, "batch-test", mem, first, nr, step), cases[i].young);
		TEST_ASSERT_EQ(la_count_young(&v, mem, 0, 3 * T), T);
		TEST_ASSERT_EQ(la_batch(&v, "batch-clear", mem, first, nr, step), cases[i].young);
		TEST_ASSERT(la_count_young(&v, mem, 0, 3 * T) == left,
			    "Page %lu touched, batch of [%lu, +%lu) by %lu cleared: %lu pages are young",
			    cases[i].page, first, nr, step, la_count_young(&v, mem, 0, 3 * T));
		TEST_ASSERT_EQ(la_clear_range(v.age, mem, 3 * LA_TABLE_SIZE), !cases[i].whole);
	}
	la_vm_free(&v);
}

#define HUGE_GPA	LA_TABLE_GPA(0)
#define HUGE_LEAVES	2UL
#define HUGE_BYTES	(HUGE_LEAVES * LA_TABLE_SIZE)
#define HUGE_PAGES	(HUGE_LEAVES * LA_TABLE_PAGES)

static char *create_huge_vm(struct la_vm *v)
{
	char *mem = la_alloc_hugetlb(HUGE_BYTES);

	la_vm_create(v, 1);
	la_add_huge_slot(v, LA_SLOT, 0, HUGE_GPA, HUGE_GPA, mem, HUGE_BYTES);
	return mem;
}

static void set_logging(struct la_vm *v, char *mem, bool on)
{
	vm_set_user_memory_region(v->vm, LA_SLOT, on ? KVM_MEM_LOG_DIRTY_PAGES : 0, HUGE_GPA,
				  HUGE_BYTES, mem);
}

/* The guest writes, with no hurry; all of that is in the log, and in memory. */
static void write_and_collect(struct la_vm *v, char *mem, uint64_t *stamps, uint64_t stamp,
			      unsigned long *log, uint64_t *rng)
{
	DECLARE_BITMAP(map, LA_MAX_PAGES);
	uint64_t page, host;

	la_random_map(map, HUGE_PAGES, 12, rng);
	la_vcpu_do_map(v, 0, LA_OP_STAMP, HUGE_GPA, HUGE_PAGES, stamp, map);
	bitmap_zero(log, HUGE_PAGES);
	kvm_vm_get_dirty_log(v->vm, LA_SLOT, log);
	for (page = 0; page < HUGE_PAGES; page++) {
		if (test_bit(page, map)) {
			stamps[page] = stamp;
			TEST_ASSERT(test_bit(page, log),
				    "Page %lu was written to and is not in the dirty log", page);
		}
		host = *(uint64_t *)(mem + PAGES(page));
		TEST_ASSERT(host == la_value(stamps[page], HUGE_GPA + PAGES(page)),
			    "Page %lu holds %#lx, not what the guest wrote last", page, host);
	}
}

/* Dirty logging splits huge leaves, at once or page by page; without it they recover. */
static void split_and_recover(bool eager)
{
	uint64_t stamps[HUGE_PAGES], start_ns, page, rng = la_seed, stamp = 0, rounds = 0;
	unsigned long *log = bitmap_zalloc(HUGE_PAGES);
	struct la_vm v;
	char *mem;
	int i;

	la_write(PARAM("eager_page_split"), eager ? "Y" : "N");
	mem = create_huge_vm(&v);
	la_aging_start(mem, HUGE_BYTES, AGE_ALL);
	start_ns = la_now_ns();
	while (!la_time_is_up(start_ns)) {
		stamp++;
		la_vcpu_do(&v, 0, LA_OP_STAMP, HUGE_GPA, HUGE_PAGES, stamp);
		for (page = 0; page < HUGE_PAGES; page++)
			stamps[page] = stamp;
		TEST_ASSERT_EQ(la_vm_stat(v.vm, pages_2m), HUGE_LEAVES);

		set_logging(&v, mem, true);
		if (eager)
			TEST_ASSERT_EQ(la_vm_stat(v.vm, pages_2m), 0);
		for (i = 0; i < 3; i++)
			write_and_collect(&v, mem, stamps, ++stamp, log, &rng);
		set_logging(&v, mem, false);

		/* Every other time the huge leaves are new. */
		if (rounds++ % 2)
			la_drop(mem, HUGE_BYTES);
	}
	la_aging_end(rounds, "splits and recoveries");
	la_vm_free(&v);
}

static void test_huge_split_and_recovery(void)
{
	split_and_recover(false);
}

static const char *no_tdp_mmu(void)
{
	return la_has_tdp_mmu() ? no_hugetlb() : "kvm.tdp_mmu";
}

static void test_huge_eager_split(void)
{
	split_and_recover(true);
}

/*
 * KVM may split huge pages to keep guests from executing from them, and has a thread
 * that puts them together again.
 */

static const char *no_nx_huge_pages(void)
{
	return access(PARAM("nx_huge_pages"), W_OK) ? PARAM("nx_huge_pages") : no_hugetlb();
}

static void test_nx_recovery(void)
{
	const uint8_t ret = 0xc3;
	uint64_t start_ns, page, rng = la_seed, rounds = 0, splits = 0, recovered = 0;
	DECLARE_BITMAP(map, LA_MAX_PAGES);
	struct la_vm v;
	char *mem;
	int i;

	la_write(PARAM("nx_huge_pages"), "force");
	la_write(PARAM("nx_huge_pages_recovery_ratio"), "1");
	la_write(PARAM("nx_huge_pages_recovery_period_ms"), "50");

	mem = create_huge_vm(&v);
	for (page = 0; page < HUGE_PAGES; page++)
		memcpy(mem + PAGES(page) + LA_CODE, &ret, sizeof(ret));

	la_aging_start(mem, HUGE_BYTES, AGE_ALL);
	start_ns = la_now_ns();
	while (!la_time_is_up(start_ns) || !recovered) {
		la_vcpu_do(&v, 0, LA_OP_STAMP, HUGE_GPA, HUGE_PAGES, ++rounds);
		la_random_map(map, HUGE_PAGES, 2, &rng);
		la_vcpu_do_map(&v, 0, LA_OP_CALL, HUGE_GPA, HUGE_PAGES, 0, map);
		splits += la_vm_stat(v.vm, nx_lpage_splits);
		la_must_hold(&v, 0, HUGE_GPA, HUGE_PAGES, rounds);

		/* Now and then it gets the time for all. */
		if (rounds % 4)
			continue;
		for (i = 0; i < 100 && la_vm_stat(v.vm, nx_lpage_splits); i++)
			usleep(20000);
		TEST_ASSERT(i < 100, "%lu split huge pages are not put together again",
			    la_vm_stat(v.vm, nx_lpage_splits));
		la_must_hold(&v, 0, HUGE_GPA, HUGE_PAGES, rounds);
		TEST_ASSERT_EQ(la_vm_stat(v.vm, pages_2m), HUGE_LEAVES);
		recovered++;
	}
	ksft_print_msg("%lu huge pages seen split, %lu times all recovered\n", splits, recovered);
	TEST_ASSERT(splits, "No huge page was split");
	la_aging_end(rounds, "rounds of executing from huge pages");
	la_vm_free(&v);
}

static struct la_race_test tests[] = {
	{ "huge_leaf_covers_range", test_huge_leaf_covers_range, no_hugetlb, true },
	{ "huge_leaf_by_batch",	test_huge_leaf_by_batch, no_hugetlb },
	{ "huge_split_and_recovery", test_huge_split_and_recovery, no_hugetlb },
	{ "huge_eager_split",	test_huge_eager_split,	no_tdp_mmu },
	{ "nx_recovery",	test_nx_recovery,	no_nx_huge_pages },
};

int main(int argc, char *argv[])
{
	save_params();
	atexit(restore_params);
	la_race_main(argc, argv, tests, ARRAY_SIZE(tests), NULL);
}
