// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the page-table walker over made-up formats that have all the corner
 * cases and tables of four entries.
 */
#include <linux/bits.h>
#include <linux/module.h>
#include <kunit/pgtable_walk.h>

#define MOCK_PRESENT	BIT_ULL(0)
#define MOCK_ACCESSED	BIT_ULL(1)
#define MOCK_LEAF	BIT_ULL(2)
#define MOCK_FLAVOURS	GENMASK_ULL(8, 4)
#define MOCK_SAVED	BIT_ULL(9)
#define MOCK_ADDR	GENMASK_ULL(51, 12)

/* Looks like a young leaf but for one bit. */
#define MOCK_BUSY	(MOCK_ADDR | MOCK_ACCESSED | MOCK_LEAF)

static __always_inline vpte_t *mock_child(vpte_t pte)
{
	return phys_to_virt(pte & MOCK_ADDR);
}

static __always_inline enum pgtable_walk_kind mock_kind(vpte_t pte, unsigned int level)
{
	if (pte == MOCK_BUSY)
		return PGTABLE_WALK_BUSY;
	if (!(pte & MOCK_PRESENT))
		return PGTABLE_WALK_NONE;
	if (pte & MOCK_LEAF)
		return PGTABLE_WALK_LEAF;
	return level ? PGTABLE_WALK_TABLE : PGTABLE_WALK_NONE;
}

static const struct pgtable_walk_format mock_format = {
	.page_shift = 12,
	.index_bits = 2,
	.accessed = MOCK_ACCESSED,
	.volatile_bits = MOCK_ACCESSED,
	.kind = mock_kind,
	.child = mock_child,
};

static vpte_t mock_leaf(phys_addr_t pa, unsigned int level, unsigned int flavour, bool young)
{
	return pa | (flavour << 4 & 0x1f0) | (young ? 0x7 : 0x5);
}

/* Has the accessed bit too, as hardware may set it in tables. */
static vpte_t mock_table(phys_addr_t pa)
{
	return pa | 0x3;
}

static vpte_t mock_absent(phys_addr_t pa)
{
	return pa | 0x1f6;
}

static u64 mock_walk(enum pgtable_kunit_op op, u64 start, u64 end, struct pgtable_kunit *t)
{
	return pgtable_kunit_walk(&mock_format, op, start, end, t);
}

static const struct pgtable_kunit_format mock = {
	.format = &mock_format,
	.walk = mock_walk,
	.page_shift = 12,
	.index_bits = 2,
	.busy = MOCK_BUSY,
	.leaf = mock_leaf,
	.table = mock_table,
	.absent = mock_absent,
};

PGTABLE_KUNIT_SUITE(mock_1_level, mock, 1, 0);
PGTABLE_KUNIT_SUITE(mock_1_level_large_root, mock, 1, 2);
PGTABLE_KUNIT_SUITE(mock_2_levels, mock, 2, 1);
PGTABLE_KUNIT_SUITE(mock_3_levels, mock, 3, 1);
PGTABLE_KUNIT_SUITE(mock_6_levels, mock, 6, 4);

/*
 * A format without an accessed bit: an old leaf is one that the hardware can't use, with
 * its permission saved elsewhere, as x86 does where EPT has no accessed bits.
 */
static __always_inline enum pgtable_walk_kind tracked_kind(vpte_t pte, unsigned int level)
{
	if (!(pte & (MOCK_PRESENT | MOCK_SAVED)))
		return PGTABLE_WALK_NONE;
	if (pte & MOCK_LEAF)
		return PGTABLE_WALK_LEAF;
	return level ? PGTABLE_WALK_TABLE : PGTABLE_WALK_NONE;
}

static __always_inline bool tracked_young(vpte_t leaf)
{
	return !(leaf & MOCK_SAVED);
}

static __always_inline vpte_t tracked_mkold(vpte_t leaf)
{
	return (leaf & ~MOCK_PRESENT) | MOCK_SAVED;
}

static const struct pgtable_walk_format tracked_format = {
	.page_shift = 12,
	.index_bits = 2,
	.volatile_bits = MOCK_PRESENT | MOCK_SAVED,
	.kind = tracked_kind,
	.child = mock_child,
	.young = tracked_young,
	.mkold = tracked_mkold,
};

static vpte_t tracked_leaf(phys_addr_t pa, unsigned int level, unsigned int flavour, bool young)
{
	return pa | (flavour << 4 & 0x1f0) | (young ? 0x5 : 0x204);
}

static vpte_t tracked_table(phys_addr_t pa)
{
	return pa | 0x1;
}

static u64 tracked_walk(enum pgtable_kunit_op op, u64 start, u64 end, struct pgtable_kunit *t)
{
	return pgtable_kunit_walk(&tracked_format, op, start, end, t);
}

static const struct pgtable_kunit_format tracked = {
	.format = &tracked_format,
	.walk = tracked_walk,
	.page_shift = 12,
	.index_bits = 2,
	.leaf = tracked_leaf,
	.table = tracked_table,
	.absent = mock_absent,
};

PGTABLE_KUNIT_SUITE(tracked_3_levels, tracked, 3, 0);

/* ---- what has nothing to do with a format ---- */

/* Bits of made-up entries: V may change at any time, W and P may not. */
#define V	BIT_ULL(6)
#define W	BIT_ULL(2)
#define P	BIT_ULL(12)

static void test_vpte_update_keeps_volatile_bits(struct kunit *test)
{
	/* Aged since the snapshot, used since the snapshot, and neither. */
	const vpte_t seen[] = { P | W | V, P | W, P | W | V };
	const vpte_t live[] = { P | W, P | W | V, P | W | V };
	int i;

	for (i = 0; i < 3; i++) {
		vpte_t pte = live[i], old = seen[i];

		KUNIT_EXPECT_TRUE(test, vpte_update(&pte, &old, W, 0, V));
		KUNIT_EXPECT_EQ(test, pte, live[i] & ~W);
		/* What was replaced, and not what was seen. */
		KUNIT_EXPECT_EQ(test, old, live[i]);

		KUNIT_EXPECT_TRUE(test, vpte_update(&pte, &old, 0, W, V | W));
		KUNIT_EXPECT_EQ(test, pte, live[i]);
		KUNIT_EXPECT_EQ(test, old, live[i] & ~W);
	}
}

static void test_vpte_update_refuses_other_changes(struct kunit *test)
{
	const vpte_t live[] = { 0, P | V, 2 * P | W | V, P | W | V | 1 };
	int i;

	for (i = 0; i < ARRAY_SIZE(live); i++) {
		vpte_t pte = live[i], old = P | W | V;

		KUNIT_EXPECT_FALSE(test, vpte_update(&pte, &old, W, 0, V));
		KUNIT_EXPECT_EQ(test, pte, live[i]);
		KUNIT_EXPECT_EQ(test, old, live[i]);
	}
}

static void test_vpte_update_clears_before_it_sets(struct kunit *test)
{
	vpte_t pte = P | W, old = pte;

	KUNIT_EXPECT_TRUE(test, vpte_update(&pte, &old, P | W, 2 * P | W, V));
	KUNIT_EXPECT_EQ(test, pte, 2 * P | W);
}

static void test_vpte_unfreeze(struct kunit *test)
{
	vpte_t pte = P | W | V, old = P | W;

	/* Returns what hardware did meanwhile, for that is lost with the entry. */
	KUNIT_EXPECT_TRUE(test, vpte_update(&pte, &old, ~(vpte_t)0, MOCK_BUSY, V));
	KUNIT_EXPECT_EQ(test, pte, MOCK_BUSY);
	KUNIT_EXPECT_EQ(test, old, P | W | V);

	/* Frozen by somebody else. */
	old = P | W;
	KUNIT_EXPECT_FALSE(test, vpte_update(&pte, &old, ~(vpte_t)0, 0, V));
	KUNIT_EXPECT_EQ(test, pte, MOCK_BUSY);
	KUNIT_EXPECT_EQ(test, old, MOCK_BUSY);

	vpte_unfreeze(&pte, 2 * P);
	KUNIT_EXPECT_EQ(test, vpte_read(&pte), 2 * P);
}

static void test_vpte_cmpxchg_and_xchg(struct kunit *test)
{
	vpte_t pte = P | V, old = P;

	KUNIT_EXPECT_FALSE(test, vpte_try_cmpxchg(&pte, &old, W));
	KUNIT_EXPECT_EQ(test, pte, P | V);
	KUNIT_EXPECT_EQ(test, old, P | V);
	KUNIT_EXPECT_TRUE(test, vpte_try_cmpxchg(&pte, &old, W));
	KUNIT_EXPECT_EQ(test, pte, W);
	KUNIT_EXPECT_EQ(test, vpte_xchg(&pte, 0), W);
	KUNIT_EXPECT_EQ(test, pte, 0);

	vpte_link_table(&pte, P);
	KUNIT_EXPECT_EQ(test, pte, P);
}

static void test_root_word(struct kunit *test)
{
	vpte_t *table = kunit_kzalloc(test, PGTABLE_KUNIT_TABLE, GFP_KERNEL);
	struct pgtable_root root = {};
	struct pgtable_walk_tree tree, got;

	KUNIT_ASSERT_NOT_NULL(test, table);
	rcu_read_lock();
	tree = pgtable_root_deref(&root, false);
	rcu_read_unlock();
	KUNIT_EXPECT_PTR_EQ(test, tree.table, NULL);

	tree.table = table;
	for (tree.levels = 1; tree.levels <= PGTABLE_WALK_MAX_LEVELS; tree.levels++) {
		for (tree.addr_bits = 12; tree.addr_bits < 64; tree.addr_bits++) {
			pgtable_root_publish(&root, &tree);
			got = pgtable_root_deref(&root, true);
			KUNIT_EXPECT_PTR_EQ(test, got.table, table);
			KUNIT_EXPECT_EQ(test, got.levels, tree.levels);
			KUNIT_EXPECT_EQ(test, got.addr_bits, tree.addr_bits);
		}
	}

	/* Handed out once. */
	got = pgtable_root_retire(&root);
	KUNIT_EXPECT_PTR_EQ(test, got.table, table);
	KUNIT_EXPECT_EQ(test, got.levels, PGTABLE_WALK_MAX_LEVELS);
	KUNIT_EXPECT_EQ(test, got.addr_bits, 63);
	KUNIT_EXPECT_EQ(test, root.word, 0UL);
	got = pgtable_root_retire(&root);
	KUNIT_EXPECT_PTR_EQ(test, got.table, NULL);
	got = pgtable_root_deref(&root, true);
	KUNIT_EXPECT_PTR_EQ(test, got.table, NULL);
}

/* What publishing refuses, with a warning that a test must not cause. */
static void test_valid_trees(struct kunit *test)
{
	vpte_t *table = kunit_kzalloc(test, PGTABLE_KUNIT_TABLE, GFP_KERNEL);
	const struct pgtable_walk_tree good = { table, 3, 39 };
	struct pgtable_walk_tree tree;

	KUNIT_ASSERT_NOT_NULL(test, table);
	KUNIT_EXPECT_TRUE(test, pgtable_walk_tree_valid(&good));

	tree = good;
	tree.table = NULL;
	KUNIT_EXPECT_FALSE(test, pgtable_walk_tree_valid(&tree));
	tree.table = table + 256;
	KUNIT_EXPECT_FALSE(test, pgtable_walk_tree_valid(&tree));

	tree = good;
	tree.levels = 0;
	KUNIT_EXPECT_FALSE(test, pgtable_walk_tree_valid(&tree));
	tree.levels = PGTABLE_WALK_MAX_LEVELS + 1;
	KUNIT_EXPECT_FALSE(test, pgtable_walk_tree_valid(&tree));

	tree = good;
	tree.addr_bits = 0;
	KUNIT_EXPECT_FALSE(test, pgtable_walk_tree_valid(&tree));
	tree.addr_bits = 64;
	KUNIT_EXPECT_FALSE(test, pgtable_walk_tree_valid(&tree));
}

/* What a request of parts of 8 KiB is about, as walkers ask it that have no tree. */
static void test_age_request(struct kunit *test)
{
	unsigned long want[2] = {}, young[2] = {};
	struct pgtable_age age = {
		.start = 0x10000, .end = 0x30000, .shift = 13, .origin = 0x10000,
	};

	KUNIT_EXPECT_TRUE(test, pgtable_age_wanted(&age, 0x10000, 0x1000));
	KUNIT_EXPECT_TRUE(test, pgtable_age_mark_young(&age, 0x10000, 0x1000));
	age.young = young;
	KUNIT_EXPECT_TRUE(test, pgtable_age_mark_young(&age, 0x14000, 0x4000));
	KUNIT_EXPECT_EQ(test, young[0], BIT(2) | BIT(3));

	/* From 0x1a000 to 0x1c000. */
	want[0] = BIT(5);
	age.want = want;
	KUNIT_EXPECT_FALSE(test, pgtable_age_wanted(&age, 0x19000, 0x1000));
	KUNIT_EXPECT_TRUE(test, pgtable_age_wanted(&age, 0x1a000, 0x1000));
	KUNIT_EXPECT_TRUE(test, pgtable_age_wanted(&age, 0x1b000, 0x1000));
	KUNIT_EXPECT_FALSE(test, pgtable_age_wanted(&age, 0x1c000, 0x1000));
	KUNIT_EXPECT_TRUE(test, pgtable_age_wanted(&age, 0, 0x200000));
	KUNIT_EXPECT_FALSE(test, pgtable_age_mark_young(&age, 0x1c000, 0x1000));
	KUNIT_EXPECT_EQ(test, young[0], BIT(2) | BIT(3));
	KUNIT_EXPECT_TRUE(test, pgtable_age_mark_young(&age, 0, 0x200000));
	KUNIT_EXPECT_EQ(test, young[0], BIT(2) | BIT(3) | BIT(5));
	KUNIT_EXPECT_EQ(test, young[1], 0UL);

	KUNIT_EXPECT_EQ(test, pgtable_age_seek(&age, 0x10000), 0x1a000ULL);
	KUNIT_EXPECT_EQ(test, pgtable_age_seek(&age, 0x19000), 0x1a000ULL);
	KUNIT_EXPECT_EQ(test, pgtable_age_seek(&age, 0x1b000), 0x1b000ULL);
	KUNIT_EXPECT_EQ(test, pgtable_age_seek(&age, 0x1c000),
			0x10000ULL + BITS_PER_LONG * 0x2000ULL);

	KUNIT_EXPECT_FALSE(test, pgtable_age_clears(&age, 0x10000, 0x20000));
	age.clear = true;
	KUNIT_EXPECT_TRUE(test, pgtable_age_clears(&age, 0x10000, 0x20000));
	KUNIT_EXPECT_FALSE(test, pgtable_age_clears(&age, 0xf000, 0x20000));
	KUNIT_EXPECT_FALSE(test, pgtable_age_clears(&age, 0x11000, 0x20000));
	age.shift = 0;
	KUNIT_EXPECT_TRUE(test, pgtable_age_clears(&age, 0, 0x200000));
}

/* A format that takes an entry of the lowest level for a table. */
static __always_inline enum pgtable_walk_kind careless_kind(vpte_t pte, unsigned int level)
{
	return mock_kind(pte, 1);
}

static const struct pgtable_walk_format careless_format = {
	.page_shift = 12,
	.index_bits = 2,
	.accessed = MOCK_ACCESSED,
	.volatile_bits = MOCK_ACCESSED,
	.kind = careless_kind,
	.child = mock_child,
};

static void test_no_table_below_level_0(struct kunit *test)
{
	vpte_t *table = kunit_kzalloc(test, PGTABLE_KUNIT_TABLE, GFP_KERNEL);
	const struct pgtable_walk_tree tree = { table, 1, 14 };
	struct pgtable_age age = { .end = 1ULL << 14, .clear = true };

	KUNIT_ASSERT_NOT_NULL(test, table);
	table[0] = mock_table(virt_to_phys(table));
	table[1] = mock_leaf(virt_to_phys(table), 0, 0, true);

	rcu_read_lock();
	pgtable_age_tree(&careless_format, &tree, &age);
	rcu_read_unlock();
	KUNIT_EXPECT_EQ(test, age.stats.visited, 1);
	KUNIT_EXPECT_EQ(test, table[0], mock_table(virt_to_phys(table)));
	KUNIT_EXPECT_EQ(test, table[1], mock_leaf(virt_to_phys(table), 0, 0, false));
}

static struct kunit_case basics_cases[] = {
	KUNIT_CASE(test_vpte_update_keeps_volatile_bits),
	KUNIT_CASE(test_vpte_update_refuses_other_changes),
	KUNIT_CASE(test_vpte_update_clears_before_it_sets),
	KUNIT_CASE(test_vpte_unfreeze),
	KUNIT_CASE(test_vpte_cmpxchg_and_xchg),
	KUNIT_CASE(test_root_word),
	KUNIT_CASE(test_valid_trees),
	KUNIT_CASE(test_age_request),
	KUNIT_CASE(test_no_table_below_level_0),
	{}
};

static struct kunit_suite basics = {
	.name = "pgtable_walk_basics",
	.test_cases = basics_cases,
};

kunit_test_suites(&basics, &mock_1_level, &mock_1_level_large_root, &mock_2_levels,
		  &mock_3_levels, &mock_6_levels, &tracked_3_levels);

MODULE_DESCRIPTION("KUnit tests of the page-table walker");
MODULE_LICENSE("GPL");
