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
#include "lockless_aging_base.h"
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

FIXTURE_SETUP(aging)
{
	const char *missing = la_missing();

	if (missing)
		SKIP(return, "needs %s", missing);

	la_set_lockless(variant->lockless);
	la_stats_zero();

	self->rng = seed;
	self->bytes = test_bytes;
	self->pages = test_bytes >> LA_PAGE_SHIFT;
	self->mem = la_vm_create_mem(&self->v, 1, self->bytes);
	la_touch(&self->v, LA_OP_WRITE, LA_GPA, self->pages);
	la_make_old(&self->v, self->mem, self->bytes);
}

FIXTURE_TEARDOWN(aging)
{
	struct la_stats stats = la_stats_read();

	la_vm_free(&self->v);
	if (variant->lockless)
		EXPECT_EQ(0, stats.mmu_lock);
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
	EXPECT_EQ(0, la_count_young(&self->v, self->mem, 0, self->pages));
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
		EXPECT_EQ(self->pages, la_count_young(&self->v, self->mem, 0, self->pages));
	stats = la_stats_read();
	EXPECT_EQ(2 * self->pages, stats.young);
	EXPECT_EQ(self->pages, la_clear_pages(self->v.age, self->mem, self->bytes));
	EXPECT_EQ(0, la_count_young(&self->v, self->mem, 0, self->pages));
}

TEST_F_TIMEOUT(aging, flush_clears, TIMEOUT)
{
	struct la_aged aged;

	la_touch(&self->v, LA_OP_WRITE, LA_GPA, self->pages);
	aged = la_age(self->v.age, "flush", self->mem, self->bytes, LA_PAGE_SIZE);
	EXPECT_EQ(self->pages, aged.calls);
	EXPECT_EQ(self->pages, aged.young);
	EXPECT_EQ(0, la_count_young(&self->v, self->mem, 0, self->pages));

	/* The guest flushes its TLB; whether KVM does, see flush_reaches_running_vcpu. */
	la_touch(&self->v, LA_OP_READ, LA_GPA, self->pages);
	EXPECT_EQ(1, la_age(self->v.age, "flush", self->mem, self->bytes, 0).young);
	EXPECT_EQ(0, la_count_young(&self->v, self->mem, 0, self->pages));
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
	char *page = self->mem + PAGES(5);
	struct la_cmd *cmd = self->v.cmds;
	uint64_t asked = 0, start_ns;
	pthread_t vcpu;

	if (!LA_FLUSHES_YOUNG)
		SKIP(return, "This kernel does not flush what it finds young");
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
		la_random_map(map, self->pages, percents[i], &self->rng);
		la_touch_map(&self->v, i & 1 ? LA_OP_READ : LA_OP_WRITE, LA_GPA, self->pages, map);

		wrong = 0;
		for (page = 0; page < self->pages; page++) {
			if (la_clear_some(&self->v, self->mem, page, 1) == test_bit(page, map))
				continue;
			if (!wrong++)
				TH_LOG("%u%%: page %lu should%s be young", percents[i], page,
				       test_bit(page, map) ? "" : " not");
		}
		EXPECT_EQ(0, wrong);
		EXPECT_EQ(0, la_count_young(&self->v, self->mem, 0, self->pages));
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
		EXPECT_TRUE(la_clear_some(v, mem, start, nr)) {
			TH_LOG("page %lu of [%lu, +%lu) not found", pos[i], start, nr);
		}
		EXPECT_EQ(0, la_count_young(v, mem, start, nr));
		EXPECT_FALSE(la_clear_some(v, mem, start, nr));
		EXPECT_TRUE(la_page_young(v, mem, start - 1));
		EXPECT_TRUE(la_page_young(v, mem, start + nr));
		la_make_old(v, mem, pages << LA_PAGE_SHIFT);
	}

	/* A walk that stops at the first young page leaves the rest young. */
	la_touch(v, LA_OP_WRITE, LA_GPA, pages);
	EXPECT_TRUE(la_clear_some(v, mem, start, nr));
	EXPECT_EQ(0, la_count_young(v, mem, start, nr)) {
		TH_LOG("range [%lu, +%lu)", start, nr);
	}
	EXPECT_EQ(pages - nr, la_count_young(v, mem, 0, pages));
	la_make_old(v, mem, pages << LA_PAGE_SHIFT);
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
	EXPECT_TRUE(la_clear_some(&self->v, mem, 0, 3 * T));
	EXPECT_EQ(nr, la_stats_read().visited);
	EXPECT_EQ(nr, la_stats_read().young);
	EXPECT_EQ(0, la_count_young(&self->v, mem, 0, 3 * T));

	for (i = 0; i < nr; i++) {
		la_flush_tlb(&self->v);
		la_touch(&self->v, LA_OP_READ, gpa + (pos[i] << LA_PAGE_SHIFT), 1);
		EXPECT_EQ(1, la_count_young(&self->v, mem, 0, 3 * T));
		EXPECT_TRUE(la_page_young(&self->v, mem, pos[i]));
		EXPECT_EQ(pos[i] / T == 1, la_clear_some(&self->v, mem, T, T));
		EXPECT_EQ(pos[i] / T != 1, la_clear_some(&self->v, mem, 0, 3 * T));
	}

	/* Without the table in the middle; and with a new one. */
	ASSERT_EQ(0, madvise(mem + PAGES(T), LA_TABLE_SIZE, MADV_DONTNEED));
	la_stats_zero();
	EXPECT_FALSE(la_clear_some(&self->v, mem, 0, 3 * T));
	EXPECT_EQ(nr - 3, la_stats_read().visited);
	la_touch(&self->v, LA_OP_WRITE, gpa + PAGES(T + 77), 1);
	EXPECT_TRUE(la_clear_some(&self->v, mem, T - 1, T + 2));
	EXPECT_EQ(0, la_count_young(&self->v, mem, 0, 3 * T));
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
		EXPECT_EQ(1, la_count_young(&self->v, mem, 0, nr));
		EXPECT_TRUE(la_page_young(&self->v, mem, pos[i]));
		EXPECT_TRUE(la_clear_some(&self->v, mem, 0, nr));
		EXPECT_EQ(0, la_count_young(&self->v, mem, 0, nr));
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
		la_make_old(&self->v, self->mem, self->bytes);
		ASSERT_EQ(0, madvise(self->mem + PAGES(hole), len << LA_PAGE_SHIFT,
				     MADV_DONTNEED));

		EXPECT_FALSE(la_clear_some(&self->v, self->mem, hole, len));
		EXPECT_FALSE(la_clear_some(&self->v, self->mem, hole - 10, len + 20));

		/* Behind the hole, then before it, then nothing but the hole. */
		la_touch(&self->v, LA_OP_READ, LA_GPA + PAGES(hole + len), 1);
		EXPECT_TRUE(la_clear_some(&self->v, self->mem, hole - 1, len + 2));
		EXPECT_FALSE(la_clear_some(&self->v, self->mem, hole - 1, len + 2));
		la_touch(&self->v, LA_OP_READ, LA_GPA + ((hole - 1) << LA_PAGE_SHIFT), 1);
		EXPECT_TRUE(la_clear_some(&self->v, self->mem, hole - 1, len + 2));
		la_touch(&self->v, LA_OP_READ, LA_GPA, self->pages);
		EXPECT_EQ(self->pages, la_count_young(&self->v, self->mem, 0, self->pages));
	}
}

TEST_F_TIMEOUT(aging, never_mapped, TIMEOUT)
{
	const uint64_t gpa = LA_CHUNK_GPA(8);
	char *mem = la_alloc(LA_CHUNK_SIZE);

	la_add_slot(&self->v, LA_SLOT + 1, 0, gpa, gpa, mem, LA_CHUNK_SIZE);
	EXPECT_FALSE(la_clear_some(&self->v, mem, 0, LA_CHUNK_PAGES));
	EXPECT_EQ(0, la_count_young(&self->v, mem, 0, LA_CHUNK_PAGES));
	/* Memory that the host has and the guest has not touched yet. */
	memset(mem, 1, LA_CHUNK_SIZE);
	EXPECT_EQ(0, la_clear_pages(self->v.age, mem, LA_CHUNK_SIZE));
}

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
	EXPECT_EQ(0, la_count_young(&self->v, self->mem, 0, self->pages));
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
		la_make_old(&self->v, self->mem, self->bytes);
		la_random_map(touched, self->pages, 15, &self->rng);
		la_touch_map(&self->v, LA_OP_READ, LA_GPA, self->pages, touched);
		len = snprintf(cmd, sizeof(cmd), "batch-%s %#lx %#lx %#lx %lu",
			       clear ? "clear" : "test", (unsigned long)self->mem + PAGES(first),
			       (unsigned long)self->mem + PAGES(first + pages),
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
			wrong_pages += la_page_young(&self->v, self->mem, page) !=
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
	EXPECT_EQ(self->pages, la_count_young(&self->v, self->mem, 0, self->pages));
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

static void help(const char *name)
{
	printf("usage: %s [-m MiB] [-s seed] [options of the test harness]\n"
	       " -m: guest memory of most tests (default and least: %lu, most: %lu)\n"
	       " -s: seed of the random patterns (default: from the clock, printed)\n",
	       name, MIN_BYTES / SZ_1M, LA_MAX_PAGES * LA_PAGE_SIZE / SZ_1M);
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
	la_restore_lockless_at_exit();
	return test_harness_run(argc, argv);
}
