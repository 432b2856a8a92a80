// SPDX-License-Identifier: GPL-2.0-only
/*
 * Aging at full speed against dirty logging, which write-protects pages and splits huge
 * leaves, and against leaves that change their size otherwise.
 */
#include <sched.h>

#include "lockless_aging_race.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

/*
 * Dirty log. Values are read before each collection. One that differs from the
 * collection before was written in between, so it has to be in either log: in the
 * earlier one if the write slipped in before that was taken, or in this one.
 */
#define DIRTY_PAGES	256

struct dirty {
	struct la_vm v;
	char *mem;
	uint64_t pages;
	bool manual;			/* KVM_CLEAR_DIRTY_LOG protects, not GET */
	unsigned long *log[2];		/* this and the last collection */
	uint64_t *value;		/* at the last collection */
	pthread_mutex_t vcpu_lock;
	uint64_t stamp;
	uint64_t batches;
	bool stop;
};

static void *dirty_vcpu_main(void *arg)
{
	DECLARE_BITMAP(map, LA_MAX_PAGES);
	struct dirty *d = arg;
	uint64_t rng = la_seed + 99;
	int i;

	while (!READ_ONCE(d->stop)) {
		bitmap_zero(map, LA_MAX_PAGES);
		for (i = 0; i < 8; i++)
			__set_bit(la_random(&rng) % d->pages, map);
		pthread_mutex_lock(&d->vcpu_lock);
		la_vcpu_do_map(&d->v, 0, LA_OP_STAMP, LA_GPA, d->pages, ++d->stamp, map);
		d->batches++;
		pthread_mutex_unlock(&d->vcpu_lock);
		sched_yield();
	}
	return NULL;
}

static void dirty_collect(struct dirty *d, unsigned long *log)
{
	kvm_vm_get_dirty_log(d->v.vm, LA_SLOT, log);
	if (d->manual)
		kvm_vm_clear_dirty_log(d->v.vm, LA_SLOT, log, 0, d->pages);
}

static void dirty_check(struct dirty *d, uint64_t round)
{
	unsigned long *log = d->log[round & 1], *last = d->log[!(round & 1)];
	uint64_t page, value[DIRTY_PAGES];

	for (page = 0; page < d->pages; page++)
		value[page] = READ_ONCE(*(uint64_t *)(d->mem + (page << LA_PAGE_SHIFT)));
	dirty_collect(d, log);
	for (page = 0; page < d->pages; page++) {
		TEST_ASSERT(value[page] == d->value[page] || test_bit(page, log) ||
			    test_bit(page, last),
			    "Round %lu: page %lu went from %#lx to %#lx and is in no dirty log",
			    round, page, d->value[page], value[page]);
		d->value[page] = value[page];
	}
}

/* With the vCPU at rest there is no "either": the log is what it wrote. */
static void dirty_check_exactly(struct dirty *d, uint64_t *rng)
{
	DECLARE_BITMAP(map, LA_MAX_PAGES);
	unsigned long *log = bitmap_zalloc(d->pages);
	uint64_t page;
	int i;

	bitmap_zero(map, LA_MAX_PAGES);
	for (i = 0; i < DIRTY_PAGES / 2; i++)
		__set_bit(la_random(rng) % d->pages, map);

	dirty_collect(d, log);
	la_vcpu_do_map(&d->v, 0, LA_OP_STAMP, LA_GPA, d->pages, ++d->stamp, map);
	bitmap_zero(log, d->pages);
	dirty_collect(d, log);
	for (page = 0; page < d->pages; page++) {
		TEST_ASSERT(test_bit(page, log) == test_bit(page, map),
			    "Page %lu was%s written to, the dirty log says otherwise",
			    page, test_bit(page, map) ? "" : " not");
		d->value[page] = *(uint64_t *)(d->mem + (page << LA_PAGE_SHIFT));
	}
	bitmap_free(log);
}

static void dirty_log(bool manual)
{
	struct dirty *d = calloc(1, sizeof(*d));
	uint64_t round, start_ns, rng = la_seed;
	pthread_t thread;
	int i;

	/* Few pages, so that aging threads and write protection often meet at one. */
	d->manual = manual;
	d->pages = DIRTY_PAGES;
	d->value = calloc(d->pages, sizeof(*d->value));
	pthread_mutex_init(&d->vcpu_lock, NULL);
	d->mem = la_vm_create_mem(&d->v, 1, PAGES(d->pages));
	if (manual)
		vm_enable_cap(d->v.vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
			      KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);

	la_vcpu_do(&d->v, 0, LA_OP_STAMP, LA_GPA, d->pages, ++d->stamp);
	vm_set_user_memory_region(d->v.vm, LA_SLOT, KVM_MEM_LOG_DIRTY_PAGES, LA_GPA,
				  PAGES(d->pages), d->mem);
	for (i = 0; i < ARRAY_SIZE(d->log); i++) {
		d->log[i] = bitmap_zalloc(d->pages);
		bitmap_fill(d->log[i], d->pages);
	}

	la_set_stalls(10000, 1);
	la_aging_start(d->mem, PAGES(d->pages), AGE_ALL);
	TEST_ASSERT(!pthread_create(&thread, NULL, dirty_vcpu_main, d), "pthread_create");
	start_ns = la_now_ns();
	for (round = 0; !la_time_is_up(start_ns); round++) {
		dirty_check(d, round);
		if (round % 4 == 3) {
			pthread_mutex_lock(&d->vcpu_lock);
			dirty_check(d, ++round);
			dirty_check_exactly(d, &rng);
			pthread_mutex_unlock(&d->vcpu_lock);
		}
		usleep(2000);
	}
	WRITE_ONCE(d->stop, true);
	pthread_join(thread, NULL);
	dirty_check(d, round);
	ksft_print_msg("%lu collections\n", round);
	la_aging_end(d->batches, "batches of writes");
	la_vm_free(&d->v);
}

static void test_dirty_log(void)
{
	dirty_log(false);
}

static const char *no_dirty_log_clear(void)
{
	return kvm_check_cap(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2) &
	       KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE ? NULL : "KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2";
}

static void test_dirty_log_clear(void)
{
	dirty_log(true);
}

#define HUGE_BYTES	(2 * LA_TABLE_SIZE)

static const char *no_hugetlb(void)
{
	return la_missing_hugetlb(HUGE_BYTES);
}

static const char *no_eager_split(void)
{
	return la_missing_eager_split() ?: no_hugetlb();
}

/* Two huge pages, and commands that leave most pages of very large ones out. */
static void create_huge_vm(struct la_vm *v, char *mem, bool eager_split)
{
	la_vm_create(v, 1);
	if (eager_split)
		la_split_eagerly(v);
	la_add_huge_slot(v, LA_SLOT, 0, LA_TABLE_GPA(0), LA_TABLE_GPA(0), mem, HUGE_BYTES);
	v->step = LA_HUGE_STEP;
}

static void set_logging(struct la_vm *v, char *mem, bool on)
{
	vm_set_user_memory_region(v->vm, LA_SLOT, on ? KVM_MEM_LOG_DIRTY_PAGES : 0,
				  LA_TABLE_GPA(0), HUGE_BYTES, mem);
}

/* Dirty logging splits huge leaves; without it they come back. */
static void hugetlb_dirty_log(bool eager_split)
{
	const uint64_t gpa = LA_TABLE_GPA(0), pages = HUGE_BYTES / LA_HUGE_STEP;
	const uint64_t stride = LA_HUGE_STEP >> LA_PAGE_SHIFT;
	unsigned long *log = bitmap_zalloc(pages * stride);
	uint64_t start_ns, page, rounds = 0;
	struct la_vm v;
	char *mem;

	mem = la_alloc_hugetlb(HUGE_BYTES);
	create_huge_vm(&v, mem, eager_split);

	la_aging_start(mem, HUGE_BYTES, AGE_ALL);
	start_ns = la_now_ns();
	while (!la_time_is_up(start_ns)) {
		/* Huge leaves, to be split. Every other time they come after tables. */
		if (rounds % 2)
			la_drop(mem, HUGE_BYTES);
		la_vcpu_do(&v, 0, LA_OP_STAMP, gpa, pages, ++rounds);

		set_logging(&v, mem, true);
		la_must_hold(&v, 0, gpa, pages, rounds);
		la_vcpu_do(&v, 0, LA_OP_STAMP, gpa, pages / 2 + 7, ++rounds);
		bitmap_zero(log, pages * stride);
		kvm_vm_get_dirty_log(v.vm, LA_SLOT, log);
		for (page = 0; page < pages / 2 + 7; page++)
			TEST_ASSERT(test_bit(page * stride, log),
				    "Page %lu is not in the dirty log", page * stride);
		la_must_hold(&v, 0, gpa, pages / 2 + 7, rounds);

		set_logging(&v, mem, false);
		la_vcpu_do(&v, 0, LA_OP_STAMP, gpa, pages, ++rounds);
		la_must_hold(&v, 0, gpa, pages, rounds);
	}
	la_aging_end(rounds, "rounds of writes");
	la_vm_free(&v);
}

static void test_hugetlb_dirty_log(void)
{
	hugetlb_dirty_log(false);
}

static void test_hugetlb_eager_split(void)
{
	hugetlb_dirty_log(true);
}

/* Makes the range huge pages of the host again, whatever came in between. */
static bool merge(char *mem, size_t bytes)
{
	TEST_ASSERT(!madvise(mem, bytes, MADV_HUGEPAGE), "MADV_HUGEPAGE: %s", strerror(errno));
	return !madvise(mem, bytes, MADV_COLLAPSE);
}

static const char *no_thp(void)
{
	static char text[96];
	size_t at;
	char *mem;
	bool ok;

	if (!thp_configured())
		return "CONFIG_TRANSPARENT_HUGEPAGE";

	mem = la_mmap_aligned(HUGE_BYTES);
	for (at = 0; at < HUGE_BYTES; at += LA_TABLE_SIZE)
		mem[at] = 1;
	ok = merge(mem, HUGE_BYTES);
	munmap(mem, HUGE_BYTES);
	snprintf(text, sizeof(text), "%lu transparent huge pages of %lu MiB (MADV_COLLAPSE)",
		 HUGE_BYTES / LA_TABLE_SIZE, LA_TABLE_SIZE / SZ_1M);
	return ok ? NULL : text;
}

struct merger {
	char *mem;
	uint64_t merges;
	uint64_t failed;
	bool stop;
};

/* Has the host merge pages to huge ones and split these, which changes no content. */
static void *merger_main(void *arg)
{
	struct merger *m = arg;
	char *last = m->mem + HUGE_BYTES - LA_PAGE_SIZE, *any;
	uint64_t rng = la_seed + 55;
	int ret = 0;

	while (!READ_ONCE(m->stop)) {
		if (merge(m->mem, HUGE_BYTES))
			m->merges++;
		else
			m->failed++;
		usleep(la_random(&rng) % 3000);

		/* The guest leaves the last page alone. */
		switch (la_random(&rng) % 3) {
		case 0:
			any = m->mem + la_random(&rng) % (HUGE_BYTES >> LA_PAGE_SHIFT) *
			      LA_PAGE_SIZE;
			ret = madvise(any, LA_PAGE_SIZE, MADV_NOHUGEPAGE);
			break;
		case 1:
			ret = mprotect(last, LA_PAGE_SIZE, PROT_READ) ?:
			      mprotect(last, LA_PAGE_SIZE, PROT_READ | PROT_WRITE);
			break;
		case 2:
			la_drop(last, LA_PAGE_SIZE);
			break;
		}
		TEST_ASSERT(!ret, "Cannot split a huge page: %s", strerror(errno));
		usleep(la_random(&rng) % 3000);
	}
	return NULL;
}

/* Huge leaves give way to tables and tables to huge leaves, as the host's do. */
static void test_block_transitions(void)
{
	const uint64_t gpa = LA_TABLE_GPA(0), pages = HUGE_BYTES / LA_HUGE_STEP - 1;
	struct merger m = { .mem = la_mmap_aligned(HUGE_BYTES) };
	uint64_t start_ns, rounds = 0;
	pthread_t thread;
	struct la_vm v;

	create_huge_vm(&v, m.mem, false);
	TEST_ASSERT(!madvise(m.mem, HUGE_BYTES, MADV_HUGEPAGE), "MADV_HUGEPAGE: %s",
		    strerror(errno));
	la_touch(&v, LA_OP_WRITE, gpa, 1);
	ksft_print_msg("KVM maps a huge page of the host by %s\n",
		       la_test(v.age, m.mem, LA_TABLE_SIZE) > 1 ? "a huge leaf" : "pages");

	la_aging_start(m.mem, HUGE_BYTES, AGE_ALL);
	TEST_ASSERT(!pthread_create(&thread, NULL, merger_main, &m), "pthread_create");
	start_ns = la_now_ns();
	while (!la_time_is_up(start_ns)) {
		if (rounds % 8 == 7)
			la_drop(m.mem, HUGE_BYTES);
		la_vcpu_do(&v, 0, LA_OP_STAMP, gpa, pages, ++rounds);
		la_must_hold(&v, 0, gpa, pages, rounds);
		la_must_hold(&v, 0, gpa, pages, rounds);
	}
	WRITE_ONCE(m.stop, true);
	pthread_join(thread, NULL);
	ksft_print_msg("%lu rounds of writes, %lu merges failed\n", rounds, m.failed);
	la_aging_end(m.merges, "times pages were merged and split");
	la_vm_free(&v);
}

struct wrprotect {
	struct la_vm v;
	unsigned long *log;
};

static void collect_log(void *arg)
{
	struct wrprotect *w = arg;

	kvm_vm_get_dirty_log(w->v.vm, LA_SLOT, w->log);
}

/*
 * On x86, as on stock, writers use a plain store if an SPTE has A/D bits and is accessed and
 * dirty.  The store may undo an aging: the page is young again then.
 */
#ifdef __x86_64__
#define WRITERS_UNDO_AGING	1
#else
#define WRITERS_UNDO_AGING	0
#endif

/*
 * Write protection against the clearing of young bits. A bit that was cleared stays
 * clear: the aging thread may lose the race for an entry and then leaves it young, but it
 * says how often. And no page escapes the protection: what is written to in the next
 * round is in the next log.
 */
static void test_wrprotect_keeps_old(void)
{
	/* Each round is a chance for the two to meet; where they stall, few pages will do. */
	const uint64_t pages = la_has_stalls() ? 16 : DIRTY_PAGES;
	struct la_duel d = { .bytes = pages << LA_PAGE_SHIFT, .rng = la_seed, .stall_ns = 200000 };
	struct wrprotect w = { .log = bitmap_zalloc(pages) };
	uint64_t start_ns, page, young, lost = 0, undone = 0, rounds = 0;
	struct la_stats stats;

	d.mem = la_vm_create_mem(&w.v, 1, d.bytes);
	vm_set_user_memory_region(w.v.vm, LA_SLOT, KVM_MEM_LOG_DIRTY_PAGES, LA_GPA, d.bytes,
				  d.mem);

	la_set_stalls(0, 0);
	start_ns = la_now_ns();
	while (!la_time_is_up(start_ns)) {
		la_flush_tlb(&w.v);
		la_vcpu_do(&w.v, 0, LA_OP_STAMP, LA_GPA, pages, ++rounds);
		d.step = rounds & 1 ? LA_PAGE_SIZE : 0;
		stats = la_duel(&d, collect_log, &w);

		lost += stats.lost;
		young = la_young_leaves(&w.v, d.mem, d.bytes);
		TEST_ASSERT(WRITERS_UNDO_AGING || young <= stats.lost,
			    "%lu of %lu pages are young again, of which %lu were left so",
			    young, pages, stats.lost);
		undone += young - min(young, stats.lost);
		for (page = 0; page < pages; page++)
			TEST_ASSERT(test_bit(page, w.log),
				    "Round %lu: page %lu was written to and is not in the log",
				    rounds, page);
	}
	ksft_print_msg("%lu rounds, the aging thread lost %lu races, writers undid %lu agings\n",
		       rounds, lost, undone);
	la_vm_free(&w.v);
}

struct split {
	struct la_vm v;
	char *mem;
};

static void start_logging(void *arg)
{
	struct split *s = arg;

	set_logging(&s->v, s->mem, true);
}

/*
 * The splitting of young huge leaves against the clearing of their young bits. If the
 * clearing lost no race and found nothing busy, all is old: the pages that a huge leaf
 * is split into must not be younger than the huge leaf was in the end.
 */
static void test_split_races_clear(void)
{
	const uint64_t huge_leaves = HUGE_BYTES / LA_TABLE_SIZE;
	uint64_t start_ns, young, rounds = 0, before = 0, after = 0, met = 0;
	struct split s = { .mem = la_alloc_hugetlb(HUGE_BYTES) };
	struct la_duel d = { .mem = s.mem, .bytes = HUGE_BYTES, .rng = la_seed, .stall_ns = 20000 };
	struct la_stats stats;

	create_huge_vm(&s.v, s.mem, true);
	s.v.step = LA_TABLE_SIZE;
	la_touch(&s.v, LA_OP_WRITE, LA_TABLE_GPA(0), huge_leaves);
	TEST_ASSERT(la_young_leaves(&s.v, s.mem, HUGE_BYTES) == huge_leaves,
		    "No huge leaf to split");

	la_set_stalls(0, 0);
	start_ns = la_now_ns();
	while (!la_time_is_up(start_ns)) {
		set_logging(&s.v, s.mem, false);
		la_drop(s.mem, HUGE_BYTES);
		la_touch(&s.v, LA_OP_WRITE, LA_TABLE_GPA(0), huge_leaves);

		stats = la_duel(&d, start_logging, &s);
		if (stats.lost || stats.busy)
			met++;
		else if (stats.visited == huge_leaves)
			before++;
		else
			after++;
		TEST_ASSERT(stats.young || stats.busy, "Round %lu: nothing was young", rounds);

		young = la_young_leaves(&s.v, s.mem, HUGE_BYTES);
		TEST_ASSERT(young <= (stats.lost + stats.busy) * LA_TABLE_PAGES,
			    "Round %lu: %lu pages are young after %lu of %lu leaves were cleared, %lu races lost, %lu busy",
			    rounds, young, stats.young, stats.visited, stats.lost, stats.busy);
		rounds++;
	}
	ksft_print_msg("%lu rounds: cleared before the split %lu, after it %lu, met it %lu\n",
		       rounds, before, after, met);
	TEST_ASSERT(rounds, "Nothing raced");
	la_vm_free(&s.v);
}

static struct la_race_test tests[] = {
	{ "dirty_log",			test_dirty_log },
	{ "dirty_log_clear",		test_dirty_log_clear,	no_dirty_log_clear },
	{ "hugetlb_dirty_log",		test_hugetlb_dirty_log,	no_hugetlb },
	{ "hugetlb_eager_split",	test_hugetlb_eager_split, no_eager_split },
	{ "block_transitions",		test_block_transitions,	no_thp },
	{ "wrprotect_keeps_old",	test_wrprotect_keeps_old },
	{ "split_races_clear",		test_split_races_clear,	no_eager_split },
};

int main(int argc, char *argv[])
{
	la_race_main(argc, argv, tests, ARRAY_SIZE(tests), NULL);
}
