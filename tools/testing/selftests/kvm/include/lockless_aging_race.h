/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What tests share that race with aging: threads that age at full speed, and a main
 * function for tests of a given duration, each in a process of its own.
 */
#ifndef SELFTEST_KVM_LOCKLESS_AGING_RACE_H
#define SELFTEST_KVM_LOCKLESS_AGING_RACE_H

#include "lockless_aging.h"

#define NR_AGING	2

/* Where op COPY puts what the guest read, by vCPU. */
#define OUT_GPA(vcpu)	(LA_TABLE_GPA(16) + (vcpu) * LA_TABLE_SIZE)
#define OUT_SLOT(vcpu)	(LA_SLOT + 8 + (vcpu))

/* Options: how long a test races, and where the random numbers come from. */
extern unsigned int la_seconds;
extern uint64_t la_seed;

/*
 * Agers
 */

/* One bit for each command, by batch or not. AGE_WHOLE: all of the memory, in one call. */
enum {
	AGE_CLEAR	= BIT(0) | BIT(3),
	AGE_FLUSH	= BIT(1),
	AGE_TEST	= BIT(2) | BIT(4),
	AGE_ALL		= AGE_CLEAR | AGE_FLUSH | AGE_TEST,
	AGE_BATCH	= BIT(3) | BIT(4),
	AGE_WHOLE	= BIT(5),
};

bool la_time_is_up(uint64_t start_ns);
uint64_t la_age_something(int fd, char *mem, size_t bytes, unsigned int ops, uint64_t *rng);
void la_must_have_aged(uint64_t calls, unsigned int ops);
void la_aging_start(char *mem, size_t bytes, unsigned int ops);
void la_aging_end(uint64_t work, const char *unit);

/*
 * Guests
 */

uint64_t *la_add_out(struct la_vm *v, int vcpu);
void la_sparse_map(unsigned long *map, uint64_t pages, uint64_t *rng);
void la_must_hold(struct la_vm *v, int vcpu, uint64_t gva, uint64_t pages, uint64_t stamp);
void la_drop(char *mem, size_t bytes);
void la_must_match(struct la_vm *v, int vcpu, uint64_t gva, char *mem, uint64_t pages,
		   const uint64_t *out, const unsigned long *map);

struct la_faulter {
	void (*round)(struct la_faulter *f);
	struct la_vm *v;
	pthread_t thread;
	int vcpu;
	uint64_t gva;
	char *mem;
	size_t bytes;
	uint64_t rounds;
	uint64_t min_rounds;
	uint64_t start_ns;
};

void la_fault_in(struct la_faulter *f);
void la_faulter_start(struct la_faulter *f);

/*
 * One operation of KVM against one clearing of the same memory. Which of them has a
 * head start, and how much of one, is random; it is never more than the operation
 * takes. If @late, the clearing comes first and the operation at any time during it.
 * Half of the clearings are batches.
 * Race windows are wide meanwhile, and only then.
 */
struct la_duel {
	pthread_t thread;
	char *mem;
	size_t bytes;
	size_t step;
	uint64_t rng;
	uint64_t stall_ns;
	uint64_t wait_ns;
	uint64_t took_ns;
	uint64_t clear_ns;
	bool late;
	bool batch;
	bool ready;
	bool go;
};

struct la_stats la_duel(struct la_duel *d, void (*op)(void *arg), void *arg);
uint64_t la_young_leaves(struct la_vm *v, char *mem, size_t bytes);

/*
 * Tests
 */

struct la_race_test {
	const char *name;
	void (*fn)(void);
	/* NULL, or the name of what is missing for it */
	const char *(*missing)(void);
	/* Run with the switch off, too. */
	bool both_ways;
	bool wanted;
};

/* An option of a program beside -t, -s and -n; it takes an argument. */
struct la_race_option {
	char letter;
	const char *help;
	bool (*take)(const char *arg);
};

const char *la_no_stalls(void);
void la_race_main(int argc, char *argv[], struct la_race_test *tests, int nr,
		  const struct la_race_option *more);

#endif /* SELFTEST_KVM_LOCKLESS_AGING_RACE_H */
