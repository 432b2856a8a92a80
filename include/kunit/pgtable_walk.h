/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One KUnit suite for every page-table format.
 *
 * A format brings its struct pgtable_walk_format, and beside it a second description of
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
 * its users.  All else is compiled once, in lib/pgtable-walk/tests, and calls it.
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

struct pgtable_kunit;

/**
 * enum pgtable_kunit_op - the walks that are made of a format
 * @PGTABLE_KUNIT_CLEAR: pgtable_age_tree() that makes a whole range old
 * @PGTABLE_KUNIT_TEST: pgtable_age_tree() that tests a whole range
 * @PGTABLE_KUNIT_RACE: like CLEAR; logs leaves, and loses a race at one of them
 * @PGTABLE_KUNIT_FLIP: like CLEAR; one entry changes when it has been looked at
 * @PGTABLE_KUNIT_EXCLUSIVE: logs leaves and tables, may unlink them
 * @PGTABLE_KUNIT_SHARED: logs leaves
 * @PGTABLE_KUNIT_PARTS: pgtable_age_tree() of the test's own request
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
 * @bottom_bits: the same of tables of level 0, if they have another size; 0 if not
 * @busy: a frozen entry, with the accessed bit set if it can be; 0 if there is none
 * @leaf: makes a leaf; @flavour is any number, and decides on all bits that are
 *	  neither the address nor about access
 * @table: makes an entry that points to a table
 * @absent: makes an entry that maps nothing although it has all of an address and of
 *	    the bits of a young leaf that it may have
 * @empty: makes an entry of an empty table; NULL if that is 0 at each level
 * @table_is_leaf: what @table makes is a leaf at level 0, not nothing
 * @set_up: called before each test, optional; 0, or an error that fails the test
 */
struct pgtable_kunit_format {
	const struct pgtable_walk_format *format;
	u64 (*walk)(enum pgtable_kunit_op op, u64 start, u64 end, struct pgtable_kunit *t);
	unsigned int page_shift;
	unsigned int index_bits;
	unsigned int bottom_bits;
	vpte_t busy;
	vpte_t (*leaf)(phys_addr_t pa, unsigned int level, unsigned int flavour, bool young);
	vpte_t (*table)(phys_addr_t pa);
	vpte_t (*absent)(phys_addr_t pa);
	vpte_t (*empty)(unsigned int level);
	bool table_is_leaf;
	int (*set_up)(struct kunit *test);
};

/* An entry that a test put into the tree. */
struct pgtable_kunit_slot {
	u64 addr;
	unsigned int level;
	enum pgtable_walk_kind kind;
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
	struct pgtable_walk_tree tree;
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
pgtable_kunit_tighten(const struct pgtable_walk_format *fmt, const struct pgtable_walk *walk,
		      vpte_t *new)
{
	struct pgtable_kunit *t = walk->arg;

	pgtable_kunit_log(t, walk, NULL, false);
	pgtable_kunit_race(t, walk->pte);
	if (pgtable_walk_leaf_young(fmt, walk->pte)) {
		t->stats.young++;
		*new = pgtable_walk_leaf_mkold(fmt, walk->pte);
	}
	return PGTABLE_WALK_NEXT;
}

static inline vpte_t pgtable_kunit_empty_pte(const struct pgtable_kunit *t, unsigned int level)
{
	return t->fmt->empty ? t->fmt->empty(level) : 0;
}

static __always_inline enum pgtable_walk_next
pgtable_kunit_leaf(const struct pgtable_walk_format *fmt, const struct pgtable_walk *walk,
		   vpte_t *ptep)
{
	struct pgtable_kunit *t = walk->arg;

	pgtable_kunit_log(t, walk, ptep, false);
	if (t->unlink)
		vpte_xchg(ptep, pgtable_kunit_empty_pte(t, walk->level));
	return t->stop ? PGTABLE_WALK_STOP : PGTABLE_WALK_NEXT;
}

static __always_inline enum pgtable_walk_next
pgtable_kunit_table_post(const struct pgtable_walk_format *fmt, const struct pgtable_walk *walk,
			 vpte_t *ptep)
{
	struct pgtable_kunit *t = walk->arg;

	pgtable_kunit_log(t, walk, ptep, true);
	if (t->unlink) {
		const vpte_t old = vpte_xchg(ptep, pgtable_kunit_empty_pte(t, walk->level));

		/* A walk that still looks at the table now finds plenty. */
		memcpy(fmt->child(old), t->decoy, t->table_bytes);
	}
	return t->stop_post ? PGTABLE_WALK_STOP : PGTABLE_WALK_NEXT;
}

/* Formats' predicates have no argument for this; tests run one at a time. */
static __maybe_unused struct pgtable_kunit *pgtable_kunit_flip_test;

static __always_inline enum pgtable_walk_kind pgtable_kunit_flip_kind(vpte_t pte,
								      unsigned int level)
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
static __always_inline u64 pgtable_kunit_walk(const struct pgtable_walk_format *fmt,
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
	struct pgtable_walk_format flip = *fmt;

	switch (op) {
	case PGTABLE_KUNIT_CLEAR:
	case PGTABLE_KUNIT_TEST:
	case PGTABLE_KUNIT_PARTS:
		pgtable_age_tree(fmt, &t->tree, age);
		break;
	case PGTABLE_KUNIT_FLIP:
		pgtable_kunit_flip_test = t;
		flip.kind = pgtable_kunit_flip_kind;
		pgtable_age_tree(&flip, &t->tree, age);
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

/* ---- the tests, in lib/pgtable-walk/tests ---- */

int pgtable_kunit_init(struct kunit *test, const struct pgtable_kunit_format *fmt,
		       unsigned int levels, int root_extra_bits);
u64 pgtable_kunit_addr(const struct pgtable_kunit *t);
struct pgtable_kunit_slot *pgtable_kunit_put_leaf(struct pgtable_kunit *t, u64 addr,
						  unsigned int level, bool young);
void pgtable_kunit_restore(struct pgtable_kunit *t);
u64 pgtable_kunit_run(struct pgtable_kunit *t, enum pgtable_kunit_op op, u64 start, u64 end);

void pgtable_kunit_test_format(struct kunit *test);
void pgtable_kunit_test_leaf_at_each_level(struct kunit *test);
void pgtable_kunit_test_no_table(struct kunit *test);
void pgtable_kunit_test_impossible_levels(struct kunit *test);
void pgtable_kunit_test_empty_tree(struct kunit *test);
void pgtable_kunit_test_range_beyond_width(struct kunit *test);
void pgtable_kunit_test_unaligned_ranges(struct kunit *test);
void pgtable_kunit_test_every_range(struct kunit *test);
void pgtable_kunit_test_range_boundaries(struct kunit *test);
void pgtable_kunit_test_one_young_leaf(struct kunit *test);
void pgtable_kunit_test_root_index(struct kunit *test);
void pgtable_kunit_test_busy_entries_left_alone(struct kunit *test);
void pgtable_kunit_test_absent_entries_left_alone(struct kunit *test);
void pgtable_kunit_test_table_at_level_0_not_entered(struct kunit *test);
void pgtable_kunit_test_lost_race(struct kunit *test);
void pgtable_kunit_test_one_snapshot_of_a_table(struct kunit *test);
void pgtable_kunit_test_one_snapshot_of_a_leaf(struct kunit *test);
void pgtable_kunit_test_testing_changes_nothing(struct kunit *test);
void pgtable_kunit_test_stop_and_resume(struct kunit *test);
void pgtable_kunit_test_unlink(struct kunit *test);
void pgtable_kunit_test_unlink_in_pieces(struct kunit *test);
void pgtable_kunit_test_unlink_in_small_pieces(struct kunit *test);
void pgtable_kunit_test_random_trees(struct kunit *test);
void pgtable_kunit_test_one_part(struct kunit *test);
void pgtable_kunit_test_parts(struct kunit *test);
void pgtable_kunit_test_answers_add_up(struct kunit *test);

#define PGTABLE_KUNIT_CASE(_name)							\
	{ .run_case = pgtable_kunit_##_name, .name = #_name, .module_name = KBUILD_MODNAME }

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
	PGTABLE_KUNIT_CASE(test_format),						\
	PGTABLE_KUNIT_CASE(test_leaf_at_each_level),					\
	PGTABLE_KUNIT_CASE(test_no_table),						\
	PGTABLE_KUNIT_CASE(test_impossible_levels),					\
	PGTABLE_KUNIT_CASE(test_empty_tree),						\
	PGTABLE_KUNIT_CASE(test_range_beyond_width),					\
	PGTABLE_KUNIT_CASE(test_unaligned_ranges),					\
	PGTABLE_KUNIT_CASE(test_every_range),						\
	PGTABLE_KUNIT_CASE(test_range_boundaries),					\
	PGTABLE_KUNIT_CASE(test_one_young_leaf),					\
	PGTABLE_KUNIT_CASE(test_root_index),						\
	PGTABLE_KUNIT_CASE(test_busy_entries_left_alone),				\
	PGTABLE_KUNIT_CASE(test_absent_entries_left_alone),				\
	PGTABLE_KUNIT_CASE(test_table_at_level_0_not_entered),				\
	PGTABLE_KUNIT_CASE(test_lost_race),						\
	PGTABLE_KUNIT_CASE(test_one_snapshot_of_a_table),				\
	PGTABLE_KUNIT_CASE(test_one_snapshot_of_a_leaf),				\
	PGTABLE_KUNIT_CASE(test_testing_changes_nothing),				\
	PGTABLE_KUNIT_CASE(test_stop_and_resume),					\
	PGTABLE_KUNIT_CASE(test_unlink),						\
	PGTABLE_KUNIT_CASE(test_unlink_in_pieces),					\
	PGTABLE_KUNIT_CASE(test_unlink_in_small_pieces),				\
	PGTABLE_KUNIT_CASE(test_random_trees),						\
	PGTABLE_KUNIT_CASE(test_one_part),							\
	PGTABLE_KUNIT_CASE(test_parts),							\
	PGTABLE_KUNIT_CASE(test_answers_add_up),					\
	{}										\
};											\
static struct kunit_suite _name = {							\
	.name = "pgtable_walk_" #_name,							\
	.init = _name##_init,								\
	.test_cases = _name##_cases,							\
}

#endif /* _KUNIT_PGTABLE_WALK_H */
