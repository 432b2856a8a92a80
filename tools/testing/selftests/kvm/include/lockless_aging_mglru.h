/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What tests of MGLRU share: passes over the memory of a cgroup, guests that use a part of
 * theirs, and a main function for tests that have a process and a cgroup of their own each.
 */
#ifndef SELFTEST_KVM_LOCKLESS_AGING_MGLRU_H
#define SELFTEST_KVM_LOCKLESS_AGING_MGLRU_H

#include "lockless_aging.h"

#define LRU_GEN		"/sys/kernel/debug/lru_gen"
#define LRU_GEN_ENABLED	"/sys/kernel/mm/lru_gen/enabled"
#define DROP_CACHES	"/proc/sys/vm/drop_caches"
#define BATCH_SWITCH	"/sys/module/mmu_notifier_age/parameters/batch"

#define LA_TRACING	"/sys/kernel/debug/tracing/"
#define LA_TRACE_BATCH	LA_TRACING "events/mmu_notifier_age/mmu_notifier_age_range/enable"
#define LA_TRACE_CLEAR	LA_TRACING "events/kvm/kvm_age_hva/enable"
#define LA_TRACE_TEST	LA_TRACING "events/kvm/kvm_test_age_hva/enable"

#define MAX_GENS	4

extern uint64_t la_hot_pages;
extern uint64_t la_cold_pages;
extern const char *la_swap_device;
extern bool la_on_stock;		/* no counters, no switches */
extern char la_own_group[64];
extern char la_other_group[64];
extern bool la_passed;	/* the test that this process runs */

#define CHECK(cond) do {						\
	if (!(cond)) {							\
		ksft_print_msg("line %d: not so: %s\n", __LINE__, #cond);	\
		la_passed = false;						\
	}								\
} while (0)

/* One generation of a cgroup, on node 0. */
struct la_gen {
	unsigned long seq;
	long pages;
};

struct la_lru {
	unsigned long memcg;
	struct la_gen gens[MAX_GENS];
	int nr;
};

/* A query about many pages: event mmu_notifier_age_range. */
struct la_batch_event {
	char op[8];
	unsigned long start;
	unsigned long end;
	unsigned int shift;
	uint64_t wanted;
	uint64_t young;
	int ret;
};

struct la_lru_test {
	const char *name;
	void (*fn)(void);
	bool on_stock;
	bool swaps;
	bool thp;
	bool nonleaf;		/* entries of page tables, too, have accessed bits */
	const char *file;	/* that it needs */
};

void la_group_write(const char *group, const char *file, const char *text);
void la_group_read(const char *group, const char *file, char *text, size_t size);
struct la_lru la_lru_read(const char *group);
void __la_lru_age_group(const char *group, bool anon, bool everything);
void la_lru_age_group(const char *group, bool everything);
void la_lru_age(void);
void la_lru_evict(uint64_t pages);
long la_lru_young(const struct la_lru *lru, int nr);
long la_lru_old(const struct la_lru *lru, int nr);
uint64_t la_guest_pages(void);
char *la_create_guest(struct la_vm *v, uint64_t pages);
void la_use(struct la_vm *v, uint64_t pages);
uint64_t la_young_in_guest(struct la_vm *v, char *mem, uint64_t first, uint64_t pages);
void la_use_in_host(char *mem, uint64_t pages);
void la_consult(bool on);
char *la_read_all(const char *path);
void la_trace_begin(const char *event);
const char *la_trace_end(const char *event);
const char *la_next_batch_event(const char *trace, struct la_batch_event *e);
void la_lru_main(int argc, char *argv[], const struct la_lru_test *tests, int nr_tests);

#endif /* SELFTEST_KVM_LOCKLESS_AGING_MGLRU_H */
