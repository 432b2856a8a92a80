// SPDX-License-Identifier: GPL-2.0-only
/*
 * Aging at full speed against everything else that changes a VM's page tables.
 *
 * Each subtest runs in a process of its own and checks what the guest must not
 * notice: the contents of its memory, its dirty log. What the kernel must not do
 * in these races, such as touching a freed table, is for its own sanitizers to
 * report: run this on a kernel with KASAN, lockdep and panic_on_warn.
 */
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "lockless_aging_race.h"
#include "lockless_aging_usage.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

#define OTHER_SLOT	(LA_SLOT + 1)
#define OTHER_GPA	LA_TABLE_GPA(8)
static size_t test_bytes;

/*
 * Guests
 */

static void create_vm(struct la_vm *v, int nr_vcpus, char **mem)
{
	la_vm_create(v, nr_vcpus);
	*mem = la_alloc(test_bytes);
	la_add_slot(v, LA_SLOT, 0, LA_GPA, LA_GPA, *mem, test_bytes);
}

static void fault_in_parallel(struct la_vm *v, char *mem, void (*meanwhile)(uint64_t start_ns))
{
	struct la_faulter f[2];
	int i;

	for (i = 0; i < ARRAY_SIZE(f); i++) {
		f[i] = (struct la_faulter) {
			.round = la_fault_in,
			.v = v,
			.vcpu = i,
			.gva = LA_GPA + i * test_bytes / 2,
			.mem = mem + i * test_bytes / 2,
			.bytes = test_bytes / 2,
		};
		la_faulter_start(&f[i]);
	}
	if (meanwhile)
		meanwhile(la_now_ns());
	for (i = 0; i < ARRAY_SIZE(f); i++)
		pthread_join(f[i].thread, NULL);
	la_agers_end(f[0].rounds + f[1].rounds, "rounds of faulting memory in");
}

static void test_faults(void)
{
	struct la_vm v;
	char *mem;

	create_vm(&v, 2, &mem);
	la_agers_start(mem, test_bytes, AGE_ALL);
	fault_in_parallel(&v, mem, NULL);
	la_vm_free(&v);
}

/* The operator changes the mind: both ways of aging, and the change itself. */
static void flip_switch(uint64_t start_ns)
{
	bool on = true;

	while (!la_time_is_up(start_ns)) {
		on = !on;
		la_set_lockless(on);
		usleep(3000);
	}
	la_set_lockless(true);
}

static void test_switch_flips(void)
{
	struct la_vm v;
	char *mem;

	create_vm(&v, 2, &mem);
	la_agers_start(mem, test_bytes, AGE_ALL);
	fault_in_parallel(&v, mem, flip_switch);
	la_vm_free(&v);
}

/* Reads, or writes to, what is there already: only accessed bits are missing. */
static void touch_again(struct la_faulter *f)
{
	const uint64_t pages = f->bytes >> LA_PAGE_SHIFT;

	la_vcpu_do(f->v, f->vcpu, f->rounds & 1 ? LA_OP_READ : LA_OP_WRITE, f->gva, pages, 0);
	la_must_hold(f->v, f->vcpu, f->gva, pages, 1);
}

/*
 * Few pages, which vCPUs make young while agers make them old, as fast as either
 * can. Where hardware does not set accessed bits, each access may be a fault. Both
 * vCPUs have to get on all the same.
 */
static void test_young_faults(void)
{
	const uint64_t pages = 16;
	struct la_faulter f[2];
	struct la_vm v;
	char *mem;
	int i;

	test_bytes = pages << LA_PAGE_SHIFT;
	create_vm(&v, ARRAY_SIZE(f), &mem);
	la_vcpu_do(&v, 0, LA_OP_STAMP, LA_GPA, pages, 1);

	la_set_stalls(10000, 1);
	la_agers_start(mem, test_bytes, AGE_CLEAR);
	for (i = 0; i < ARRAY_SIZE(f); i++) {
		f[i] = (struct la_faulter) {
			.round = touch_again,
			.v = &v,
			.vcpu = i,
			.gva = LA_GPA,
			.mem = mem,
			.bytes = test_bytes,
			.min_rounds = 4,
		};
		la_faulter_start(&f[i]);
	}
	for (i = 0; i < ARRAY_SIZE(f); i++)
		pthread_join(f[i].thread, NULL);
	la_agers_end(f[0].rounds + f[1].rounds, "rounds of touching 16 pages");

	/* What is left of it: nothing. */
	for (i = 0; i < pages; i++) {
		la_clear_range(v.age, mem, test_bytes);
		TEST_ASSERT(!la_test(v.age, mem, test_bytes), "Cleared pages are young");
		la_flush_tlb(&v);
		la_touch(&v, i & 1 ? LA_OP_READ : LA_OP_WRITE, LA_GPA, i + 1);
		TEST_ASSERT(la_test(v.age, mem, test_bytes) == i + 1 &&
			    la_test(v.age, mem, (i + 1) << LA_PAGE_SHIFT) == i + 1,
			    "%lu pages are young, not the %d that were touched",
			    la_test(v.age, mem, test_bytes), i + 1);
	}
	la_vm_free(&v);
}

/* Two vCPUs come upon the same page that is not there. */
struct twin {
	struct la_vm v;
	pthread_barrier_t barrier;
	enum la_op op;		/* of the second one */
	uint64_t pages;
	bool stop;
};

static void *twin_main(void *arg)
{
	struct twin *t = arg;

	for (;;) {
		pthread_barrier_wait(&t->barrier);
		if (t->stop)
			return NULL;
		la_vcpu_do(&t->v, 1, t->op, LA_GPA, t->pages, 0);
		pthread_barrier_wait(&t->barrier);
	}
}

static void test_same_fault(void)
{
	uint64_t start_ns, page, word, rounds = 0;
	struct twin t = { .pages = 64 };
	pthread_t thread;
	char *mem;

	test_bytes = t.pages << LA_PAGE_SHIFT;
	create_vm(&t.v, 2, &mem);
	pthread_barrier_init(&t.barrier, NULL, 2);
	la_agers_start(mem, test_bytes, AGE_ALL);
	TEST_ASSERT(!pthread_create(&thread, NULL, twin_main, &t), "pthread_create");

	start_ns = la_now_ns();
	while (!la_time_is_up(start_ns)) {
		la_drop(mem, test_bytes);
		t.op = rounds++ & 1 ? LA_OP_READ : LA_OP_WRITE;
		pthread_barrier_wait(&t.barrier);
		la_vcpu_do(&t.v, 0, LA_OP_STAMP, LA_GPA, t.pages, rounds);
		pthread_barrier_wait(&t.barrier);

		/* Both wrote to one and the same page. */
		la_must_hold(&t.v, rounds & 1, LA_GPA, t.pages, rounds);
		for (page = 0; page < t.pages && t.op == LA_OP_WRITE; page++) {
			word = ((uint64_t *)(mem + (page << LA_PAGE_SHIFT)))[1];
			TEST_ASSERT(word == page, "Page %lu lost a write: it holds %#lx", page,
				    word);
		}
	}
	t.stop = true;
	pthread_barrier_wait(&t.barrier);
	pthread_join(thread, NULL);
	la_agers_end(rounds, "rounds of two vCPUs faulting the same 64 pages in");
	la_vm_free(&t.v);
}

/*
 * Unmapping: a thread drops random ranges, and all that is in a table, under the
 * guest's feet. In between it holds still and both sides compare notes.
 */
struct dropper {
	pthread_mutex_t lock;
	char *mem;
	uint64_t drops;
	bool stop;
};

static void *dropper_main(void *arg)
{
	struct dropper *d = arg;
	uint64_t rng = la_seed + 77, first, nr;
	const uint64_t pages = test_bytes >> LA_PAGE_SHIFT;

	while (!READ_ONCE(d->stop)) {
		first = la_random(&rng) % pages;
		nr = 1 + la_random(&rng) % (pages - first);
		switch (la_random(&rng) % 4) {
		case 0:
			first -= first % LA_CHUNK_PAGES;
			nr = LA_CHUNK_PAGES;
			break;
		case 1:
			nr = min(nr, 20UL);
			break;
		case 2:
			first = 0;
			nr = pages;
			break;
		}
		pthread_mutex_lock(&d->lock);
		la_drop(d->mem + (first << LA_PAGE_SHIFT), nr << LA_PAGE_SHIFT);
		d->drops++;
		pthread_mutex_unlock(&d->lock);
		sched_yield();
	}
	return NULL;
}

static void test_unmap(void)
{
	struct dropper d = { .lock = PTHREAD_MUTEX_INITIALIZER };
	const uint64_t pages = test_bytes >> LA_PAGE_SHIFT;
	uint64_t stamp = 0, start_ns, rng = la_seed, *out;
	DECLARE_BITMAP(map, LA_MAX_PAGES);
	pthread_t thread;
	struct la_vm v;

	create_vm(&v, 1, &d.mem);
	out = la_add_out(&v, 0);
	la_agers_start(d.mem, test_bytes, AGE_ALL);
	TEST_ASSERT(!pthread_create(&thread, NULL, dropper_main, &d), "pthread_create");

	start_ns = la_now_ns();
	while (!la_time_is_up(start_ns)) {
		la_sparse_map(map, pages, &rng);
		la_vcpu_do_map(&v, 0, LA_OP_STAMP, LA_GPA, pages, ++stamp, map);
		pthread_mutex_lock(&d.lock);
		la_must_match(&v, 0, LA_GPA, d.mem, pages, out, map);
		pthread_mutex_unlock(&d.lock);
	}
	WRITE_ONCE(d.stop, true);
	pthread_join(thread, NULL);
	la_agers_end(d.drops, "unmapped ranges");
	la_vm_free(&v);
}

static const char *no_small_tables(void)
{
	const size_t bytes = LA_TABLE_SIZE;

	return bytes > SZ_32M ? "tables that map 32 MiB at most" : NULL;
}

/* Tables with one page each come and go, with agers on their way into them. */
static void test_table_ends(void)
{
	const uint64_t gpa = LA_TABLE_GPA(0), tables = 2;
	uint64_t start_ns, i, rounds = 0;
	struct la_vm v;
	char *mem;

	test_bytes = tables * LA_TABLE_SIZE;
	la_vm_create(&v, 1);
	mem = la_alloc(test_bytes);
	la_add_slot(&v, LA_SLOT, 0, gpa, gpa, mem, test_bytes);
	v.step = LA_TABLE_SIZE;

	la_set_stalls(50000, 1);
	la_agers_start(mem, test_bytes, AGE_CLEAR | AGE_WHOLE);
	start_ns = la_now_ns();
	while (!la_time_is_up(start_ns)) {
		la_vcpu_do(&v, 0, LA_OP_STAMP, gpa, tables, ++rounds);
		for (i = 0; i < tables; i++)
			la_drop(mem + i * LA_TABLE_SIZE, LA_TABLE_SIZE);
	}
	la_agers_end(rounds, "rounds of making and unmapping tables");
	la_vm_free(&v);
}

/* A slot is deleted, created elsewhere and moved, while another one is in use. */
static void test_memslots(void)
{
	const uint64_t gpas[] = { LA_GPA, LA_CHUNK_GPA(2), LA_CHUNK_GPA(4) };
	const uint64_t pages = test_bytes >> LA_PAGE_SHIFT;
	uint64_t start_ns, rng = la_seed, *out, at = 0, changes = 0;
	struct la_faulter f = {
		.round = la_fault_in, .vcpu = 1, .gva = OTHER_GPA, .bytes = LA_CHUNK_SIZE,
	};
	DECLARE_BITMAP(map, LA_MAX_PAGES);
	struct la_vm v;
	char *mem;
	int i;

	create_vm(&v, 2, &mem);
	f.v = &v;
	f.mem = la_alloc(f.bytes);
	la_add_slot(&v, OTHER_SLOT, 0, OTHER_GPA, OTHER_GPA, f.mem, f.bytes);
	out = la_add_out(&v, 0);
	for (i = 1; i < ARRAY_SIZE(gpas); i++)
		virt_map(v.vm, gpas[i], gpas[i], pages);

	la_agers_start(mem, test_bytes, AGE_ALL);
	la_faulter_start(&f);
	start_ns = la_now_ns();
	while (!la_time_is_up(start_ns)) {
		la_sparse_map(map, pages, &rng);
		la_vcpu_do_map(&v, 0, LA_OP_STAMP, gpas[at], pages, ++changes, map);
		at = changes % ARRAY_SIZE(gpas);
		/* Without the deletion it is a move. */
		if (changes & 1)
			la_del_slot(&v, LA_SLOT);
		vm_set_user_memory_region(v.vm, LA_SLOT, 0, gpas[at], test_bytes, mem);
		la_must_match(&v, 0, gpas[at], mem, pages, out, map);
	}
	pthread_join(f.thread, NULL);
	la_agers_end(changes, "slot changes");
	la_vm_free(&v);
}

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

	/* Few pages, so that agers and write protection often meet at one. */
	test_bytes = DIRTY_PAGES << LA_PAGE_SHIFT;
	d->manual = manual;
	d->pages = test_bytes >> LA_PAGE_SHIFT;
	d->value = calloc(d->pages, sizeof(*d->value));
	pthread_mutex_init(&d->vcpu_lock, NULL);
	create_vm(&d->v, 1, &d->mem);
	if (manual)
		vm_enable_cap(d->v.vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
			      KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE);

	la_vcpu_do(&d->v, 0, LA_OP_STAMP, LA_GPA, d->pages, ++d->stamp);
	vm_set_user_memory_region(d->v.vm, LA_SLOT, KVM_MEM_LOG_DIRTY_PAGES, LA_GPA, test_bytes,
				  d->mem);
	for (i = 0; i < ARRAY_SIZE(d->log); i++) {
		d->log[i] = bitmap_zalloc(d->pages);
		bitmap_fill(d->log[i], d->pages);
	}

	la_set_stalls(10000, 1);
	la_agers_start(d->mem, test_bytes, AGE_ALL);
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
	la_agers_end(d->batches, "batches of writes");
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

	la_agers_start(mem, HUGE_BYTES, AGE_ALL);
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
	la_agers_end(rounds, "rounds of writes");
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

	la_agers_start(m.mem, HUGE_BYTES, AGE_ALL);
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
	la_agers_end(m.merges, "times pages were merged and split");
	la_vm_free(&v);
}

/*
 * The end of a VM. The VMM is a child; its ager is another process, which has the
 * age files of the VMM's address space and goes on with them whatever becomes of
 * the VMM. All that a VM took must be back afterwards.
 */
enum vm_end {
	END_EXIT,
	END_CLOSE,
	END_KILL,
	/* Another process has the VM's files and closes them while the VMM exits. */
	END_TWICE,
};

/* Who else has the VMM's address space, now and then, and may be the last one. */
enum vm_other { OTHER_NONE, OTHER_READER, OTHER_MGLRU };

/* Each of these is seen to leave nothing, so there have to be enough for that to show. */
#define MIN_VMS		6

struct vm_life {
	enum vm_end end[2];	/* by turns */
	enum vm_other other;
	unsigned int ops;	/* of the agers */
	size_t bytes;
	bool unused;		/* the guest never runs */
	/* From when there is something to age to the end: how long, and stalls meanwhile */
	unsigned int wait_us;
	uint64_t stall_ns;

	bool populated;
	unsigned int begun;	/* of those who race with the end */
	bool ending;
	bool stop;
	uint64_t calls;
	uint64_t other_calls;
};

static void begin_when_populated(struct vm_life *life)
{
	/* Leave the CPU to the VM until there is one. */
	while (!READ_ONCE(life->populated) && !READ_ONCE(life->stop))
		usleep(500);
	__atomic_add_fetch(&life->begun, 1, __ATOMIC_RELAXED);
}

/* They may come late if the CPUs are busy. */
static void wait_until_begun(struct vm_life *life)
{
	while (READ_ONCE(life->begun) < NR_AGERS + !!life->other && !READ_ONCE(life->stop))
		usleep(500);
}

static void vmm_ager(struct vm_life *life, int fd, char *mem, uint64_t rng)
{
	uint64_t calls = 0;

	begin_when_populated(life);
	do {
		calls += la_age_something(fd, mem, life->bytes, life->ops, &rng);
	} while (!READ_ONCE(life->stop));
	__atomic_add_fetch(&life->calls, calls, __ATOMIC_RELAXED);
	_exit(0);
}

/* Reads the VMM's memory over and over, with a reference on its address space. */
static void vmm_reader(struct vm_life *life, int mem_fd, char *mem)
{
	char *copy = la_alloc(life->bytes);
	uint64_t calls = 0;

	begin_when_populated(life);
	/* Until the address space is no more. */
	while (!READ_ONCE(life->stop) &&
	       pread(mem_fd, copy, life->bytes, (off_t)(unsigned long)mem) > 0)
		calls++;
	__atomic_add_fetch(&life->other_calls, calls, __ATOMIC_RELAXED);
	_exit(0);
}

#define LRU_GEN		"/sys/kernel/debug/lru_gen"
#define LRU_GEN_ENABLED	"/sys/kernel/mm/lru_gen/enabled"
#define LRU_GEN_WALKS	2

static const char *no_mglru(void)
{
	char text[16];

	return access(LRU_GEN, W_OK) || !la_read(LRU_GEN_ENABLED, text, sizeof(text)) ||
	       !(strtoul(text, NULL, 0) & LRU_GEN_WALKS) ?
	       LRU_GEN_ENABLED " with walks of page tables" : NULL;
}

/* A pass of MGLRU over the cgroup; false if another one came first. */
static bool age_cgroup(void)
{
	static char text[1 << 16];
	unsigned long memcg = 0, id, seq = 0, gen;
	char path[256], cmd[64], *line, *save;
	bool mine = false;

	TEST_ASSERT(la_read(LRU_GEN, text, sizeof(text)), "Cannot read " LRU_GEN);
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (sscanf(line, "memcg %lu %255s", &id, path) == 2) {
			mine = !strcmp(path, la_cgroup + strlen(CGROUP_ROOT));
			if (mine)
				memcg = id;
		} else if (mine && sscanf(line, " %lu %*u", &gen) == 1) {
			seq = gen;
		}
	}
	TEST_ASSERT(memcg, "No cgroup %s in " LRU_GEN, la_cgroup);
	snprintf(cmd, sizeof(cmd), "+ %lu 0 %lu 1 1\n", memcg, seq);
	return !__la_write(LRU_GEN, cmd);
}

static void vmm_mglru(struct vm_life *life)
{
	uint64_t calls = 0;

	begin_when_populated(life);
	while (!READ_ONCE(life->stop))
		calls += age_cgroup();
	__atomic_add_fetch(&life->other_calls, calls, __ATOMIC_RELAXED);
	_exit(0);
}

static void vmm_closer(struct vm_life *life, struct la_vm *v, uint64_t rng)
{
	while (!READ_ONCE(life->ending) && !READ_ONCE(life->stop))
		usleep(la_random(&rng) % 500);
	kvm_vm_release(v->vm);
	_exit(0);
}

/* Returns in the child only. */
static bool forked(void)
{
	pid_t pid = fork();

	TEST_ASSERT(pid >= 0, "fork: %s", strerror(errno));
	return !pid;
}

static void vmm_main(struct vm_life *life, enum vm_end end, uint64_t rng)
{
	const uint64_t pages = life->bytes >> LA_PAGE_SHIFT;
	DECLARE_BITMAP(map, LA_MAX_PAGES);
	struct la_vm v;
	char *mem;
	int i, fd;

	la_enter_cgroup();
	mem = la_alloc(life->bytes);
	/* The agers first, so that they hold no file of the VM. */
	for (i = 0; i < NR_AGERS; i++) {
		fd = la_age_open();
		if (forked())
			vmm_ager(life, fd, mem, rng + i);
		close(fd);
	}
	if (life->other == OTHER_READER) {
		fd = open("/proc/self/mem", O_RDONLY);
		TEST_ASSERT(fd >= 0, "/proc/self/mem: %s", strerror(errno));
		if (forked())
			vmm_reader(life, fd, mem);
		close(fd);
	}
	if (life->other == OTHER_MGLRU && forked())
		vmm_mglru(life);

	la_vm_create(&v, 1);
	la_add_slot(&v, LA_SLOT, 0, LA_GPA, LA_GPA, mem, life->bytes);
	/* A fork unmaps what the guest has. */
	if (end == END_TWICE && forked())
		vmm_closer(life, &v, rng);
	la_sparse_map(map, pages, &rng);
	__set_bit(0, map);
	if (!life->unused)
		la_touch_map(&v, LA_OP_WRITE, LA_GPA, pages, map);
	/* The other process has the last files of the VM now. */
	if (end == END_TWICE)
		kvm_vm_release(v.vm);
	if (life->stall_ns)
		la_set_stalls(life->stall_ns, 1);
	WRITE_ONCE(life->populated, true);

	/* Killed while the guest runs or faults. A single page has to stay, to be young. */
	while (end == END_KILL) {
		if (pages > 1)
			la_drop(mem, min(life->bytes, LA_CHUNK_SIZE));
		la_touch_map(&v, LA_OP_WRITE, LA_GPA, pages, map);
	}

	wait_until_begun(life);
	usleep(life->wait_us + la_random(&rng) % 3000);
	/* All tables are walked now; it is the agers that shall be late. */
	if (life->stall_ns)
		la_set_stalls(0, 0);
	if (end == END_CLOSE) {
		la_vm_free(&v);
		munmap(mem, life->bytes);
		usleep(5000);
	} else if (end == END_TWICE) {
		WRITE_ONCE(life->ending, true);
		usleep(la_random(&rng) % 500);
	}
	_exit(0);
}

/* It stays a zombie, so that wait_for_all() sees how it ended. */
static bool has_ended(pid_t pid, int options)
{
	siginfo_t info = {};

	TEST_ASSERT(!waitid(P_PID, pid, &info, WEXITED | WNOWAIT | options), "waitid: %s",
		    strerror(errno));
	return info.si_pid == pid;
}

static void wait_for_all(enum vm_end end, pid_t vmm)
{
	int status;
	pid_t pid;

	while ((pid = wait(&status)) > 0) {
		if (pid == vmm && end == END_KILL && WIFSIGNALED(status) &&
		    WTERMSIG(status) == SIGKILL)
			continue;
		TEST_ASSERT(WIFEXITED(status) && !WEXITSTATUS(status),
			    "A child failed, status %#x", status);
	}
}

/* From the first VM to the last of its processes. */
static void vm_lifetime(struct vm_life *life, enum vm_end end, uint64_t *rng)
{
	const struct vm_life plan = *life;
	pid_t pid;

	la_random(rng);
	pid = fork();
	TEST_ASSERT(pid >= 0, "fork: %s", strerror(errno));
	if (!pid)
		vmm_main(life, end, *rng);

	if (end == END_KILL) {
		while (!READ_ONCE(life->populated) && !has_ended(pid, WNOHANG))
			usleep(200);
		wait_until_begun(life);
		usleep(plan.wait_us + la_random(rng) % 5000);
		if (plan.stall_ns)
			la_set_stalls(0, 0);
		kill(pid, SIGKILL);
	}
	has_ended(pid, 0);
	usleep(2000);
	WRITE_ONCE(life->stop, true);
	wait_for_all(end, pid);
}

static void vm_lives(const struct vm_life plan)
{
	uint64_t rng = la_seed, start_ns, vms, calls = 0, other_calls = 0;
	struct la_usage base, last;
	struct vm_life *life;

	TEST_ASSERT(la_make_cgroup("lockless_aging_stress"), "needs cgroup2 with memory at "
		    CGROUP_ROOT);
	life = mmap(NULL, sizeof(*life), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(life != MAP_FAILED, "mmap: %s", strerror(errno));
	/* The agers outlive their parent. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);

	/* One of each first, which make what stays for good. */
	for (vms = 0; vms < 2; vms++) {
		*life = plan;
		vm_lifetime(life, plan.end[vms], &rng);
	}
	/* There is nothing in the cgroup, and no VM. */
	base = la_settled();
	la_stats_zero();
	start_ns = la_now_ns();
	for (vms = 0; vms < MIN_VMS || (plan.other && !other_calls) || !la_time_is_up(start_ns);
	     vms++) {
		*life = plan;
		vm_lifetime(life, plan.end[vms % 2], &rng);
		calls += life->calls;
		other_calls += life->other_calls;
	}
	ksft_print_msg("%lu aging calls against the ends of %lu VMs, %lu by others\n", calls, vms,
		       other_calls);
	la_must_have_aged(calls, plan.ops);

	/* Less than a page for each VM that ended in one of the two ways. */
	TEST_ASSERT(la_usage_returns("cgroup", base, vms, vms / 2 - 1, &last),
		    "Memory of VMs is left");
	la_remove_cgroup();
}

static const char *no_cgroup(void)
{
	bool made = la_make_cgroup("lockless_aging_stress");

	la_remove_cgroup();
	return made ? NULL : "cgroup2 with memory at " CGROUP_ROOT;
}

static void vm_ends(enum vm_end end)
{
	vm_lives((struct vm_life) {
		.end = { end, end }, .ops = AGE_ALL, .bytes = test_bytes,
	});
}

static void test_vm_exit(void)
{
	vm_ends(END_EXIT);
}

static void test_vm_close(void)
{
	vm_ends(END_CLOSE);
}

static void test_vm_kill(void)
{
	vm_ends(END_KILL);
}

/*
 * A VM that never ran has no table but the root: it is gone in no time, and agers
 * spend all of theirs between finding the root and reading it.
 */
static void test_vm_root(void)
{
	vm_lives((struct vm_life) {
		.end = { END_EXIT, END_EXIT }, .ops = AGE_ALL, .bytes = LA_PAGE_SIZE,
		.unused = true, .wait_us = 50000, .stall_ns = 400000000,
	});
}

/*
 * One page that was used, found by agers that flush TLBs for it. They are on their
 * way to it when the VM ends, and flush when the root is gone or about to go.
 */
static void test_vm_flush(void)
{
	vm_lives((struct vm_life) {
		.end = { END_EXIT, END_KILL }, .ops = AGE_FLUSH, .bytes = LA_PAGE_SIZE,
		.wait_us = 50000, .stall_ns = 100000000,
	});
}

/*
 * The notifiers' ->release() runs twice at once: for the address space that ends, and
 * for the VM's last file. While one of them waits for agers, which are late, the other
 * one must not free what these use. That takes long enough for both to get there.
 */
static void test_vm_twice(void)
{
	vm_lives((struct vm_life) {
		.end = { END_TWICE, END_TWICE }, .ops = AGE_ALL, .bytes = LA_PAGE_SIZE,
		.wait_us = 20000, .stall_ns = 400000000,
	});
}

/* The exiting VMM closes the files, and another process ends the address space. */
static void test_vm_pinned(void)
{
	vm_lives((struct vm_life) {
		.end = { END_EXIT, END_KILL }, .other = OTHER_READER, .ops = AGE_ALL,
		.bytes = LA_PAGE_SIZE, .wait_us = 20000, .stall_ns = 400000000,
	});
}

/* The same with MGLRU, which walks the address space and ends it in a worker. */
static void test_vm_mglru(void)
{
	vm_lives((struct vm_life) {
		.end = { END_EXIT, END_KILL }, .other = OTHER_MGLRU, .ops = AGE_ALL,
		.bytes = LA_PAGE_SIZE, .wait_us = 20000, .stall_ns = 400000000,
	});
}

/*
 * KVM_CREATE_VM that is interrupted: the notifier cannot be registered then, and all
 * that was made before has to go.
 */
#define MIN_FAILURES	64

static void on_signal(int sig)
{
}

static void interrupted_vms_main(unsigned int nr)
{
	struct itimerspec once = {}, none = {};
	struct sigaction action = { .sa_handler = on_signal };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	uint64_t start_ns, took_ns = 1000000, rng = la_seed;
	unsigned int made = 0, failed = 0;
	timer_t timer;
	int kvm, vm, error, age;
	char *mem;

	la_enter_cgroup();
	sigaction(SIGUSR1, &action, NULL);
	mem = la_alloc(LA_CHUNK_SIZE);
	age = la_age_open();
	TEST_ASSERT(!timer_create(CLOCK_MONOTONIC, &event, &timer), "timer_create: %s",
		    strerror(errno));
	kvm = open("/dev/kvm", O_RDWR);
	TEST_ASSERT(kvm >= 0, "/dev/kvm: %s", strerror(errno));

	while (failed < nr) {
		/* It counts if the notifier is not registered yet, which comes early on x86. */
		once.it_value.tv_nsec = 1 + la_random(&rng) % (took_ns / 6 + 1);
		start_ns = la_now_ns();
		timer_settime(timer, 0, &once, NULL);
		vm = ioctl(kvm, KVM_CREATE_VM, 0);
		error = errno;
		timer_settime(timer, 0, &none, NULL);
		took_ns = min(la_now_ns() - start_ns, 900000000UL);
		if (vm < 0) {
			TEST_ASSERT(error == EINTR, "KVM_CREATE_VM: %s", strerror(error));
			failed++;
		} else {
			close(vm);
			made++;
		}
		/* By now there is no VM to be asked. */
		la_stats_zero();
		la_age_something(age, mem, LA_CHUNK_SIZE, AGE_ALL, &rng);
		TEST_ASSERT(!la_stats_read().walks, "A VM that is no more was asked");
	}
	ksft_print_msg("%u VMs failed, %u came to be\n", failed, made);
	close(age);
	close(kvm);
}

static void interrupt_vms(unsigned int nr)
{
	int status;

	if (forked()) {
		interrupted_vms_main(nr);
		fflush(stdout);
		_exit(0);
	}
	TEST_ASSERT(wait(&status) > 0 && WIFEXITED(status) && !WEXITSTATUS(status),
		    "A child failed, status %#x", status);
}

/*
 * A root that is charged to nobody, four pages on riscv, shows in what is free. So does
 * what the kernel does by itself, a page or so for each VM if it has sanitizers. A leak
 * is there each time.
 */
static bool memory_returns(void)
{
	const int64_t most_kb = 3 * MIN_FAILURES * LA_PAGE_SIZE / SZ_1K;
	struct la_usage base, last;
	int tries;

	for (tries = 0; tries < 4; tries++) {
		base = la_settled();
		interrupt_vms(MIN_FAILURES);
		TEST_ASSERT(la_usage_returns("cgroup", base, MIN_FAILURES, MIN_FAILURES / 2, &last),
			    "Memory of VMs is left");
		ksft_print_msg("%ld kB of memory unaccounted for at first, %ld in the end\n",
			       base.unknown, last.unknown);
		if (last.unknown < base.unknown + most_kb)
			return true;
	}
	return false;
}

static void test_vm_interrupted(void)
{
	TEST_ASSERT(la_make_cgroup("lockless_aging_stress"), "needs cgroup2 with memory at "
		    CGROUP_ROOT);
	/* A few first, which make what stays for good. */
	interrupt_vms(10);
	TEST_ASSERT(memory_returns(), "Memory of VMs is left");
	la_remove_cgroup();
}

/*
 * What was unmapped stays unmapped. The guest makes pages young, agers set about
 * clearing them, and the pages are dropped in the middle of that. An ager that
 * stores what it read before would bring the old mapping back; then the guest
 * reads the old page instead of what the host puts into the new one.
 */
static void test_zapped_stays_zapped(void)
{
	const size_t bytes = 64 * LA_PAGE_SIZE;
	const uint64_t pages = bytes >> LA_PAGE_SHIFT;
	uint64_t page, gva, stamp = 0, start_ns, rng = la_seed;
	struct la_vm v;
	char *mem;

	test_bytes = bytes;
	create_vm(&v, 1, &mem);

	/* In a window most of the time: there are agers at it when the pages go. */
	la_set_stalls(10000, 1);
	la_agers_start(mem, bytes, AGE_CLEAR);
	start_ns = la_now_ns();
	while (!la_time_is_up(start_ns)) {
		la_vcpu_do(&v, 0, LA_OP_STAMP, LA_GPA, pages, ++stamp);
		if (la_random(&rng) % 2)
			usleep(la_random(&rng) % 300);
		la_drop(mem, bytes);

		stamp++;
		for (page = 0; page < pages; page++) {
			gva = LA_GPA + (page << LA_PAGE_SHIFT);
			*(uint64_t *)(mem + (page << LA_PAGE_SHIFT)) = la_value(stamp, gva);
		}
		la_must_hold(&v, 0, LA_GPA, pages, stamp);
	}
	la_agers_end(stamp / 2, "rounds of unmapping");
	la_vm_free(&v);
}

/* Old memory that nobody touches stays old, whatever else goes on. */
static void test_young_not_invented(void)
{
	const uint64_t pages = test_bytes >> LA_PAGE_SHIFT;
	struct la_faulter f = {
		.round = la_fault_in, .vcpu = 1, .gva = OTHER_GPA, .bytes = LA_CHUNK_SIZE,
	};
	unsigned long *log = bitmap_zalloc(pages);
	uint64_t start_ns, young, rounds = 0;
	struct la_vm v;
	char *mem;

	create_vm(&v, 2, &mem);
	f.v = &v;
	f.mem = la_alloc(f.bytes);
	la_add_slot(&v, OTHER_SLOT, 0, OTHER_GPA, OTHER_GPA, f.mem, f.bytes);
	la_vcpu_do(&v, 0, LA_OP_STAMP, LA_GPA, pages, 1);
	la_clear_pages(v.age, mem, test_bytes);

	la_agers_start(mem, test_bytes, AGE_TEST);
	la_faulter_start(&f);
	start_ns = la_now_ns();
	while (!la_time_is_up(start_ns)) {
		vm_set_user_memory_region(v.vm, LA_SLOT, KVM_MEM_LOG_DIRTY_PAGES, LA_GPA,
					  test_bytes, mem);
		kvm_vm_get_dirty_log(v.vm, LA_SLOT, log);
		vm_set_user_memory_region(v.vm, LA_SLOT, 0, LA_GPA, test_bytes, mem);
		rounds++;
	}
	pthread_join(f.thread, NULL);
	la_agers_end(rounds, "times dirty logging went on and off");
	young = la_test(v.age, mem, test_bytes);
	TEST_ASSERT(!young, "%lu of %lu pages that nobody touched are young", young, pages);
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
 * clear: the ager may lose the race for an entry and then leaves it young, but it
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

	test_bytes = d.bytes;
	create_vm(&w.v, 1, &d.mem);
	vm_set_user_memory_region(w.v.vm, LA_SLOT, KVM_MEM_LOG_DIRTY_PAGES, LA_GPA, test_bytes,
				  d.mem);

	la_set_stalls(0, 0);
	start_ns = la_now_ns();
	while (!la_time_is_up(start_ns)) {
		la_flush_tlb(&w.v);
		la_vcpu_do(&w.v, 0, LA_OP_STAMP, LA_GPA, pages, ++rounds);
		d.step = rounds & 1 ? LA_PAGE_SIZE : 0;
		stats = la_duel(&d, collect_log, &w);

		lost += stats.lost;
		young = la_young_leaves(&w.v, d.mem, test_bytes);
		TEST_ASSERT(WRITERS_UNDO_AGING || young <= stats.lost,
			    "%lu of %lu pages are young again, of which %lu were left so",
			    young, pages, stats.lost);
		undone += young - min(young, stats.lost);
		for (page = 0; page < pages; page++)
			TEST_ASSERT(test_bit(page, w.log),
				    "Round %lu: page %lu was written to and is not in the dirty log",
				    rounds, page);
	}
	ksft_print_msg("%lu rounds, the ager lost %lu races, writers undid %lu agings\n", rounds,
		       lost, undone);
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
	{ "faults",			test_faults },
	{ "switch_flips",		test_switch_flips },
	{ "young_faults",		test_young_faults },
	{ "same_fault",			test_same_fault },
	{ "unmap",			test_unmap },
	{ "table_ends",			test_table_ends,	no_small_tables },
	{ "memslots",			test_memslots },
	{ "dirty_log",			test_dirty_log },
	{ "dirty_log_clear",		test_dirty_log_clear,	no_dirty_log_clear },
	{ "hugetlb_dirty_log",		test_hugetlb_dirty_log,	no_hugetlb },
	{ "hugetlb_eager_split",	test_hugetlb_eager_split, no_eager_split },
	{ "block_transitions",		test_block_transitions,	no_thp },
	{ "vm_exit",			test_vm_exit,		no_cgroup },
	{ "vm_close",			test_vm_close,		no_cgroup },
	{ "vm_kill",			test_vm_kill,		no_cgroup },
	{ "vm_root",			test_vm_root,		no_cgroup },
	{ "vm_flush",			test_vm_flush,		no_cgroup },
	{ "vm_twice",			test_vm_twice,		no_cgroup },
	{ "vm_pinned",			test_vm_pinned,		no_cgroup },
	{ "vm_mglru",			test_vm_mglru,		no_mglru },
	{ "vm_interrupted",		test_vm_interrupted,	no_cgroup },
	{ "zapped_stays_zapped",	test_zapped_stays_zapped },
	{ "young_not_invented",		test_young_not_invented },
	{ "wrprotect_keeps_old",	test_wrprotect_keeps_old },
	{ "split_races_clear",		test_split_races_clear,	no_eager_split },
};

static void help(const char *name)
{
	printf("usage: %s [-h] [-t seconds] [-m MiB] [-s seed] [-n name]...\n"
	       " -m: MiB of guest memory, a multiple of %lu (which is the default; most: %lu)\n",
	       name, 2 * LA_CHUNK_SIZE / SZ_1M, LA_MAX_PAGES * LA_PAGE_SIZE / SZ_1M);
	la_race_help(tests, ARRAY_SIZE(tests));
}

int main(int argc, char *argv[])
{
	int opt;

	la_seed = time(NULL);
	test_bytes = 2 * LA_CHUNK_SIZE;
	while ((opt = getopt(argc, argv, RACE_OPTIONS "m:")) != -1) {
		if (la_race_option(tests, ARRAY_SIZE(tests), opt))
			continue;
		if (opt == 'm') {
			test_bytes = (size_t)atoi_positive("MiB", optarg) * SZ_1M;
			if (!(test_bytes % (2 * LA_CHUNK_SIZE)) &&
			    test_bytes <= LA_MAX_PAGES * LA_PAGE_SIZE)
				continue;
		}
		help(argv[0]);
		return opt == 'h' ? KSFT_PASS : KSFT_FAIL;
	}
	la_race_main(tests, ARRAY_SIZE(tests));
}
