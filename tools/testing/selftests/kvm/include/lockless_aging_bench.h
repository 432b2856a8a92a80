/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the benchmarks of aging share: lines "BENCH {...}" for the build machine, the
 * kernel's switches, passes of MGLRU, processes whose memory guests map, and a main
 * function with their options.
 *
 * Meant for a machine that counts instructions, such as QEMU with -icount and the plugin
 * tools/testing/pgtable-walk/bench/count.c: then a round is enough, and what else the
 * build machine does has no part in it.  Runs on any kernel with MGLRU; one with
 * pgtable_walk is measured with each of its switches.
 */
#ifndef SELFTEST_KVM_LOCKLESS_AGING_BENCH_H
#define SELFTEST_KVM_LOCKLESS_AGING_BENCH_H

#include "lockless_aging_mglru.h"

#define SLOT_GPA	((uint64_t)SZ_1G)
#define TABLES_GPA	((uint64_t)SZ_256M)
#define TABLES_SLOT	(LA_SLOT + 1)

#define MAX_WORKERS	4
#define MAX_VMS		4

/* The memory that is aged: the process that has it, and what maps it. */
struct la_bench {
	const char *what;	/* to be measured */
	const char *kind;	/* of folios: 4k, 64k, 2m */
	uint64_t mib;
	int vms;		/* that map it, 0 for the process alone */
	int nr_vcpus;		/* of each */
	int workers;		/* processes with a part of the memory each */
	uint64_t worker_pages;	/* in such a part */
	int rounds;
	const char *swap;
	char *group;		/* the cgroup that is aged */
};

extern struct la_bench la_bench;

static inline bool la_is(const char *a, const char *b)
{
	return !strcmp(a, b);
}

/*
 * What is measured.  Begin and end tell the emulator's plugin, and take the time as well.
 * Not in a thread that ages memory beside what is measured.
 */

extern __thread bool la_bench_aside;

uint64_t la_bench_begin(void);
uint64_t la_bench_end(uint64_t begin);

/*
 * Lines for the build machine
 */

void la_bench_zero_counters(void);
void la_bench_begin_result(const char *mode, const char *state);
void la_bench_end_result(void);
void la_bench_result(const char *mode, const char *state, uint64_t ticks, uint64_t pages,
		     uint64_t found);

/* How the kernel is switched while it is measured. */
struct la_bench_mode {
	const char *name;
	bool lockless, batch, consult;
};

extern const struct la_bench_mode *const la_bench_default;

bool la_bench_set_mode(const struct la_bench_mode *mode);
const struct la_bench_mode *la_bench_next_mode(const struct la_bench_mode *mode);

/*
 * The cgroup, and passes over it.  What is timed is the write to MGLRU's file alone.
 */

void la_bench_make_group(void);
void la_bench_enter_group(void);
uint64_t la_bench_command(const char *cmd);
uint64_t la_bench_pass(void);

/*
 * The processes with the guests
 */

struct la_bench_worker {
	struct la_vm vm[MAX_VMS];
	char *mem;
	size_t bytes;
	uint64_t pages;
	uint64_t huge;		/* bytes of a folio, or 0 */
};

struct la_bench_reply {
	uint64_t ticks;
	uint64_t pages;
};

void la_bench_alloc(struct la_bench_worker *w);
void la_bench_create_vms(struct la_bench_worker *w);
void la_bench_populate(struct la_bench_worker *w);
int la_bench_cmp(const void *a, const void *b);
void la_bench_read_pfns(struct la_bench_worker *w);
uint64_t la_bench_mark_idle(struct la_bench_worker *w, uint64_t *pages);
struct la_bench_reply la_bench_obey(struct la_bench_worker *w, char cmd);
struct la_bench_reply la_bench_tell(char cmd);
void la_bench_start_workers(void);
void la_bench_end_workers(void);

struct la_bench_measure {
	const char *name;
	void (*fn)(void);
};

int la_bench_main(int argc, char *argv[], const struct la_bench_measure *measures, int nr);

#endif /* SELFTEST_KVM_LOCKLESS_AGING_BENCH_H */
