// SPDX-License-Identifier: GPL-2.0
/*
 * Which entries a walk of a range visits.
 */
#include "suite.h"

void pgtable_kunit_test_leaf_at_each_level(struct kunit *test)
{
	struct pgtable_kunit *t = test->priv;
	unsigned int level, flavour;

	for (level = 0; level < t->tree.levels; level++) {
		for (flavour = 0; flavour < 16; flavour++) {
			const u64 size = pgtable_kunit_size(t, level);
			const u64 addr = pgtable_kunit_addr(t) & ~(size - 1);
			struct pgtable_kunit_slot *slot;

			slot = pgtable_kunit_put_leaf(t, addr, level, false);
			slot->aged = t->fmt->leaf(virt_to_phys(t->decoy), level, flavour, false);
			slot->pte = t->fmt->leaf(virt_to_phys(t->decoy), level, flavour,
						 flavour & 1);
			pgtable_kunit_restore(t);

			pgtable_kunit_check_aging(t, 0, t->width);
			pgtable_kunit_check_aging(t, addr, addr + size);
			pgtable_kunit_check_locked(t, addr, addr + size);
			/* The neighbours: nothing is there. */
			pgtable_kunit_check_aging(t, addr - size, addr);
			pgtable_kunit_check_aging(t, addr + size, t->width);
			pgtable_kunit_empty(t);
		}
	}
}
EXPORT_SYMBOL_GPL(pgtable_kunit_test_leaf_at_each_level);

void pgtable_kunit_test_no_table(struct kunit *test)
{
	struct pgtable_kunit *t = test->priv;

	t->tree.table = NULL;
	pgtable_kunit_check_aging(t, 0, t->width);
	pgtable_kunit_check_locked(t, 0, t->width);
}
EXPORT_SYMBOL_GPL(pgtable_kunit_test_no_table);

/* Half a root, as a reader might see it that is torn down step by step. */
void pgtable_kunit_test_impossible_levels(struct kunit *test)
{
	struct pgtable_kunit *t = test->priv;
	const unsigned int levels[] = { 0, PGTABLE_WALK_MAX_LEVELS + 1, ~0U };
	unsigned int i;

	t->tree.table[0] = t->decoy[0];
	for (i = 0; i < ARRAY_SIZE(levels); i++) {
		t->tree.levels = levels[i];
		pgtable_kunit_check_aging(t, 0, t->width);
		pgtable_kunit_check_locked(t, 0, t->width);
	}
}
EXPORT_SYMBOL_GPL(pgtable_kunit_test_impossible_levels);

void pgtable_kunit_test_empty_tree(struct kunit *test)
{
	struct pgtable_kunit *t = test->priv;
	const u64 addr = pgtable_kunit_addr(t);

	pgtable_kunit_check_aging(t, 0, t->width);
	pgtable_kunit_check_locked(t, 0, t->width);

	/* Tables with nothing in them. */
	pgtable_kunit_put(t, addr, 0, PGTABLE_WALK_NONE, pgtable_kunit_empty_pte(t, 0));
	pgtable_kunit_check_aging(t, 0, t->width);
	pgtable_kunit_check_locked(t, 0, t->width);
	pgtable_kunit_check_locked(t, addr, addr + 1);
}
EXPORT_SYMBOL_GPL(pgtable_kunit_test_empty_tree);

void pgtable_kunit_test_range_beyond_width(struct kunit *test)
{
	struct pgtable_kunit *t = test->priv;
	const u64 page = pgtable_kunit_size(t, 0);

	pgtable_kunit_put_leaf(t, 0, 0, true);
	pgtable_kunit_put_leaf(t, t->width - page, 0, true);

	/* Neither end of the tree may be taken for what lies beyond. */
	pgtable_kunit_check_aging(t, t->width, t->width + page);
	pgtable_kunit_check_aging(t, 2 * t->width - page, 2 * t->width);
	pgtable_kunit_check_aging(t, t->width, ~0ULL);
	pgtable_kunit_check_locked(t, t->width, ~0ULL);

	pgtable_kunit_check_aging(t, t->width - page, t->width + page);
	pgtable_kunit_check_aging(t, t->width - 1, ~0ULL);
	pgtable_kunit_check_aging(t, page, ~0ULL);
	pgtable_kunit_check_aging(t, 0, ~0ULL);
	pgtable_kunit_check_locked(t, 0, ~0ULL);
}
EXPORT_SYMBOL_GPL(pgtable_kunit_test_range_beyond_width);

void pgtable_kunit_test_unaligned_ranges(struct kunit *test)
{
	struct pgtable_kunit *t = test->priv;
	const u64 page = pgtable_kunit_size(t, 0), addr = pgtable_kunit_addr(t);
	int i, j;

	for (i = 0; i < 3; i++)
		pgtable_kunit_put_leaf(t, addr + i * page, 0, true);

	/* Empty, a byte, a page and a few, around each edge. */
	for (i = -1; i < 4; i++) {
		for (j = -1; j <= 1; j++) {
			const u64 start = addr + i * page + j;

			pgtable_kunit_check_aging(t, start, start);
			pgtable_kunit_check_aging(t, start, start + 1);
			pgtable_kunit_check_aging(t, start, start + page - 1);
			pgtable_kunit_check_aging(t, start, start + page);
			pgtable_kunit_check_aging(t, start, start + page + 1);
			pgtable_kunit_check_locked(t, start, start + page + 1);
		}
	}
	pgtable_kunit_check_aging(t, addr + page, addr);
}
EXPORT_SYMBOL_GPL(pgtable_kunit_test_unaligned_ranges);

void pgtable_kunit_test_every_range(struct kunit *test)
{
	struct pgtable_kunit *t = test->priv;
	const u64 pages = t->width >> t->fmt->page_shift;
	u64 start, end;

	if (pages > 256)
		kunit_skip(test, "too many ranges");

	pgtable_kunit_put_mix(t);
	for (start = 0; start < pages; start++) {
		for (end = start; end <= pages; end++)
			pgtable_kunit_check_aging(t, start << t->fmt->page_shift,
						  end << t->fmt->page_shift);
	}
	for (start = 0; start < pages; start += 3) {
		for (end = start; end <= pages; end++)
			pgtable_kunit_check_locked(t, start << t->fmt->page_shift,
						   end << t->fmt->page_shift);
	}
}
EXPORT_SYMBOL_GPL(pgtable_kunit_test_every_range);

void pgtable_kunit_test_range_boundaries(struct kunit *test)
{
	struct pgtable_kunit *t = test->priv;
	const u64 page = pgtable_kunit_size(t, 0), table = pgtable_kunit_size(t, 1);
	const u64 edges[] = {
		0, page, 2 * page, table - page, table, table + page, 2 * table - page,
		2 * table, 3 * table, 3 * table + page, 4 * table, t->width - page, t->width,
	};
	unsigned int i, j;

	pgtable_kunit_put_mix(t);
	for (i = 0; i < ARRAY_SIZE(edges); i++) {
		for (j = i; j < ARRAY_SIZE(edges); j++) {
			pgtable_kunit_check_aging(t, edges[i], edges[j]);
			pgtable_kunit_check_locked(t, edges[i], edges[j]);
		}
	}
	/* Two pages, three, and so on to all of a table but one. */
	for (i = 2; i < table / page; i = pgtable_kunit_next(t, i))
		pgtable_kunit_check_aging(t, page, (i + 1) * page);
}
EXPORT_SYMBOL_GPL(pgtable_kunit_test_range_boundaries);

/* A young leaf is found wherever it is among old ones. */
void pgtable_kunit_test_one_young_leaf(struct kunit *test)
{
	struct pgtable_kunit *t = test->priv;
	const u64 page = pgtable_kunit_size(t, 0);
	const unsigned int nr = pgtable_kunit_pages(t, 2);
	const unsigned int which[] = { 0, 1, nr / 2 - 1, nr / 2, nr - 2, nr - 1 };
	struct pgtable_kunit_slot *slot;
	unsigned int i;

	for (i = 0; i < nr; i = pgtable_kunit_next(t, i))
		pgtable_kunit_put_leaf(t, i * page, 0, false);
	for (i = 0; i < ARRAY_SIZE(which); i++) {
		if (!pgtable_kunit_find(t, which[i] * page, 0))
			pgtable_kunit_put_leaf(t, which[i] * page, 0, false);
	}

	for (i = 0; i < ARRAY_SIZE(which); i++) {
		const u64 end = (which[i] + 1) * page;

		slot = pgtable_kunit_find(t, which[i] * page, 0);
		slot->pte = t->fmt->leaf(virt_to_phys(t->decoy), 0, 1, true);
		slot->aged = t->fmt->leaf(virt_to_phys(t->decoy), 0, 1, false);
		pgtable_kunit_restore(t);
		pgtable_kunit_check_aging(t, 0, nr * page);

		KUNIT_EXPECT_TRUE(test, pgtable_kunit_run(t, PGTABLE_KUNIT_TEST, 0, nr * page));
		KUNIT_EXPECT_EQ(test, t->stats.visited,
				pgtable_kunit_expected_stats(t, 0, end).visited);
		slot->pte = slot->aged;
	}
}
EXPORT_SYMBOL_GPL(pgtable_kunit_test_one_young_leaf);

void pgtable_kunit_test_root_index(struct kunit *test)
{
	struct pgtable_kunit *t = test->priv;
	const unsigned int top = t->tree.levels - 1;
	const u64 page = pgtable_kunit_size(t, 0), step = pgtable_kunit_size(t, top);
	const unsigned int nr = 1U << t->root_bits, stride = max(nr / 16, 1U);
	unsigned int i;

	/* The first page below every so many entries of the root, and the last page. */
	for (i = 0; i < nr; i += stride)
		pgtable_kunit_put_leaf(t, i * step, 0, true);
	if (!pgtable_kunit_find(t, t->width - page, 0))
		pgtable_kunit_put_leaf(t, t->width - page, 0, true);

	for (i = 0; i < nr; i += stride)
		pgtable_kunit_check_aging(t, i * step, i * step + page);
	pgtable_kunit_check_aging(t, t->width - page, t->width);
	pgtable_kunit_check_aging(t, 0, t->width);
	pgtable_kunit_check_locked(t, 0, t->width);
}
EXPORT_SYMBOL_GPL(pgtable_kunit_test_root_index);
