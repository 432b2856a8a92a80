// SPDX-License-Identifier: GPL-2.0
/*
 * What an entry costs: riscv KVM's aging against loops that somebody who knows the
 * format, the number of levels and that there are no huge leaves would write by hand.
 *
 * Passes of both take turns, and each counts with its fastest: whatever else runs on
 * the machine can only make a pass slower.  Fails if a bound is still exceeded after
 * many rounds.
 */
#include <time.h>

#include <linux/kvm_age.h>

#include "../../../../arch/riscv/kvm/gstage_walk.h"

#define LEVELS		3
#define ROOT_SIZE	(4 * PAGE_SIZE)
#define TABLE_ENTRIES	512
#define MIN_ROUNDS	30
#define MAX_ROUNDS	3000

static struct kvm kvm = { .mmu_lock.mutex = PTHREAD_MUTEX_INITIALIZER };
static unsigned int tables;
static struct pgtable_walk_stats found;

/* ---- what the code under test needs ---- */

void pgtable_walk_account_age(const struct pgtable_age *age)
{
	found = age->stats;
}

/* ---- by hand ---- */

static vpte_t *table_of(vpte_t pte)
{
	return (vpte_t *)(uintptr_t)((pte & _PAGE_PFN_MASK) >> _PAGE_PFN_SHIFT << PAGE_SHIFT);
}

/* Constant @clear, so this is two loops. */
static __always_inline bool bare_loop(const vpte_t *root, bool clear)
{
	unsigned int i, j, k, visited = 0, young = 0, lost = 0, left = tables;

	for (i = 0; left; i++) {
		const vpte_t upper = READ_ONCE(root[i]);

		if (!(upper & _PAGE_PRESENT))
			continue;
		for (j = 0; j < TABLE_ENTRIES && left; j++) {
			const vpte_t middle = READ_ONCE(table_of(upper)[j]);

			if (!(middle & _PAGE_PRESENT))
				continue;
			for (k = 0; k < TABLE_ENTRIES; k++) {
				vpte_t *ptep = &table_of(middle)[k];
				vpte_t pte = READ_ONCE(*ptep);

				if (!(pte & _PAGE_PRESENT))
					continue;
				visited++;
				if (!(pte & _PAGE_ACCESSED))
					continue;
				young++;
				if (!clear)
					goto out;
				if (!try_cmpxchg(ptep, &pte, pte & ~_PAGE_ACCESSED))
					lost++;
			}
			left--;
		}
	}
out:
	found = (struct pgtable_walk_stats) { .visited = visited, .young = young, .lost = lost };
	return young;
}

static noinline bool bare_clear(void)
{
	return bare_loop(kvm.arch.pgd, true);
}

static noinline bool bare_test(void)
{
	return bare_loop(kvm.arch.pgd, false);
}

/* ---- ours ---- */

static struct kvm_gfn_range everything(void)
{
	return (struct kvm_gfn_range) { .end = (u64)tables * TABLE_ENTRIES, .lockless = true };
}

static noinline bool walk_clear(void)
{
	struct kvm_gfn_range range = everything();

	return kvm_age_gfn(&kvm, &range);
}

static noinline bool walk_test(void)
{
	struct kvm_gfn_range range = everything();

	return kvm_test_age_gfn(&kvm, &range);
}

/* ---- the comparison ---- */

static const struct bench {
	const char *name;
	bool (*walk)(void);
	bool (*bare)(void);
	bool young;
	double bound;
} benches[] = {
	{ "test, old leaves", walk_test, bare_test, false, 1.25 },
	{ "test and clear, old leaves", walk_clear, bare_clear, false, 1.25 },
	{ "test and clear, young leaves", walk_clear, bare_clear, true, 1.5 },
};

static void *new_table(size_t size)
{
	void *table = aligned_alloc(size, size);

	if (!table)
		abort();
	return memset(table, 0, size);
}

static vpte_t table_pte(const void *table)
{
	return pte_val(pfn_pte(PHYS_PFN(virt_to_phys(table)), PAGE_TABLE));
}

static vpte_t *leaf_table(unsigned int nr)
{
	vpte_t *root = kvm.arch.pgd, *upper = &root[nr / TABLE_ENTRIES], *middle;

	if (!*upper)
		*upper = table_pte(new_table(PAGE_SIZE));
	middle = &table_of(*upper)[nr % TABLE_ENTRIES];
	if (!*middle)
		*middle = table_pte(new_table(PAGE_SIZE));
	return table_of(*middle);
}

static void set_leaves(bool young)
{
	unsigned int i, j;

	for (i = 0; i < tables; i++) {
		vpte_t *table = leaf_table(i);

		for (j = 0; j < TABLE_ENTRIES; j++) {
			const pte_t pte = pfn_pte(i * TABLE_ENTRIES + j, PAGE_WRITE);

			table[j] = pte_val(young ? pte : pte_mkold(pte));
		}
	}
}

/* Nanoseconds per entry. */
static double pass(const struct bench *bench, bool (*run)(void))
{
	const unsigned int entries = tables * TABLE_ENTRIES;
	struct timespec from, to;
	bool young;

	set_leaves(bench->young);
	clock_gettime(CLOCK_MONOTONIC, &from);
	young = run();
	clock_gettime(CLOCK_MONOTONIC, &to);

	if (young != bench->young || found.visited != entries || found.lost ||
	    found.young != (bench->young ? entries : 0)) {
		fprintf(stderr, "%s: wrong result: %u visited, %u young, %u lost of %u leaves\n",
			bench->name, found.visited, found.young, found.lost, entries);
		exit(1);
	}
	return ((to.tv_sec - from.tv_sec) * 1e9 + (to.tv_nsec - from.tv_nsec)) / entries;
}

static bool compare(const struct bench *bench)
{
	double walk = 1e9, bare = 1e9;
	int round;

	for (round = 0; round < MIN_ROUNDS || (round < MAX_ROUNDS && walk > bare * bench->bound);
	     round++) {
		walk = min(walk, pass(bench, bench->walk));
		bare = min(bare, pass(bench, bench->bare));
	}

	printf("%6u MiB  %-29s %8.2f %8.2f %8.2f %8.2f  %s\n", tables * 2, bench->name, walk, bare,
	       walk / bare, bench->bound, walk > bare * bench->bound ? "EXCEEDED" : "ok");
	return walk <= bare * bench->bound;
}

int main(int argc, char **argv)
{
	static const unsigned int sizes[] = { 32, 512 };
	bool ok = true;
	unsigned int i, j;

	kvm.arch.pgd = new_table(ROOT_SIZE);
	gstage_publish_root(&kvm, LEVELS);

	/* For a tool that counts instructions: one pass each way, of one comparison. */
	if (argc > 1) {
		const struct bench *bench = &benches[atoi(argv[1]) % ARRAY_SIZE(benches)];

		tables = sizes[0];
		pass(bench, bench->walk);
		pass(bench, bench->bare);
		return 0;
	}

	printf("%6s      %-29s %8s %8s %8s %8s\n", "guest", "ns per entry", "walker", "by hand",
	       "ratio", "bound");
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		tables = sizes[i];
		for (j = 0; j < ARRAY_SIZE(benches); j++)
			ok &= compare(&benches[j]);
	}
	return !ok;
}
