/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One KUnit suite for every page-table format.
 *
 * A format brings its struct pgtable_format, and beside it a second description of
 * the same tables that owes nothing to the first: plain numbers and functions that
 * make entries (struct pgtable_kunit_format).  The tests build tables with the second
 * and walk them with the first, and compare with a list of what they put in:
 *
 *	static u64 foo_walk(enum pgtable_kunit_op op, u64 start, u64 end, struct pgtable_kunit *t)
 *	{
 *		return pgtable_kunit_walk(&foo_format, op, start, end, t);
 *	}
 *
 *	static const struct pgtable_kunit_format foo = { .walk = foo_walk, ... };
 *	PGTABLE_KUNIT_SUITE(foo_3_levels, foo, 3, 0);
 *	kunit_test_suites(&foo_3_levels);
 *
 * That function is the walker's code for that very format, with constants folded as in
 * its users.
 *
 * No test depends on luck to survive a walker that goes astray: what entries point to
 * is always memory of the test.
 */
#ifndef _KUNIT_PGTABLE_WALK_H
#define _KUNIT_PGTABLE_WALK_H

#include <kunit/test.h>
#include <linux/io.h>
#include <linux/pgtable_age.h>
#include <linux/rcupdate.h>

#define PGTABLE_KUNIT_SLOTS	2048
/* Smaller tables, as made-up formats have, take this much. */
#define PGTABLE_KUNIT_TABLE	4096
/* Tests go through each entry of tables that have no more index bits than this. */
#define PGTABLE_KUNIT_ALL_BITS	9U
#define PGTABLE_KUNIT_BITS	512U

struct pgtable_kunit;

/**
 * enum pgtable_kunit_op - the walks that are made of a format
 * @PGTABLE_KUNIT_CLEAR: pgtable_age() that makes a whole range old
 * @PGTABLE_KUNIT_TEST: pgtable_age() that tests a whole range
 * @PGTABLE_KUNIT_RACE: like CLEAR; logs leaves, and loses a race at one of them
 * @PGTABLE_KUNIT_FLIP: like CLEAR; one entry changes when it has been looked at
 * @PGTABLE_KUNIT_EXCLUSIVE: logs leaves and tables, may unlink them
 * @PGTABLE_KUNIT_SHARED: logs leaves
 * @PGTABLE_KUNIT_PARTS: pgtable_age() of the test's own request
 */
enum pgtable_kunit_op {
	PGTABLE_KUNIT_CLEAR,
	PGTABLE_KUNIT_TEST,
	PGTABLE_KUNIT_RACE,
	PGTABLE_KUNIT_FLIP,
	PGTABLE_KUNIT_EXCLUSIVE,
	PGTABLE_KUNIT_SHARED,
	PGTABLE_KUNIT_PARTS,
};

/**
 * struct pgtable_kunit_format - a format as the tests know it
 * @format: what the tests are about
 * @walk: calls pgtable_kunit_walk() with @format as a constant
 * @page_shift: log2 of the bytes that a leaf of level 0 maps
 * @index_bits: log2 of the entries of a table
 * @busy: a frozen entry, with the accessed bit set if it can be; 0 if there is none
 * @leaf: makes a leaf; @flavour is any number, and decides on all bits that are
 *	  neither the address nor about access
 * @table: makes an entry that points to a table
 * @absent: makes an entry that maps nothing although it has all of an address and of
 *	    the bits of a young leaf that it may have
 * @table_is_leaf: what @table makes is a leaf at level 0, not nothing
 * @set_up: called before each test, optional; 0, or an error that fails the test
 */
struct pgtable_kunit_format {
	const struct pgtable_format *format;
	u64 (*walk)(enum pgtable_kunit_op op, u64 start, u64 end, struct pgtable_kunit *t);
	unsigned int page_shift;
	unsigned int index_bits;
	vpte_t busy;
	vpte_t (*leaf)(phys_addr_t pa, unsigned int level, unsigned int flavour, bool young);
	vpte_t (*table)(phys_addr_t pa);
	vpte_t (*absent)(phys_addr_t pa);
	bool table_is_leaf;
	int (*set_up)(struct kunit *test);
};

/* An entry that a test put into the tree. */
struct pgtable_kunit_slot {
	u64 addr;
	unsigned int level;
	enum pgtable_kind kind;
	vpte_t *ptep;
	vpte_t *table;		/* what it points to, if that is a table */
	vpte_t pte;		/* what was put in */
	vpte_t aged;		/* what aging makes of it */
};

/* A callback that was called. */
struct pgtable_kunit_call {
	vpte_t pte;
	u64 addr;
	unsigned int level;
	vpte_t *ptep;
	bool post;
};

struct pgtable_kunit {
	struct kunit *test;
	const struct pgtable_kunit_format *fmt;
	struct pgtable_tree tree;
	unsigned int root_bits;
	size_t table_bytes;
	u64 width;

	/* In ascending order of addresses, a table before what is in it. */
	struct pgtable_kunit_slot *slots;
	unsigned int nr_slots;
	vpte_t *tables[128];
	unsigned int nr_tables;
	/* Leaves map this page.  It looks like a table, in case a walker takes it for one. */
	vpte_t *decoy;

	/* The request of PGTABLE_KUNIT_PARTS. */
	struct pgtable_age *age;

	/* What the last walk did. */
	struct pgtable_walk_stats stats;
	bool done;
	struct pgtable_kunit_call *calls;
	unsigned int nr_calls;

	/* What it does to live entries, and when. */
	vpte_t *race_ptep;
	vpte_t race_from;
	vpte_t race_to;
	bool stop;		/* at each leaf */
	bool stop_post;		/* behind each table */
	bool unlink;

	u32 random;
};

/* ---- callbacks and walks ---- */

static __always_inline void pgtable_kunit_log(struct pgtable_kunit *t,
					      const struct pgtable_walk *walk, vpte_t *ptep,
					      bool post)
{
	if (t->nr_calls < PGTABLE_KUNIT_SLOTS)
		t->calls[t->nr_calls++] = (struct pgtable_kunit_call) {
			walk->pte, walk->addr, walk->level, ptep, post
		};
}

/* Another writer, as seen from a walker that just took a snapshot of @pte. */
static __always_inline void pgtable_kunit_race(struct pgtable_kunit *t, vpte_t pte)
{
	if (t->race_ptep && pte == t->race_from) {
		WRITE_ONCE(*t->race_ptep, t->race_to);
		t->race_ptep = NULL;
	}
}

static __always_inline enum pgtable_walk_next
pgtable_kunit_tighten(const struct pgtable_format *fmt, const struct pgtable_walk *walk,
		      vpte_t *new)
{
	struct pgtable_kunit *t = walk->arg;

	pgtable_kunit_log(t, walk, NULL, false);
	pgtable_kunit_race(t, walk->pte);
	if (pgtable_leaf_young(fmt, walk->pte)) {
		t->stats.young++;
		*new = pgtable_leaf_mkold(fmt, walk->pte);
	}
	return PGTABLE_WALK_NEXT;
}

static __always_inline enum pgtable_walk_next
pgtable_kunit_leaf(const struct pgtable_format *fmt, const struct pgtable_walk *walk,
		   vpte_t *ptep)
{
	struct pgtable_kunit *t = walk->arg;

	pgtable_kunit_log(t, walk, ptep, false);
	if (t->unlink)
		vpte_xchg(ptep, 0);
	return t->stop ? PGTABLE_WALK_STOP : PGTABLE_WALK_NEXT;
}

static __always_inline enum pgtable_walk_next
pgtable_kunit_table_post(const struct pgtable_format *fmt, const struct pgtable_walk *walk,
			 vpte_t *ptep)
{
	struct pgtable_kunit *t = walk->arg;

	pgtable_kunit_log(t, walk, ptep, true);
	if (t->unlink) {
		/* A walk that still looks at the table now finds plenty. */
		memcpy(fmt->child(vpte_xchg(ptep, 0)), t->decoy, t->table_bytes);
	}
	return t->stop_post ? PGTABLE_WALK_STOP : PGTABLE_WALK_NEXT;
}

/* Formats' predicates have no argument for this; tests run one at a time. */
static __maybe_unused struct pgtable_kunit *pgtable_kunit_flip_test;

static __always_inline enum pgtable_kind pgtable_kunit_flip_kind(vpte_t pte, unsigned int level)
{
	pgtable_kunit_race(pgtable_kunit_flip_test, pte);
	return pgtable_kunit_flip_test->fmt->format->kind(pte, level);
}

/**
 * pgtable_kunit_walk() - the walks of a format
 * @fmt: the format, constant
 * @op: which walk
 * @start: first input address, in bytes
 * @end: exclusive end address, in bytes
 * @t: the test
 *
 * For &pgtable_kunit_format.walk: what that function passes on is constant here.
 *
 * Return: whether anything was young, or, of RACE and of walks that do not age, where they
 * have to go on.
 */
static __always_inline u64 pgtable_kunit_walk(const struct pgtable_format *fmt,
					      enum pgtable_kunit_op op, u64 start, u64 end,
					      struct pgtable_kunit *t)
{
	static const struct pgtable_walk_ops race_ops = { .tighten = pgtable_kunit_tighten };
	static const struct pgtable_walk_ops shared_ops = { .leaf = pgtable_kunit_leaf };
	static const struct pgtable_walk_ops exclusive_ops = {
		.leaf = pgtable_kunit_leaf,
		.table_post = pgtable_kunit_table_post,
	};
	struct pgtable_age whole = {
		.start = start, .end = end, .clear = op != PGTABLE_KUNIT_TEST,
	};
	struct pgtable_walk walk = { .arg = t, .next = start, .end = end };
	struct pgtable_age *age = op == PGTABLE_KUNIT_PARTS ? t->age : &whole;
	struct pgtable_format flip = *fmt;

	switch (op) {
	case PGTABLE_KUNIT_CLEAR:
	case PGTABLE_KUNIT_TEST:
	case PGTABLE_KUNIT_PARTS:
		pgtable_age(fmt, &t->tree, age);
		break;
	case PGTABLE_KUNIT_FLIP:
		pgtable_kunit_flip_test = t;
		flip.kind = pgtable_kunit_flip_kind;
		pgtable_age(&flip, &t->tree, age);
		break;
	case PGTABLE_KUNIT_RACE:
		t->done = pgtable_walk_range(fmt, PGTABLE_WALK_LOCKLESS, &race_ops, &t->tree,
					     &walk);
		walk.stats.young = t->stats.young;
		t->stats = walk.stats;
		return walk.next;
	case PGTABLE_KUNIT_EXCLUSIVE:
		t->done = pgtable_walk_range(fmt, PGTABLE_WALK_EXCLUSIVE, &exclusive_ops,
					     &t->tree, &walk);
		t->stats = walk.stats;
		return walk.next;
	case PGTABLE_KUNIT_SHARED:
		t->done = pgtable_walk_range(fmt, PGTABLE_WALK_SHARED, &shared_ops, &t->tree,
					     &walk);
		t->stats = walk.stats;
		return walk.next;
	}

	t->stats = age->stats;
	return age->stats.young > 0;
}

/* ---- building trees ---- */

static unsigned int pgtable_kunit_shift(const struct pgtable_kunit *t, unsigned int level)
{
	return t->fmt->page_shift + level * t->fmt->index_bits;
}

static u64 pgtable_kunit_size(const struct pgtable_kunit *t, unsigned int level)
{
	return 1ULL << pgtable_kunit_shift(t, level);
}

static vpte_t *pgtable_kunit_ptep(const struct pgtable_kunit *t, vpte_t *table, u64 addr,
				  unsigned int level)
{
	const unsigned int bits = level == t->tree.levels - 1 ? t->root_bits :
							       t->fmt->index_bits;

	return &table[(addr >> pgtable_kunit_shift(t, level)) % (1U << bits)];
}

/* The entry that stands for @addr at @level, or at a higher level instead. */
static struct pgtable_kunit_slot *pgtable_kunit_find(struct pgtable_kunit *t, u64 addr,
						     unsigned int level)
{
	unsigned int i;

	for (i = t->nr_slots; i-- > 0;) {
		struct pgtable_kunit_slot *slot = &t->slots[i];

		if (addr - slot->addr < pgtable_kunit_size(t, slot->level) &&
		    (slot->level == level ||
		     (slot->level > level && slot->kind != PGTABLE_TABLE)))
			return slot;
	}
	return NULL;
}

static struct pgtable_kunit_slot *pgtable_kunit_add(struct pgtable_kunit *t, vpte_t *table,
						    u64 addr, unsigned int level,
						    enum pgtable_kind kind, vpte_t pte)
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

static vpte_t *pgtable_kunit_table(struct pgtable_kunit *t)
{
	vpte_t **table = &t->tables[t->nr_tables++];

	KUNIT_ASSERT_LT(t->test, t->nr_tables, (unsigned int)ARRAY_SIZE(t->tables));
	if (!*table)
		*table = pgtable_kunit_alloc(t);
	return *table;
}

/* Put an entry at @addr and @level, and tables above it.  Good until the next put. */
static struct pgtable_kunit_slot *pgtable_kunit_put(struct pgtable_kunit *t, u64 addr,
						    unsigned int level, enum pgtable_kind kind,
						    vpte_t pte)
{
	vpte_t *table = t->tree.table;
	unsigned int i;

	for (i = t->tree.levels - 1; i > level; i--) {
		struct pgtable_kunit_slot *slot = pgtable_kunit_find(t, addr, i);

		if (!slot) {
			vpte_t *child = pgtable_kunit_table(t);

			slot = pgtable_kunit_add(t, table, addr, i, PGTABLE_TABLE,
						 t->fmt->table(virt_to_phys(child)));
			slot->table = child;
		}
		table = slot->table;
	}
	return pgtable_kunit_add(t, table, addr, level, kind, pte);
}

static struct pgtable_kunit_slot *pgtable_kunit_put_leaf(struct pgtable_kunit *t, u64 addr,
							 unsigned int level, bool young)
{
	/* Without flavour it might be equal to an entry that points to a table. */
	const unsigned int flavour = t->nr_slots + 1;
	const phys_addr_t pa = virt_to_phys(t->decoy);
	struct pgtable_kunit_slot *slot;

	slot = pgtable_kunit_put(t, addr, level, PGTABLE_LEAF,
				 t->fmt->leaf(pa, level, flavour, young));
	slot->aged = t->fmt->leaf(pa, level, flavour, false);
	return slot;
}

/* Undo what walks did to the entries. */
static void pgtable_kunit_restore(struct pgtable_kunit *t)
{
	unsigned int i;

	for (i = 0; i < t->nr_slots; i++)
		WRITE_ONCE(*t->slots[i].ptep, t->slots[i].pte);
}

static void pgtable_kunit_empty(struct pgtable_kunit *t)
{
	unsigned int i;

	for (i = 0; i < t->nr_slots; i++)
		WRITE_ONCE(*t->slots[i].ptep, 0);
	t->nr_slots = 0;
	t->nr_tables = 0;
}

static vpte_t pgtable_kunit_decoy_pte(struct pgtable_kunit *t)
{
	return t->fmt->leaf(virt_to_phys(t->decoy), 0, 0, true);
}

static int pgtable_kunit_init(struct kunit *test, const struct pgtable_kunit_format *fmt,
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
	t->tree.addr_bits = fmt->page_shift + (levels - 1) * fmt->index_bits + root_bits;
	t->width = 1ULL << t->tree.addr_bits;

	/* At the end of its memory, so that nothing is behind a small one. */
	bytes = max(root_bytes, t->table_bytes);
	root = kunit_kzalloc(test, bytes, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, root);
	t->tree.table = root + bytes - root_bytes;

	t->decoy = pgtable_kunit_alloc(t);
	t->slots = kunit_kzalloc(test, PGTABLE_KUNIT_SLOTS * sizeof(*t->slots), GFP_KERNEL);
	t->calls = kunit_kzalloc(test, PGTABLE_KUNIT_SLOTS * sizeof(*t->calls), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, t->slots);
	KUNIT_ASSERT_NOT_NULL(test, t->calls);

	t->decoy[0] = pgtable_kunit_decoy_pte(t);
	test->priv = t;
	return 0;
}

/* ---- what a walk must do, by brute force over the list of entries ---- */

static bool pgtable_kunit_overlaps(const struct pgtable_kunit *t,
				   const struct pgtable_kunit_slot *slot, u64 start, u64 end)
{
	return start < end && slot->addr < end &&
	       slot->addr + pgtable_kunit_size(t, slot->level) > start;
}

static struct pgtable_walk_stats pgtable_kunit_expected_stats(const struct pgtable_kunit *t,
							      u64 start, u64 end)
{
	struct pgtable_walk_stats stats = {};
	unsigned int i;

	for (i = 0; i < t->nr_slots; i++) {
		const struct pgtable_kunit_slot *slot = &t->slots[i];

		if (!pgtable_kunit_overlaps(t, slot, start, end))
			continue;
		stats.visited += slot->kind == PGTABLE_LEAF;
		stats.young += slot->pte != slot->aged;
		stats.busy += slot->kind == PGTABLE_BUSY;
	}
	return stats;
}

static u64 pgtable_kunit_run(struct pgtable_kunit *t, enum pgtable_kunit_op op, u64 start, u64 end)
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
static void pgtable_kunit_expect_entries(struct pgtable_kunit *t, bool aged, u64 start, u64 end)
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
static void pgtable_kunit_expect_calls(struct pgtable_kunit *t, u64 start, u64 end, bool post,
				       bool ptep)
{
	const struct pgtable_kunit_slot *open[PGTABLE_MAX_LEVELS];
	unsigned int i, depth = 0, nr = 0;

	for (i = 0; i < t->nr_slots; i++) {
		const struct pgtable_kunit_slot *slot = &t->slots[i];

		if (!pgtable_kunit_overlaps(t, slot, start, end))
			continue;
		while (depth && open[depth - 1]->level <= slot->level)
			nr = pgtable_kunit_expect_call(t, nr, open[--depth], true, ptep);
		if (post && slot->kind == PGTABLE_TABLE)
			open[depth++] = slot;
		else if (slot->kind == PGTABLE_LEAF)
			nr = pgtable_kunit_expect_call(t, nr, slot, false, ptep);
	}
	while (depth)
		nr = pgtable_kunit_expect_call(t, nr, open[--depth], true, ptep);
	KUNIT_EXPECT_EQ(t->test, nr, t->nr_calls);
}

static void pgtable_kunit_expect_stats(struct pgtable_kunit *t, struct pgtable_walk_stats want)
{
	KUNIT_EXPECT_EQ(t->test, t->stats.visited, want.visited);
	KUNIT_EXPECT_EQ(t->test, t->stats.young, want.young);
	KUNIT_EXPECT_EQ(t->test, t->stats.lost, want.lost);
	KUNIT_EXPECT_EQ(t->test, t->stats.busy, want.busy);
}

/* Age a range in all ways. */
static void pgtable_kunit_check_aging(struct pgtable_kunit *t, u64 start, u64 end)
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
static void pgtable_kunit_check_locked(struct pgtable_kunit *t, u64 start, u64 end)
{
	KUNIT_EXPECT_EQ(t->test, pgtable_kunit_run(t, PGTABLE_KUNIT_EXCLUSIVE, start, end), end);
	pgtable_kunit_expect_calls(t, start, end, true, true);
	KUNIT_EXPECT_EQ(t->test, pgtable_kunit_run(t, PGTABLE_KUNIT_SHARED, start, end), end);
	pgtable_kunit_expect_calls(t, start, end, false, true);
	pgtable_kunit_expect_entries(t, false, start, end);
}

/* ---- the tests ---- */

/* An address whose index differs at each level. */
static u64 pgtable_kunit_addr(const struct pgtable_kunit *t)
{
	unsigned int level;
	u64 addr = 0;

	for (level = 0; level < t->tree.levels; level++)
		addr |= (u64)(level % 3 + 1) << pgtable_kunit_shift(t, level);
	return addr;
}

static void test_leaf_at_each_level(struct kunit *test)
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

static void test_no_table(struct kunit *test)
{
	struct pgtable_kunit *t = test->priv;

	t->tree.table = NULL;
	pgtable_kunit_check_aging(t, 0, t->width);
	pgtable_kunit_check_locked(t, 0, t->width);
}

/* Half a root, as somebody might have read it who tears it down step by step. */
static void test_impossible_levels(struct kunit *test)
{
	struct pgtable_kunit *t = test->priv;
	const unsigned int levels[] = { 0, PGTABLE_MAX_LEVELS + 1, ~0U };
	unsigned int i;

	t->tree.table[0] = t->decoy[0];
	for (i = 0; i < ARRAY_SIZE(levels); i++) {
		t->tree.levels = levels[i];
		pgtable_kunit_check_aging(t, 0, t->width);
		pgtable_kunit_check_locked(t, 0, t->width);
	}
}

static void test_empty_tree(struct kunit *test)
{
	struct pgtable_kunit *t = test->priv;
	const u64 addr = pgtable_kunit_addr(t);

	pgtable_kunit_check_aging(t, 0, t->width);
	pgtable_kunit_check_locked(t, 0, t->width);

	/* Tables with nothing in them. */
	pgtable_kunit_put(t, addr, 0, PGTABLE_NONE, 0);
	pgtable_kunit_check_aging(t, 0, t->width);
	pgtable_kunit_check_locked(t, 0, t->width);
	pgtable_kunit_check_locked(t, addr, addr + 1);
}

static void test_range_beyond_width(struct kunit *test)
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

static void test_unaligned_ranges(struct kunit *test)
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

/*
 * Which entry of a table follows entry @i in tests that go through a table: the next, but
 * large ones have all at both ends, where walks begin and end, and some between.
 */
static unsigned int pgtable_kunit_next(const struct pgtable_kunit *t, unsigned int i)
{
	const unsigned int nr = 1U << t->fmt->index_bits, ends = 64;
	const unsigned int index = i % nr;

	if (t->fmt->index_bits <= PGTABLE_KUNIT_ALL_BITS || index < ends || index >= nr - ends)
		return i + 1;
	/* Not a power of two, for such entries differ in their higher bits only. */
	return i + min(nr / 64 + 1, nr - ends - index);
}

/* So many tables of level 0, or all that there is room for, in pages. */
static unsigned int pgtable_kunit_pages(const struct pgtable_kunit *t, unsigned int tables)
{
	return min((u64)tables << t->fmt->index_bits, t->width >> t->fmt->page_shift);
}

/* All there is: huge leaves and small ones, old and young, holes, empty tables. */
static void pgtable_kunit_put_mix(struct pgtable_kunit *t)
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
		pgtable_kunit_put(t, 2 * huge, 0, PGTABLE_NONE, 0);
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

static void test_every_range(struct kunit *test)
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

static void test_range_boundaries(struct kunit *test)
{
	struct pgtable_kunit *t = test->priv;
	const u64 page = pgtable_kunit_size(t, 0), table = page << t->fmt->index_bits;
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
	for (i = 2; i < 1U << t->fmt->index_bits; i = pgtable_kunit_next(t, i))
		pgtable_kunit_check_aging(t, page, (i + 1) * page);
}

/* A young leaf is found wherever it is among old ones. */
static void test_one_young_leaf(struct kunit *test)
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

static void test_root_index(struct kunit *test)
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

static void test_busy_entries_left_alone(struct kunit *test)
{
	struct pgtable_kunit *t = test->priv;
	const u64 addr = pgtable_kunit_addr(t), page = pgtable_kunit_size(t, 0);
	unsigned int level;

	if (!t->fmt->busy)
		kunit_skip(test, "format has no frozen entries");

	pgtable_kunit_put(t, addr, 0, PGTABLE_BUSY, t->fmt->busy);
	pgtable_kunit_put_leaf(t, addr + page, 0, true);
	pgtable_kunit_check_aging(t, addr, addr + page);
	pgtable_kunit_check_aging(t, addr, addr + 2 * page);
	pgtable_kunit_check_locked(t, addr, addr + 2 * page);

	for (level = 0; level < t->tree.levels; level++) {
		pgtable_kunit_empty(t);
		pgtable_kunit_put(t, addr, level, PGTABLE_BUSY, t->fmt->busy);
		pgtable_kunit_check_aging(t, 0, t->width);
		KUNIT_EXPECT_EQ(test, t->stats.busy, 1);
	}
}

static void test_absent_entries_left_alone(struct kunit *test)
{
	struct pgtable_kunit *t = test->priv;
	unsigned int level;

	for (level = 0; level < t->tree.levels; level++) {
		pgtable_kunit_put(t, pgtable_kunit_addr(t), level, PGTABLE_NONE,
				  t->fmt->absent(virt_to_phys(t->decoy)));
		pgtable_kunit_check_aging(t, 0, t->width);
		pgtable_kunit_check_locked(t, 0, t->width);
		pgtable_kunit_empty(t);
	}
}

/* What a table is at level 0, which has none. */
static enum pgtable_kind pgtable_kunit_bottom_kind(const struct pgtable_kunit *t)
{
	return t->fmt->table_is_leaf ? PGTABLE_LEAF : PGTABLE_NONE;
}

/* Whatever it is there, it is no table. */
static void test_table_at_level_0_not_entered(struct kunit *test)
{
	struct pgtable_kunit *t = test->priv;
	const phys_addr_t pa = virt_to_phys(t->decoy);
	const u64 addr = pgtable_kunit_addr(t);
	struct pgtable_kunit_slot *slot;

	slot = pgtable_kunit_put(t, addr, 0, pgtable_kunit_bottom_kind(t), t->fmt->table(pa));
	if (slot->kind == PGTABLE_LEAF)
		slot->aged = pgtable_leaf_mkold(t->fmt->format, slot->pte);
	pgtable_kunit_check_aging(t, 0, t->width);
	pgtable_kunit_check_locked(t, addr, addr + 1);
}

/* What another writer put in stays; the leaf was young when it was looked at. */
static void test_lost_race(struct kunit *test)
{
	struct pgtable_kunit *t = test->priv;
	const u64 addr = pgtable_kunit_addr(t);
	const phys_addr_t pa = virt_to_phys(t->decoy);
	const phys_addr_t root = virt_to_phys(t->tree.table) & -pgtable_kunit_size(t, 0);
	const vpte_t others[] = {
		0,
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
		.visited = 1, .young = 1, .lost = slot->kind == PGTABLE_LEAF,
	});
	pgtable_kunit_restore(t);
	slot->aged = slot->pte;
}

static void test_one_snapshot_of_a_table(struct kunit *test)
{
	struct pgtable_kunit *t = test->priv;
	const phys_addr_t pa = virt_to_phys(t->decoy);
	unsigned int i;

	if (t->tree.levels == 1)
		kunit_skip(test, "one level");

	pgtable_kunit_put_leaf(t, pgtable_kunit_addr(t), 0, true);
	for (i = 0; t->slots[i].kind == PGTABLE_TABLE; i++) {
		/* None of these is 0: who follows one ends in the decoy. */
		pgtable_kunit_check_snapshot(t, i, t->fmt->leaf(pa, t->slots[i].level, 1, true));
		pgtable_kunit_check_snapshot(t, i, t->fmt->absent(pa));
		pgtable_kunit_check_snapshot(t, i, t->fmt->table(pa));
	}
}

static void test_one_snapshot_of_a_leaf(struct kunit *test)
{
	struct pgtable_kunit *t = test->priv;
	const phys_addr_t pa = virt_to_phys(t->decoy);
	unsigned int level;

	for (level = 0; level < t->tree.levels; level++) {
		unsigned int nr;

		pgtable_kunit_put_leaf(t, pgtable_kunit_addr(t), level, true);
		nr = t->nr_slots - 1;
		pgtable_kunit_check_snapshot(t, nr, 0);
		pgtable_kunit_check_snapshot(t, nr, t->fmt->absent(pa));
		pgtable_kunit_check_snapshot(t, nr, t->fmt->table(pa));
		pgtable_kunit_empty(t);
	}
}

static void test_testing_changes_nothing(struct kunit *test)
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

/* Of several trees, or of one that is walked again. */
static void test_answers_add_up(struct kunit *test)
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
static void test_stop_and_resume(struct kunit *test)
{
	struct pgtable_kunit *t = test->priv;
	unsigned int i, j, posts = 0, tables = 0;
	u64 addr = 0;

	pgtable_kunit_put_mix(t);
	t->stop = true;
	for (i = 0; i < t->nr_slots; i++) {
		const struct pgtable_kunit_slot *slot = &t->slots[i];
		unsigned int leaves = 0;

		tables += slot->kind == PGTABLE_TABLE;
		if (slot->kind != PGTABLE_LEAF)
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

/*
 * Stopped behind each table, and at each leaf or not, a walk unlinks every table, those
 * without a leaf and those that end with one included.
 */
static void pgtable_kunit_unlink_in_pieces(struct kunit *test, bool stop)
{
	struct pgtable_kunit *t = test->priv;
	unsigned int i, pieces, posts = 0, tables = 0;
	u64 addr = 0;

	pgtable_kunit_put_mix(t);
	for (i = 0; i < t->nr_slots; i++)
		tables += t->slots[i].kind == PGTABLE_TABLE;

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
		KUNIT_EXPECT_EQ(test, t->tree.table[i], 0);
}

static void test_unlink_in_pieces(struct kunit *test)
{
	pgtable_kunit_unlink_in_pieces(test, false);
}

static void test_unlink_in_small_pieces(struct kunit *test)
{
	pgtable_kunit_unlink_in_pieces(test, true);
}

/* Whoever unlinks tables on the way out leaves nothing, and looks at none again. */
static void test_unlink(struct kunit *test)
{
	struct pgtable_kunit *t = test->priv;
	unsigned int i;

	pgtable_kunit_put_mix(t);
	t->unlink = true;
	KUNIT_EXPECT_EQ(test, pgtable_kunit_run(t, PGTABLE_KUNIT_EXCLUSIVE, 0, t->width), t->width);
	pgtable_kunit_expect_calls(t, 0, t->width, true, true);
	for (i = 0; i < 1U << t->root_bits; i++)
		KUNIT_EXPECT_EQ(test, t->tree.table[i], 0);

	KUNIT_EXPECT_EQ(test, pgtable_kunit_run(t, PGTABLE_KUNIT_EXCLUSIVE, 0, t->width), t->width);
	KUNIT_EXPECT_EQ(test, t->nr_calls, 0);
}

/* What format and tests were told of the same tables is the same. */
static void test_format(struct kunit *test)
{
	struct pgtable_kunit *t = test->priv;
	const struct pgtable_format *fmt = t->fmt->format;
	const phys_addr_t pa = virt_to_phys(t->decoy);
	unsigned int level, flavour;

	for (level = 0; level < t->tree.levels; level++) {
		KUNIT_EXPECT_EQ(test, pgtable_level_shift(fmt, level),
				pgtable_kunit_shift(t, level));
		KUNIT_EXPECT_EQ(test, fmt->kind(0, level), PGTABLE_NONE);
		KUNIT_EXPECT_EQ(test, fmt->kind(t->fmt->absent(pa), level), PGTABLE_NONE);
		if (t->fmt->busy)
			KUNIT_EXPECT_EQ(test, fmt->kind(t->fmt->busy, level), PGTABLE_BUSY);
		KUNIT_EXPECT_EQ(test, fmt->kind(t->fmt->table(pa), level),
				level ? PGTABLE_TABLE : pgtable_kunit_bottom_kind(t));
		for (flavour = 0; flavour < 32; flavour++) {
			const vpte_t old = t->fmt->leaf(pa, level, flavour, false);
			const vpte_t young = t->fmt->leaf(pa, level, flavour, true);

			KUNIT_EXPECT_EQ(test, fmt->kind(old, level), PGTABLE_LEAF);
			KUNIT_EXPECT_EQ(test, fmt->kind(young, level), PGTABLE_LEAF);
			KUNIT_EXPECT_FALSE(test, pgtable_leaf_young(fmt, old));
			KUNIT_EXPECT_TRUE(test, pgtable_leaf_young(fmt, young));
			/* An ager may come between a look and a change under the lock. */
			if (fmt->volatile_bits)
				KUNIT_EXPECT_EQ(test, (old ^ young) & ~fmt->volatile_bits, 0);
		}
	}
	KUNIT_EXPECT_PTR_EQ(test, fmt->child(t->fmt->table(pa)), t->decoy);
}

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
		const unsigned int bits = level == t->tree.levels - 1 ? t->root_bits :
								       t->fmt->index_bits;
		const u32 nr = 1U << bits;
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
			pgtable_kunit_put(t, addr, level, PGTABLE_BUSY, t->fmt->busy);
			break;
		}
		fallthrough;
	case 1:
		pgtable_kunit_put(t, addr, level, PGTABLE_NONE,
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

static void test_random_trees(struct kunit *test)
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
		if (!test_bit(bit, age->want) || bit << age->shift >= to ||
		    (bit + 1) << age->shift <= from)
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
	bitmap_zero(age->young, PGTABLE_KUNIT_BITS);
	/* What others said before stays. */
	__set_bit(3, young);
	__set_bit(3, age->young);

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
	KUNIT_EXPECT_TRUE(test, bitmap_equal(age->young, young, PGTABLE_KUNIT_BITS));
	pgtable_kunit_restore(t);
}

/* Ranges and bits that begin anywhere, and bits of a page, of more, and of a table. */
static void test_parts(struct kunit *test)
{
	struct pgtable_kunit *t = test->priv;
	DECLARE_BITMAP(want, PGTABLE_KUNIT_BITS);
	DECLARE_BITMAP(young, PGTABLE_KUNIT_BITS);
	const u64 page = 1ULL << t->fmt->page_shift;
	unsigned int i, j;

	for (i = 0; i < 100; i++) {
		const unsigned int shifts[] = {
			t->fmt->page_shift, t->fmt->page_shift + 1,
			t->fmt->page_shift + t->fmt->index_bits,
		};
		struct pgtable_age age = {
			.shift = shifts[i % 3],
			.clear = i & 1,
			.want = want,
			.young = young,
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

/**
 * PGTABLE_KUNIT_SUITE() - define a suite, to be passed to kunit_test_suites()
 * @_name: name of the suite
 * @_fmt: the struct pgtable_kunit_format
 * @_levels: how many levels the trees have
 * @_root_extra_bits: how many more index bits the root has than other tables, at least 2
 *		      in all; negative if it has less
 */
#define PGTABLE_KUNIT_SUITE(_name, _fmt, _levels, _root_extra_bits)			\
static int _name##_init(struct kunit *test)						\
{											\
	return pgtable_kunit_init(test, &(_fmt), _levels, _root_extra_bits);		\
}											\
static struct kunit_case _name##_cases[] = {						\
	KUNIT_CASE(test_format),							\
	KUNIT_CASE(test_leaf_at_each_level),						\
	KUNIT_CASE(test_no_table),							\
	KUNIT_CASE(test_impossible_levels),						\
	KUNIT_CASE(test_empty_tree),							\
	KUNIT_CASE(test_range_beyond_width),						\
	KUNIT_CASE(test_unaligned_ranges),						\
	KUNIT_CASE(test_every_range),							\
	KUNIT_CASE(test_range_boundaries),						\
	KUNIT_CASE(test_one_young_leaf),						\
	KUNIT_CASE(test_root_index),							\
	KUNIT_CASE(test_busy_entries_left_alone),					\
	KUNIT_CASE(test_absent_entries_left_alone),					\
	KUNIT_CASE(test_table_at_level_0_not_entered),					\
	KUNIT_CASE(test_lost_race),							\
	KUNIT_CASE(test_one_snapshot_of_a_table),					\
	KUNIT_CASE(test_one_snapshot_of_a_leaf),					\
	KUNIT_CASE(test_testing_changes_nothing),					\
	KUNIT_CASE(test_stop_and_resume),						\
	KUNIT_CASE(test_unlink),							\
	KUNIT_CASE(test_unlink_in_pieces),						\
	KUNIT_CASE(test_unlink_in_small_pieces),					\
	KUNIT_CASE(test_random_trees),							\
	KUNIT_CASE(test_parts),								\
	KUNIT_CASE(test_answers_add_up),						\
	{}										\
};											\
static struct kunit_suite _name = {							\
	.name = "pgtable-walk-" #_name,							\
	.init = _name##_init,								\
	.test_cases = _name##_cases,							\
}

#endif /* _KUNIT_PGTABLE_WALK_H */
