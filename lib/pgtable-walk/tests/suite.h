/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of the KUnit suite share, see <kunit/pgtable_walk.h>.
 */
#ifndef _PGTABLE_WALK_TESTS_SUITE_H
#define _PGTABLE_WALK_TESTS_SUITE_H

#include <linux/export.h>
#include <kunit/pgtable_walk.h>

/* Tests go through each entry of tables that have no more index bits than this. */
#define PGTABLE_KUNIT_ALL_BITS	9U

unsigned int pgtable_kunit_bits(const struct pgtable_kunit *t, unsigned int level);
unsigned int pgtable_kunit_shift(const struct pgtable_kunit *t, unsigned int level);
u64 pgtable_kunit_size(const struct pgtable_kunit *t, unsigned int level);
struct pgtable_kunit_slot *pgtable_kunit_find(struct pgtable_kunit *t, u64 addr,
					      unsigned int level);
struct pgtable_kunit_slot *pgtable_kunit_put(struct pgtable_kunit *t, u64 addr, unsigned int level,
					     enum pgtable_walk_kind kind, vpte_t pte);
void pgtable_kunit_empty(struct pgtable_kunit *t);
unsigned int pgtable_kunit_next(const struct pgtable_kunit *t, unsigned int i);
unsigned int pgtable_kunit_pages(const struct pgtable_kunit *t, unsigned int tables);
void pgtable_kunit_put_mix(struct pgtable_kunit *t);
bool pgtable_kunit_overlaps(const struct pgtable_kunit *t, const struct pgtable_kunit_slot *slot,
			    u64 start, u64 end);
struct pgtable_walk_stats pgtable_kunit_expected_stats(const struct pgtable_kunit *t, u64 start,
						       u64 end);
void pgtable_kunit_expect_entries(struct pgtable_kunit *t, bool aged, u64 start, u64 end);
void pgtable_kunit_expect_calls(struct pgtable_kunit *t, u64 start, u64 end, bool post, bool ptep);
void pgtable_kunit_expect_stats(struct pgtable_kunit *t, struct pgtable_walk_stats want);
void pgtable_kunit_check_aging(struct pgtable_kunit *t, u64 start, u64 end);
void pgtable_kunit_check_locked(struct pgtable_kunit *t, u64 start, u64 end);

#endif /* _PGTABLE_WALK_TESTS_SUITE_H */
