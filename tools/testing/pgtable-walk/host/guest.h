/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A guest of riscv KVM on this machine: page tables, a shadow of them that is kept
 * by what changes them, and vCPUs that translate with a TLB and set accessed and
 * dirty bits.  Tests are in steps.c and stress.c.
 */
#ifndef HOST_GUEST_H
#define HOST_GUEST_H

#include <kunit/test.h>
#include <linux/kvm_age.h>

#include "../../../../arch/riscv/kvm/gstage_walk.h"
#include "../../../../arch/riscv/kvm/guest_read.h"
#include "../../../../virt/kvm/lockless_aging.h"

/* A few pages in each of a few tables, huge pages there, too. */
#define LEVELS		3
#define ROOT_SIZE	(4 * PAGE_SIZE)
#define TABLES		4
#define PAGES		16	/* in each table */
#define HUGE_SIZE	(PAGE_SIZE << 9)
#define PROT		(_PAGE_PRESENT | _PAGE_USER | _PAGE_READ | _PAGE_WRITE)
#define ROUNDS		20000

extern struct kvm kvm;

/* What entries hold apart from A and D; that of the only thread that changes them. */
extern vpte_t shadow[TABLES][PAGES];

u64 page_addr(unsigned int table, unsigned int page);
void new_root(void);
pte_t *find_entry(const struct pgtable_walk_tree *tree, u64 addr, unsigned int *level);
struct pgtable_walk_tree locked_tree(void);
void set_shadow(u64 start, u64 end, vpte_t clear, vpte_t set);
void check_shadow(struct kunit *test);
void map(u64 addr, unsigned int level);

/* ---- the rest of the kernel ---- */

extern unsigned long counters[PGTABLE_WALK_NR_COUNTERS];
extern bool stall;		/* in race windows */

/* Who wants the CPU, or the lock: every now and then somebody, always, or never. */
enum wanted { NOW_AND_THEN, ALWAYS, NEVER };

extern enum wanted cpu_wanted, lock_wanted;
extern unsigned long yields, lock_yields;
/* Somebody else maps a page when the lock is dropped for the n-th time. */
extern unsigned long refill_at;

extern __thread u32 random_state;

u32 random_below(u32 limit);

/* ---- vCPUs, with a TLB each ---- */

#define VCPUS		2
#define TLB_LEAVES	32
#define TLB_TABLES	8
#define MAX_FENCES	64

struct tlb_entry {
	bool valid;
	u64 addr;		/* first one */
	unsigned int level;	/* of the table that holds the entry */
	vpte_t pte;
};

struct fence {
	u64 addr;
	u64 size;
	unsigned int order;
};

struct host_vcpu {
	struct kvm_vcpu vcpu;
	/* The hart's own. */
	unsigned long hgatp_vmid;
	vpte_t *root;
	unsigned long tlb_vmid;
	struct tlb_entry leaves[TLB_LEAVES];
	struct tlb_entry tables[TLB_TABLES];
	/* How often interrupts were switched on.  Senders of an IPI wait until it changes. */
	unsigned long interruptible;
	bool parked;

	pthread_mutex_t lock;	/* protects: */
	struct fence fences[MAX_FENCES];
	unsigned int nr_fences;
};

extern struct host_vcpu vcpus[VCPUS];
extern __thread struct host_vcpu *this_vcpu;
extern unsigned long vmid_version;
extern unsigned long fences_all, fences_range, stale_uses;
extern __thread unsigned long local_fences;

void check_requests(void);
struct tlb_entry *tlb_find(struct tlb_entry *tlb, int nr, u64 addr);
void guest_access(u64 addr);
void load_vcpu(struct host_vcpu *v);

#endif /* HOST_GUEST_H */
