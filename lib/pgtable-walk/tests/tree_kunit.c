// SPDX-License-Identifier: GPL-2.0
/*
 * The trees of the KUnit suite for page-table walks: how they are made, and what a walk of
 * one must do, by brute force over the list of its entries.
 */
#include "suite.h"

/* The index bits of a table. */
unsigned int pgtable_kunit_bits(const struct pgtable_kunit *t, unsigned int level)
{
	if (level == t->tree.levels - 1)
		return t->root_bits;
	return level || !t->fmt->bottom_bits ? t->fmt->index_bits : t->fmt->bottom_bits;
}

unsigned int pgtable_kunit_shift(const struct pgtable_kunit *t, unsigned int level)
{
	unsigned int shift = t->fmt->page_shift;

	while (level--)
		shift += level || !t->fmt->bottom_bits ? t->fmt->index_bits : t->fmt->bottom_bits;
	return shift;
}

u64 pgtable_kunit_size(const struct pgtable_kunit *t, unsigned int level)
{
	return 1ULL << pgtable_kunit_shift(t, level);
}

static vpte_t *pgtable_kunit_ptep(const struct pgtable_kunit *t, vpte_t *table, u64 addr,
				  unsigned int level)
{
	const unsigned int nr = 1U << pgtable_kunit_bits(t, level);

	return &table[(addr >> pgtable_kunit_shift(t, level)) % nr];
}

/* The entry that stands for @addr at @level, or at a higher level instead. */
struct pgtable_kunit_slot *pgtable_kunit_find(struct pgtable_kunit *t, u64 addr,
					      unsigned int level)
{
	unsigned int i;

	for (i = t->nr_slots; i-- > 0;) {
		struct pgtable_kunit_slot *slot = &t->slots[i];

		if (addr - slot->addr < pgtable_kunit_size(t, slot->level) &&
		    (slot->level == level ||
		     (slot->level > level && slot->kind != PGTABLE_WALK_TABLE)))
			return slot;
	}
	return NULL;
}

static struct pgtable_kunit_slot *pgtable_kunit_add(struct pgtable_kunit *t, vpte_t *table,
						    u64 addr, unsigned int level,
						    enum pgtable_walk_kind kind, vpte_t pte)
{
	struct pgtable_kunit_slot *slot;
	unsigned int i;

	addr &= ~(pgtable_kunit_size(t, level) - 1);
	KUNIT_ASSERT_LT(t->test, t->nr_slots, PGTABLE_KUNIT_SLOTS);
	for (i = t->nr_slots++; i > 0; i--) {
		slot = &t->slots[i - 1];
		if (slot->addr < addr || (slot->addr == addr && slot->level > level))
			break;
		t->slots[i] = *slot;
	}

	slot = &t->slots[i];
	*slot = (struct pgtable_kunit_slot) {
		.addr = addr,
		.level = level,
		.kind = kind,
		.ptep = pgtable_kunit_ptep(t, table, addr, level),
		.pte = pte,
		.aged = pte,
	};
	WRITE_ONCE(*slot->ptep, pte);
	return slot;
}

static vpte_t *pgtable_kunit_alloc(struct pgtable_kunit *t)
{
	vpte_t *table = kunit_kzalloc(t->test, t->table_bytes, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(t->test, table);
	/* Or else walkers get to memory of others. */
	KUNIT_ASSERT_EQ(t->test,
			(unsigned long)t->fmt->format->child(t->fmt->table(virt_to_phys(table))),
			(unsigned long)table);
	return table;
}

static void pgtable_kunit_fill(const struct pgtable_kunit *t, vpte_t *table, unsigned int level,
			       size_t bytes)
{
	unsigned int i;

	for (i = 0; i < bytes / sizeof(vpte_t); i++)
		table[i] = pgtable_kunit_empty_pte(t, level);
}

/* What was emptied is empty of whatever level it was. */
static vpte_t *pgtable_kunit_table(struct pgtable_kunit *t, unsigned int level)
{
	vpte_t **table = &t->tables[t->nr_tables++];

	KUNIT_ASSERT_LT(t->test, t->nr_tables, (unsigned int)ARRAY_SIZE(t->tables));
	if (!*table)
		*table = pgtable_kunit_alloc(t);
	if (t->fmt->empty)
		pgtable_kunit_fill(t, *table, level, t->table_bytes);
	return *table;
}

/* Put an entry at @addr and @level, and tables above it.  Good until the next put. */
struct pgtable_kunit_slot *pgtable_kunit_put(struct pgtable_kunit *t, u64 addr, unsigned int level,
					     enum pgtable_walk_kind kind, vpte_t pte)
{
	vpte_t *table = t->tree.table;
	unsigned int i;

	for (i = t->tree.levels - 1; i > level; i--) {
		struct pgtable_kunit_slot *slot = pgtable_kunit_find(t, addr, i);

		if (!slot) {
			vpte_t *child = pgtable_kunit_table(t, i - 1);

			slot = pgtable_kunit_add(t, table, addr, i, PGTABLE_WALK_TABLE,
						 t->fmt->table(virt_to_phys(child)));
			slot->table = child;
		}
		table = slot->table;
	}
	return pgtable_kunit_add(t, table, addr, level, kind, pte);
}

struct pgtable_kunit_slot *pgtable_kunit_put_leaf(struct pgtable_kunit *t, u64 addr,
						  unsigned int level, bool young)
{
	/* Without flavour it might be equal to an entry that points to a table. */
	const unsigned int flavour = t->nr_slots + 1;
	const phys_addr_t pa = virt_to_phys(t->decoy);
	struct pgtable_kunit_slot *slot;

	slot = pgtable_kunit_put(t, addr, level, PGTABLE_WALK_LEAF,
				 t->fmt->leaf(pa, level, flavour, young));
	slot->aged = t->fmt->leaf(pa, level, flavour, false);
	return slot;
}

/* Undo what walks did to the entries. */
void pgtable_kunit_restore(struct pgtable_kunit *t)
{
	unsigned int i;

	for (i = 0; i < t->nr_slots; i++)
		WRITE_ONCE(*t->slots[i].ptep, t->slots[i].pte);
}

void pgtable_kunit_empty(struct pgtable_kunit *t)
{
	unsigned int i;

	for (i = 0; i < t->nr_slots; i++)
		WRITE_ONCE(*t->slots[i].ptep, pgtable_kunit_empty_pte(t, t->slots[i].level));
	t->nr_slots = 0;
	t->nr_tables = 0;
}

static vpte_t pgtable_kunit_decoy_pte(struct pgtable_kunit *t)
{
	return t->fmt->leaf(virt_to_phys(t->decoy), 0, 0, true);
}

int pgtable_kunit_init(struct kunit *test, const struct pgtable_kunit_format *fmt,
		       unsigned int levels, int root_extra_bits)
{
	const unsigned int root_bits = fmt->index_bits + root_extra_bits;
	const size_t root_bytes = sizeof(vpte_t) << root_bits;
	struct pgtable_kunit *t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	size_t bytes;
	void *root;

	KUNIT_ASSERT_NOT_NULL(test, t);
	if (fmt->set_up)
		KUNIT_ASSERT_EQ(test, fmt->set_up(test), 0);
	t->test = test;
	t->fmt = fmt;
	t->random = 20240524;
	t->root_bits = root_bits;
	t->table_bytes = max(sizeof(vpte_t) << fmt->index_bits, (size_t)PGTABLE_KUNIT_TABLE);
	t->tree.levels = levels;
	t->tree.addr_bits = pgtable_kunit_shift(t, levels - 1) + root_bits;
	t->width = 1ULL << t->tree.addr_bits;

	/* At the end of its memory, so that nothing is behind a small one. */
	bytes = max(root_bytes, t->table_bytes);
	root = kunit_kzalloc(test, bytes, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, root);
	t->tree.table = root + bytes - root_bytes;
	pgtable_kunit_fill(t, t->tree.table, levels - 1, root_bytes);

	t->decoy = pgtable_kunit_alloc(t);
	/* No level must take these for pointers to memory of others. */
	pgtable_kunit_fill(t, t->decoy, 1, t->table_bytes);
	t->slots = kunit_kzalloc(test, PGTABLE_KUNIT_SLOTS * sizeof(*t->slots), GFP_KERNEL);
	t->calls = kunit_kzalloc(test, PGTABLE_KUNIT_SLOTS * sizeof(*t->calls), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, t->slots);
	KUNIT_ASSERT_NOT_NULL(test, t->calls);

	t->decoy[0] = pgtable_kunit_decoy_pte(t);
	test->priv = t;
	return 0;
}
EXPORT_SYMBOL_GPL(pgtable_kunit_init);

/* An address whose index differs at each level. */
u64 pgtable_kunit_addr(const struct pgtable_kunit *t)
{
	unsigned int level;
	u64 addr = 0;

	for (level = 0; level < t->tree.levels; level++)
		addr |= (u64)(level % 3 + 1) << pgtable_kunit_shift(t, level);
	return addr;
}

/*
 * Which entry of a table follows entry @i in tests that go through a table: the next, but
 * large ones have all at both ends, where walks begin and end, and some between.
 */
unsigned int pgtable_kunit_next(const struct pgtable_kunit *t, unsigned int i)
{
	const unsigned int bits = t->fmt->bottom_bits ?: t->fmt->index_bits;
	const unsigned int nr = 1U << bits, ends = 64;
	const unsigned int index = i % nr;

	if (bits <= PGTABLE_KUNIT_ALL_BITS || index < ends || index >= nr - ends)
		return i + 1;
	/* Not a power of two, for such entries differ in their higher bits only. */
	return i + min(nr / 64 + 1, nr - ends - index);
}

/* So many tables of level 0, or all that there is room for, in pages. */
unsigned int pgtable_kunit_pages(const struct pgtable_kunit *t, unsigned int tables)
{
	return min((u64)tables << (t->fmt->bottom_bits ?: t->fmt->index_bits),
		   t->width >> t->fmt->page_shift);
}

/* All there is: huge leaves and small ones, old and young, holes, empty tables. */
void pgtable_kunit_put_mix(struct pgtable_kunit *t)
{
	const u64 page = pgtable_kunit_size(t, 0);
	const unsigned int top = t->tree.levels - 1;
	unsigned int i;

	for (i = 0; i < pgtable_kunit_pages(t, 1); i = pgtable_kunit_next(t, i)) {
		if (i % 8 != 2)
			pgtable_kunit_put_leaf(t, i * page, 0, i % 3);
	}
	if (top) {
		const u64 huge = pgtable_kunit_size(t, 1);

		pgtable_kunit_put_leaf(t, huge, 1, true);
		pgtable_kunit_put(t, 2 * huge, 0, PGTABLE_WALK_NONE, pgtable_kunit_empty_pte(t, 0));
		pgtable_kunit_put_leaf(t, 3 * huge, 0, true);
		pgtable_kunit_put_leaf(t, 3 * huge + page, 0, false);
	}
	if (top > 1) {
		const u64 giant = pgtable_kunit_size(t, 2);

		pgtable_kunit_put_leaf(t, giant, 2, true);
		pgtable_kunit_put_leaf(t, 3 * giant - page, 0, true);
		pgtable_kunit_put_leaf(t, 3 * giant, 1, false);
	}
	if (!pgtable_kunit_find(t, t->width - page, 0))
		pgtable_kunit_put_leaf(t, t->width - page, 0, true);
}

bool pgtable_kunit_overlaps(const struct pgtable_kunit *t, const struct pgtable_kunit_slot *slot,
			    u64 start, u64 end)
{
	return start < end && slot->addr < end &&
	       slot->addr + pgtable_kunit_size(t, slot->level) > start;
}

struct pgtable_walk_stats pgtable_kunit_expected_stats(const struct pgtable_kunit *t, u64 start,
						       u64 end)
{
	struct pgtable_walk_stats stats = {};
	unsigned int i;

	for (i = 0; i < t->nr_slots; i++) {
		const struct pgtable_kunit_slot *slot = &t->slots[i];

		if (!pgtable_kunit_overlaps(t, slot, start, end))
			continue;
		stats.visited += slot->kind == PGTABLE_WALK_LEAF;
		stats.young += slot->pte != slot->aged;
		stats.busy += slot->kind == PGTABLE_WALK_BUSY;
	}
	return stats;
}

u64 pgtable_kunit_run(struct pgtable_kunit *t, enum pgtable_kunit_op op, u64 start, u64 end)
{
	u64 ret;

	t->stats = (struct pgtable_walk_stats) {};
	t->nr_calls = 0;
	rcu_read_lock();
	ret = t->fmt->walk(op, start, end, t);
	rcu_read_unlock();
	return ret;
}

/* Every entry is as it was, but what the range overlaps is old if it was aged. */
void pgtable_kunit_expect_entries(struct pgtable_kunit *t, bool aged, u64 start, u64 end)
{
	unsigned int i;

	for (i = 0; i < t->nr_slots; i++) {
		const struct pgtable_kunit_slot *slot = &t->slots[i];
		const bool old = aged && pgtable_kunit_overlaps(t, slot, start, end);

		KUNIT_EXPECT_EQ_MSG(t->test, READ_ONCE(*slot->ptep), old ? slot->aged : slot->pte,
				    "entry of 0x%llx level %u, walk of 0x%llx-0x%llx",
				    slot->addr, slot->level, start, end);
	}
	KUNIT_EXPECT_EQ(t->test, t->decoy[0], pgtable_kunit_decoy_pte(t));
}

static unsigned int pgtable_kunit_expect_call(struct pgtable_kunit *t, unsigned int nr,
					      const struct pgtable_kunit_slot *slot,
					      bool post, bool ptep)
{
	const struct pgtable_kunit_call *call = &t->calls[nr];

	KUNIT_ASSERT_LT(t->test, nr, t->nr_calls);
	KUNIT_EXPECT_EQ_MSG(t->test, call->addr, slot->addr, "call %u", nr);
	KUNIT_EXPECT_EQ_MSG(t->test, call->level, slot->level, "call %u", nr);
	KUNIT_EXPECT_EQ_MSG(t->test, call->pte, slot->pte, "call %u", nr);
	KUNIT_EXPECT_EQ_MSG(t->test, call->post, post, "call %u", nr);
	if (ptep)
		KUNIT_EXPECT_PTR_EQ(t->test, call->ptep, slot->ptep);
	return nr + 1;
}

/* The leaves of the range, ascending; with @post, each table behind all that is in it. */
void pgtable_kunit_expect_calls(struct pgtable_kunit *t, u64 start, u64 end, bool post, bool ptep)
{
	const struct pgtable_kunit_slot *open[PGTABLE_WALK_MAX_LEVELS];
	unsigned int i, depth = 0, nr = 0;

	for (i = 0; i < t->nr_slots; i++) {
		const struct pgtable_kunit_slot *slot = &t->slots[i];

		if (!pgtable_kunit_overlaps(t, slot, start, end))
			continue;
		while (depth && open[depth - 1]->level <= slot->level)
			nr = pgtable_kunit_expect_call(t, nr, open[--depth], true, ptep);
		if (post && slot->kind == PGTABLE_WALK_TABLE)
			open[depth++] = slot;
		else if (slot->kind == PGTABLE_WALK_LEAF)
			nr = pgtable_kunit_expect_call(t, nr, slot, false, ptep);
	}
	while (depth)
		nr = pgtable_kunit_expect_call(t, nr, open[--depth], true, ptep);
	KUNIT_EXPECT_EQ(t->test, nr, t->nr_calls);
}

void pgtable_kunit_expect_stats(struct pgtable_kunit *t, struct pgtable_walk_stats want)
{
	KUNIT_EXPECT_EQ(t->test, t->stats.visited, want.visited);
	KUNIT_EXPECT_EQ(t->test, t->stats.young, want.young);
	KUNIT_EXPECT_EQ(t->test, t->stats.lost, want.lost);
	KUNIT_EXPECT_EQ(t->test, t->stats.busy, want.busy);
}

/* Age a range in all ways. */
void pgtable_kunit_check_aging(struct pgtable_kunit *t, u64 start, u64 end)
{
	const struct pgtable_walk_stats want = pgtable_kunit_expected_stats(t, start, end);
	struct kunit *test = t->test;

	/* Which leaves are seen, and in which order? */
	KUNIT_EXPECT_EQ(test, pgtable_kunit_run(t, PGTABLE_KUNIT_RACE, start, end), end);
	pgtable_kunit_expect_calls(t, start, end, false, false);
	pgtable_kunit_expect_stats(t, want);
	pgtable_kunit_expect_entries(t, true, start, end);
	pgtable_kunit_restore(t);

	/* A test finds a young one, goes no further, and changes nothing. */
	KUNIT_EXPECT_EQ(test, pgtable_kunit_run(t, PGTABLE_KUNIT_TEST, start, end), want.young > 0);
	KUNIT_EXPECT_EQ(test, t->stats.young, want.young > 0);
	if (!want.young)
		KUNIT_EXPECT_EQ(test, t->stats.visited, want.visited);
	pgtable_kunit_expect_entries(t, false, start, end);

	/* Clearing goes through all of them, and then none is young. */
	KUNIT_EXPECT_EQ(test, pgtable_kunit_run(t, PGTABLE_KUNIT_CLEAR, start, end),
			want.young > 0);
	pgtable_kunit_expect_stats(t, want);
	pgtable_kunit_expect_entries(t, true, start, end);
	KUNIT_EXPECT_FALSE(test, pgtable_kunit_run(t, PGTABLE_KUNIT_TEST, start, end));
	KUNIT_EXPECT_FALSE(test, pgtable_kunit_run(t, PGTABLE_KUNIT_CLEAR, start, end));
	pgtable_kunit_restore(t);
}

/* Walk a range under the lock. */
void pgtable_kunit_check_locked(struct pgtable_kunit *t, u64 start, u64 end)
{
	KUNIT_EXPECT_EQ(t->test, pgtable_kunit_run(t, PGTABLE_KUNIT_EXCLUSIVE, start, end), end);
	pgtable_kunit_expect_calls(t, start, end, true, true);
	KUNIT_EXPECT_EQ(t->test, pgtable_kunit_run(t, PGTABLE_KUNIT_SHARED, start, end), end);
	pgtable_kunit_expect_calls(t, start, end, false, true);
	pgtable_kunit_expect_entries(t, false, start, end);
}
