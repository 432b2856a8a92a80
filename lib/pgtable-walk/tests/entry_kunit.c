// SPDX-License-Identifier: GPL-2.0
/*
 * What a walk makes of an entry, and of one that changes while it looks.
 */
#include "suite.h"

/* What a table is at level 0, which has none. */
static enum pgtable_walk_kind pgtable_kunit_bottom_kind(const struct pgtable_kunit *t)
{
	return t->fmt->table_is_leaf ? PGTABLE_WALK_LEAF : PGTABLE_WALK_NONE;
}

/* What format and tests were told of the same tables is the same. */
void pgtable_kunit_test_format(struct kunit *test)
{
	struct pgtable_kunit *t = test->priv;
	const struct pgtable_walk_format *fmt = t->fmt->format;
	const phys_addr_t pa = virt_to_phys(t->decoy);
	unsigned int level, flavour;

	for (level = 0; level < t->tree.levels; level++) {
		KUNIT_EXPECT_EQ(test, pgtable_walk_level_shift(fmt, level),
				pgtable_kunit_shift(t, level));
		KUNIT_EXPECT_EQ(test, fmt->kind(pgtable_kunit_empty_pte(t, level), level),
				PGTABLE_WALK_NONE);
		KUNIT_EXPECT_EQ(test, fmt->kind(t->fmt->absent(pa), level), PGTABLE_WALK_NONE);
		if (t->fmt->busy)
			KUNIT_EXPECT_EQ(test, fmt->kind(t->fmt->busy, level), PGTABLE_WALK_BUSY);
		KUNIT_EXPECT_EQ(test, fmt->kind(t->fmt->table(pa), level),
				level ? PGTABLE_WALK_TABLE : pgtable_kunit_bottom_kind(t));
		for (flavour = 0; flavour < 32; flavour++) {
			const vpte_t old = t->fmt->leaf(pa, level, flavour, false);
			const vpte_t young = t->fmt->leaf(pa, level, flavour, true);

			KUNIT_EXPECT_EQ(test, fmt->kind(old, level), PGTABLE_WALK_LEAF);
			KUNIT_EXPECT_EQ(test, fmt->kind(young, level), PGTABLE_WALK_LEAF);
			KUNIT_EXPECT_FALSE(test, pgtable_walk_leaf_young(fmt, old));
			KUNIT_EXPECT_TRUE(test, pgtable_walk_leaf_young(fmt, young));
			/* An aging walk may come between a look and a change under the lock. */
			if (fmt->volatile_bits)
				KUNIT_EXPECT_EQ(test, (old ^ young) & ~fmt->volatile_bits, 0);
		}
	}
	KUNIT_EXPECT_PTR_EQ(test, fmt->child(t->fmt->table(pa)), t->decoy);
}
EXPORT_SYMBOL_GPL(pgtable_kunit_test_format);

void pgtable_kunit_test_busy_entries_left_alone(struct kunit *test)
{
	struct pgtable_kunit *t = test->priv;
	const u64 addr = pgtable_kunit_addr(t), page = pgtable_kunit_size(t, 0);
	unsigned int level;

	if (!t->fmt->busy)
		kunit_skip(test, "format has no frozen entries");

	pgtable_kunit_put(t, addr, 0, PGTABLE_WALK_BUSY, t->fmt->busy);
	pgtable_kunit_put_leaf(t, addr + page, 0, true);
	pgtable_kunit_check_aging(t, addr, addr + page);
	pgtable_kunit_check_aging(t, addr, addr + 2 * page);
	pgtable_kunit_check_locked(t, addr, addr + 2 * page);

	for (level = 0; level < t->tree.levels; level++) {
		pgtable_kunit_empty(t);
		pgtable_kunit_put(t, addr, level, PGTABLE_WALK_BUSY, t->fmt->busy);
		pgtable_kunit_check_aging(t, 0, t->width);
		KUNIT_EXPECT_EQ(test, t->stats.busy, 1);
	}
}
EXPORT_SYMBOL_GPL(pgtable_kunit_test_busy_entries_left_alone);

void pgtable_kunit_test_absent_entries_left_alone(struct kunit *test)
{
	struct pgtable_kunit *t = test->priv;
	unsigned int level;

	for (level = 0; level < t->tree.levels; level++) {
		pgtable_kunit_put(t, pgtable_kunit_addr(t), level, PGTABLE_WALK_NONE,
				  t->fmt->absent(virt_to_phys(t->decoy)));
		pgtable_kunit_check_aging(t, 0, t->width);
		pgtable_kunit_check_locked(t, 0, t->width);
		pgtable_kunit_empty(t);
	}
}
EXPORT_SYMBOL_GPL(pgtable_kunit_test_absent_entries_left_alone);

/* Whatever it is there, it is no table. */
void pgtable_kunit_test_table_at_level_0_not_entered(struct kunit *test)
{
	struct pgtable_kunit *t = test->priv;
	const phys_addr_t pa = virt_to_phys(t->decoy);
	const u64 addr = pgtable_kunit_addr(t);
	struct pgtable_kunit_slot *slot;

	slot = pgtable_kunit_put(t, addr, 0, pgtable_kunit_bottom_kind(t), t->fmt->table(pa));
	if (slot->kind == PGTABLE_WALK_LEAF && pgtable_walk_leaf_young(t->fmt->format, slot->pte))
		slot->aged = pgtable_walk_leaf_mkold(t->fmt->format, slot->pte);
	pgtable_kunit_check_aging(t, 0, t->width);
	pgtable_kunit_check_locked(t, addr, addr + 1);
}
EXPORT_SYMBOL_GPL(pgtable_kunit_test_table_at_level_0_not_entered);

/* What another writer put in stays; the leaf was young when it was looked at. */
void pgtable_kunit_test_lost_race(struct kunit *test)
{
	struct pgtable_kunit *t = test->priv;
	const u64 addr = pgtable_kunit_addr(t);
	const phys_addr_t pa = virt_to_phys(t->decoy);
	const phys_addr_t root = virt_to_phys(t->tree.table) & -pgtable_kunit_size(t, 0);
	const vpte_t others[] = {
		pgtable_kunit_empty_pte(t, 0),
		t->fmt->absent(pa),
		t->fmt->busy,
		t->fmt->table(pa),
		t->fmt->leaf(pa, 0, 2, true),
		t->fmt->leaf(pa, 0, 3, false),
		t->fmt->leaf(root, 0, 4, true),
	};
	unsigned int i, level;

	for (level = 0; level < t->tree.levels; level++) {
		for (i = 0; i < ARRAY_SIZE(others); i++) {
			struct pgtable_kunit_slot *slot;

			/* One that nobody touches; no leaf at @addr reaches down to it. */
			pgtable_kunit_put_leaf(t, 0, 0, true);
			slot = pgtable_kunit_put_leaf(t, addr, level, true);
			slot->pte = t->fmt->leaf(pa, level, 4, true);
			slot->aged = others[i];
			pgtable_kunit_restore(t);
			t->race_ptep = slot->ptep;
			t->race_from = slot->pte;
			t->race_to = others[i];

			pgtable_kunit_run(t, PGTABLE_KUNIT_RACE, 0, t->width);
			pgtable_kunit_expect_entries(t, true, 0, t->width);
			pgtable_kunit_expect_stats(t, (struct pgtable_walk_stats) {
				.visited = 2, .young = 2, .lost = 1,
			});
			pgtable_kunit_empty(t);
		}
	}
}
EXPORT_SYMBOL_GPL(pgtable_kunit_test_lost_race);

/* The walk goes by what it saw first, whatever has become of the entry since. */
static void pgtable_kunit_check_snapshot(struct pgtable_kunit *t, unsigned int nr, vpte_t then)
{
	struct pgtable_kunit_slot *slot = &t->slots[nr];

	slot->aged = then;
	t->race_ptep = slot->ptep;
	t->race_from = slot->pte;
	t->race_to = then;
	KUNIT_EXPECT_TRUE(t->test, pgtable_kunit_run(t, PGTABLE_KUNIT_FLIP, 0, t->width));
	pgtable_kunit_expect_entries(t, true, 0, t->width);
	pgtable_kunit_expect_stats(t, (struct pgtable_walk_stats) {
		.visited = 1, .young = 1, .lost = slot->kind == PGTABLE_WALK_LEAF,
	});
	pgtable_kunit_restore(t);
	slot->aged = slot->pte;
}

void pgtable_kunit_test_one_snapshot_of_a_table(struct kunit *test)
{
	struct pgtable_kunit *t = test->priv;
	const phys_addr_t pa = virt_to_phys(t->decoy);
	unsigned int i;

	if (t->tree.levels == 1)
		kunit_skip(test, "one level");

	pgtable_kunit_put_leaf(t, pgtable_kunit_addr(t), 0, true);
	for (i = 0; t->slots[i].kind == PGTABLE_WALK_TABLE; i++) {
		/* None of these is 0: a walk that follows one ends in the decoy. */
		pgtable_kunit_check_snapshot(t, i, t->fmt->leaf(pa, t->slots[i].level, 1, true));
		pgtable_kunit_check_snapshot(t, i, t->fmt->absent(pa));
		pgtable_kunit_check_snapshot(t, i, t->fmt->table(pa));
	}
}
EXPORT_SYMBOL_GPL(pgtable_kunit_test_one_snapshot_of_a_table);

void pgtable_kunit_test_one_snapshot_of_a_leaf(struct kunit *test)
{
	struct pgtable_kunit *t = test->priv;
	const phys_addr_t pa = virt_to_phys(t->decoy);
	unsigned int level;

	for (level = 0; level < t->tree.levels; level++) {
		unsigned int nr;

		pgtable_kunit_put_leaf(t, pgtable_kunit_addr(t), level, true);
		nr = t->nr_slots - 1;
		pgtable_kunit_check_snapshot(t, nr, pgtable_kunit_empty_pte(t, level));
		pgtable_kunit_check_snapshot(t, nr, t->fmt->absent(pa));
		pgtable_kunit_check_snapshot(t, nr, t->fmt->table(pa));
		pgtable_kunit_empty(t);
	}
}
EXPORT_SYMBOL_GPL(pgtable_kunit_test_one_snapshot_of_a_leaf);
