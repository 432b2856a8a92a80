// SPDX-License-Identifier: GPL-2.0-only
/*
 * page_idle finds exactly the pages that the guest did not touch: an interface that every
 * kernel has for the notifier calls of aging.
 */
#include "lockless_aging.h"
#include "kselftest_harness.h"

/* A sanitizer kernel under emulation takes its time. */
#define TIMEOUT		1200

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
	if (access("/dev/kvm", R_OK | W_OK))
		SKIP(return, "needs /dev/kvm");
	self->idle.bitmap = open(PAGE_IDLE, O_RDWR);
	if (self->idle.bitmap < 0)
		SKIP(return, "needs " PAGE_IDLE " (CONFIG_IDLE_PAGE_TRACKING)");
	self->idle.pagemap = open(PAGEMAP, O_RDONLY);
	if (self->idle.pagemap < 0)
		SKIP(return, "needs " PAGEMAP " (CONFIG_PROC_PAGE_MONITOR)");

	self->idle.mem = la_vm_create_mem(&self->v, 1, PAGES(IDLE_PAGES));
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
		la_random_map(touched, IDLE_PAGES, 25, rng);
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
	uint64_t rng = 1;

	if (access(LA_SWITCH, W_OK)) {
		check_page_idle(_metadata, &self->v, &self->idle, &rng);
		return;
	}
	la_set_lockless(false);
	check_page_idle(_metadata, &self->v, &self->idle, &rng);
	la_set_lockless(true);
	check_page_idle(_metadata, &self->v, &self->idle, &rng);
}

int main(int argc, char *argv[])
{
	la_restore_lockless_at_exit();
	return test_harness_run(argc, argv);
}
