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

#include "lockless_aging_race.h"

#define OTHER_SLOT	(LA_SLOT + 1)
#define OTHER_GPA	LA_TABLE_GPA(8)
/* Of most tests' guests */
#define TEST_BYTES	(2 * LA_CHUNK_SIZE)

/*
 * Guests
 */

static void fault_in_parallel(struct la_vm *v, char *mem, void (*meanwhile)(uint64_t start_ns))
{
	struct la_faulter f[2];
	int i;

	for (i = 0; i < ARRAY_SIZE(f); i++) {
		f[i] = (struct la_faulter) {
			.round = la_fault_in,
			.v = v,
			.vcpu = i,
			.gva = LA_GPA + i * TEST_BYTES / 2,
			.mem = mem + i * TEST_BYTES / 2,
			.bytes = TEST_BYTES / 2,
		};
		la_faulter_start(&f[i]);
	}
	if (meanwhile)
		meanwhile(la_now_ns());
	for (i = 0; i < ARRAY_SIZE(f); i++)
		pthread_join(f[i].thread, NULL);
	la_aging_end(f[0].rounds + f[1].rounds, "rounds of faulting memory in");
}

static void test_faults(void)
{
	struct la_vm v;
	char *mem;

	mem = la_vm_create_mem(&v, 2, TEST_BYTES);
	la_aging_start(mem, TEST_BYTES, AGE_ALL);
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

	mem = la_vm_create_mem(&v, 2, TEST_BYTES);
	la_aging_start(mem, TEST_BYTES, AGE_ALL);
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
 * Few pages, which vCPUs make young while aging threads make them old, as fast as either
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

	mem = la_vm_create_mem(&v, ARRAY_SIZE(f), PAGES(pages));
	la_vcpu_do(&v, 0, LA_OP_STAMP, LA_GPA, pages, 1);

	la_set_stalls(10000, 1);
	la_aging_start(mem, PAGES(pages), AGE_CLEAR);
	for (i = 0; i < ARRAY_SIZE(f); i++) {
		f[i] = (struct la_faulter) {
			.round = touch_again,
			.v = &v,
			.vcpu = i,
			.gva = LA_GPA,
			.mem = mem,
			.bytes = PAGES(pages),
			.min_rounds = 4,
		};
		la_faulter_start(&f[i]);
	}
	for (i = 0; i < ARRAY_SIZE(f); i++)
		pthread_join(f[i].thread, NULL);
	la_aging_end(f[0].rounds + f[1].rounds, "rounds of touching 16 pages");

	/* What is left of it: nothing. */
	for (i = 0; i < pages; i++) {
		la_clear_range(v.age, mem, PAGES(pages));
		TEST_ASSERT(!la_test(v.age, mem, PAGES(pages)), "Cleared pages are young");
		la_flush_tlb(&v);
		la_touch(&v, i & 1 ? LA_OP_READ : LA_OP_WRITE, LA_GPA, i + 1);
		TEST_ASSERT(la_test(v.age, mem, PAGES(pages)) == i + 1 &&
			    la_test(v.age, mem, (i + 1) << LA_PAGE_SHIFT) == i + 1,
			    "%lu pages are young, not the %d that were touched",
			    la_test(v.age, mem, PAGES(pages)), i + 1);
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

	mem = la_vm_create_mem(&t.v, 2, PAGES(t.pages));
	pthread_barrier_init(&t.barrier, NULL, 2);
	la_aging_start(mem, PAGES(t.pages), AGE_ALL);
	TEST_ASSERT(!pthread_create(&thread, NULL, twin_main, &t), "pthread_create");

	start_ns = la_now_ns();
	while (!la_time_is_up(start_ns)) {
		la_drop(mem, PAGES(t.pages));
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
	la_aging_end(rounds, "rounds of two vCPUs faulting the same 64 pages in");
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
	const uint64_t pages = TEST_BYTES >> LA_PAGE_SHIFT;

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
	const uint64_t pages = TEST_BYTES >> LA_PAGE_SHIFT;
	uint64_t stamp = 0, start_ns, rng = la_seed, *out;
	DECLARE_BITMAP(map, LA_MAX_PAGES);
	pthread_t thread;
	struct la_vm v;

	d.mem = la_vm_create_mem(&v, 1, TEST_BYTES);
	out = la_add_out(&v, 0);
	la_aging_start(d.mem, TEST_BYTES, AGE_ALL);
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
	la_aging_end(d.drops, "unmapped ranges");
	la_vm_free(&v);
}

static const char *no_small_tables(void)
{
	const size_t bytes = LA_TABLE_SIZE;

	return bytes > SZ_32M ? "tables that map 32 MiB at most" : NULL;
}

/* Tables with one page each come and go, with aging threads on their way into them. */
static void test_table_ends(void)
{
	const uint64_t gpa = LA_TABLE_GPA(0), tables = 2;
	uint64_t start_ns, i, rounds = 0;
	struct la_vm v;
	char *mem;

	la_vm_create(&v, 1);
	mem = la_alloc(tables * LA_TABLE_SIZE);
	la_add_slot(&v, LA_SLOT, 0, gpa, gpa, mem, tables * LA_TABLE_SIZE);
	v.step = LA_TABLE_SIZE;

	la_set_stalls(50000, 1);
	la_aging_start(mem, tables * LA_TABLE_SIZE, AGE_CLEAR | AGE_WHOLE);
	start_ns = la_now_ns();
	while (!la_time_is_up(start_ns)) {
		la_vcpu_do(&v, 0, LA_OP_STAMP, gpa, tables, ++rounds);
		for (i = 0; i < tables; i++)
			la_drop(mem + i * LA_TABLE_SIZE, LA_TABLE_SIZE);
	}
	la_aging_end(rounds, "rounds of making and unmapping tables");
	la_vm_free(&v);
}

/* A slot is deleted, created elsewhere and moved, while another one is in use. */
static void test_memslots(void)
{
	const uint64_t gpas[] = { LA_GPA, LA_CHUNK_GPA(2), LA_CHUNK_GPA(4) };
	const uint64_t pages = TEST_BYTES >> LA_PAGE_SHIFT;
	uint64_t start_ns, rng = la_seed, *out, at = 0, changes = 0;
	struct la_faulter f = {
		.round = la_fault_in, .vcpu = 1, .gva = OTHER_GPA, .bytes = LA_CHUNK_SIZE,
	};
	DECLARE_BITMAP(map, LA_MAX_PAGES);
	struct la_vm v;
	char *mem;
	int i;

	mem = la_vm_create_mem(&v, 2, TEST_BYTES);
	f.v = &v;
	f.mem = la_alloc(f.bytes);
	la_add_slot(&v, OTHER_SLOT, 0, OTHER_GPA, OTHER_GPA, f.mem, f.bytes);
	out = la_add_out(&v, 0);
	for (i = 1; i < ARRAY_SIZE(gpas); i++)
		virt_map(v.vm, gpas[i], gpas[i], pages);

	la_aging_start(mem, TEST_BYTES, AGE_ALL);
	la_faulter_start(&f);
	start_ns = la_now_ns();
	while (!la_time_is_up(start_ns)) {
		la_sparse_map(map, pages, &rng);
		la_vcpu_do_map(&v, 0, LA_OP_STAMP, gpas[at], pages, ++changes, map);
		at = changes % ARRAY_SIZE(gpas);
		/* Without the deletion it is a move. */
		if (changes & 1)
			la_del_slot(&v, LA_SLOT);
		vm_set_user_memory_region(v.vm, LA_SLOT, 0, gpas[at], TEST_BYTES, mem);
		la_must_match(&v, 0, gpas[at], mem, pages, out, map);
	}
	pthread_join(f.thread, NULL);
	la_aging_end(changes, "slot changes");
	la_vm_free(&v);
}

/*
 * What was unmapped stays unmapped. The guest makes pages young, aging threads set about
 * clearing them, and the pages are dropped in the middle of that. An aging thread that
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

	mem = la_vm_create_mem(&v, 1, bytes);

	/* In a window most of the time: there are aging threads at it when the pages go. */
	la_set_stalls(10000, 1);
	la_aging_start(mem, bytes, AGE_CLEAR);
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
	la_aging_end(stamp / 2, "rounds of unmapping");
	la_vm_free(&v);
}

/* Old memory that nobody touches stays old, whatever else goes on. */
static void test_young_not_invented(void)
{
	const uint64_t pages = TEST_BYTES >> LA_PAGE_SHIFT;
	struct la_faulter f = {
		.round = la_fault_in, .vcpu = 1, .gva = OTHER_GPA, .bytes = LA_CHUNK_SIZE,
	};
	unsigned long *log = bitmap_zalloc(pages);
	uint64_t start_ns, young, rounds = 0;
	struct la_vm v;
	char *mem;

	mem = la_vm_create_mem(&v, 2, TEST_BYTES);
	f.v = &v;
	f.mem = la_alloc(f.bytes);
	la_add_slot(&v, OTHER_SLOT, 0, OTHER_GPA, OTHER_GPA, f.mem, f.bytes);
	la_vcpu_do(&v, 0, LA_OP_STAMP, LA_GPA, pages, 1);
	la_clear_pages(v.age, mem, TEST_BYTES);

	la_aging_start(mem, TEST_BYTES, AGE_TEST);
	la_faulter_start(&f);
	start_ns = la_now_ns();
	while (!la_time_is_up(start_ns)) {
		vm_set_user_memory_region(v.vm, LA_SLOT, KVM_MEM_LOG_DIRTY_PAGES, LA_GPA,
					  TEST_BYTES, mem);
		kvm_vm_get_dirty_log(v.vm, LA_SLOT, log);
		vm_set_user_memory_region(v.vm, LA_SLOT, 0, LA_GPA, TEST_BYTES, mem);
		rounds++;
	}
	pthread_join(f.thread, NULL);
	la_aging_end(rounds, "times dirty logging went on and off");
	young = la_test(v.age, mem, TEST_BYTES);
	TEST_ASSERT(!young, "%lu of %lu pages that nobody touched are young", young, pages);
	la_vm_free(&v);
}

static struct la_race_test tests[] = {
	{ "faults",			test_faults },
	{ "switch_flips",		test_switch_flips },
	{ "young_faults",		test_young_faults },
	{ "same_fault",			test_same_fault },
	{ "unmap",			test_unmap },
	{ "table_ends",			test_table_ends,	no_small_tables },
	{ "memslots",			test_memslots },
	{ "zapped_stays_zapped",	test_zapped_stays_zapped },
	{ "young_not_invented",		test_young_not_invented },
};

int main(int argc, char *argv[])
{
	la_race_main(argc, argv, tests, ARRAY_SIZE(tests), NULL);
}
