// SPDX-License-Identifier: GPL-2.0-only
/*
 * Threads that age at full speed, and a main function for tests that race with them.
 */
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include "lockless_aging_race.h"

unsigned int la_seconds = 3;
uint64_t la_seed;

struct aging_thread {
	pthread_t thread;
	char *mem;
	size_t bytes;
	unsigned int ops;
	uint64_t rng;
	uint64_t calls;
	bool *stop;
};

bool la_time_is_up(uint64_t start_ns)
{
	return la_now_ns() - start_ns >= la_seconds * (uint64_t)NSEC_PER_SEC;
}

/* A batch of parts of any size, of which all or some are wanted. */
static uint64_t age_some_batch(int fd, const char *name, char *mem, uint64_t pages, bool whole,
			       uint64_t *rng)
{
	uint64_t step = whole ? 1 : 1UL << la_random(rng) % 8;
	const unsigned int every = whole ? 1 : 1 + la_random(rng) % 4;

	while (whole && pages / step > LA_BATCH_BITS)
		step *= 2;
	while (step > pages)
		step /= 2;
	/* No part reaches out of the range. */
	pages -= pages % step;
	return la_age_batch(fd, name, mem, pages << LA_PAGE_SHIFT, step << LA_PAGE_SHIFT,
			    every).calls;
}

/* One command: any op allowed; half of them on all of the memory; any step. */
uint64_t la_age_something(int fd, char *mem, size_t bytes, unsigned int ops, uint64_t *rng)
{
	static const char * const names[] = {
		"clear", "flush", "test", "batch-clear", "batch-test",
	};
	const uint64_t pages = bytes >> LA_PAGE_SHIFT;
	uint64_t first = 0, nr = pages;
	size_t step;
	int op;

	do {
		op = la_random(rng) % ARRAY_SIZE(names);
	} while (!(ops & BIT(op)));

	if (!(ops & AGE_WHOLE) && la_random(rng) % 2) {
		first = la_random(rng) % pages;
		nr = 1 + la_random(rng) % (pages - first);
	}
	if (BIT(op) & AGE_BATCH)
		return age_some_batch(fd, names[op], mem + (first << LA_PAGE_SHIFT), nr,
				      ops & AGE_WHOLE, rng);

	switch (ops & AGE_WHOLE ? 0 : la_random(rng) % 4) {
	case 0:
		step = 0;
		break;
	case 1:
		step = LA_PAGE_SIZE;
		break;
	case 2:
		step = LA_CHUNK_SIZE;
		break;
	default:
		step = (1 + la_random(rng) % 100) << LA_PAGE_SHIFT;
		break;
	}
	return la_age(fd, names[op], mem + (first << LA_PAGE_SHIFT), nr << LA_PAGE_SHIFT,
		      step).calls;
}

/* A race that never ran proves nothing: there must have been some of each kind. */
void la_must_have_aged(uint64_t calls, unsigned int ops)
{
	const struct la_stats stats = la_stats_read();

	TEST_ASSERT(calls, "Nothing raced");
	/* Of a few, none may be a batch. */
	TEST_ASSERT(!(ops & AGE_BATCH) || calls < 100 || stats.batches || stats.refused,
		    "%lu calls, and no batch", calls);
}

static void *aging_main(void *arg)
{
	struct aging_thread *a = arg;
	int fd = la_age_open();

	do {
		a->calls += la_age_something(fd, a->mem, a->bytes, a->ops, &a->rng);
	} while (!READ_ONCE(*a->stop));
	close(fd);
	return NULL;
}

static struct aging_thread threads[NR_AGING];
static bool aging_stop;

void la_aging_start(char *mem, size_t bytes, unsigned int ops)
{
	int i;

	la_stats_zero();
	WRITE_ONCE(aging_stop, false);
	for (i = 0; i < NR_AGING; i++) {
		threads[i] = (struct aging_thread) {
			.mem = mem,
			.bytes = bytes,
			.ops = ops,
			.rng = la_seed + i,
			.stop = &aging_stop,
		};
		TEST_ASSERT(!pthread_create(&threads[i].thread, NULL, aging_main, &threads[i]),
			    "pthread_create");
	}
}

void la_aging_end(uint64_t work, const char *unit)
{
	struct la_stats stats;
	uint64_t calls = 0;
	int i;

	WRITE_ONCE(aging_stop, true);
	for (i = 0; i < NR_AGING; i++) {
		pthread_join(threads[i].thread, NULL);
		calls += threads[i].calls;
	}
	stats = la_stats_read();
	ksft_print_msg("%lu calls, %lu batches, against %lu %s; %lu young, %lu lost, %lu busy\n",
		       calls, stats.batches, work, unit, stats.young, stats.lost, stats.busy);
	TEST_ASSERT(work, "Nothing raced");
	la_must_have_aged(calls, threads[0].ops);
}

/* Where the vCPU copies up to LA_MAX_PAGES stamps to; mapped before it is used. */
uint64_t *la_add_out(struct la_vm *v, int vcpu)
{
	const size_t bytes = LA_MAX_PAGES * sizeof(uint64_t);
	uint64_t *out = la_alloc(bytes);

	la_add_slot(v, OUT_SLOT(vcpu), 0, OUT_GPA(vcpu), OUT_GPA(vcpu), out, bytes);
	v->cmds[vcpu].out = OUT_GPA(vcpu);
	return out;
}

/*
 * A few pages of each table: under emulation a fault takes so long that touching
 * them all would leave little time for what they race with.
 */
void la_sparse_map(unsigned long *map, uint64_t pages, uint64_t *rng)
{
	uint64_t page;

	bitmap_zero(map, LA_MAX_PAGES);
	for (page = la_random(rng) % 32; page < pages; page += 1 + la_random(rng) % 64)
		__set_bit(page, map);
}

void la_must_hold(struct la_vm *v, int vcpu, uint64_t gva, uint64_t pages, uint64_t stamp)
{
	struct la_cmd *cmd = la_vcpu_do(v, vcpu, LA_OP_CHECK, gva, pages, stamp);

	TEST_ASSERT(!cmd->bad, "%lu of %lu pages have changed: gva %#lx holds %#lx, not %#lx",
		    cmd->bad, pages, cmd->bad_gva, cmd->bad_value, la_value(stamp, cmd->bad_gva));
}

void la_drop(char *mem, size_t bytes)
{
	TEST_ASSERT(!madvise(mem, bytes, MADV_DONTNEED), "MADV_DONTNEED: %s", strerror(errno));
}

/* What the guest reads at @gva is what the host has in @mem, for the pages of @map. */
void la_must_match(struct la_vm *v, int vcpu, uint64_t gva, char *mem, uint64_t pages,
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

/* Its part of memory is gone, and faulted in afresh. */
void la_fault_in(struct la_faulter *f)
{
	const uint64_t pages = f->bytes >> LA_PAGE_SHIFT;

	la_drop(f->mem, f->bytes);
	la_vcpu_do(f->v, f->vcpu, LA_OP_STAMP, f->gva, pages, f->rounds);
	la_must_hold(f->v, f->vcpu, f->gva, pages, f->rounds);
}

static void *faulter_main(void *arg)
{
	struct la_faulter *f = arg;

	do {
		f->rounds++;
		f->round(f);
	} while (f->rounds < f->min_rounds || !la_time_is_up(f->start_ns));
	return NULL;
}

void la_faulter_start(struct la_faulter *f)
{
	f->start_ns = la_now_ns();
	TEST_ASSERT(!pthread_create(&f->thread, NULL, faulter_main, f), "pthread_create");
}

static void spin(uint64_t ns)
{
	const uint64_t start_ns = la_now_ns();

	while (la_now_ns() - start_ns < ns)
		;
}

static void *duel_main(void *arg)
{
	struct la_duel *d = arg;
	int fd = la_age_open();

	WRITE_ONCE(d->ready, true);
	while (!READ_ONCE(d->go))
		;
	spin(d->wait_ns);
	if (d->batch)
		d->clear_ns = la_age_batch(fd, "batch-clear", d->mem, d->bytes,
					   d->step ?: d->bytes, 1).nsec;
	else
		d->clear_ns = la_age(fd, "clear", d->mem, d->bytes, d->step).nsec;
	close(fd);
	return NULL;
}

/* Returns what the clearing met. */
struct la_stats la_duel(struct la_duel *d, void (*op)(void *arg), void *arg)
{
	const uint64_t most_ns = d->late ? d->clear_ns : d->took_ns;
	const uint64_t head_ns = most_ns ? la_random(&d->rng) % most_ns : 0;
	const bool op_first = !d->late && la_random(&d->rng) % 2;
	uint64_t start_ns;

	/* The parts of a batch are of a power of two. */
	d->batch = is_power_of_2(d->step ?: d->bytes) && la_random(&d->rng) % 2;
	d->wait_ns = op_first ? head_ns : 0;
	d->ready = false;
	d->go = false;
	la_stats_zero();
	TEST_ASSERT(!pthread_create(&d->thread, NULL, duel_main, d), "pthread_create");
	while (!READ_ONCE(d->ready))
		sched_yield();
	la_set_stalls(d->stall_ns, 1);
	WRITE_ONCE(d->go, true);
	spin(op_first ? 0 : head_ns);
	start_ns = la_now_ns();
	op(arg);
	d->took_ns = la_now_ns() - start_ns;
	pthread_join(d->thread, NULL);
	la_set_stalls(0, 0);
	return la_stats_read();
}

/* How many leaves are young, each page of a table for itself. Leaves them old. */
uint64_t la_young_leaves(struct la_vm *v, char *mem, size_t bytes)
{
	la_stats_zero();
	la_clear_range(v->age, mem, bytes);
	return la_stats_read().young;
}

const char *la_no_stalls(void)
{
	return la_has_stalls() ? NULL : LA_STALL_NS " (CONFIG_PGTABLE_WALK_DEBUG)";
}

static void race_run(const struct la_race_test *test, bool lockless)
{
	const char *missing = test->missing ? test->missing() : NULL;
	char name[64];
	int status;
	pid_t pid;

	snprintf(name, sizeof(name), "%s%s", test->name, lockless ? "" : ".off");
	if (missing) {
		ksft_test_result_code(KSFT_SKIP, name, "needs %s", missing);
		return;
	}

	ksft_print_msg("%s\n", name);
	fflush(stdout);
	la_set_lockless(lockless);
	/* Odd, so that it is not the same window of each entry. */
	la_set_stalls(20000, 5);
	pid = fork();
	if (!pid) {
		setpgid(0, 0);
		/* A guest that makes no progress, say. */
		alarm(60 * la_seconds + 600);
		test->fn();
		fflush(stdout);
		_exit(KSFT_PASS);
	}
	TEST_ASSERT(pid > 0 && waitpid(pid, &status, 0) == pid, "fork: %s", strerror(errno));
	/* What a test that failed has left behind. */
	kill(-pid, SIGKILL);
	la_set_stalls(0, 0);
	ksft_test_result(WIFEXITED(status) && !WEXITSTATUS(status), "%s\n", name);
}

static void want(struct la_race_test *tests, int nr, const char *name)
{
	int i;

	for (i = 0; i < nr && strcmp(name, tests[i].name); i++)
		;
	if (i == nr) {
		fprintf(stderr, "-n %s: no such test, see -h\n", name);
		exit(KSFT_FAIL);
	}
	tests[i].wanted = true;
}

static void help(const char *program, const struct la_race_test *tests, int nr,
		 const struct la_race_option *more)
{
	int i;

	printf("usage: %s [options]\n", program);
	if (more)
		printf(" -%c: %s\n", more->letter, more->help);
	printf(" -t: seconds for each test that races (default: 3)\n"
	       " -s: seed of what is random (default: from the clock, printed)\n"
	       " -n: run this test only; may be repeated:\n");
	for (i = 0; i < nr; i++)
		printf("     %s\n", tests[i].name);
}

static void options(int argc, char *argv[], struct la_race_test *tests, int nr,
		    const struct la_race_option *more)
{
	char letters[16];
	int opt;

	snprintf(letters, sizeof(letters), "ht:s:n:%c:", more ? more->letter : '\0');
	la_seed = time(NULL);
	while ((opt = getopt(argc, argv, letters)) != -1) {
		if (opt == 't') {
			la_seconds = atoi_positive("Seconds", optarg);
		} else if (opt == 's') {
			la_seed = strtoull(optarg, NULL, 0);
		} else if (opt == 'n') {
			want(tests, nr, optarg);
		} else if (!more || opt != more->letter || !more->take(optarg)) {
			help(argv[0], tests, nr, more);
			exit(opt == 'h' ? KSFT_PASS : KSFT_FAIL);
		}
	}
}

/* Runs the tests that the arguments name, or all, and exits. */
void la_race_main(int argc, char *argv[], struct la_race_test *tests, int nr,
		  const struct la_race_option *more)
{
	const char *missing = la_missing();
	int i, plan = 0, wanted = 0;
	bool lockless;

	options(argc, argv, tests, nr, more);
	for (i = 0; i < nr; i++)
		wanted += tests[i].wanted;
	for (i = 0; i < nr; i++) {
		tests[i].wanted |= !wanted;
		if (tests[i].wanted)
			plan += 1 + tests[i].both_ways;
	}

	ksft_print_header();
	__TEST_REQUIRE(!missing, "needs %s", missing);
	ksft_print_msg("%u s for each race, seed %lu, race windows are %swidened\n", la_seconds,
		       la_seed, la_has_stalls() ? "" : "not ");
	ksft_set_plan(plan);

	lockless = la_get_lockless();
	for (i = 0; i < nr; i++) {
		if (!tests[i].wanted)
			continue;
		if (tests[i].both_ways)
			race_run(&tests[i], false);
		race_run(&tests[i], true);
	}
	la_set_lockless(lockless);
	ksft_finished();
}
