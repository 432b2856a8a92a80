// SPDX-License-Identifier: GPL-2.0
/*
 * Requests to age, of whole ranges and of parts, and random trees.
 */
#include "suite.h"

#define PGTABLE_KUNIT_BITS	512U

void pgtable_kunit_test_testing_changes_nothing(struct kunit *test)
{
	struct pgtable_kunit *t = test->priv;
	const u64 page = pgtable_kunit_size(t, 0);

	pgtable_kunit_put_leaf(t, 0, 0, false);
	pgtable_kunit_put_leaf(t, page, 0, true);
	pgtable_kunit_put_leaf(t, 2 * page, 0, true);
	KUNIT_EXPECT_TRUE(test, pgtable_kunit_run(t, PGTABLE_KUNIT_TEST, 0, 3 * page));
	KUNIT_EXPECT_EQ(test, t->stats.visited, 2);
	pgtable_kunit_expect_entries(t, false, 0, 3 * page);
}
EXPORT_SYMBOL_GPL(pgtable_kunit_test_testing_changes_nothing);

/* Of several trees, or of one that is walked again. */
void pgtable_kunit_test_answers_add_up(struct kunit *test)
{
	struct pgtable_kunit *t = test->priv;
	const u64 page = pgtable_kunit_size(t, 0);
	struct pgtable_age age = { .end = 3 * page };
	unsigned int i;

	pgtable_kunit_put_leaf(t, 0, 0, false);
	t->age = &age;
	pgtable_kunit_run(t, PGTABLE_KUNIT_PARTS, age.start, age.end);
	KUNIT_EXPECT_FALSE(test, pgtable_age_done(&age));

	pgtable_kunit_put_leaf(t, page, 0, true);
	pgtable_kunit_put_leaf(t, 2 * page, 0, true);
	for (i = 1; i <= 2; i++) {
		pgtable_kunit_run(t, PGTABLE_KUNIT_PARTS, age.start, age.end);
		KUNIT_EXPECT_TRUE(test, pgtable_age_done(&age));
		KUNIT_EXPECT_EQ(test, age.stats.visited, 1 + 2 * i);
		KUNIT_EXPECT_EQ(test, age.stats.young, i);
	}

	/* What makes leaves old needs all trees. */
	age.clear = true;
	KUNIT_EXPECT_FALSE(test, pgtable_age_done(&age));
	pgtable_kunit_run(t, PGTABLE_KUNIT_PARTS, age.start, age.end);
	KUNIT_EXPECT_EQ(test, age.stats.visited, 8);
	KUNIT_EXPECT_EQ(test, age.stats.young, 4);
}
EXPORT_SYMBOL_GPL(pgtable_kunit_test_answers_add_up);

/* Below @limit. */
static u32 pgtable_kunit_random(struct pgtable_kunit *t, u32 limit)
{
	t->random ^= t->random << 13;
	t->random ^= t->random >> 17;
	t->random ^= t->random << 5;
	return t->random % limit;
}

/* Near the edges of tables more often than not. */
static u64 pgtable_kunit_random_addr(struct pgtable_kunit *t)
{
	u64 addr = 0;
	unsigned int level;

	for (level = 0; level < t->tree.levels; level++) {
		const u32 nr = 1U << pgtable_kunit_bits(t, level);
		const u32 index[] = { 0, 1, nr - 1, pgtable_kunit_random(t, nr) };

		addr |= (u64)index[pgtable_kunit_random(t, 4)] << pgtable_kunit_shift(t, level);
	}
	return addr;
}

static void pgtable_kunit_put_random(struct pgtable_kunit *t)
{
	const u64 addr = pgtable_kunit_random_addr(t);
	const unsigned int level = pgtable_kunit_random(t, 2) *
				   pgtable_kunit_random(t, t->tree.levels);

	if (pgtable_kunit_find(t, addr, level))
		return;

	switch (pgtable_kunit_random(t, 8)) {
	case 0:
		if (t->fmt->busy) {
			pgtable_kunit_put(t, addr, level, PGTABLE_WALK_BUSY, t->fmt->busy);
			break;
		}
		fallthrough;
	case 1:
		pgtable_kunit_put(t, addr, level, PGTABLE_WALK_NONE,
				  t->fmt->absent(virt_to_phys(t->decoy)));
		break;
	default:
		pgtable_kunit_put_leaf(t, addr, level, pgtable_kunit_random(t, 2));
	}
}

/* A boundary of some entry, or a few bytes beside it. */
static u64 pgtable_kunit_random_edge(struct pgtable_kunit *t)
{
	const struct pgtable_kunit_slot *slot = &t->slots[pgtable_kunit_random(t, t->nr_slots)];
	const u64 size = pgtable_kunit_size(t, slot->level);

	return slot->addr + size * pgtable_kunit_random(t, 2) + pgtable_kunit_random(t, 3) - 1;
}

void pgtable_kunit_test_random_trees(struct kunit *test)
{
	struct pgtable_kunit *t = test->priv;
	/* Walks of large tables take longer. */
	const unsigned int bits = max(t->fmt->index_bits, PGTABLE_KUNIT_ALL_BITS);
	const unsigned int trees = 200 >> (bits - PGTABLE_KUNIT_ALL_BITS);
	unsigned int i, j;

	kunit_info(test, "seed %u\n", t->random);
	for (i = 0; i < trees; i++) {
		for (j = pgtable_kunit_random(t, 20) + 1; j; j--)
			pgtable_kunit_put_random(t);
		for (j = 0; j < 8; j++) {
			const u64 a = pgtable_kunit_random_edge(t);
			const u64 b = pgtable_kunit_random_edge(t);

			pgtable_kunit_check_aging(t, min(a, b), max(a, b));
			pgtable_kunit_check_locked(t, min(a, b), max(a, b));
		}
		pgtable_kunit_check_aging(t, 0, t->width);
		pgtable_kunit_empty(t);
	}
}
EXPORT_SYMBOL_GPL(pgtable_kunit_test_random_trees);

/* The bits that a leaf stands for, of those that are wanted. */
static bool pgtable_kunit_young_bits(const struct pgtable_kunit *t,
				     const struct pgtable_kunit_slot *slot,
				     const struct pgtable_age *age, unsigned long *bits)
{
	const u64 slot_end = slot->addr + pgtable_kunit_size(t, slot->level);
	const u64 from = max(slot->addr, age->start) - age->origin;
	const u64 to = min(slot_end, age->end) - age->origin;
	bool any = false;
	u64 bit;

	for (bit = 0; bit < PGTABLE_KUNIT_BITS; bit++) {
		if (age->want && !test_bit(bit, age->want))
			continue;
		if (bit << age->shift >= to || (bit + 1) << age->shift <= from)
			continue;
		__set_bit(bit, bits);
		any = true;
	}
	return any;
}

static void pgtable_kunit_check_parts(struct pgtable_kunit *t, struct pgtable_age *age)
{
	DECLARE_BITMAP(young, PGTABLE_KUNIT_BITS);
	struct kunit *test = t->test;
	unsigned int i, nr_young = 0;

	age->stats = (struct pgtable_walk_stats) {};
	bitmap_zero(young, PGTABLE_KUNIT_BITS);
	/* What others said before stays. */
	__set_bit(3, young);
	if (age->young) {
		bitmap_zero(age->young, PGTABLE_KUNIT_BITS);
		__set_bit(3, age->young);
	}

	t->age = age;
	pgtable_kunit_run(t, PGTABLE_KUNIT_PARTS, age->start, age->end);

	for (i = 0; i < t->nr_slots; i++) {
		const struct pgtable_kunit_slot *slot = &t->slots[i];
		const u64 size = pgtable_kunit_size(t, slot->level);
		vpte_t pte = slot->pte;

		if (slot->pte != slot->aged &&
		    pgtable_kunit_overlaps(t, slot, age->start, age->end) &&
		    pgtable_kunit_young_bits(t, slot, age, young)) {
			nr_young++;
			if (age->clear && slot->addr >= age->start &&
			    slot->addr + size <= age->end)
				pte = slot->aged;
		}
		KUNIT_EXPECT_EQ_MSG(test, READ_ONCE(*slot->ptep), pte,
				    "entry of 0x%llx level %u, request about 0x%llx-0x%llx shift %u",
				    slot->addr, slot->level, age->start, age->end,
				    age->shift);
	}
	KUNIT_EXPECT_EQ(test, age->stats.young, nr_young);
	if (age->young)
		KUNIT_EXPECT_TRUE(test, bitmap_equal(age->young, young, PGTABLE_KUNIT_BITS));
	pgtable_kunit_restore(t);
}

/* Each page of a row that is all young, as the only one that is wanted. */
void pgtable_kunit_test_one_part(struct kunit *test)
{
	struct pgtable_kunit *t = test->priv;
	DECLARE_BITMAP(want, PGTABLE_KUNIT_BITS);
	DECLARE_BITMAP(young, PGTABLE_KUNIT_BITS);
	const u64 page = 1ULL << t->fmt->page_shift;
	const unsigned int pages = min(t->width >> t->fmt->page_shift, 2 * BITS_PER_LONG + 2);
	struct pgtable_age age = {
		.end = pages * page,
		.clear = true,
		.shift = t->fmt->page_shift,
		.want = want,
		.young = young,
	};
	unsigned int i;

	for (i = 0; i < pages; i++)
		pgtable_kunit_put_leaf(t, i * page, 0, true);

	for (i = 0; i < pages; i++) {
		bitmap_zero(want, PGTABLE_KUNIT_BITS);
		__set_bit(i, want);
		pgtable_kunit_check_parts(t, &age);
	}
}
EXPORT_SYMBOL_GPL(pgtable_kunit_test_one_part);

/* Ranges and bits that begin anywhere, and bits of a page, of more, and of a table. */
void pgtable_kunit_test_parts(struct kunit *test)
{
	struct pgtable_kunit *t = test->priv;
	DECLARE_BITMAP(want, PGTABLE_KUNIT_BITS);
	DECLARE_BITMAP(young, PGTABLE_KUNIT_BITS);
	const u64 page = 1ULL << t->fmt->page_shift;
	unsigned int i, j;

	for (i = 0; i < 100; i++) {
		const unsigned int shifts[] = {
			t->fmt->page_shift, t->fmt->page_shift + 1,
			pgtable_kunit_shift(t, 1),
		};
		struct pgtable_age age = {
			.shift = shifts[i % 3],
			.clear = i & 1,
			.want = i % 5 == 4 ? NULL : want,
			.young = i % 7 == 6 ? NULL : young,
		};
		u64 bytes = (u64)PGTABLE_KUNIT_BITS << age.shift;

		if (i % 10 == 0) {
			pgtable_kunit_empty(t);
			for (j = 0; j < 20; j++)
				pgtable_kunit_put_random(t);
		}

		age.start = pgtable_kunit_random_edge(t) & ~(page - 1);
		age.start = min(age.start, t->width - page);
		/* What comes before may lie below address 0. */
		age.origin = age.start - page * pgtable_kunit_random(t, 600) % bytes;
		age.end = min(age.origin + bytes, t->width);
		if (age.end <= age.start)
			age.end = age.start + page;
		age.end -= page * pgtable_kunit_random(t, (age.end - age.start) / page);

		bitmap_zero(want, PGTABLE_KUNIT_BITS);
		for (j = 0; j < PGTABLE_KUNIT_BITS; j++)
			if (i % 4 == 3 || !pgtable_kunit_random(t, 1 + i % 40))
				__set_bit(j, want);
		pgtable_kunit_check_parts(t, &age);
	}
}
EXPORT_SYMBOL_GPL(pgtable_kunit_test_parts);
