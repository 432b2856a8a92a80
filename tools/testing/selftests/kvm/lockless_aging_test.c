// SPDX-License-Identifier: GPL-2.0-only
/*
 * Aging guest memory finds exactly the pages that the guest touched.
 *
 * Every test runs with the lockless walk on and off, on an otherwise idle VM, so
 * that counts are exact. (An architecture may set accessed bits for accesses
 * that it only speculates on; these tests take it that the guest's plain loop
 * over a few words a page gives no reason to.)
 */
#include <ctype.h>
#include <sched.h>

#include "lockless_aging.h"
#include "kselftest_harness.h"

/* A sanitizer kernel under emulation takes its time. */
#define TIMEOUT		1200

/* At least: a chunk, a chunk to punch out, and a chunk. */
#define MIN_BYTES	(3 * LA_CHUNK_SIZE)

static size_t test_bytes;
static uint64_t seed;

FIXTURE(aging) {
	struct la_vm v;
	char *mem;
	size_t bytes;
	uint64_t pages;
	uint64_t rng;
};

FIXTURE_VARIANT(aging) {
	bool lockless;
};

FIXTURE_VARIANT_ADD(aging, on) {
	.lockless = true,
};

FIXTURE_VARIANT_ADD(aging, off) {
	.lockless = false,
};

/* Nothing is young after this, and no translation hides the next access. */
static void make_old(struct la_vm *v, void *mem, size_t bytes)
{
	la_clear_pages(v->age, mem, bytes);
	la_flush_tlb(v);
}

FIXTURE_SETUP(aging)
{
	const char *missing = la_missing();

	if (missing)
		SKIP(return, "needs %s", missing);

	la_set_lockless(variant->lockless);
	la_stats_zero();
	la_vm_create(&self->v, 1);

	self->rng = seed;
	self->bytes = test_bytes;
	self->pages = test_bytes >> LA_PAGE_SHIFT;
	self->mem = la_alloc(self->bytes);
	la_add_slot(&self->v, LA_SLOT, 0, LA_GPA, LA_GPA, self->mem, self->bytes);
	la_touch(&self->v, LA_OP_WRITE, LA_GPA, self->pages);
	make_old(&self->v, self->mem, self->bytes);
}

FIXTURE_TEARDOWN(aging)
{
	struct la_stats stats = la_stats_read();

	la_vm_free(&self->v);
	if (variant->lockless)
		EXPECT_EQ(0, stats.mmu_lock);
}

static char *page_of(char *mem, uint64_t page)
{
	return mem + (page << LA_PAGE_SHIFT);
}

static bool page_young(struct la_vm *v, char *mem, uint64_t page)
{
	return la_test(v->age, page_of(mem, page), LA_PAGE_SIZE);
}

/* One call over @nr pages. */
static bool clear_range(struct la_vm *v, char *mem, uint64_t page, uint64_t nr)
{
	return la_clear_range(v->age, page_of(mem, page), nr << LA_PAGE_SHIFT);
}

static uint64_t count_young(struct la_vm *v, char *mem, uint64_t page, uint64_t nr)
{
	return la_test(v->age, page_of(mem, page), nr << LA_PAGE_SHIFT);
}

static void random_map(unsigned long *map, uint64_t pages, uint32_t percent, uint64_t *rng)
{
	uint64_t i;

	bitmap_zero(map, LA_MAX_PAGES);
	for (i = 0; i < pages; i++)
		if (la_random(rng) % 100 < percent)
			__set_bit(i, map);
}

TEST_F_TIMEOUT(aging, every_page, TIMEOUT)
{
	static const enum la_op ops[] = { LA_OP_READ, LA_OP_WRITE };
	struct la_aged aged;
	struct la_stats stats;
	int i;

	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		la_touch(&self->v, ops[i], LA_GPA, self->pages);

		la_stats_zero();
		aged = la_age(self->v.age, "clear", self->mem, self->bytes, LA_PAGE_SIZE);
		stats = la_stats_read();
		EXPECT_EQ(self->pages, aged.calls);
		EXPECT_EQ(self->pages, aged.young);
		EXPECT_EQ(self->pages, stats.walks);
		EXPECT_EQ(self->pages, stats.visited);
		EXPECT_EQ(self->pages, stats.young);
		EXPECT_EQ(0, stats.lost);

		EXPECT_EQ(0, la_clear_pages(self->v.age, self->mem, self->bytes));
		la_flush_tlb(&self->v);
	}
}

TEST_F_TIMEOUT(aging, new_mapping_is_young, TIMEOUT)
{
	ASSERT_EQ(0, madvise(self->mem, self->bytes, MADV_DONTNEED));
	EXPECT_EQ(0, count_young(&self->v, self->mem, 0, self->pages));
	la_touch(&self->v, LA_OP_WRITE, LA_GPA, self->pages);
	EXPECT_EQ(self->pages, la_clear_pages(self->v.age, self->mem, self->bytes));
}

TEST_F_TIMEOUT(aging, test_does_not_clear, TIMEOUT)
{
	struct la_stats stats;
	int i;

	la_touch(&self->v, LA_OP_WRITE, LA_GPA, self->pages);
	la_stats_zero();
	for (i = 0; i < 2; i++)
		EXPECT_EQ(self->pages, count_young(&self->v, self->mem, 0, self->pages));
	stats = la_stats_read();
	EXPECT_EQ(2 * self->pages, stats.young);
	EXPECT_EQ(self->pages, la_clear_pages(self->v.age, self->mem, self->bytes));
	EXPECT_EQ(0, count_young(&self->v, self->mem, 0, self->pages));
}

TEST_F_TIMEOUT(aging, flush_clears, TIMEOUT)
{
	struct la_aged aged;

	la_touch(&self->v, LA_OP_WRITE, LA_GPA, self->pages);
	aged = la_age(self->v.age, "flush", self->mem, self->bytes, LA_PAGE_SIZE);
	EXPECT_EQ(self->pages, aged.calls);
	EXPECT_EQ(self->pages, aged.young);
	EXPECT_EQ(0, count_young(&self->v, self->mem, 0, self->pages));

	/* The guest flushes its TLB; whether KVM does, see flush_reaches_running_vcpu. */
	la_touch(&self->v, LA_OP_READ, LA_GPA, self->pages);
	EXPECT_EQ(1, la_age(self->v.age, "flush", self->mem, self->bytes, 0).young);
	EXPECT_EQ(0, count_young(&self->v, self->mem, 0, self->pages));
}

static void pin_to_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	TEST_ASSERT(!sched_setaffinity(0, sizeof(set), &set), "Cannot run on CPU %d: %s", cpu,
		    strerror(errno));
}

static void *serving_vcpu_main(void *arg)
{
	pin_to_cpu(0);
	la_touch(arg, LA_OP_SERVE, LA_GPA + 5 * LA_PAGE_SIZE, 1);
	return NULL;
}

/* Has the vCPU read the page, without an exit of its own. */
static void be_served(struct la_cmd *cmd, uint64_t nr)
{
	__atomic_store_n(&cmd->asked, nr, __ATOMIC_RELEASE);
	while (__atomic_load_n(&cmd->served, __ATOMIC_ACQUIRE) != nr)
		sched_yield();
}

/*
 * Has a vCPU that stays in the guest read a page, @op clear its accessed bit, and the
 * vCPU read it again. Returns whether that second time went unseen. If the first one
 * did, for nobody flushed since the last time, there was no bit to clear.
 */
static bool read_unseen(struct la_vm *v, char *page, const char *op, uint64_t *asked)
{
	bool cleared;

	be_served(v->cmds, ++*asked);
	cleared = la_age(v->age, op, page, LA_PAGE_SIZE, 0).young;
	be_served(v->cmds, ++*asked);
	return cleared && !la_test(v->age, page, LA_PAGE_SIZE);
}

/*
 * The flush reaches a vCPU that runs on another CPU and flushes nothing itself. Any
 * interrupt there may have its translations go all the same, so this goes on until
 * what is not flushed went unseen some times, or is not likely to.
 */
TEST_F_TIMEOUT(aging, flush_reaches_running_vcpu, TIMEOUT)
{
	const uint64_t most_ns = (la_has_stalls() ? 20 : 4) * (uint64_t)NSEC_PER_SEC;
	unsigned int rounds = 0, missed = 0, unseen = 0;
	char *page = page_of(self->mem, 5);
	struct la_cmd *cmd = self->v.cmds;
	uint64_t asked = 0, start_ns;
	pthread_t vcpu;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(return, "needs two CPUs");

	cmd->asked = 0;
	cmd->served = 0;
	pin_to_cpu(1);
	ASSERT_EQ(0, pthread_create(&vcpu, NULL, serving_vcpu_main, &self->v));

	start_ns = la_now_ns();
	do {
		missed += read_unseen(&self->v, page, "flush", &asked);
		unseen += read_unseen(&self->v, page, "clear", &asked);
	} while (++rounds < 10 || (unseen < 5 && la_now_ns() - start_ns < most_ns));

	__atomic_store_n(&cmd->asked, LA_ENOUGH, __ATOMIC_RELEASE);
	pthread_join(vcpu, NULL);
	TH_LOG("%u rounds, %u unseen if not flushed", rounds, unseen);
	EXPECT_EQ(0, missed) {
		TH_LOG("%u of %u flushes have not reached the vCPU", missed, rounds);
	}
	if (!unseen)
		SKIP(return, "Without a flush nothing went unseen, so that none could be missed");
}

TEST_F_TIMEOUT(aging, random_subsets, TIMEOUT)
{
	static const uint32_t percents[] = { 1, 10, 50, 99 };
	DECLARE_BITMAP(map, LA_MAX_PAGES);
	uint64_t wrong, page;
	int i;

	for (i = 0; i < ARRAY_SIZE(percents); i++) {
		random_map(map, self->pages, percents[i], &self->rng);
		la_touch_map(&self->v, i & 1 ? LA_OP_READ : LA_OP_WRITE, LA_GPA, self->pages, map);

		wrong = 0;
		for (page = 0; page < self->pages; page++) {
			if (clear_range(&self->v, self->mem, page, 1) == test_bit(page, map))
				continue;
			if (!wrong++)
				TH_LOG("%u%%: page %lu should%s be young", percents[i], page,
				       test_bit(page, map) ? "" : " not");
		}
		EXPECT_EQ(0, wrong);
		EXPECT_EQ(0, count_young(&self->v, self->mem, 0, self->pages));
		la_flush_tlb(&self->v);
	}
}

/* Touches one page of the range, and the range's two neighbours. */
static void touch_one(struct la_vm *v, uint64_t pages, uint64_t start, uint64_t nr, uint64_t pos)
{
	DECLARE_BITMAP(map, LA_MAX_PAGES);

	bitmap_zero(map, LA_MAX_PAGES);
	__set_bit(start - 1, map);
	__set_bit(start + pos, map);
	__set_bit(start + nr, map);
	la_touch_map(v, LA_OP_WRITE, LA_GPA, pages, map);
}

static void check_range(struct __test_metadata *_metadata, struct la_vm *v, char *mem,
			uint64_t pages, uint64_t start, uint64_t nr, uint64_t middle)
{
	uint64_t pos[] = { 0, middle, nr - 1 };
	int i;

	for (i = 0; i < ARRAY_SIZE(pos); i++) {
		touch_one(v, pages, start, nr, pos[i]);
		EXPECT_TRUE(clear_range(v, mem, start, nr)) {
			TH_LOG("page %lu of [%lu, +%lu) not found", pos[i], start, nr);
		}
		EXPECT_EQ(0, count_young(v, mem, start, nr));
		EXPECT_FALSE(clear_range(v, mem, start, nr));
		EXPECT_TRUE(page_young(v, mem, start - 1));
		EXPECT_TRUE(page_young(v, mem, start + nr));
		make_old(v, mem, pages << LA_PAGE_SHIFT);
	}

	/* A walk that stops at the first young page leaves the rest young. */
	la_touch(v, LA_OP_WRITE, LA_GPA, pages);
	EXPECT_TRUE(clear_range(v, mem, start, nr));
	EXPECT_EQ(0, count_young(v, mem, start, nr)) {
		TH_LOG("range [%lu, +%lu)", start, nr);
	}
	EXPECT_EQ(pages - nr, count_young(v, mem, 0, pages));
	make_old(v, mem, pages << LA_PAGE_SHIFT);
}

TEST_F_TIMEOUT(aging, range_finds_and_clears_all, TIMEOUT)
{
	uint64_t start, nr;
	int i;

	for (i = 0; i < 6; i++) {
		nr = 2 + la_random(&self->rng) % (LA_CHUNK_PAGES - 2);
		start = 1 + la_random(&self->rng) % (self->pages - nr - 1);
		check_range(_metadata, &self->v, self->mem, self->pages, start, nr,
			    la_random(&self->rng) % nr);
	}
	/* The shortest; and the longest that covers no table of 4K whole. */
	check_range(_metadata, &self->v, self->mem, self->pages, 7, 2, 1);
	check_range(_metadata, &self->v, self->mem, self->pages, 1, LA_CHUNK_PAGES - 1, 200);
}

TEST_F_TIMEOUT(aging, range_over_tables, TIMEOUT)
{
	const uint64_t T = LA_CHUNK_PAGES;

	/* Two pages, one in each table; a whole table and a page either side. */
	check_range(_metadata, &self->v, self->mem, self->pages, T - 1, 2, 1);
	check_range(_metadata, &self->v, self->mem, self->pages, T - 1, T + 2, T);
	/* Exactly a table; and most of everything. */
	check_range(_metadata, &self->v, self->mem, self->pages, T, T, 77);
	check_range(_metadata, &self->v, self->mem, self->pages, 1, self->pages - 2, T);
}

/* The same for tables of any size, with next to nothing in them. */
TEST_F_TIMEOUT(aging, sparse_tables, TIMEOUT)
{
	const uint64_t T = LA_TABLE_PAGES, gpa = LA_TABLE_GPA(8);
	const uint64_t pos[] = { 0, T - 1, T, T + 77, 2 * T - 1, 2 * T, 3 * T - 1 };
	const int nr = ARRAY_SIZE(pos);
	char *mem = la_alloc(3 * LA_TABLE_SIZE);
	int i;

	la_add_slot(&self->v, LA_SLOT + 1, 0, gpa, gpa, mem, 3 * LA_TABLE_SIZE);
	for (i = 0; i < nr; i++)
		la_touch(&self->v, LA_OP_WRITE, gpa + (pos[i] << LA_PAGE_SHIFT), 1);
	la_stats_zero();
	EXPECT_TRUE(clear_range(&self->v, mem, 0, 3 * T));
	EXPECT_EQ(nr, la_stats_read().visited);
	EXPECT_EQ(nr, la_stats_read().young);
	EXPECT_EQ(0, count_young(&self->v, mem, 0, 3 * T));

	for (i = 0; i < nr; i++) {
		la_flush_tlb(&self->v);
		la_touch(&self->v, LA_OP_READ, gpa + (pos[i] << LA_PAGE_SHIFT), 1);
		EXPECT_EQ(1, count_young(&self->v, mem, 0, 3 * T));
		EXPECT_TRUE(page_young(&self->v, mem, pos[i]));
		EXPECT_EQ(pos[i] / T == 1, clear_range(&self->v, mem, T, T));
		EXPECT_EQ(pos[i] / T != 1, clear_range(&self->v, mem, 0, 3 * T));
	}

	/* Without the table in the middle; and with a new one. */
	ASSERT_EQ(0, madvise(page_of(mem, T), LA_TABLE_SIZE, MADV_DONTNEED));
	la_stats_zero();
	EXPECT_FALSE(clear_range(&self->v, mem, 0, 3 * T));
	EXPECT_EQ(nr - 3, la_stats_read().visited);
	la_touch(&self->v, LA_OP_WRITE, gpa + ((T + 77) << LA_PAGE_SHIFT), 1);
	EXPECT_TRUE(clear_range(&self->v, mem, T - 1, T + 2));
	EXPECT_EQ(0, count_young(&self->v, mem, 0, 3 * T));
}

/* A chunk of hva that lies in two tables of the second stage. */
TEST_F_TIMEOUT(aging, gpa_not_aligned_with_hva, TIMEOUT)
{
	const uint64_t nr = LA_CHUNK_PAGES, gpa = LA_CHUNK_GPA(2) + 3 * LA_PAGE_SIZE;
	char *mem = la_alloc(LA_CHUNK_SIZE);
	uint64_t pos[] = { 0, nr - 4, nr - 3, nr - 1 };
	int i;

	la_add_slot(&self->v, LA_SLOT + 1, 0, gpa, gpa, mem, LA_CHUNK_SIZE);
	la_touch(&self->v, LA_OP_WRITE, gpa, nr);
	EXPECT_EQ(nr, la_clear_pages(self->v.age, mem, LA_CHUNK_SIZE));

	for (i = 0; i < ARRAY_SIZE(pos); i++) {
		la_flush_tlb(&self->v);
		la_touch(&self->v, LA_OP_READ, gpa + (pos[i] << LA_PAGE_SHIFT), 1);
		EXPECT_EQ(1, count_young(&self->v, mem, 0, nr));
		EXPECT_TRUE(page_young(&self->v, mem, pos[i]));
		EXPECT_TRUE(clear_range(&self->v, mem, 0, nr));
		EXPECT_EQ(0, count_young(&self->v, mem, 0, nr));
	}
}

TEST_F_TIMEOUT(aging, range_over_hole, TIMEOUT)
{
	const uint64_t T = LA_CHUNK_PAGES;
	/* Inside a table; a table and some; up to a table's end. */
	const uint64_t holes[][2] = { { 100, 50 }, { T - 20, T + 40 }, { T - 30, 30 } };
	uint64_t hole, len;
	int i;

	for (i = 0; i < ARRAY_SIZE(holes); i++) {
		hole = holes[i][0];
		len = holes[i][1];

		la_touch(&self->v, LA_OP_WRITE, LA_GPA, self->pages);
		make_old(&self->v, self->mem, self->bytes);
		ASSERT_EQ(0, madvise(page_of(self->mem, hole), len << LA_PAGE_SHIFT,
				     MADV_DONTNEED));

		EXPECT_FALSE(clear_range(&self->v, self->mem, hole, len));
		EXPECT_FALSE(clear_range(&self->v, self->mem, hole - 10, len + 20));

		/* Behind the hole, then before it, then nothing but the hole. */
		la_touch(&self->v, LA_OP_READ, LA_GPA + ((hole + len) << LA_PAGE_SHIFT), 1);
		EXPECT_TRUE(clear_range(&self->v, self->mem, hole - 1, len + 2));
		EXPECT_FALSE(clear_range(&self->v, self->mem, hole - 1, len + 2));
		la_touch(&self->v, LA_OP_READ, LA_GPA + ((hole - 1) << LA_PAGE_SHIFT), 1);
		EXPECT_TRUE(clear_range(&self->v, self->mem, hole - 1, len + 2));
		la_touch(&self->v, LA_OP_READ, LA_GPA, self->pages);
		EXPECT_EQ(self->pages, count_young(&self->v, self->mem, 0, self->pages));
	}
}

TEST_F_TIMEOUT(aging, never_mapped, TIMEOUT)
{
	const uint64_t gpa = LA_CHUNK_GPA(8);
	char *mem = la_alloc(LA_CHUNK_SIZE);

	la_add_slot(&self->v, LA_SLOT + 1, 0, gpa, gpa, mem, LA_CHUNK_SIZE);
	EXPECT_FALSE(clear_range(&self->v, mem, 0, LA_CHUNK_PAGES));
	EXPECT_EQ(0, count_young(&self->v, mem, 0, LA_CHUNK_PAGES));
	/* Memory that the host has and the guest has not touched yet. */
	memset(mem, 1, LA_CHUNK_SIZE);
	EXPECT_EQ(0, la_clear_pages(self->v.age, mem, LA_CHUNK_SIZE));
}

TEST_F_TIMEOUT(aging, range_past_the_slot, TIMEOUT)
{
	const uint64_t total = 1024, first = 300, nr = 200, gpa = LA_CHUNK_GPA(4);
	char *mem = la_alloc(total << LA_PAGE_SHIFT);
	struct la_stats stats;

	la_add_slot(&self->v, LA_SLOT + 1, 0, gpa, gpa, page_of(mem, first), nr << LA_PAGE_SHIFT);
	la_touch(&self->v, LA_OP_WRITE, gpa, nr);
	EXPECT_EQ(nr, la_clear_pages(self->v.age, mem, total << LA_PAGE_SHIFT));

	la_flush_tlb(&self->v);
	la_touch(&self->v, LA_OP_WRITE, gpa + ((nr - 1) << LA_PAGE_SHIFT), 1);
	EXPECT_TRUE(clear_range(&self->v, mem, 0, total));
	EXPECT_FALSE(clear_range(&self->v, mem, 0, total));
	la_flush_tlb(&self->v);
	la_touch(&self->v, LA_OP_WRITE, gpa, nr);
	EXPECT_TRUE(clear_range(&self->v, mem, first + nr - 1, total - first - nr + 1));
	EXPECT_TRUE(clear_range(&self->v, mem, 0, first + 1));
	EXPECT_EQ(nr - 2, count_young(&self->v, mem, 0, total));

	/* Outside of every slot there is nothing to walk, nor to lock. */
	la_stats_zero();
	EXPECT_FALSE(clear_range(&self->v, mem, 0, first));
	EXPECT_EQ(0, count_young(&self->v, mem, first + nr, total - first - nr));
	stats = la_stats_read();
	EXPECT_EQ(0, stats.walks);
	EXPECT_EQ(0, stats.mmu_lock);
}

TEST_F_TIMEOUT(aging, deleted_slot, TIMEOUT)
{
	la_touch(&self->v, LA_OP_WRITE, LA_GPA, self->pages);
	la_del_slot(&self->v, LA_SLOT);
	EXPECT_EQ(0, la_clear_pages(self->v.age, self->mem, self->bytes));

	vm_set_user_memory_region(self->v.vm, LA_SLOT, 0, LA_GPA, self->bytes, self->mem);
	EXPECT_EQ(0, la_clear_pages(self->v.age, self->mem, self->bytes));
	la_touch(&self->v, LA_OP_WRITE, LA_GPA, self->pages);
	EXPECT_EQ(self->pages, la_clear_pages(self->v.age, self->mem, self->bytes));
}

TEST_F_TIMEOUT(aging, two_gpas_of_one_hva, TIMEOUT)
{
	const uint64_t nr = 300, gpas[] = { LA_CHUNK_GPA(2), LA_CHUNK_GPA(8) };
	DECLARE_BITMAP(maps[2], LA_MAX_PAGES);
	char *mem = la_alloc(nr << LA_PAGE_SHIFT);
	uint64_t page, either = 0;
	int i;

	for (i = 0; i < 2; i++) {
		la_add_slot(&self->v, LA_SLOT + 1 + i, 0, gpas[i], gpas[i], mem,
			    nr << LA_PAGE_SHIFT);
		la_touch(&self->v, LA_OP_WRITE, gpas[i], nr);
	}
	make_old(&self->v, mem, nr << LA_PAGE_SHIFT);

	/* Young through either one. */
	for (i = 0; i < 2; i++) {
		la_touch(&self->v, LA_OP_WRITE, gpas[i] + (7 << LA_PAGE_SHIFT), 1);
		EXPECT_EQ(1, count_young(&self->v, mem, 0, nr));
		EXPECT_TRUE(page_young(&self->v, mem, 7));
		EXPECT_TRUE(clear_range(&self->v, mem, 0, nr));
		EXPECT_EQ(0, count_young(&self->v, mem, 0, nr));
		la_flush_tlb(&self->v);
	}

	/* Young through both: one call clears both. */
	for (i = 0; i < 2; i++)
		la_touch(&self->v, LA_OP_WRITE, gpas[i], nr);
	EXPECT_TRUE(clear_range(&self->v, mem, 0, nr));
	EXPECT_EQ(0, count_young(&self->v, mem, 0, nr));
	la_flush_tlb(&self->v);

	for (i = 0; i < 2; i++) {
		random_map(maps[i], nr, 30, &self->rng);
		la_touch_map(&self->v, LA_OP_READ, gpas[i], nr, maps[i]);
	}
	for (page = 0; page < nr; page++)
		either += test_bit(page, maps[0]) || test_bit(page, maps[1]);
	EXPECT_EQ(either, count_young(&self->v, mem, 0, nr));
	EXPECT_EQ(either, la_clear_pages(self->v.age, mem, nr << LA_PAGE_SHIFT));
	EXPECT_EQ(0, count_young(&self->v, mem, 0, nr));
}

/* Neighbours in hva are strangers in gpa, with a gap that no slot covers. */
TEST_F_TIMEOUT(aging, one_range_over_slots, TIMEOUT)
{
	const struct {
		uint64_t page, nr, gpa;
	} slots[] = {
		{   0, 100, LA_CHUNK_GPA(8) },
		{ 100,   1, LA_CHUNK_GPA(2) },
		{ 101, 250, LA_CHUNK_GPA(4) + 5 * LA_PAGE_SIZE },
		{ 400, 200, LA_CHUNK_GPA(1) },
	};
	const uint64_t total = 600, backed = 551;
	char *mem = la_alloc(total << LA_PAGE_SHIFT);
	struct la_stats stats;
	int i;

	for (i = 0; i < ARRAY_SIZE(slots); i++) {
		la_add_slot(&self->v, LA_SLOT + 1 + i, 0, slots[i].gpa, slots[i].gpa,
			    page_of(mem, slots[i].page), slots[i].nr << LA_PAGE_SHIFT);
		la_touch(&self->v, LA_OP_WRITE, slots[i].gpa, slots[i].nr);
	}
	EXPECT_EQ(backed, count_young(&self->v, mem, 0, total));
	EXPECT_TRUE(clear_range(&self->v, mem, 0, total));
	EXPECT_EQ(0, count_young(&self->v, mem, 0, total));

	for (i = 0; i < ARRAY_SIZE(slots); i++) {
		la_flush_tlb(&self->v);
		la_touch(&self->v, LA_OP_WRITE,
			 slots[i].gpa + ((slots[i].nr - 1) << LA_PAGE_SHIFT), 1);
		EXPECT_EQ(1, count_young(&self->v, mem, 0, total));
		EXPECT_TRUE(clear_range(&self->v, mem, 0, total));
		EXPECT_EQ(0, count_young(&self->v, mem, 0, total));
	}

	la_stats_zero();
	clear_range(&self->v, mem, 0, total);
	stats = la_stats_read();
	EXPECT_EQ(ARRAY_SIZE(slots), stats.walks);
	EXPECT_EQ(backed, stats.visited);
	EXPECT_EQ(variant->lockless ? 0 : 1, stats.mmu_lock);
}

TEST_F_TIMEOUT(aging, read_only_slot, TIMEOUT)
{
	const uint64_t nr = 100, gpa = LA_CHUNK_GPA(2);
	char *mem;

	if (!kvm_has_cap(KVM_CAP_READONLY_MEM))
		SKIP(return, "needs KVM_CAP_READONLY_MEM");

	mem = la_alloc(nr << LA_PAGE_SHIFT);
	memset(mem, 1, nr << LA_PAGE_SHIFT);
	la_add_slot(&self->v, LA_SLOT + 1, KVM_MEM_READONLY, gpa, gpa, mem, nr << LA_PAGE_SHIFT);
	la_touch(&self->v, LA_OP_READ, gpa, nr);
	EXPECT_EQ(nr, la_clear_pages(self->v.age, mem, nr << LA_PAGE_SHIFT));
	la_flush_tlb(&self->v);
	la_touch(&self->v, LA_OP_READ, gpa + (42 << LA_PAGE_SHIFT), 1);
	EXPECT_EQ(1, count_young(&self->v, mem, 0, nr));
	EXPECT_TRUE(clear_range(&self->v, mem, 30, 20));
	EXPECT_EQ(0, count_young(&self->v, mem, 0, nr));
}

/* A huge leaf is young or old as a whole, however little of it is asked about. */
TEST_F_TIMEOUT(aging, hugetlb, TIMEOUT)
{
	const char *missing = la_missing_hugetlb(2 * LA_TABLE_SIZE);
	const uint64_t T = LA_TABLE_PAGES, gpa = LA_TABLE_GPA(2);
	char *mem;

	if (missing)
		SKIP(return, "needs %s", missing);

	mem = la_alloc_hugetlb(2 * LA_TABLE_SIZE);
	la_add_huge_slot(&self->v, LA_SLOT + 1, 0, gpa, gpa, mem, 2 * LA_TABLE_SIZE);
	la_touch(&self->v, LA_OP_WRITE, gpa + (5 << LA_PAGE_SHIFT), 1);
	EXPECT_EQ(T, count_young(&self->v, mem, 0, 2 * T));
	la_touch(&self->v, LA_OP_WRITE, gpa + ((T + 9) << LA_PAGE_SHIFT), 1);
	EXPECT_EQ(2 * T, count_young(&self->v, mem, 0, 2 * T));

	/* The first page takes the bit of all of its huge page. */
	EXPECT_EQ(2, la_clear_pages(self->v.age, mem, 2 * LA_TABLE_SIZE));

	la_flush_tlb(&self->v);
	la_touch(&self->v, LA_OP_READ, gpa, 1);
	EXPECT_FALSE(clear_range(&self->v, mem, T, T));
	EXPECT_TRUE(clear_range(&self->v, mem, 100, 2));
	EXPECT_EQ(0, count_young(&self->v, mem, 0, 2 * T));

	/* Clipped on both sides, and only the second one is young. */
	la_flush_tlb(&self->v);
	la_touch(&self->v, LA_OP_READ, gpa + ((2 * T - 1) << LA_PAGE_SHIFT), 1);
	EXPECT_TRUE(clear_range(&self->v, mem, T - 12, 40));
	EXPECT_EQ(0, count_young(&self->v, mem, 0, 2 * T));
}

/*
 * Huge pages that lie askew in guest physical memory, or partly outside of the slot, are
 * mapped page by page. A leaf that is not aligned makes the guest fault for ever, so the
 * limit is lower here.
 */
TEST_F_TIMEOUT(aging, hugetlb_that_does_not_fit, TIMEOUT / 4)
{
	const char *missing = la_missing_hugetlb(2 * LA_TABLE_SIZE);
	const uint64_t T = LA_TABLE_PAGES, askew = LA_TABLE_GPA(2) + LA_PAGE_SIZE;
	const uint64_t inside = LA_TABLE_GPA(4) + LA_PAGE_SIZE;
	char *mem;

	if (missing)
		SKIP(return, "needs %s", missing);

	/* Long enough to have all of a huge leaf in the slot, at the wrong address. */
	mem = la_alloc_hugetlb(2 * LA_TABLE_SIZE);
	la_add_slot(&self->v, LA_SLOT + 1, 0, askew, askew, mem, 2 * LA_TABLE_SIZE);
	la_touch(&self->v, LA_OP_WRITE, askew + (5 << LA_PAGE_SHIFT), 2);
	EXPECT_EQ(2, count_young(&self->v, mem, 0, 2 * T));
	la_touch(&self->v, LA_OP_WRITE, askew + ((T - 1) << LA_PAGE_SHIFT), 1);
	EXPECT_EQ(3, count_young(&self->v, mem, 0, 2 * T));
	la_touch(&self->v, LA_OP_WRITE, askew + ((T + 5) << LA_PAGE_SHIFT), 2);
	EXPECT_EQ(5, count_young(&self->v, mem, 0, 2 * T));
	EXPECT_TRUE(clear_range(&self->v, mem, 0, 2 * T));
	la_del_slot(&self->v, LA_SLOT + 1);

	la_add_slot(&self->v, LA_SLOT + 1, 0, inside, inside, page_of(mem, 1),
		    LA_TABLE_SIZE - 2 * LA_PAGE_SIZE);
	la_touch(&self->v, LA_OP_WRITE, inside, 1);
	EXPECT_EQ(1, count_young(&self->v, mem, 0, T));
	la_touch(&self->v, LA_OP_WRITE, inside + ((T - 3) << LA_PAGE_SHIFT), 1);
	EXPECT_EQ(2, count_young(&self->v, mem, 0, T));
}

/*
 * Dirty logging splits huge leaves, or leaves that to the first write. Neither is a
 * use of the memory.
 */
static void check_split(struct __test_metadata *_metadata, struct la_vm *v, char *mem, bool manual)
{
	const uint64_t T = LA_TABLE_PAGES, gpa = LA_TABLE_GPA(2), pages = 2 * T;
	unsigned long *log = bitmap_zalloc(pages);
	int i;

	if (manual)
		vm_enable_cap(v->vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
			      KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET);
	if (!la_missing_eager_split())
		la_split_eagerly(v);
	la_add_huge_slot(v, LA_SLOT, 0, gpa, gpa, mem, 2 * LA_TABLE_SIZE);
	for (i = 0; i < 2; i++)
		la_touch(v, LA_OP_WRITE, gpa + i * LA_TABLE_SIZE, 1);
	ASSERT_EQ(2 * T, count_young(v, mem, 0, 2 * T));
	EXPECT_TRUE(clear_range(v, mem, 0, T));
	la_flush_tlb(v);

	/* The first one is old, the second one young. */
	vm_set_user_memory_region(v->vm, LA_SLOT, KVM_MEM_LOG_DIRTY_PAGES, gpa,
				  2 * LA_TABLE_SIZE, mem);
	kvm_vm_get_dirty_log(v->vm, LA_SLOT, log);
	if (manual)
		kvm_vm_clear_dirty_log(v->vm, LA_SLOT, log, 0, pages);
	EXPECT_EQ(0, count_young(v, mem, 0, T));
	EXPECT_EQ(T, count_young(v, mem, T, T));

	if (!la_missing_eager_split()) {
		la_stats_zero();
		EXPECT_FALSE(clear_range(v, mem, 0, T));
		EXPECT_EQ(T, la_stats_read().visited);
	}
	la_touch(v, LA_OP_WRITE, gpa + (3 << LA_PAGE_SHIFT), 1);
	EXPECT_EQ(1, count_young(v, mem, 0, T));
	EXPECT_TRUE(page_young(v, mem, 3));
	bitmap_free(log);
}

TEST_F_TIMEOUT(aging, split_keeps_age, TIMEOUT)
{
	const unsigned int manual = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE |
				    KVM_DIRTY_LOG_INITIALLY_SET;
	const char *missing = la_missing_hugetlb(2 * LA_TABLE_SIZE);
	struct la_vm v;
	char *mem;
	int i;

	if (missing)
		SKIP(return, "needs %s", missing);

	/* Split when logging is enabled, and when the log is cleared. */
	for (i = 0; i < 2; i++) {
		if (i && (kvm_check_cap(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2) & manual) != manual)
			break;
		la_vm_create(&v, 1);
		mem = la_alloc_hugetlb(2 * LA_TABLE_SIZE);
		check_split(_metadata, &v, mem, i);
		la_vm_free(&v);
		munmap(mem, 2 * LA_TABLE_SIZE);
	}
}

/* Whatever size KVM maps it with: a huge page's range finds its young page. */
TEST_F_TIMEOUT(aging, thp_range, TIMEOUT)
{
	const uint64_t T = LA_TABLE_PAGES, gpa = LA_TABLE_GPA(2);
	const uint64_t pos[] = { T - 1, 1, T / 2, 0 };
	char *mem;
	int i;

	if (!thp_configured())
		SKIP(return, "needs CONFIG_TRANSPARENT_HUGEPAGE");

	mem = la_mmap_aligned(LA_TABLE_SIZE);
	ASSERT_EQ(0, madvise(mem, LA_TABLE_SIZE, MADV_HUGEPAGE));
	memset(mem, 1, LA_TABLE_SIZE);
	la_add_huge_slot(&self->v, LA_SLOT + 1, 0, gpa, gpa, mem, LA_TABLE_SIZE);
	la_touch(&self->v, LA_OP_WRITE, gpa, T);
	EXPECT_TRUE(clear_range(&self->v, mem, 0, T));
	EXPECT_EQ(0, count_young(&self->v, mem, 0, T));

	for (i = 0; i < ARRAY_SIZE(pos); i++) {
		la_flush_tlb(&self->v);
		la_touch(&self->v, LA_OP_WRITE, gpa + (pos[i] << LA_PAGE_SHIFT), 1);
		EXPECT_TRUE(page_young(&self->v, mem, pos[i]));
		EXPECT_TRUE(clear_range(&self->v, mem, 0, T));
		EXPECT_EQ(0, count_young(&self->v, mem, 0, T));
	}
}

/* The gpa's limit for virt_map(): what KVM offers and the guest's PTEs reach. */
static uint64_t gpa_limit(struct kvm_vm *vm)
{
#ifdef __riscv
	unsigned int bits = min_t(unsigned int, kvm_check_cap(KVM_CAP_VM_GPA_BITS), 56);

	/* The framework's modes end before. */
	vm->max_gfn = (1UL << (bits - LA_PAGE_SHIFT)) - 1;
#endif
	return (vm->max_gfn + 1) << vm->page_shift;
}

/* Slots across the borders between the entries of upper levels. */
static void check_high_gpas(struct __test_metadata *_metadata, struct la_vm *v)
{
	static const int bits[] = { 32, 36, 38, 39, 40, 41, 42, 47, 48, 49, 50, 51, 55 };
	const uint64_t nr = 16, limit = gpa_limit(v->vm);
	uint64_t gpas[ARRAY_SIZE(bits)], gvas[ARRAY_SIZE(bits)], total;
	int i, page, slots = 0;
	char *mem;

	for (i = 0; i < ARRAY_SIZE(bits); i++) {
		uint64_t gpa = (1UL << bits[i]) - nr / 2 * LA_PAGE_SIZE;

		if (gpa + nr * LA_PAGE_SIZE >= limit)
			continue;
		gpas[slots] = gpa;
		gvas[slots++] = LA_TABLE_GPA(8) + i * LA_TABLE_SIZE;
	}
	ASSERT_LT(0, slots);
	TH_LOG("gpas up to %#lx, limit %#lx", gpas[slots - 1], limit);

	total = slots * nr;
	mem = la_alloc(total << LA_PAGE_SHIFT);
	for (i = 0; i < slots; i++) {
		la_add_slot(v, LA_SLOT + 1 + i, 0, gpas[i], gvas[i], page_of(mem, i * nr),
			    nr << LA_PAGE_SHIFT);
		la_touch(v, LA_OP_WRITE, gvas[i], nr);
	}
	EXPECT_EQ(total, la_clear_pages(v->age, mem, total << LA_PAGE_SHIFT));

	for (i = 0; i < slots; i++) {
		for (page = 0; page < nr; page += nr / 2 - 1) {
			la_flush_tlb(v);
			la_touch(v, LA_OP_WRITE, gvas[i] + page * LA_PAGE_SIZE, 1);
			EXPECT_EQ(1, count_young(v, mem, 0, total));
			EXPECT_TRUE(page_young(v, mem, i * nr + page));
			EXPECT_TRUE(clear_range(v, mem, 0, total));
			EXPECT_EQ(0, count_young(v, mem, 0, total));
		}
	}
}

TEST_F_TIMEOUT(aging, high_gpas, TIMEOUT)
{
	struct la_vm v;
	int mode;

	check_high_gpas(_metadata, &self->v);

	/* The width of gpas decides how many levels there are, and how wide the root is. */
	for (mode = 0; mode < NUM_VM_MODES; mode++) {
		if (mode == self->v.vm->mode || !la_mode_fits(mode))
			continue;
		la_vm_create_mode(&v, 1, mode);
		check_high_gpas(_metadata, &v);
		la_vm_free(&v);
	}
}

#ifdef __riscv
/*
 * The root table of the G-stage has two index bits more than others. With Sv57x4
 * they are above what a guest's PTE can name, so the guest goes there with its
 * own translation off, from a page at which gva and gpa agree.
 */
void guest_bare_write(uint64_t gpa, uint64_t pages), guest_bare_write_end(void);

asm(".pushsection .text\n\t"
	".balign	4\n\t"
	".global	guest_bare_write, guest_bare_write_end\n"
"guest_bare_write:\n\t"
	"csrrw		t0, satp, zero\n\t"
	"sfence.vma\n\t"
	"li		t1, 4096\n"
"1:	beqz		a1, 2f\n\t"
	"sd		a1, 8(a0)\n\t"
	"add		a0, a0, t1\n\t"
	"addi		a1, a1, -1\n\t"
	"j		1b\n"
"2:	csrw		satp, t0\n\t"
	"sfence.vma\n\t"
	"ret\n"
"guest_bare_write_end:\n\t"
	".popsection\n");

/* Runs guest_bare_write() from its copy at @code for each command. */
static void guest_bare_main(void (*code)(uint64_t gpa, uint64_t pages))
{
	struct la_cmd *cmd = la_cmds;

	asm volatile("fence.i" ::: "memory");
	for (;;) {
		code(READ_ONCE(cmd->gva), READ_ONCE(cmd->pages));
		GUEST_SYNC(0);
	}
}

TEST_F_TIMEOUT(aging, root_index_extra_bits, TIMEOUT)
{
	const unsigned int bits = kvm_check_cap(KVM_CAP_VM_GPA_BITS);
	const uint64_t nr = 4, low = LA_TABLE_GPA(8), code_gpa = LA_TABLE_GPA(4);
	/*
	 * The same index but for an extra bit. It is not the topmost one: QEMU
	 * 7.2 takes that for a sign and faults for ever where it is set.
	 */
	const uint64_t gpas[] = { low, low | BIT(bits - 2) };
	const uint64_t total = nr * ARRAY_SIZE(gpas);
	struct la_vm *v = &self->v;
	char *mem = la_alloc(total << LA_PAGE_SHIFT);
	void *code = la_alloc(LA_PAGE_SIZE);
	int i;

	memcpy(code, guest_bare_write, (char *)guest_bare_write_end - (char *)guest_bare_write);
	la_add_slot(v, LA_SLOT + 1, 0, code_gpa, code_gpa, code, LA_PAGE_SIZE);
	for (i = 0; i < ARRAY_SIZE(gpas); i++)
		vm_set_user_memory_region(v->vm, LA_SLOT + 2 + i, 0, gpas[i], nr << LA_PAGE_SHIFT,
					  page_of(mem, nr * i));

	vcpu_arch_set_entry_point(v->vcpus[0], guest_bare_main);
	vcpu_args_set(v->vcpus[0], 1, code_gpa);

	for (i = 0; i < ARRAY_SIZE(gpas); i++) {
		la_touch(v, LA_OP_WRITE, gpas[i], nr);
		EXPECT_EQ(nr * (i + 1), count_young(v, mem, 0, total));
		/* guest_bare_write() counts down. */
		EXPECT_EQ(nr, ((uint64_t *)page_of(mem, nr * i))[1]);
	}
	EXPECT_EQ(total, la_clear_pages(v->age, mem, total << LA_PAGE_SHIFT));

	for (i = 0; i < ARRAY_SIZE(gpas); i++) {
		la_flush_tlb(v);
		la_touch(v, LA_OP_WRITE, gpas[i] + LA_PAGE_SIZE, 1);
		EXPECT_EQ(1, count_young(v, mem, 0, total));
		EXPECT_TRUE(page_young(v, mem, nr * i + 1)) {
			TH_LOG("gpa %#lx", gpas[i]);
		}
		EXPECT_TRUE(clear_range(v, mem, nr * i, nr));
		EXPECT_EQ(0, count_young(v, mem, 0, total));
	}
}
#endif /* __riscv */

TEST_F_TIMEOUT(aging, one_lock_per_call, TIMEOUT)
{
	static const char * const ops[] = { "clear", "flush", "test" };
	const uint64_t locks = variant->lockless ? 0 : 1;
	struct la_stats stats;
	struct la_aged aged;
	int i;

	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		la_touch(&self->v, LA_OP_WRITE, LA_GPA, self->pages);
		la_stats_zero();
		aged = la_age(self->v.age, ops[i], self->mem, self->bytes, LA_PAGE_SIZE);
		stats = la_stats_read();
		EXPECT_EQ(self->pages, aged.calls);
		EXPECT_EQ(self->pages * locks, stats.mmu_lock) {
			TH_LOG("'%s' page by page", ops[i]);
		}
	}

	la_stats_zero();
	EXPECT_EQ(1, la_age(self->v.age, "clear", self->mem, self->bytes, 0).calls);
	EXPECT_EQ(1, la_age(self->v.age, "flush", self->mem, self->bytes, 0).calls);
	stats = la_stats_read();
	EXPECT_EQ(2 * locks, stats.mmu_lock);
}

/* A batch takes no lock; without the lockless walk it is a call for each part. */
TEST_F_TIMEOUT(aging, locks_of_batches, TIMEOUT)
{
	const uint64_t batches = (self->pages + LA_BATCH_BITS - 1) / LA_BATCH_BITS;
	static const char * const ops[] = { "batch-test", "batch-clear" };
	struct la_stats stats;
	struct la_aged aged;
	int i;

	la_touch(&self->v, LA_OP_WRITE, LA_GPA, self->pages);
	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		la_stats_zero();
		aged = la_age(self->v.age, ops[i], self->mem, self->bytes, LA_PAGE_SIZE);
		stats = la_stats_read();
		EXPECT_EQ(batches, aged.calls);
		EXPECT_EQ(self->pages, aged.young);
		EXPECT_EQ(variant->lockless ? 0 : self->pages, stats.mmu_lock);
		EXPECT_EQ(variant->lockless ? batches : 0, stats.batches);
		EXPECT_EQ(variant->lockless ? 0 : batches, stats.refused);
	}
	EXPECT_EQ(0, count_young(&self->v, self->mem, 0, self->pages));
}

/* What the last batch answered: the second line of the file, ranges like 0-3,7. */
static void read_bits(int age, unsigned long *bits)
{
	unsigned long bit, last;
	char text[1024], *pos;
	ssize_t len;

	len = pread(age, text, sizeof(text) - 1, 0);
	TEST_ASSERT(len > 0, "age: cannot read the result: %s", strerror(errno));
	text[len] = '\0';
	pos = strchr(text, '\n');
	TEST_ASSERT(pos, "age: no second line: '%s'", text);

	bitmap_zero(bits, LA_MAX_PAGES);
	while (isdigit(*++pos)) {
		bit = strtoul(pos, &pos, 10);
		last = *pos == '-' ? strtoul(pos + 1, &pos, 10) : bit;
		for (; bit <= last; bit++)
			__set_bit(bit, bits);
	}
}

/* Parts of one page or several, all wanted or some: those alone answer, and those forget. */
TEST_F_TIMEOUT(aging, batch_of_wanted_parts, TIMEOUT)
{
	static const struct {
		uint64_t step, every;
	} of[] = { { 1, 1 }, { 1, 3 }, { 4, 1 }, { 4, 2 }, { 8, 3 } };
	const uint64_t first = 3, pages = 80;
	DECLARE_BITMAP(touched, LA_MAX_PAGES);
	DECLARE_BITMAP(bits, LA_MAX_PAGES);
	uint64_t page, bit, wrong_bits, wrong_pages;
	bool clear, wanted;
	char cmd[128];
	int i, len;

	for (i = 0; i < 2 * ARRAY_SIZE(of); i++) {
		const uint64_t step = of[i / 2].step, every = of[i / 2].every;

		clear = i % 2;
		make_old(&self->v, self->mem, self->bytes);
		random_map(touched, self->pages, 15, &self->rng);
		la_touch_map(&self->v, LA_OP_READ, LA_GPA, self->pages, touched);
		len = snprintf(cmd, sizeof(cmd), "batch-%s %#lx %#lx %#lx %lu",
			       clear ? "clear" : "test", (unsigned long)page_of(self->mem, first),
			       (unsigned long)page_of(self->mem, first + pages),
			       step << LA_PAGE_SHIFT, every);
		ASSERT_EQ(len, write(self->v.age, cmd, len));
		read_bits(self->v.age, bits);

		wrong_bits = 0;
		for (bit = 0; bit < pages / step; bit++) {
			bool used = false;

			for (page = 0; page < step; page++)
				used |= test_bit(first + bit * step + page, touched);
			wrong_bits += test_bit(bit, bits) != (used && bit % every == 0);
		}
		wrong_pages = 0;
		for (page = 0; page < first + pages + 3; page++) {
			wanted = page >= first && page < first + pages &&
				 (page - first) / step % every == 0;
			wrong_pages += page_young(&self->v, self->mem, page) !=
				       (test_bit(page, touched) && !(clear && wanted));
		}
		EXPECT_EQ(0, wrong_bits);
		EXPECT_EQ(0, wrong_pages) {
			TH_LOG("%s", cmd);
		}
	}
}

TEST_F_TIMEOUT(aging, bad_commands, TIMEOUT)
{
	static const char * const bad[] = {
		"clear", "clear 0x10000", "bogus 0x10000 0x20000", "clear 0x10001 0x30000",
		"clear 0x10000 0x30001", "clear 0x30000 0x10000", "clear 0x10000 0x10000",
		"clear 0x10000 0x30000 0x800", "clear 0x10000 0x30000 0x10000 1", "clear a b",
		"clear 0x10000 0xfffffffffffff000", "batch-clear 0x10000 0xfffffffffffff000 0x1000",
		"clear 0x10000 0x30000 0x8000000000000000",
	};
	int i;

	la_touch(&self->v, LA_OP_WRITE, LA_GPA, self->pages);
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		errno = 0;
		EXPECT_EQ(-1, write(self->v.age, bad[i], strlen(bad[i]))) {
			TH_LOG("accepted '%s'", bad[i]);
		}
		EXPECT_EQ(EINVAL, errno);
	}
	EXPECT_EQ(self->pages, count_young(&self->v, self->mem, 0, self->pages));
}

/*
 * The kernel's own lock statistics: independent of what the walker says of
 * itself.
 */

#define LOCK_STAT	"/proc/lock_stat"

/* Acquisitions of mmu_lock, whatever its type and subclass. */
static uint64_t mmu_lock_acquisitions(void)
{
	uint64_t sum = 0, nr;
	char line[512];
	FILE *file;
	char *at;

	file = fopen(LOCK_STAT, "r");
	TEST_ASSERT(file, "Cannot open " LOCK_STAT ": %s", strerror(errno));
	while (fgets(line, sizeof(line), file)) {
		at = strstr(line, "(kvm)->mmu_lock");
		/* Lines without a colon are about who waited for whom. */
		at = at ? strpbrk(at, ": ") : NULL;
		if (!at || *at != ':')
			continue;
		if (sscanf(at + 1, "%*u %*u %*f %*f %*f %*f %*u %lu", &nr) == 1)
			sum += nr;
	}
	fclose(file);
	return sum;
}

static uint64_t locks_taken_by_aging(struct la_vm *v, char *mem, size_t bytes)
{
	static const char * const ops[] = {
		"clear", "flush", "test", "batch-clear", "batch-test",
	};
	int i;

	la_touch(v, LA_OP_WRITE, LA_GPA, bytes >> LA_PAGE_SHIFT);
	la_write(LOCK_STAT, "0");
	for (i = 0; i < ARRAY_SIZE(ops); i++)
		la_age(v->age, ops[i], mem, bytes, LA_PAGE_SIZE);
	return mmu_lock_acquisitions();
}

FIXTURE(lock_stat) {
	FIXTURE_DATA(aging) aging;
};

FIXTURE_SETUP(lock_stat)
{
	if (access(LOCK_STAT, W_OK))
		SKIP(return, "needs " LOCK_STAT " (CONFIG_LOCK_STAT)");
	la_write("/proc/sys/kernel/lock_stat", "1");
	aging_setup(_metadata, &self->aging, &_aging_on_variant);
}

FIXTURE_TEARDOWN(lock_stat)
{
	la_vm_free(&self->aging.v);
}

TEST_F_TIMEOUT(lock_stat, no_mmu_lock_in_young_ops, TIMEOUT)
{
	struct la_vm *v = &self->aging.v;
	size_t bytes = self->aging.bytes;
	char *mem = self->aging.mem;

	EXPECT_EQ(0, locks_taken_by_aging(v, mem, bytes));

	/* The same again, to see that the lock would have been seen. */
	la_set_lockless(false);
	EXPECT_LE(5 * self->aging.pages, locks_taken_by_aging(v, mem, bytes));
}

/*
 * page_idle: an interface that every kernel has for the same notifier calls.
 */

#define PAGE_IDLE	"/sys/kernel/mm/page_idle/bitmap"
#define PAGEMAP		"/proc/self/pagemap"
#define PAGEMAP_PFN	((1UL << 55) - 1)

#define IDLE_PAGES	512

struct idle_memory {
	char *mem;
	int bitmap;
	int pagemap;
	uint64_t pfns[IDLE_PAGES];
};

FIXTURE(page_idle) {
	struct la_vm v;
	struct idle_memory idle;
};

FIXTURE_SETUP(page_idle)
{
	const size_t bytes = IDLE_PAGES << LA_PAGE_SHIFT;

	if (access("/dev/kvm", R_OK | W_OK))
		SKIP(return, "needs /dev/kvm");
	self->idle.bitmap = open(PAGE_IDLE, O_RDWR);
	if (self->idle.bitmap < 0)
		SKIP(return, "needs " PAGE_IDLE " (CONFIG_IDLE_PAGE_TRACKING)");
	self->idle.pagemap = open(PAGEMAP, O_RDONLY);
	if (self->idle.pagemap < 0)
		SKIP(return, "needs " PAGEMAP " (CONFIG_PROC_PAGE_MONITOR)");

	la_vm_create(&self->v, 1);
	self->idle.mem = la_alloc(bytes);
	la_add_slot(&self->v, LA_SLOT, 0, LA_GPA, LA_GPA, self->idle.mem, bytes);
	la_touch(&self->v, LA_OP_WRITE, LA_GPA, IDLE_PAGES);
}

FIXTURE_TEARDOWN(page_idle)
{
	la_vm_free(&self->v);
	close(self->idle.bitmap);
	close(self->idle.pagemap);
}

/*
 * A word of the bitmap is 64 pages, and to read or write it costs an rmap walk for
 * each of them: do it once for neighbours.
 */
static void read_idle(struct idle_memory *idle, unsigned long *map)
{
	uint64_t page, at, word = 0, last = -1;

	for (page = 0; page < IDLE_PAGES; page++) {
		at = idle->pfns[page] / 64;
		if (at != last)
			TEST_ASSERT(pread(idle->bitmap, &word, 8, at * 8) == 8,
				    "read of " PAGE_IDLE);
		last = at;
		if (word >> (idle->pfns[page] % 64) & 1)
			__set_bit(page, map);
		else
			__clear_bit(page, map);
	}
}

static void write_idle(struct idle_memory *idle)
{
	uint64_t page, at, word = 0;

	for (page = 0; page < IDLE_PAGES; page++) {
		at = idle->pfns[page] / 64;
		word |= BIT(idle->pfns[page] % 64);
		if (page + 1 < IDLE_PAGES && idle->pfns[page + 1] / 64 == at)
			continue;
		TEST_ASSERT(pwrite(idle->bitmap, &word, 8, at * 8) == 8, "write of " PAGE_IDLE);
		word = 0;
	}
}

/* Returns how many of the pages are idle afterwards. */
static uint64_t mark_idle(struct idle_memory *idle)
{
	off_t offset = ((unsigned long)idle->mem >> LA_PAGE_SHIFT) * 8;
	DECLARE_BITMAP(map, IDLE_PAGES);
	uint64_t page, nr = 0;

	/* Each time: pages migrate. */
	TEST_ASSERT(pread(idle->pagemap, idle->pfns, sizeof(idle->pfns), offset) ==
		    sizeof(idle->pfns), "read of " PAGEMAP);
	for (page = 0; page < IDLE_PAGES; page++) {
		idle->pfns[page] &= PAGEMAP_PFN;
		TEST_ASSERT(idle->pfns[page], "No page frame number; CAP_SYS_ADMIN is needed");
	}
	write_idle(idle);
	read_idle(idle, map);
	for (page = 0; page < IDLE_PAGES; page++)
		nr += test_bit(page, map);
	return nr;
}

static void check_page_idle(struct __test_metadata *_metadata, struct la_vm *v,
			    struct idle_memory *idle, uint64_t *rng)
{
	DECLARE_BITMAP(touched, LA_MAX_PAGES);
	DECLARE_BITMAP(left, IDLE_PAGES);
	uint64_t nr = 0, page, wrong;
	int i, tries;

	for (i = 0; i < 3; i++) {
		la_flush_tlb(v);
		for (tries = 0; tries < 10; tries++) {
			nr = mark_idle(idle);
			if (nr == IDLE_PAGES)
				break;
			/*
			 * New pages wait in per-CPU batches for their LRU list;
			 * page_idle ignores them until then. This drains them.
			 */
			la_write("/proc/sys/vm/drop_caches", "1");
			usleep(100000);
		}
		ASSERT_EQ(IDLE_PAGES, nr);

		la_flush_tlb(v);
		random_map(touched, IDLE_PAGES, 25, rng);
		la_touch_map(v, LA_OP_WRITE, LA_GPA, IDLE_PAGES, touched);
		read_idle(idle, left);

		wrong = 0;
		for (page = 0; page < IDLE_PAGES; page++) {
			if (test_bit(page, left) != test_bit(page, touched))
				continue;
			if (!wrong++)
				TH_LOG("round %d: page %lu should%s be idle", i, page,
				       test_bit(page, touched) ? " not" : "");
		}
		EXPECT_EQ(0, wrong);
	}
}

TEST_F_TIMEOUT(page_idle, exact, TIMEOUT)
{
	uint64_t rng = seed;

	if (access(LA_SWITCH, W_OK)) {
		check_page_idle(_metadata, &self->v, &self->idle, &rng);
		return;
	}
	la_set_lockless(false);
	check_page_idle(_metadata, &self->v, &self->idle, &rng);
	la_set_lockless(true);
	check_page_idle(_metadata, &self->v, &self->idle, &rng);
}

static void help(const char *name)
{
	printf("usage: %s [-m MiB] [-s seed] [options of the test harness]\n"
	       " -m: guest memory of most tests (default and least: %lu, most: %lu)\n"
	       " -s: seed of the random patterns (default: from the clock, printed)\n",
	       name, MIN_BYTES / SZ_1M, LA_MAX_PAGES * LA_PAGE_SIZE / SZ_1M);
}

static bool lockless_before;

static void restore_lockless(void)
{
	la_set_lockless(lockless_before);
}

int main(int argc, char *argv[])
{
	seed = time(NULL);
	test_bytes = MIN_BYTES;

	/* The harness parses what follows and does not know these two. */
	while (argc > 2 && (!strcmp(argv[1], "-m") || !strcmp(argv[1], "-s"))) {
		if (argv[1][1] == 's') {
			seed = strtoull(argv[2], NULL, 0);
		} else {
			test_bytes = (size_t)atoi_positive("MiB", argv[2]) * SZ_1M;
			if (test_bytes < MIN_BYTES || test_bytes > LA_MAX_PAGES * LA_PAGE_SIZE) {
				help(argv[0]);
				return KSFT_FAIL;
			}
		}
		argv[2] = argv[0];
		argv += 2;
		argc -= 2;
	}
	if (argc > 1 && !strcmp(argv[1], "-h"))
		help(argv[0]);

	ksft_print_msg("seed %lu\n", seed);
	if (!access(LA_SWITCH, W_OK)) {
		lockless_before = la_get_lockless();
		/* The harness may not come back. */
		atexit(restore_lockless);
	}
	return test_harness_run(argc, argv);
}
