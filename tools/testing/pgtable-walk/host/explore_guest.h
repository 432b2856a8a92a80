/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What interleaved threads do with page tables, and what is demanded of them, see explore.h:
 *
 *  - Nobody touches a table that may have been freed.
 *  - Aging changes leaves alone, and nothing of them but to clear A.
 *  - A change of a leaf keeps A and D as they are at that moment.
 *  - Each A and D that hardware sets is there at the end, or was reported by aging, or was in
 *    the old value that unmapping the entry returned.
 *  - Aging reports each leaf as young that was young when it was looked at, lost race or not.
 *  - No vCPU uses a page that was unmapped and fenced, or writes to one that was made
 *    read-only and fenced.
 *
 * TLBs keep all that they ever see, pointers to tables included, until a fence.
 */
#ifndef HOST_EXPLORE_GUEST_H
#define HOST_EXPLORE_GUEST_H

#include <kunit/test.h>
#include <linux/pgtable_age.h>
#include <linux/pgtable_gather.h>

#define EXPLORE_PAGES	256
#define EXPLORE_TLB	64

/**
 * struct explore_mmu - entries in other words than those of their format
 * @fmt: the format
 * @accessed: set by hardware in leaves that it uses
 * @dirty: set by hardware in those that it writes to
 * @write: what it may write to
 * @page: the number of the first page that a leaf maps, below EXPLORE_PAGES
 */
struct explore_mmu {
	const struct pgtable_walk_format *fmt;
	vpte_t accessed;
	vpte_t dirty;
	vpte_t write;
	unsigned int (*page)(vpte_t leaf);
};

enum explore_role {
	EXPLORE_OWNER,
	EXPLORE_AGER,
	EXPLORE_VCPU,
};

struct explore_tlb {
	bool valid;
	u64 addr;
	unsigned int level;
	vpte_t pte;
};

struct explore_vcpu {
	u64 fenced;	/* a word that accesses and fences have in common */
	bool busy;
	struct explore_tlb tlb[EXPLORE_TLB];
};

/* Counts of events, so that a test can fail if nothing happened. */
extern struct explore_tally {
	unsigned long aged, lost, uses, faults, freed;
} explore_tally;

/* Fails if any of it did not. */
void explore_expect_tally(struct kunit *test);

/* In @begin: the tree that vCPUs use, and forget all pages and TLBs. */
void explore_guest_begin(const struct explore_mmu *mmu, const struct pgtable_walk_tree *tree);
/* In @end: fails if bits were lost, or tables. */
void explore_guest_end(void);
/* What a table of @level maps from @addr on, for words about it. */
void explore_name_table(const vpte_t *table, unsigned int level, u64 addr);
void explore_name_word(const void *word, const char *name);
u64 explore_guest_digest(void);

/* In a thread: what it may do to entries. */
void explore_role(enum explore_role role);

/* An access of the guest; false if it faults. */
bool explore_vcpu_access(struct explore_vcpu *vcpu, u64 addr, bool write);
/* Fences, which wait for accesses: of leaves in a range, or of all, pointers to tables included. */
void explore_fence(struct explore_vcpu *vcpu, u64 start, u64 end);
void explore_fence_all(struct explore_vcpu *vcpu);

/* What unmaps or changes a leaf reports A and D of its old value. */
void explore_report(vpte_t leaf);
/* A and D of these pages do not matter any more: they were unmapped. */
void explore_pages_dropped(unsigned int page, unsigned int nr);
/* From here on, nobody may use pages, or write to them. */
void explore_pages_gone(unsigned int page, unsigned int nr);
/* The contrary, before they are mapped. */
void explore_pages_back(unsigned int page, unsigned int nr);
void explore_pages_readonly(unsigned int page, unsigned int nr);
void explore_pages_writable(unsigned int page, unsigned int nr);

/* Before aging, and behind it: what must have been found young, by what was read. */
void explore_age_begin(void);
void explore_age_end(const struct pgtable_age *age, bool young);

#endif /* HOST_EXPLORE_GUEST_H */
