// SPDX-License-Identifier: GPL-2.0-only
/*
 * What aging, and its being there, costs others: faults of guests, the end of mappings and
 * of VMs, and vCPUs that fault while their memory is aged.
 */
#include <sys/mman.h>
#include <sys/wait.h>

#include "lockless_aging_bench.h"

/*
 * What is not aging, and must not pay for it.  Where there is time to wait, what counts
 * are the instructions that are executed meanwhile, and an idle CPU executes none.
 */

static uint64_t begin_lap(void)
{
	/* Until what the last measurement has left behind is done with. */
	usleep(500000);
	return la_bench_begin();
}

/*
 * Ticks are those until now.  Instructions are also those of what was left to be done
 * later, such as the end of what RCU waits for.
 */
static void end_lap(uint64_t begin, const char *state, uint64_t nr)
{
	const uint64_t ticks = la_bench_end(begin);

	usleep(100000);
	la_bench_end(begin);
	la_bench_result(la_on_stock ? "stock" : "batch", state, ticks, nr, 0);
}

/* Faults of a guest, the end of their mappings, and their protection in between. */
static void map_and_unmap(void)
{
	struct la_bench_worker w = { .pages = la_bench.mib * SZ_1M >> LA_PAGE_SHIFT };
	uint64_t lap;

	w.bytes = w.pages << LA_PAGE_SHIFT;
	la_bench_alloc(&w);
	la_bench_create_vms(&w);
	la_bench_populate(&w);

	lap = begin_lap();
	la_touch(&w.vm[0], LA_OP_WRITE, SLOT_GPA, w.pages);
	end_lap(lap, "fault", w.pages);
	lap = begin_lap();
	vm_set_user_memory_region(w.vm[0].vm, LA_SLOT, KVM_MEM_LOG_DIRTY_PAGES, SLOT_GPA, w.bytes,
				  w.mem);
	end_lap(lap, "protect", w.pages);
	lap = begin_lap();
	la_touch(&w.vm[0], LA_OP_WRITE, SLOT_GPA, w.pages);
	end_lap(lap, "dirty", w.pages);
	lap = begin_lap();
	TEST_ASSERT(!madvise(w.mem, w.bytes, MADV_DONTNEED), "MADV_DONTNEED");
	end_lap(lap, "unmap", w.pages);
	la_vm_free(&w.vm[0]);
	munmap(w.mem, w.bytes);
}

static void measure_mapping(void)
{
	int round;

	for (round = 0; round < la_bench.rounds; round++)
		map_and_unmap();
}

/* Nothing but a VM that runs for a moment. */
static void one_life(void)
{
	struct la_vm v;

	la_vm_create(&v, 1);
	la_touch(&v, LA_OP_NOP, 0, 0);
	la_vm_free(&v);
}

static void live_and_end(void)
{
	const int lives = 5, at_once = 100;
	pid_t pids[100];
	uint64_t lap;
	int ready[2], i;
	char c = 0;

	one_life();
	lap = begin_lap();
	for (i = 0; i < lives; i++)
		one_life();
	end_lap(lap, "life", lives);

	TEST_ASSERT(!pipe2(ready, O_CLOEXEC), "pipe");
	for (i = 0; i < at_once; i++) {
		fflush(stdout);
		pids[i] = fork();
		if (!pids[i]) {
			struct la_vm v;

			la_vm_create(&v, 1);
			la_touch(&v, LA_OP_NOP, 0, 0);
			TEST_ASSERT(write(ready[1], &c, 1) == 1, "pipe");
			for (;;)
				pause();
		}
		TEST_ASSERT(read(ready[0], &c, 1) == 1, "A process with a guest is gone");
	}
	close(ready[0]);
	close(ready[1]);
	lap = begin_lap();
	for (i = 0; i < at_once; i++)
		kill(pids[i], SIGKILL);
	for (i = 0; i < at_once; i++)
		waitpid(pids[i], NULL, 0);
	end_lap(lap, "ends-at-once", at_once);
}

static void measure_lives(void)
{
	int round;

	for (round = 0; round < la_bench.rounds; round++)
		live_and_end();
}

/*
 * vCPUs that fault while others age the memory of their process.  Those that age another
 * process take as much of the machine's CPUs, but none of what this VM needs.
 */

static const char * const aging[] = { "none", "elsewhere", "one", "two" };

#define FRESH_PAGES	512UL
#define FRESH_GPA(cpu)	(SLOT_GPA + SZ_512M + (cpu) * (uint64_t)SZ_8M)
#define OUT_GPA(cpu)	(FRESH_GPA(cpu) + SZ_4M)

static struct {
	struct la_bench_worker w;
	char *fresh[LA_MAX_VCPUS];
	uint64_t *latency[LA_MAX_VCPUS];
	char *own_group, *other_group;
	bool stop;
	uint64_t passes;
} contended;

/* Forced passes over the group that is named last. */
static void *pass_main(void *unused)
{
	la_bench_aside = true;
	while (!READ_ONCE(contended.stop)) {
		la_bench_pass();
		__atomic_fetch_add(&contended.passes, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void *idle_main(void *unused)
{
	uint64_t pages;

	la_bench_aside = true;
	while (!READ_ONCE(contended.stop)) {
		la_bench_mark_idle(&contended.w, &pages);
		__atomic_fetch_add(&contended.passes, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void *vcpu_main(void *arg)
{
	const int cpu = (long)arg;

	la_vcpu_do(&contended.w.vm[0], cpu, LA_OP_LATENCY, FRESH_GPA(cpu), FRESH_PAGES, 0);
	return NULL;
}

static void start_thread(pthread_t *thread, void *(*fn)(void *arg), void *arg)
{
	TEST_ASSERT(!pthread_create(thread, NULL, fn, arg), "pthread_create");
}

static void measure_contention(const struct la_bench_mode *mode, unsigned int kind, int vcpus)
{
	const bool pass = strcmp(aging[kind], "none"), idle = la_is(aging[kind], "two");
	uint64_t *all = calloc(vcpus * FRESH_PAGES, sizeof(*all)), ticks, ns;
	pthread_t threads[LA_MAX_VCPUS], pass_thread, idle_thread;
	const int nr = vcpus * FRESH_PAGES;
	long cpu;

	for (cpu = 0; cpu < vcpus; cpu++)
		TEST_ASSERT(!madvise(contended.fresh[cpu], FRESH_PAGES << LA_PAGE_SHIFT,
				     MADV_DONTNEED), "MADV_DONTNEED");
	la_bench.group = la_is(aging[kind], "elsewhere") ? contended.other_group :
							   contended.own_group;
	contended.stop = false;
	contended.passes = 0;
	la_bench_zero_counters();
	if (pass)
		start_thread(&pass_thread, pass_main, NULL);
	if (idle)
		start_thread(&idle_thread, idle_main, NULL);
	usleep(20000);

	ns = la_now_ns();
	ticks = la_bench_begin();
	for (cpu = 0; cpu < vcpus; cpu++)
		start_thread(&threads[cpu], vcpu_main, (void *)cpu);
	for (cpu = 0; cpu < vcpus; cpu++)
		pthread_join(threads[cpu], NULL);
	ticks = la_bench_end(ticks);
	ns = la_now_ns() - ns;

	WRITE_ONCE(contended.stop, true);
	if (pass)
		pthread_join(pass_thread, NULL);
	if (idle)
		pthread_join(idle_thread, NULL);
	for (cpu = 0; cpu < vcpus; cpu++)
		memcpy(all + cpu * FRESH_PAGES, contended.latency[cpu], FRESH_PAGES * sizeof(*all));
	qsort(all, nr, sizeof(*all), la_bench_cmp);

	la_bench_begin_result(mode->name, aging[kind]);
	printf(", \"ticks\": %lu, \"pages\": %d, \"found\": %lu, \"vcpus\": %d", ticks, nr,
	       contended.passes, vcpus);
	printf(", \"ns\": %lu, \"p50\": %lu, \"p99\": %lu", ns, all[nr / 2],
	       all[nr - 1 - nr / 100]);
	la_bench_end_result();
	free(all);
}

static void measure_contend(void)
{
	const size_t bytes = FRESH_PAGES << LA_PAGE_SHIFT;
	const struct la_bench_mode *mode = NULL;
	struct la_bench_worker *w = &contended.w;
	struct la_vm *v = &w->vm[0];
	unsigned int kind;
	int round, cpu;

	la_bench.vms = 0;
	la_bench_start_workers();
	la_bench_tell('p');
	contended.other_group = la_bench.group;
	la_bench_make_group();
	contended.own_group = la_bench.group;
	la_bench_enter_group();

	la_bench.vms = 1;
	la_bench.nr_vcpus = LA_MAX_VCPUS;
	w->pages = la_bench.worker_pages;
	w->bytes = la_bench.worker_pages << LA_PAGE_SHIFT;
	la_bench_alloc(w);
	la_bench_create_vms(w);
	la_bench_obey(w, 'p');
	la_bench_read_pfns(w);
	for (cpu = 0; cpu < LA_MAX_VCPUS; cpu++) {
		contended.fresh[cpu] = la_alloc(bytes);
		la_add_slot(v, TABLES_SLOT + 1 + cpu, 0, FRESH_GPA(cpu), FRESH_GPA(cpu),
			    contended.fresh[cpu], bytes);
		contended.latency[cpu] = la_alloc(LA_PAGE_SIZE);
		la_add_slot(v, TABLES_SLOT + 1 + LA_MAX_VCPUS + cpu, 0, OUT_GPA(cpu), OUT_GPA(cpu),
			    contended.latency[cpu], LA_PAGE_SIZE);
		v->cmds[cpu].out = OUT_GPA(cpu);
	}

	for (round = 0; round < la_bench.rounds; round++)
		while ((mode = la_bench_next_mode(mode)))
			for (cpu = 1; cpu <= LA_MAX_VCPUS; cpu *= 2)
				for (kind = 0; kind < ARRAY_SIZE(aging); kind++)
					measure_contention(mode, kind, cpu);
	la_vm_free(v);
	la_bench_end_workers();
}

static const struct la_bench_measure measures[] = {
	{ "mapping", measure_mapping },
	{ "lives", measure_lives },
	{ "contend", measure_contend },
};

int main(int argc, char *argv[])
{
	return la_bench_main(argc, argv, measures, ARRAY_SIZE(measures));
}
