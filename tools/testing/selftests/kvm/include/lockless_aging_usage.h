/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How much memory VMs take, for tests that expect all of it back.
 *
 * KVM charges page tables to the memory cgroup of the VMM, so that a cgroup with
 * nothing else in it shows each page that is left. Some architectures also count them
 * as SecPageTables in /proc/meminfo; what was added there has to be taken off again.
 * The root of a VM may be charged to nobody; many of them show in what is free.
 */
#ifndef SELFTEST_KVM_LOCKLESS_AGING_USAGE_H
#define SELFTEST_KVM_LOCKLESS_AGING_USAGE_H

#include "lockless_aging.h"

extern char la_cgroup[128];

#define LA_NR_KINDS	7

struct la_usage {
	int64_t kernel;		/* pages charged to the cgroup as the kernel's */
	int64_t kind[LA_NR_KINDS];	/* bytes of these, for people to read */
	int64_t secondary;	/* kB in page tables of any VM, if that is counted */
	int64_t unknown;	/* kB, neither free nor a slab's, a stack or user space's */
};

bool la_make_cgroup(const char *name);
void la_remove_cgroup(void);
void la_enter_cgroup(void);
struct la_usage la_usage(void);
struct la_usage la_settled(void);
bool la_usage_returns(const char *name, struct la_usage first, unsigned int nr,
		      unsigned int tolerance, struct la_usage *now);

#endif /* SELFTEST_KVM_LOCKLESS_AGING_USAGE_H */
