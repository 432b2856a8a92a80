// SPDX-License-Identifier: GPL-2.0
/*
 * Walks under the lock that stop and go on, or unlink what they leave.
 */
#include "suite.h"

/* Which leaf it is, or -1 if a call is about a table. */
static int pgtable_kunit_leaf_of_call(struct pgtable_kunit *t, unsigned int nr)
{
	unsigned int i;

	for (i = 0; !t->calls[nr].post && i < t->nr_slots; i++) {
		if (t->slots[i].ptep == t->calls[nr].ptep)
			return i;
	}
	return -1;
}

/* Stopped at each leaf and resumed, a walk sees each leaf once, and each table once. */
void pgtable_kunit_test_stop_and_resume(struct kunit *test)
{
	struct pgtable_kunit *t = test->priv;
	unsigned int i, j, posts = 0, tables = 0;
	u64 addr = 0;

	pgtable_kunit_put_mix(t);
	t->stop = true;
	for (i = 0; i < t->nr_slots; i++) {
		const struct pgtable_kunit_slot *slot = &t->slots[i];
		unsigned int leaves = 0;

		tables += slot->kind == PGTABLE_WALK_TABLE;
		if (slot->kind != PGTABLE_WALK_LEAF)
			continue;

		addr = pgtable_kunit_run(t, PGTABLE_KUNIT_EXCLUSIVE, addr, t->width);
		KUNIT_EXPECT_EQ(test, addr, slot->addr + pgtable_kunit_size(t, slot->level));
		KUNIT_EXPECT_EQ(test, t->done, addr == t->width);
		/* Behind this leaf come tables that end with it, and none else. */
		for (j = 0; j < t->nr_calls; j++) {
			const struct pgtable_kunit_call *call = &t->calls[j];

			if (!call->post) {
				leaves++;
				KUNIT_EXPECT_EQ(test, pgtable_kunit_leaf_of_call(t, j), i);
			} else if (leaves) {
				KUNIT_EXPECT_EQ(test, call->addr +
						pgtable_kunit_size(t, call->level), addr);
			}
		}
		KUNIT_EXPECT_EQ(test, leaves, 1);
		posts += t->nr_calls - leaves;
	}
	KUNIT_EXPECT_EQ(test, addr, t->width);
	KUNIT_EXPECT_EQ(test, posts, tables);

	/* A leaf that extends beyond the range, and a range that extends beyond the tree. */
	for (i = 0; i < 2; i++) {
		const enum pgtable_kunit_op op = i ? PGTABLE_KUNIT_EXCLUSIVE : PGTABLE_KUNIT_SHARED;

		KUNIT_EXPECT_EQ(test, pgtable_kunit_run(t, op, 0, 1), 1);
		KUNIT_EXPECT_TRUE(test, t->done);
		KUNIT_EXPECT_EQ(test, pgtable_kunit_run(t, op, t->width - 1, ~0ULL), ~0ULL);
		KUNIT_EXPECT_TRUE(test, t->done);
	}
}
EXPORT_SYMBOL_GPL(pgtable_kunit_test_stop_and_resume);

/*
 * Stopped behind each table, and at each leaf or not, a walk unlinks every table, those
 * without a leaf and those that end with one included.
 */
static void pgtable_kunit_unlink_in_pieces(struct kunit *test, bool stop)
{
	struct pgtable_kunit *t = test->priv;
	const unsigned int top = t->tree.levels - 1;
	unsigned int i, pieces, posts = 0, tables = 0;
	u64 addr = 0;

	pgtable_kunit_put_mix(t);
	for (i = 0; i < t->nr_slots; i++)
		tables += t->slots[i].kind == PGTABLE_WALK_TABLE;

	t->stop = stop;
	t->stop_post = true;
	t->unlink = true;
	for (pieces = 0; addr < t->width && pieces <= t->nr_slots; pieces++) {
		const u64 from = addr;

		addr = pgtable_kunit_run(t, PGTABLE_KUNIT_EXCLUSIVE, from, t->width);
		KUNIT_EXPECT_TRUE(test, addr > from);
		for (i = 0; i < t->nr_calls; i++)
			posts += t->calls[i].post;

		/* It stopped behind the first table that ended, at the latest. */
		for (i = 0; i < t->nr_calls && !t->calls[i].post; i++)
			;
		for (; i < t->nr_calls; i++)
			KUNIT_EXPECT_TRUE(test, t->calls[i].post);
	}
	KUNIT_EXPECT_EQ(test, addr, t->width);
	KUNIT_EXPECT_EQ(test, posts, tables);
	for (i = 0; i < 1U << t->root_bits; i++)
		KUNIT_EXPECT_EQ(test, t->tree.table[i], pgtable_kunit_empty_pte(t, top));
}

void pgtable_kunit_test_unlink_in_pieces(struct kunit *test)
{
	pgtable_kunit_unlink_in_pieces(test, false);
}
EXPORT_SYMBOL_GPL(pgtable_kunit_test_unlink_in_pieces);

void pgtable_kunit_test_unlink_in_small_pieces(struct kunit *test)
{
	pgtable_kunit_unlink_in_pieces(test, true);
}
EXPORT_SYMBOL_GPL(pgtable_kunit_test_unlink_in_small_pieces);

/* A walk that unlinks tables on the way out leaves none, and looks at none again. */
void pgtable_kunit_test_unlink(struct kunit *test)
{
	struct pgtable_kunit *t = test->priv;
	const unsigned int top = t->tree.levels - 1;
	unsigned int i;

	pgtable_kunit_put_mix(t);
	t->unlink = true;
	KUNIT_EXPECT_EQ(test, pgtable_kunit_run(t, PGTABLE_KUNIT_EXCLUSIVE, 0, t->width), t->width);
	pgtable_kunit_expect_calls(t, 0, t->width, true, true);
	for (i = 0; i < 1U << t->root_bits; i++)
		KUNIT_EXPECT_EQ(test, t->tree.table[i], pgtable_kunit_empty_pte(t, top));

	KUNIT_EXPECT_EQ(test, pgtable_kunit_run(t, PGTABLE_KUNIT_EXCLUSIVE, 0, t->width), t->width);
	KUNIT_EXPECT_EQ(test, t->nr_calls, 0);
}
EXPORT_SYMBOL_GPL(pgtable_kunit_test_unlink);
