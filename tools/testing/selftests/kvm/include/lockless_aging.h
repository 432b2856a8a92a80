/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the lockless_aging_* tests share: the kernel's debug files, a guest
 * that touches pages on command, and memory regions placed by the test.
 */
#ifndef SELFTEST_KVM_LOCKLESS_AGING_H
#define SELFTEST_KVM_LOCKLESS_AGING_H

#include <linux/bitmap.h>
#include <linux/sizes.h>
#include <pthread.h>
#include <time.h>

#include "guest_modes.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "ucall_common.h"

#define CGROUP_ROOT	"/sys/fs/cgroup"
#define LA_DEBUGFS	"/sys/kernel/debug/pgtable_walk/"
#define LA_AGE		"/sys/kernel/debug/mmu_notifier_age"
#define LA_STATS	LA_DEBUGFS "stats"
#define LA_STALL_NS	LA_DEBUGFS "stall_ns"
#define LA_STALL_ONE_IN	LA_DEBUGFS "stall_one_in"
#define LA_LOCKED	"/sys/kernel/debug/kvm/aged_locked"
#define LA_SWITCH	"/sys/module/kvm/parameters/lockless_aging"

/* Parts of a batch at most, see mm/mmu_notifier_age_debug.c. */
#define LA_BATCH_BITS	512

#define LA_MAX_VCPUS	8
#define LA_MAX_PAGES	8192

/* Page size of the host, and of the guest: 4K, 16K or 64K. */
extern unsigned int la_page_shift;

#define LA_PAGE_SHIFT	la_page_shift
#define LA_PAGE_SIZE	BIT(LA_PAGE_SHIFT)
#define PAGES(nr)	((size_t)(nr) << LA_PAGE_SHIFT)
/* What one last-level table covers, and the size of the smallest huge leaf. */
#define LA_TABLE_SHIFT	(2 * LA_PAGE_SHIFT - 3)
#define LA_TABLE_SIZE	BIT(LA_TABLE_SHIFT)
#define LA_TABLE_PAGES	(LA_TABLE_SIZE >> LA_PAGE_SHIFT)

/*
 * As many pages as a table of 4K has entries. The tables of larger pages cover more
 * than a test has the memory or the time to touch, so slots are placed where such a
 * chunk ends with its table: then they lie in two tables at least, as with 4K.
 */
#define LA_CHUNK_PAGES	512UL
#define LA_CHUNK_SIZE	(LA_CHUNK_PAGES << LA_PAGE_SHIFT)

/* Places for slots: at the first page of a table, and a chunk before its end. */
#define LA_TABLE_GPA(n)	(SZ_1G + (n) * (4UL * LA_MAX_PAGES << LA_PAGE_SHIFT))
#define LA_CHUNK_GPA(n)	(LA_TABLE_GPA(n) + LA_TABLE_SIZE - LA_CHUNK_SIZE)

/* Slot 0 is the framework's, slot 1 holds the page of la_flush_tlb(). */
#define LA_FLUSH_SLOT	1
#define LA_FLUSH_GPA	(SZ_1G - LA_TABLE_SIZE)
#define LA_SLOT		2
#define LA_GPA		LA_CHUNK_GPA(0)

/*
 * Debug files
 */

int __la_write(const char *path, const char *text);
void la_write(const char *path, const char *text);
bool la_read(const char *path, char *text, size_t size);
void la_swap_on(const char *device);
const char *la_missing(void);
bool la_get_lockless(void);
void la_set_lockless(bool on);
void la_restore_lockless_at_exit(void);
bool la_has_stalls(void);
void la_set_stalls(uint64_t ns, uint64_t one_in);

/* Counts of the library, of KVM (of VMs that still exist), and of the mmu notifier. */
struct la_stats {
	uint64_t walks;
	uint64_t visited;
	uint64_t young;
	uint64_t lost;
	uint64_t busy;
	uint64_t freed;
	uint64_t mmu_lock;
	uint64_t batches;
	uint64_t refused;
};

uint64_t la_stat(const char *text, const char *name);
struct la_stats la_stats_read(void);
void la_stats_zero(void);
int la_age_open(void);

struct la_aged {
	uint64_t calls;
	uint64_t young;
	uint64_t nsec;
};

struct la_aged la_age_batch(int fd, const char *op, const void *start, size_t bytes, size_t step,
			    unsigned int every);
struct la_aged la_age(int fd, const char *op, const void *start, size_t bytes, size_t step);
uint64_t la_test(int fd, const void *start, size_t bytes);
uint64_t la_clear_pages(int fd, const void *start, size_t bytes);
bool la_clear_range(int fd, const void *start, size_t bytes);

/*
 * The guest: runs one command at a time.
 */

enum la_op {
	LA_OP_NOP,
	LA_OP_READ,
	LA_OP_WRITE,
	LA_OP_STAMP,	/* write la_value() to each page */
	LA_OP_CHECK,	/* count the pages that do not hold la_value() */
	LA_OP_COPY,	/* copy the stamps to @out */
	LA_OP_FILL,	/* write @stamp, and @add more to each page than to the last */
	LA_OP_CALL,	/* call what is at LA_CODE in each page */
	LA_OP_LATENCY,	/* write to each page; how long each took goes to @out */
	LA_OP_SERVE,	/* read a page each time @asked changes, until it is LA_ENOUGH */
};

#define LA_ENOUGH	(~0UL)

/* Where a page has room for code beside what the other commands write to. */
#define LA_CODE		128

struct la_cmd {
	uint64_t op;
	uint64_t gva;
	uint64_t pages;
	uint64_t step;		/* bytes from one page to the next */
	uint64_t use_map;	/* only the pages whose bit is set in @map */
	uint64_t stamp;
	uint64_t add;
	uint64_t out;		/* gva of an array of @pages words */
	uint64_t asked;		/* the vCPU runs while these two change */
	uint64_t served;

	uint64_t bad;		/* results */
	uint64_t bad_gva;
	uint64_t bad_value;
	uint64_t cycles;

	uint64_t map[LA_MAX_PAGES / 64];
};

extern struct la_cmd la_cmds[LA_MAX_VCPUS];

static inline uint64_t la_value(uint64_t stamp, uint64_t gva)
{
	return (stamp << 48) ^ gva;
}

uint64_t la_guest_cycles(void);
void la_guest_run_cmd(struct la_cmd *cmd);

/*
 * The host's side of the guest
 */

struct la_vm {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpus[LA_MAX_VCPUS];
	struct la_cmd *cmds;
	void *flush_page;
	uint64_t step;		/* of commands; more than a page leaves pages out */
	int age;		/* -1 without the age file */
};

/* For huge leaves: as many pages of each as fit in one of 2M. */
#define LA_HUGE_STEP	(LA_TABLE_SIZE / LA_CHUNK_PAGES)

void *la_mmap_aligned(size_t bytes);
void *la_alloc(size_t bytes);
void *la_alloc_hugetlb(size_t bytes);
const char *la_missing_hugetlb(size_t bytes);
void la_add_slot(struct la_vm *v, uint32_t slot, uint32_t flags, uint64_t gpa, uint64_t gva,
		 void *mem, size_t bytes);
void la_add_huge_slot(struct la_vm *v, uint32_t slot, uint32_t flags, uint64_t gpa, uint64_t gva,
		      void *mem, size_t bytes);
void la_del_slot(struct la_vm *v, uint32_t slot);
bool la_mode_fits(int mode);
void la_vm_create_mode(struct la_vm *v, int nr_vcpus, int mode);
void la_vm_create(struct la_vm *v, int nr_vcpus);
char *la_vm_create_mem(struct la_vm *v, int nr_vcpus, size_t bytes);
bool la_has_tdp_mmu(void);
const char *la_missing_eager_split(void);
void la_split_eagerly(struct la_vm *v);
void la_vm_free(struct la_vm *v);
struct la_cmd *la_vcpu_do(struct la_vm *v, int vcpu, enum la_op op, uint64_t gva, uint64_t pages,
			  uint64_t stamp);
void la_touch(struct la_vm *v, enum la_op op, uint64_t gva, uint64_t pages);
void la_vcpu_do_map(struct la_vm *v, int vcpu, enum la_op op, uint64_t gva, uint64_t pages,
		    uint64_t stamp, const unsigned long *map);
void la_touch_map(struct la_vm *v, enum la_op op, uint64_t gva, uint64_t pages,
		  const unsigned long *map);
void la_flush_tlb(struct la_vm *v);

/* Whether the notifier is queried by bitmaps, a bit for each page. */
extern bool la_by_batch;

uint64_t la_batch(struct la_vm *v, const char *op, char *mem, uint64_t page, uint64_t nr,
		  uint64_t step);
uint64_t la_count_young(struct la_vm *v, char *mem, uint64_t page, uint64_t nr);
bool la_clear_some(struct la_vm *v, char *mem, uint64_t page, uint64_t nr);
uint64_t la_clear_each(struct la_vm *v, char *mem, uint64_t page, uint64_t nr);
void la_check_locks(void);
bool la_page_young(struct la_vm *v, char *mem, uint64_t page);
void la_make_old(struct la_vm *v, void *mem, size_t bytes);
void la_random_map(unsigned long *map, uint64_t pages, uint32_t percent, uint64_t *rng);

uint32_t la_random(uint64_t *state);
uint64_t la_now_ns(void);

#endif /* SELFTEST_KVM_LOCKLESS_AGING_H */
