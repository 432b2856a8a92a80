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

#include "lockless_aging.h"

#define NR_AGERS	2
#define OTHER_SLOT	(LA_SLOT + 1)
#define OTHER_GPA	(LA_GPA + SZ_1G)
/* Where op COPY puts what the guest read, by vCPU. */
#define OUT_GPA(vcpu)	(LA_GPA + 2UL * SZ_1G + (vcpu) * LA_TABLE_SIZE)
#define OUT_SLOT(vcpu)	(LA_SLOT + 8 + (vcpu))

static unsigned int seconds = 3;
static size_t test_bytes = 4 * SZ_1M;
static uint64_t seed;

/*
 * Agers
 */

enum { AGE_ALL = 7, AGE_CLEAR = 1, AGE_FLUSH = 2, AGE_TEST = 4 };

struct ager {
	pthread_t thread;
	char *mem;
	size_t bytes;
	unsigned int ops;
	uint64_t rng;
	uint64_t calls;
	bool *stop;
};

static bool time_is_up(uint64_t start_ns)
{
	return la_now_ns() - start_ns >= seconds * (uint64_t)NSEC_PER_SEC;
}

/* One command: any op allowed; half of them on all of the memory; any step. */
static uint64_t age_something(int fd, char *mem, size_t bytes, unsigned int ops, uint64_t *rng)
{
	static const char * const names[] = { "clear", "flush", "test" };
	const uint64_t pages = bytes >> LA_PAGE_SHIFT;
	uint64_t first = 0, nr = pages;
	size_t step;
	int op;

	do {
		op = la_random(rng) % ARRAY_SIZE(names);
	} while (!(ops & 1U << op));

	if (la_random(rng) % 2) {
		first = la_random(rng) % pages;
		nr = 1 + la_random(rng) % (pages - first);
	}
	switch (la_random(rng) % 4) {
	case 0:
		step = 0;
		break;
	case 1:
		step = LA_PAGE_SIZE;
		break;
	case 2:
		step = LA_TABLE_SIZE;
		break;
	default:
		step = (1 + la_random(rng) % 100) << LA_PAGE_SHIFT;
		break;
	}
	return la_age(fd, names[op], mem + (first << LA_PAGE_SHIFT), nr << LA_PAGE_SHIFT,
		      step).calls;
}

static void *ager_main(void *arg)
{
	struct ager *a = arg;
	int fd = la_age_open();

	while (!READ_ONCE(*a->stop))
		a->calls += age_something(fd, a->mem, a->bytes, a->ops, &a->rng);
	close(fd);
	return NULL;
}

static struct ager agers[NR_AGERS];
static bool agers_stop;

static void agers_start(char *mem, size_t bytes, unsigned int ops)
{
	int i;

	la_stats_zero();
	WRITE_ONCE(agers_stop, false);
	for (i = 0; i < NR_AGERS; i++) {
		agers[i] = (struct ager) {
			.mem = mem,
			.bytes = bytes,
			.ops = ops,
			.rng = seed + i,
			.stop = &agers_stop,
		};
		TEST_ASSERT(!pthread_create(&agers[i].thread, NULL, ager_main, &agers[i]),
			    "pthread_create");
	}
}

/* A race that never ran proves nothing: the agers must have done something. */
static void agers_end(uint64_t work, const char *unit)
{
	uint64_t calls = 0;
	int i;

	WRITE_ONCE(agers_stop, true);
	for (i = 0; i < NR_AGERS; i++) {
		pthread_join(agers[i].thread, NULL);
		calls += agers[i].calls;
	}
	ksft_print_msg("%lu aging calls against %lu %s; the agers lost %lu races\n",
		       calls, work, unit, la_stats_read().lost);
	TEST_ASSERT(calls && work, "Nothing raced");
}

/*
 * Guests
 */

static void create_vm(struct la_vm *v, int nr_vcpus, char **mem)
{
	la_vm_create(v, nr_vcpus);
	*mem = la_alloc(test_bytes);
	la_add_slot(v, LA_SLOT, 0, LA_GPA, LA_GPA, *mem, test_bytes);
}

/* Where the vCPU copies up to LA_MAX_PAGES stamps to; mapped before it is used. */
static uint64_t *add_out(struct la_vm *v, int vcpu)
{
	const size_t bytes = LA_MAX_PAGES * sizeof(uint64_t);
	uint64_t *out = la_alloc(bytes);

	la_add_slot(v, OUT_SLOT(vcpu), 0, OUT_GPA(vcpu), OUT_GPA(vcpu), out, bytes);
	v->cmds[vcpu].out = OUT_GPA(vcpu);
	return out;
}

static void must_hold(struct la_vm *v, int vcpu, uint64_t gva, uint64_t pages, uint64_t stamp)
{
	struct la_cmd *cmd = la_vcpu_do(v, vcpu, LA_OP_CHECK, gva, pages, stamp);

	TEST_ASSERT(!cmd->bad, "%lu of %lu pages have changed: gva %#lx holds %#lx, not %#lx",
		    cmd->bad, pages, cmd->bad_gva, cmd->bad_value, la_value(stamp, cmd->bad_gva));
}

/*
 * A few pages of each table: under emulation a fault takes so long that touching
 * them all would leave little time for what they race with.
 */
static void sparse_map(unsigned long *map, uint64_t pages, uint64_t *rng)
{
	uint64_t page;

	bitmap_zero(map, LA_MAX_PAGES);
	for (page = la_random(rng) % 32; page < pages; page += 1 + la_random(rng) % 64)
		__set_bit(page, map);
}

/* What the guest reads at @gva is what the host has in @mem, for the pages of @map. */
static void must_match(struct la_vm *v, int vcpu, uint64_t gva, char *mem, uint64_t pages,
		       const uint64_t *out, const unsigned long *map)
{
	uint64_t i, host;

	la_vcpu_do_map(v, vcpu, LA_OP_COPY, gva, pages, 0, map);
	for (i = 0; i < pages; i++) {
		if (!test_bit(i, map))
			continue;
		host = *(uint64_t *)(mem + (i << LA_PAGE_SHIFT));
		TEST_ASSERT(out[i] == host, "Page %lu: the guest reads %#lx, the host has %#lx",
			    i, out[i], host);
	}
}

static void drop(char *mem, size_t bytes)
{
	TEST_ASSERT(!madvise(mem, bytes, MADV_DONTNEED), "MADV_DONTNEED: %s", strerror(errno));
}

struct faulter {
	struct la_vm *v;
	pthread_t thread;
	int vcpu;
	uint64_t gva;
	char *mem;
	size_t bytes;
	uint64_t rounds;
	uint64_t start_ns;
};

/* Faults its part of memory in afresh, again and again. */
static void *faulter_main(void *arg)
{
	struct faulter *f = arg;
	const uint64_t pages = f->bytes >> LA_PAGE_SHIFT;

	while (!time_is_up(f->start_ns)) {
		f->rounds++;
		drop(f->mem, f->bytes);
		la_vcpu_do(f->v, f->vcpu, LA_OP_STAMP, f->gva, pages, f->rounds);
		must_hold(f->v, f->vcpu, f->gva, pages, f->rounds);
	}
	return NULL;
}

static void faulter_start(struct faulter *f)
{
	f->start_ns = la_now_ns();
	TEST_ASSERT(!pthread_create(&f->thread, NULL, faulter_main, f), "pthread_create");
}

static void fault_in_parallel(struct la_vm *v, char *mem, void (*meanwhile)(uint64_t start_ns))
{
	struct faulter f[2];
	int i;

	for (i = 0; i < ARRAY_SIZE(f); i++) {
		f[i] = (struct faulter) {
			.v = v,
			.vcpu = i,
			.gva = LA_GPA + i * test_bytes / 2,
			.mem = mem + i * test_bytes / 2,
			.bytes = test_bytes / 2,
		};
		faulter_start(&f[i]);
	}
	if (meanwhile)
		meanwhile(la_now_ns());
	for (i = 0; i < ARRAY_SIZE(f); i++)
		pthread_join(f[i].thread, NULL);
	agers_end(f[0].rounds + f[1].rounds, "rounds of faulting memory in");
}

static void test_faults(void)
{
	struct la_vm v;
	char *mem;

	create_vm(&v, 2, &mem);
	agers_start(mem, test_bytes, AGE_ALL);
	fault_in_parallel(&v, mem, NULL);
	la_vm_free(&v);
}

/* The operator changes the mind: both ways of aging, and the change itself. */
static void flip_switch(uint64_t start_ns)
{
	bool on = true;

	while (!time_is_up(start_ns)) {
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
	agers_start(mem, test_bytes, AGE_ALL);
	fault_in_parallel(&v, mem, flip_switch);
	la_vm_free(&v);
}

/*
 * Unmapping: a thread drops random ranges, and whole tables' worth of them, under
 * the guest's feet. In between it holds still and both sides compare notes.
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
	uint64_t rng = seed + 77, first, nr;
	const uint64_t pages = test_bytes >> LA_PAGE_SHIFT;

	while (!READ_ONCE(d->stop)) {
		first = la_random(&rng) % pages;
		nr = 1 + la_random(&rng) % (pages - first);
		switch (la_random(&rng) % 4) {
		case 0:
			first -= first % LA_TABLE_PAGES;
			nr = LA_TABLE_PAGES;
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
		drop(d->mem + (first << LA_PAGE_SHIFT), nr << LA_PAGE_SHIFT);
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
	uint64_t stamp = 0, start_ns, rng = seed, *out;
	DECLARE_BITMAP(map, LA_MAX_PAGES);
	pthread_t thread;
	struct la_vm v;

	create_vm(&v, 1, &d.mem);
	out = add_out(&v, 0);
	agers_start(d.mem, test_bytes, AGE_ALL);
	TEST_ASSERT(!pthread_create(&thread, NULL, dropper_main, &d), "pthread_create");

	start_ns = la_now_ns();
	while (!time_is_up(start_ns)) {
		sparse_map(map, pages, &rng);
		la_vcpu_do_map(&v, 0, LA_OP_STAMP, LA_GPA, pages, ++stamp, map);
		pthread_mutex_lock(&d.lock);
		must_match(&v, 0, LA_GPA, d.mem, pages, out, map);
		pthread_mutex_unlock(&d.lock);
	}
	WRITE_ONCE(d.stop, true);
	pthread_join(thread, NULL);
	agers_end(d.drops, "unmapped ranges");
	la_vm_free(&v);
}

/* A slot is deleted, created elsewhere and moved, while another one is in use. */
static void test_memslots(void)
{
	const uint64_t gpas[] = { LA_GPA, LA_GPA + 256 * SZ_1M, LA_GPA + 512 * SZ_1M };
	const uint64_t pages = test_bytes >> LA_PAGE_SHIFT;
	uint64_t start_ns, rng = seed, *out, at = 0, changes = 0;
	struct faulter f = { .vcpu = 1, .gva = OTHER_GPA, .bytes = LA_TABLE_SIZE };
	DECLARE_BITMAP(map, LA_MAX_PAGES);
	struct la_vm v;
	char *mem;
	int i;

	create_vm(&v, 2, &mem);
	f.v = &v;
	f.mem = la_alloc(f.bytes);
	la_add_slot(&v, OTHER_SLOT, 0, OTHER_GPA, OTHER_GPA, f.mem, f.bytes);
	out = add_out(&v, 0);
	for (i = 1; i < ARRAY_SIZE(gpas); i++)
		virt_map(v.vm, gpas[i], gpas[i], pages);

	agers_start(mem, test_bytes, AGE_ALL);
	faulter_start(&f);
	start_ns = la_now_ns();
	while (!time_is_up(start_ns)) {
		sparse_map(map, pages, &rng);
		la_vcpu_do_map(&v, 0, LA_OP_STAMP, gpas[at], pages, ++changes, map);
		at = changes % ARRAY_SIZE(gpas);
		/* Without the deletion it is a move. */
		if (changes & 1)
			la_del_slot(&v, LA_SLOT);
		vm_set_user_memory_region(v.vm, LA_SLOT, 0, gpas[at], test_bytes, mem);
		must_match(&v, 0, gpas[at], mem, pages, out, map);
	}
	pthread_join(f.thread, NULL);
	agers_end(changes, "slot changes");
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
	uint64_t rng = seed + 99;
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
	uint64_t round, start_ns, rng = seed;
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
	agers_start(d->mem, test_bytes, AGE_ALL);
	TEST_ASSERT(!pthread_create(&thread, NULL, dirty_vcpu_main, d), "pthread_create");
	start_ns = la_now_ns();
	for (round = 0; !time_is_up(start_ns); round++) {
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
	agers_end(d->batches, "batches of writes");
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

#define HUGETLB_BYTES	(2 * LA_TABLE_SIZE)

static const char *no_hugetlb(void)
{
	void *mem = la_alloc_hugetlb(HUGETLB_BYTES);

	if (!mem)
		return "2 huge pages of 2M (/proc/sys/vm/nr_hugepages)";
	munmap(mem, HUGETLB_BYTES);
	return NULL;
}

/* Dirty logging splits huge leaves; without it they come back. */
static void test_hugetlb_dirty_log(void)
{
	const size_t bytes = HUGETLB_BYTES;
	const uint64_t pages = bytes >> LA_PAGE_SHIFT;
	unsigned long *log = bitmap_zalloc(pages);
	uint64_t start_ns, page, rounds = 0;
	struct la_vm v;
	char *mem;

	mem = la_alloc_hugetlb(bytes);
	la_vm_create(&v, 1);
	la_add_slot(&v, LA_SLOT, 0, LA_GPA, LA_GPA, mem, bytes);

	agers_start(mem, bytes, AGE_ALL);
	start_ns = la_now_ns();
	while (!time_is_up(start_ns)) {
		/* Huge leaves, to be split. Every other time they come after tables. */
		if (rounds % 2)
			drop(mem, bytes);
		la_vcpu_do(&v, 0, LA_OP_STAMP, LA_GPA, pages, ++rounds);

		vm_set_user_memory_region(v.vm, LA_SLOT, KVM_MEM_LOG_DIRTY_PAGES, LA_GPA, bytes,
					  mem);
		must_hold(&v, 0, LA_GPA, pages, rounds);
		la_vcpu_do(&v, 0, LA_OP_STAMP, LA_GPA, pages / 2 + 7, ++rounds);
		bitmap_zero(log, pages);
		kvm_vm_get_dirty_log(v.vm, LA_SLOT, log);
		for (page = 0; page < pages / 2 + 7; page++)
			TEST_ASSERT(test_bit(page, log), "Page %lu is not in the dirty log", page);
		must_hold(&v, 0, LA_GPA, pages / 2 + 7, rounds);

		vm_set_user_memory_region(v.vm, LA_SLOT, 0, LA_GPA, bytes, mem);
		la_vcpu_do(&v, 0, LA_OP_STAMP, LA_GPA, pages, ++rounds);
		must_hold(&v, 0, LA_GPA, pages, rounds);
	}
	agers_end(rounds, "rounds of writes");
	la_vm_free(&v);
}

/*
 * The end of a VM. The VMM is a child; its ager is another process, which has the
 * age files of the VMM's address space and goes on with them whatever becomes of
 * the VMM.
 */
enum vm_end { END_EXIT, END_CLOSE, END_KILL, END_UNUSED };

struct vm_life {
	bool populated;
	bool stop;
	uint64_t calls;
};

static void vmm_ager(struct vm_life *life, int fd, char *mem, size_t bytes, uint64_t rng)
{
	uint64_t calls = 0;

	/* Leave the CPU to the VM until there is one. */
	while (!READ_ONCE(life->populated) && !READ_ONCE(life->stop))
		usleep(500);
	while (!READ_ONCE(life->stop))
		calls += age_something(fd, mem, bytes, AGE_ALL, &rng);
	__atomic_add_fetch(&life->calls, calls, __ATOMIC_RELAXED);
	_exit(0);
}

static void vmm_main(struct vm_life *life, enum vm_end end, uint64_t rng)
{
	const size_t bytes = end == END_UNUSED ? LA_PAGE_SIZE : test_bytes;
	const uint64_t pages = bytes >> LA_PAGE_SHIFT;
	DECLARE_BITMAP(map, LA_MAX_PAGES);
	char *mem = la_alloc(bytes);
	struct la_vm v;
	int i, fd;

	/* The agers first, so that they hold no file of the VM. */
	for (i = 0; i < NR_AGERS; i++) {
		fd = la_age_open();
		switch (fork()) {
		case -1:
			TEST_FAIL("fork: %s", strerror(errno));
		case 0:
			vmm_ager(life, fd, mem, bytes, rng + i);
		}
		close(fd);
	}

	la_vm_create(&v, 1);
	la_add_slot(&v, LA_SLOT, 0, LA_GPA, LA_GPA, mem, bytes);
	if (end != END_UNUSED) {
		sparse_map(map, pages, &rng);
		la_touch_map(&v, LA_OP_WRITE, LA_GPA, pages, map);
	}
	WRITE_ONCE(life->populated, true);

	switch (end) {
	case END_UNUSED:
		/* Give the agers the time to get going. */
		usleep(50000);
		_exit(0);
	case END_EXIT:
		usleep(la_random(&rng) % 3000);
		_exit(0);
	case END_CLOSE:
		usleep(la_random(&rng) % 3000);
		la_vm_free(&v);
		munmap(mem, bytes);
		usleep(5000);
		_exit(0);
	case END_KILL:
		/* Killed while the guest runs or faults. */
		for (;;) {
			drop(mem, LA_TABLE_SIZE);
			la_touch_map(&v, LA_OP_WRITE, LA_GPA, pages, map);
		}
	}
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

static void vm_lives(enum vm_end end)
{
	uint64_t rng = seed, start_ns = la_now_ns(), vms = 0, calls = 0;
	struct vm_life *life;
	pid_t pid;

	life = mmap(NULL, sizeof(*life), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(life != MAP_FAILED, "mmap: %s", strerror(errno));
	/* The agers outlive their parent. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);

	while (!time_is_up(start_ns)) {
		*life = (struct vm_life) {};
		la_random(&rng);
		pid = fork();
		TEST_ASSERT(pid >= 0, "fork: %s", strerror(errno));
		if (!pid)
			vmm_main(life, end, rng);

		if (end == END_KILL) {
			while (!READ_ONCE(life->populated) && !has_ended(pid, WNOHANG))
				usleep(200);
			usleep(la_random(&rng) % 5000);
			kill(pid, SIGKILL);
		}
		has_ended(pid, 0);
		usleep(2000);
		WRITE_ONCE(life->stop, true);
		wait_for_all(end, pid);
		calls += life->calls;
		vms++;
	}
	ksft_print_msg("%lu aging calls against the ends of %lu VMs\n", calls, vms);
	TEST_ASSERT(calls && vms, "Nothing raced");
}

static void test_vm_exit(void)
{
	vm_lives(END_EXIT);
}

static void test_vm_close(void)
{
	vm_lives(END_CLOSE);
}

static void test_vm_kill(void)
{
	vm_lives(END_KILL);
}

/*
 * A VM that never ran has no table but the root: it is gone in no time, and agers
 * spend all of theirs between finding the root and reading it.
 */
static void test_vm_root(void)
{
	la_set_stalls(20000000, 1);
	vm_lives(END_UNUSED);
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
	uint64_t page, gva, stamp = 0, start_ns, rng = seed;
	struct la_vm v;
	char *mem;

	test_bytes = bytes;
	create_vm(&v, 1, &mem);

	/* In a window most of the time: there are agers at it when the pages go. */
	la_set_stalls(10000, 1);
	agers_start(mem, bytes, AGE_CLEAR);
	start_ns = la_now_ns();
	while (!time_is_up(start_ns)) {
		la_vcpu_do(&v, 0, LA_OP_STAMP, LA_GPA, pages, ++stamp);
		if (la_random(&rng) % 2)
			usleep(la_random(&rng) % 300);
		drop(mem, bytes);

		stamp++;
		for (page = 0; page < pages; page++) {
			gva = LA_GPA + (page << LA_PAGE_SHIFT);
			*(uint64_t *)(mem + (page << LA_PAGE_SHIFT)) = la_value(stamp, gva);
		}
		must_hold(&v, 0, LA_GPA, pages, stamp);
	}
	agers_end(stamp / 2, "rounds of unmapping");
	la_vm_free(&v);
}

/* Old memory that nobody touches stays old, whatever else goes on. */
static void test_young_not_invented(void)
{
	const uint64_t pages = test_bytes >> LA_PAGE_SHIFT;
	struct faulter f = { .vcpu = 1, .gva = OTHER_GPA, .bytes = LA_TABLE_SIZE };
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

	agers_start(mem, test_bytes, AGE_TEST);
	faulter_start(&f);
	start_ns = la_now_ns();
	while (!time_is_up(start_ns)) {
		vm_set_user_memory_region(v.vm, LA_SLOT, KVM_MEM_LOG_DIRTY_PAGES, LA_GPA,
					  test_bytes, mem);
		kvm_vm_get_dirty_log(v.vm, LA_SLOT, log);
		vm_set_user_memory_region(v.vm, LA_SLOT, 0, LA_GPA, test_bytes, mem);
		rounds++;
	}
	pthread_join(f.thread, NULL);
	agers_end(rounds, "times dirty logging went on and off");
	young = la_test(v.age, mem, test_bytes);
	TEST_ASSERT(!young, "%lu of %lu pages that nobody touched are young", young, pages);
	la_vm_free(&v);
}

static void *clear_once(void *arg)
{
	struct ager *a = arg;
	int fd = la_age_open();

	la_age(fd, "clear", a->mem, a->bytes, LA_PAGE_SIZE);
	close(fd);
	return NULL;
}

/*
 * Write protection against the clearing of young bits: a bit that was cleared
 * stays clear. The ager may lose the race for an entry and then leaves it young,
 * but it says how often.
 */
static void test_wrprotect_keeps_old(void)
{
	const uint64_t pages = test_bytes >> LA_PAGE_SHIFT;
	unsigned long *log = bitmap_zalloc(pages);
	struct ager a = { .bytes = test_bytes };
	uint64_t start_ns, young, lost = 0, rounds = 0;
	struct la_stats stats;
	struct la_vm v;

	create_vm(&v, 1, &a.mem);
	vm_set_user_memory_region(v.vm, LA_SLOT, KVM_MEM_LOG_DIRTY_PAGES, LA_GPA, test_bytes,
				  a.mem);

	start_ns = la_now_ns();
	while (!time_is_up(start_ns)) {
		la_flush_tlb(&v);
		la_vcpu_do(&v, 0, LA_OP_STAMP, LA_GPA, pages, ++rounds);
		la_stats_zero();
		TEST_ASSERT(!pthread_create(&a.thread, NULL, clear_once, &a), "pthread_create");
		kvm_vm_get_dirty_log(v.vm, LA_SLOT, log);
		pthread_join(a.thread, NULL);

		stats = la_stats_read();
		lost += stats.lost;
		young = la_test(v.age, a.mem, test_bytes);
		TEST_ASSERT(young <= stats.lost,
			    "%lu of %lu pages are young again, of which %lu were left so",
			    young, pages, stats.lost);
	}
	ksft_print_msg("%lu rounds, %lu races lost by the ager\n", rounds, lost);
	la_vm_free(&v);
}

static const struct {
	const char *name;
	void (*fn)(void);
	/* NULL, or the name of what is missing for it */
	const char *(*missing)(void);
} tests[] = {
	{ "faults",			test_faults },
	{ "switch_flips",		test_switch_flips },
	{ "unmap",			test_unmap },
	{ "memslots",			test_memslots },
	{ "dirty_log",			test_dirty_log },
	{ "dirty_log_clear",		test_dirty_log_clear,	no_dirty_log_clear },
	{ "hugetlb_dirty_log",		test_hugetlb_dirty_log,	no_hugetlb },
	{ "vm_exit",			test_vm_exit },
	{ "vm_close",			test_vm_close },
	{ "vm_kill",			test_vm_kill },
	{ "vm_root",			test_vm_root },
	{ "zapped_stays_zapped",	test_zapped_stays_zapped },
	{ "young_not_invented",		test_young_not_invented },
	{ "wrprotect_keeps_old",	test_wrprotect_keeps_old },
};

static void run(int i)
{
	const char *missing = tests[i].missing ? tests[i].missing() : NULL;
	int status;
	pid_t pid;

	if (missing) {
		ksft_test_result_code(KSFT_SKIP, tests[i].name, "needs %s", missing);
		return;
	}

	ksft_print_msg("%s for %u s\n", tests[i].name, seconds);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		setpgid(0, 0);
		tests[i].fn();
		fflush(stdout);
		_exit(KSFT_PASS);
	}
	TEST_ASSERT(pid > 0 && waitpid(pid, &status, 0) == pid, "fork: %s", strerror(errno));
	/* What a test that failed has left behind. */
	kill(-pid, SIGKILL);
	ksft_test_result(WIFEXITED(status) && !WEXITSTATUS(status), "%s\n", tests[i].name);
}

static void help(const char *name)
{
	int i;

	printf("usage: %s [-h] [-t seconds] [-m MiB] [-s seed] [-n name]...\n"
	       " -t: seconds for each test (default: 3)\n"
	       " -m: MiB of guest memory, a multiple of 4 (default: 4, most: %lu)\n"
	       " -s: seed of what is random (default: from the clock, printed)\n"
	       " -n: run this test only; may be repeated:\n",
	       name, LA_MAX_PAGES * LA_PAGE_SIZE / SZ_1M);
	for (i = 0; i < ARRAY_SIZE(tests); i++)
		printf("     %s\n", tests[i].name);
}

int main(int argc, char *argv[])
{
	bool wanted[ARRAY_SIZE(tests)] = {};
	const char *missing = la_missing();
	int opt, i, nr = 0;
	bool lockless;

	seed = time(NULL);
	while ((opt = getopt(argc, argv, "ht:m:s:n:")) != -1) {
		switch (opt) {
		case 't':
			seconds = atoi_positive("Seconds", optarg);
			break;
		case 'm':
			test_bytes = atoi_positive("MiB", optarg) * SZ_1M;
			if (test_bytes % (4 * SZ_1M) || test_bytes > LA_MAX_PAGES * LA_PAGE_SIZE) {
				help(argv[0]);
				return KSFT_FAIL;
			}
			break;
		case 's':
			seed = strtoull(optarg, NULL, 0);
			break;
		case 'n':
			for (i = 0; i < ARRAY_SIZE(tests); i++)
				if (!strcmp(optarg, tests[i].name))
					break;
			if (i == ARRAY_SIZE(tests)) {
				fprintf(stderr, "-n %s: no such test, see -h\n", optarg);
				return KSFT_FAIL;
			}
			nr += !wanted[i];
			wanted[i] = true;
			break;
		default:
			help(argv[0]);
			return opt == 'h' ? KSFT_PASS : KSFT_FAIL;
		}
	}

	ksft_print_header();
	__TEST_REQUIRE(!missing, "needs %s", missing);
	ksft_print_msg("seed %lu, race windows are %swidened\n", seed,
		       la_has_stalls() ? "" : "not ");
	ksft_set_plan(nr ?: ARRAY_SIZE(tests));

	lockless = la_get_lockless();
	la_set_lockless(true);
	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		if (nr && !wanted[i])
			continue;
		/* Odd, so that it is not the same window of each entry. */
		la_set_stalls(20000, 5);
		run(i);
		la_set_stalls(0, 0);
	}
	la_set_lockless(lockless);
	ksft_finished();
}
