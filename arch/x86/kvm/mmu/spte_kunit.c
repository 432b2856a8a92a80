// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the page-table walker over the SPTEs of NPT and of EPT with and without
 * A/D bits, whatever the CPU has.  Numbers are those of the AMD64 Architecture
 * Programmer's Manual, volume 2, "Nested Paging", of the Intel SDM, volume 3C, "EPT
 * Paging-Structure Entries", and for the bits that hardware ignores those of spte.h.
 *
 * The inline functions of spte.h and of the page-table walker run over masks that are this
 * file's own, for KVM's are in use by VMs.  So nothing here keeps VMs from being created,
 * nor the other way round.
 */
#include <linux/kvm_host.h>
#include <kunit/pgtable_walk.h>

#define shadow_host_writable_mask	spte_kunit_host_writable_mask
#define shadow_mmu_writable_mask	spte_kunit_mmu_writable_mask
#define shadow_accessed_mask		spte_kunit_accessed_mask
#define shadow_dirty_mask		spte_kunit_dirty_mask
#define shadow_acc_track_mask		spte_kunit_acc_track_mask

#include "mmu_internal.h"
#include "spte_format.h"
#include "spte_kunit_bits.h"

u64 shadow_host_writable_mask, shadow_mmu_writable_mask;
u64 shadow_accessed_mask, shadow_dirty_mask, shadow_acc_track_mask;

#define SPTE_PRESENT	BIT_ULL(11)
#define SPTE_HUGE	BIT_ULL(7)

#define NPT_P		BIT_ULL(0)
#define NPT_W		BIT_ULL(1)
#define NPT_U		BIT_ULL(2)
#define NPT_A		BIT_ULL(5)
#define NPT_D		BIT_ULL(6)
#define NPT_HOST_W	BIT_ULL(9)
#define NPT_MMU_W	BIT_ULL(10)
#define NPT_NX		BIT_ULL(63)

#define EPT_R		BIT_ULL(0)
#define EPT_W		BIT_ULL(1)
#define EPT_X		BIT_ULL(2)
#define EPT_A		BIT_ULL(8)
#define EPT_D		BIT_ULL(9)
#define EPT_NO_VE	BIT_ULL(63)

/* ---- masks ---- */

static int spte_kunit_npt(struct kunit *test)
{
	shadow_host_writable_mask = NPT_HOST_W;
	shadow_mmu_writable_mask = NPT_MMU_W;
	shadow_accessed_mask = NPT_A;
	shadow_dirty_mask = NPT_D;
	shadow_acc_track_mask = 0;
	return 0;
}

static void spte_kunit_ept(void)
{
	shadow_host_writable_mask = EPT_HOST_W;
	shadow_mmu_writable_mask = EPT_MMU_W;
	shadow_acc_track_mask = EPT_R | EPT_W | EPT_X | EPT_XU;
}

static int spte_kunit_ept_ad(struct kunit *test)
{
	spte_kunit_ept();
	shadow_accessed_mask = EPT_A;
	shadow_dirty_mask = EPT_D;
	return 0;
}

static int spte_kunit_ept_no_ad(struct kunit *test)
{
	spte_kunit_ept();
	shadow_accessed_mask = EPT_SOFT_A;
	shadow_dirty_mask = 0;
	return 0;
}

/* ---- entries ---- */

static vpte_t npt_leaf(phys_addr_t pa, unsigned int level, unsigned int flavour, bool young)
{
	vpte_t spte = pa | SPTE_PRESENT | NPT_U | NPT_P;

	spte |= level ? SPTE_HUGE : 0;
	spte |= young ? NPT_A : 0;
	spte |= flavour & 1 ? NPT_W | NPT_MMU_W | NPT_HOST_W : 0;
	spte |= flavour & 2 ? NPT_D : 0;
	spte |= flavour & 4 ? NPT_NX : 0;
	spte |= flavour & 8 ? NPT_MMU_W | NPT_HOST_W : 0;
	spte |= flavour & 16 ? NPT_HOST_W : 0;
	return spte;
}

static vpte_t npt_table(phys_addr_t pa)
{
	return pa | SPTE_PRESENT | NPT_A | NPT_U | NPT_W | NPT_P;
}

/* R, or X alone as execute-only memory has; with a bit more where it can be written to. */
static vpte_t ept_leaf(phys_addr_t pa, unsigned int level, unsigned int flavour)
{
	vpte_t spte = pa | SPTE_PRESENT | EPT_NO_VE | (6ULL << 3);

	spte |= level ? SPTE_HUGE : 0;
	spte |= flavour & 1 ? EPT_R | EPT_W | EPT_MMU_W | EPT_HOST_W : EPT_R;
	spte |= flavour & 2 ? EPT_X | EPT_XU : 0;
	spte |= flavour & 8 ? EPT_MMU_W | EPT_HOST_W : 0;
	return spte;
}

static vpte_t ept_no_ad_leaf(phys_addr_t pa, unsigned int level, unsigned int flavour, bool young)
{
	vpte_t spte = ept_leaf(pa, level, flavour) | EPT_AD_DISABLED;

	if ((flavour & 0x13) == 0x12)
		spte &= ~EPT_R;
	if (young)
		return spte | EPT_SOFT_A;

	spte |= (spte & (EPT_XU | EPT_X | EPT_R)) << EPT_SAVED_SHIFT;
	return spte & ~(EPT_XU | EPT_X | EPT_W | EPT_R);
}

/* SPTEs for nested guests need not have the A/D bits that others of the same VM have. */
static vpte_t ept_ad_leaf(phys_addr_t pa, unsigned int level, unsigned int flavour, bool young)
{
	vpte_t spte = ept_leaf(pa, level, flavour);

	if (flavour & 16)
		return ept_no_ad_leaf(pa, level, flavour & ~16, young);
	spte |= flavour & 4 ? EPT_D | EPT_AD_WRPROT : 0;
	return spte | (young ? EPT_A : 0);
}

static vpte_t ept_ad_table(phys_addr_t pa)
{
	return pa | SPTE_PRESENT | EPT_A | EPT_XU | EPT_X | EPT_W | EPT_R;
}

static vpte_t ept_no_ad_table(phys_addr_t pa)
{
	return pa | SPTE_PRESENT | EPT_AD_DISABLED | EPT_XU | EPT_X | EPT_W | EPT_R;
}

/* MMIO SPTEs keep a generation in the bits around SPTE_PRESENT, and may have P set. */
static vpte_t spte_kunit_absent(phys_addr_t pa)
{
	return pa | 0x7ff00000000007ffULL;
}

#define SPTE_KUNIT(_name, _leaf, _table, _set_up)					\
static u64 _name##_walk(enum pgtable_kunit_op op, u64 start, u64 end,			\
			struct pgtable_kunit *t)					\
{											\
	return pgtable_kunit_walk(&spte_format, op, start, end, t);			\
}											\
static const struct pgtable_kunit_format _name = {					\
	.format = &spte_format,								\
	.walk = _name##_walk,								\
	.page_shift = 12,								\
	.index_bits = 9,								\
	.busy = SPTE_FROZEN,								\
	.leaf = _leaf,									\
	.table = _table,								\
	.absent = spte_kunit_absent,							\
	.table_is_leaf = true,								\
	.set_up = _set_up,								\
}

SPTE_KUNIT(npt, npt_leaf, npt_table, spte_kunit_npt);
SPTE_KUNIT(ept_ad, ept_ad_leaf, ept_ad_table, spte_kunit_ept_ad);
SPTE_KUNIT(ept_no_ad, ept_no_ad_leaf, ept_no_ad_table, spte_kunit_ept_no_ad);

PGTABLE_KUNIT_SUITE(spte_npt_4_levels, npt, 4, 0);
PGTABLE_KUNIT_SUITE(spte_npt_5_levels, npt, 5, 0);
PGTABLE_KUNIT_SUITE(spte_ept_ad_4_levels, ept_ad, 4, 0);
PGTABLE_KUNIT_SUITE(spte_ept_ad_5_levels, ept_ad, 5, 0);
PGTABLE_KUNIT_SUITE(spte_ept_no_ad_4_levels, ept_no_ad, 4, 0);
PGTABLE_KUNIT_SUITE(spte_ept_no_ad_5_levels, ept_no_ad, 5, 0);

/* ---- what the walker does to SPTEs is what KVM itself takes for it ---- */

static const struct pgtable_kunit_format *const spte_kunit_formats[] = {
	&npt, &ept_ad, &ept_no_ad,
};

/* Leaves of 4K, 2M and 1G, of all flavours. */
#define SPTE_KUNIT_FLAVOURS	32
#define SPTE_KUNIT_LEAVES	(3 * SPTE_KUNIT_FLAVOURS)

static u64 spte_kunit_leaf(const struct pgtable_kunit_format *fmt, unsigned int nr, bool young)
{
	return fmt->leaf(0x123456000, nr / SPTE_KUNIT_FLAVOURS, nr % SPTE_KUNIT_FLAVOURS, young);
}

static void spte_kunit_expect_aged_as_kvm_does(struct kunit *test,
					       const struct pgtable_kunit_format *fmt)
{
	unsigned int i;

	KUNIT_ASSERT_EQ(test, fmt->set_up(test), 0);
	for (i = 0; i < SPTE_KUNIT_LEAVES; i++) {
		const u64 young = spte_kunit_leaf(fmt, i, true);
		const u64 old = spte_mkold(young);

		/* As described by this file, and as KVM takes it. */
		KUNIT_EXPECT_EQ(test, old, spte_kunit_leaf(fmt, i, false));
		KUNIT_EXPECT_TRUE(test, is_shadow_present_pte(old));
		KUNIT_EXPECT_TRUE(test, is_accessed_spte(young));
		KUNIT_EXPECT_FALSE(test, is_accessed_spte(old));
		KUNIT_EXPECT_EQ(test, spte_to_pfn(old), spte_to_pfn(young));

		/* Nothing is granted, and where A/D bits tell of writes nothing forgotten. */
		KUNIT_EXPECT_EQ(test, old & PT_WRITABLE_MASK & ~young, 0);
		if (spte_ad_enabled(young)) {
			KUNIT_EXPECT_EQ(test, old, young & ~shadow_accessed_mask);
			continue;
		}

		/* fast_page_fault() gives everything back but W, which it can if it may. */
		KUNIT_EXPECT_EQ(test, old & (EPT_R | EPT_W | EPT_X | EPT_XU), 0);
		KUNIT_EXPECT_EQ(test, restore_acc_track_spte(old) | EPT_SOFT_A,
				young & ~PT_WRITABLE_MASK);
		if (is_writable_pte(young))
			KUNIT_EXPECT_TRUE(test, is_mmu_writable_spte(old));
	}
}

static void test_aged_as_kvm_does(struct kunit *test)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(spte_kunit_formats); i++)
		spte_kunit_expect_aged_as_kvm_does(test, spte_kunit_formats[i]);
}

/* Of the formats those that KVM has on this CPU: aged as spte.c does it, by KVM's masks. */
static void test_aged_as_by_spte_c(struct kunit *test)
{
	const struct pgtable_kunit_format *fmts[] = { NULL, &ept_no_ad };
	u64 *table = (u64 *)__get_free_page(GFP_KERNEL), spte;
	unsigned int i, j;

	KUNIT_ASSERT_NOT_NULL(test, table);
	spte = make_nonleaf_spte(table, false) & ~EPT_NO_VE;
	if (spte == npt_table(__pa(table)))
		fmts[0] = &npt;
	else if (spte == ept_ad_table(__pa(table)))
		fmts[0] = &ept_ad;
	free_page((unsigned long)table);
	if (!fmts[0])
		kunit_skip(test, "KVM's masks are not set, or encrypt memory, or know no A bit");

	for (i = 0; i < (fmts[0] == &npt ? 1 : ARRAY_SIZE(fmts)); i++) {
		KUNIT_ASSERT_EQ(test, fmts[i]->set_up(test), 0);
		for (j = 0; j < SPTE_KUNIT_LEAVES; j++) {
			const u64 young = spte_kunit_leaf(fmts[i], j, true);

			KUNIT_EXPECT_EQ(test, spte_mkold(young),
					mark_spte_for_access_track(young));
		}
	}
}

static void test_kinds_of_kvm(struct kunit *test)
{
	int i, level;

	for (i = 0; i < ARRAY_SIZE(spte_kunit_formats); i++) {
		const struct pgtable_kunit_format *fmt = spte_kunit_formats[i];
		u64 *table = (u64 *)__get_free_page(GFP_KERNEL), spte;

		KUNIT_ASSERT_NOT_NULL(test, table);
		KUNIT_ASSERT_EQ(test, fmt->set_up(test), 0);
		spte = fmt->table(__pa(table));
		KUNIT_EXPECT_PTR_EQ(test, spte_child(spte), table);
		/* With the bits that KVM has in those of its own, memory encryption's too */
		spte = make_nonleaf_spte(table, i == 2);
		KUNIT_EXPECT_PTR_EQ(test, spte_child(spte), table);
		free_page((unsigned long)table);

		for (level = 0; level < 5; level++) {
			KUNIT_EXPECT_EQ(test, spte_kind(FROZEN_SPTE, level), PGTABLE_WALK_BUSY);
			KUNIT_EXPECT_EQ(test, spte_kind(SHADOW_NONPRESENT_VALUE, level),
					PGTABLE_WALK_NONE);
			KUNIT_EXPECT_EQ(test, spte_kind(MMIO_SPTE_GEN_LOW_MASK |
							MMIO_SPTE_GEN_HIGH_MASK, level),
					PGTABLE_WALK_NONE);
			if (level)
				KUNIT_EXPECT_EQ(test, spte_kind(spte, level), PGTABLE_WALK_TABLE);
		}
	}
}

/* A root with one leaf of 1 GiB at address 0, and another at @bit. */
static u64 *spte_kunit_two_halves(struct kunit *test, const struct pgtable_kunit_format *fmt,
				  int levels, gpa_t bit, u64 *leaves[2])
{
	u64 *root = kunit_kzalloc(test, PAGE_SIZE, GFP_KERNEL);
	int i, level;

	KUNIT_ASSERT_NOT_NULL(test, root);
	for (i = 0; i < 2; i++) {
		u64 *sptep = root + (i ? bit >> (12 + 9 * (levels - 1)) : 0);

		for (level = levels - 1; level > 2; level--) {
			u64 *table = kunit_kzalloc(test, PAGE_SIZE, GFP_KERNEL);

			KUNIT_ASSERT_NOT_NULL(test, table);
			*sptep = fmt->table(__pa(table));
			sptep = table;
		}
		*sptep = fmt->leaf(0x40000000, level, 0, true);
		leaves[i] = sptep;
	}
	return root;
}

/* What a TDX guest shares is found at addresses without the bit, and nothing else is. */
static void test_direct_bits(struct kunit *test)
{
	int i, levels;

	for (i = 0; i < ARRAY_SIZE(spte_kunit_formats); i++) {
		const struct pgtable_kunit_format *fmt = spte_kunit_formats[i];

		KUNIT_ASSERT_EQ(test, fmt->set_up(test), 0);
		for (levels = 4; levels <= 5; levels++) {
			const gpa_t bit = BIT_ULL(levels == 4 ? 47 : 51);
			struct pgtable_age age = { .end = bit << 1, .clear = true };
			struct pgtable_walk_tree tree;
			u64 *leaves[2], *root, private, shared;

			root = spte_kunit_two_halves(test, fmt, levels, bit, leaves);
			private = *leaves[0];
			shared = *leaves[1];

			tree = spte_tree(root, levels, bit);
			rcu_read_lock();
			pgtable_age_tree(&spte_format, &tree, &age);
			rcu_read_unlock();
			KUNIT_EXPECT_EQ(test, age.stats.visited, 1);
			KUNIT_EXPECT_EQ(test, age.stats.young, 1);
			KUNIT_EXPECT_EQ(test, *leaves[0], private);
			KUNIT_EXPECT_EQ(test, *leaves[1], spte_mkold(shared));

			tree = spte_tree(root, levels, 0);
			rcu_read_lock();
			pgtable_age_tree(&spte_format, &tree, &age);
			rcu_read_unlock();
			KUNIT_EXPECT_EQ(test, age.stats.visited, 3);
			KUNIT_EXPECT_EQ(test, age.stats.young, 2);
			KUNIT_EXPECT_EQ(test, *leaves[0], spte_mkold(private));
		}
	}
}

/* ---- writers ---- */

/*
 * Whatever may become of R, W or X meanwhile, a holder of mmu_lock gets to see: without A/D
 * bits any leaf may be aged and used again.
 */
static void test_rwx_volatile(struct kunit *test)
{
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(spte_kunit_formats); i++) {
		const struct pgtable_kunit_format *fmt = spte_kunit_formats[i];

		KUNIT_ASSERT_EQ(test, fmt->set_up(test), 0);
		for (j = 0; j < 2 * SPTE_KUNIT_LEAVES; j++) {
			const u64 spte = spte_kunit_leaf(fmt, j / 2, j % 2);

			if (fmt != &npt && spte & EPT_AD_DISABLED)
				KUNIT_EXPECT_TRUE(test, spte_needs_atomic_update(spte));
		}
	}
}

static void spte_kunit_age(struct kunit *test, u64 *sptep, bool clear,
			   struct pgtable_walk_stats *stats)
{
	bool young;

	*stats = (struct pgtable_walk_stats) {};
	young = spte_age(sptep, clear, stats);
	KUNIT_EXPECT_EQ(test, young, !!stats->young);
}

/* One SPTE, as found by an rmap, is aged as a walk does it. */
static void test_age_one(struct kunit *test)
{
	struct pgtable_walk_stats stats;
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(spte_kunit_formats); i++) {
		const struct pgtable_kunit_format *fmt = spte_kunit_formats[i];

		KUNIT_ASSERT_EQ(test, fmt->set_up(test), 0);
		for (j = 0; j < SPTE_KUNIT_LEAVES; j++) {
			const u64 young = spte_kunit_leaf(fmt, j, true);
			const u64 old = spte_kunit_leaf(fmt, j, false);
			u64 spte = young;

			spte_kunit_age(test, &spte, false, &stats);
			KUNIT_EXPECT_EQ(test, spte, young);
			KUNIT_EXPECT_EQ(test, stats.young, 1);

			spte_kunit_age(test, &spte, true, &stats);
			KUNIT_EXPECT_EQ(test, spte, old);
			KUNIT_EXPECT_EQ(test, stats.young, 1);
			KUNIT_EXPECT_EQ(test, stats.visited, 1);

			spte_kunit_age(test, &spte, true, &stats);
			KUNIT_EXPECT_EQ(test, spte, old);
			KUNIT_EXPECT_EQ(test, stats.young, 0);
			KUNIT_EXPECT_EQ(test, stats.visited, 1);
		}
	}
}

static void test_age_absent(struct kunit *test)
{
	const u64 absent[] = {
		SPTE_FROZEN, SHADOW_NONPRESENT_VALUE, 0, spte_kunit_absent(0x123456000),
	};
	struct pgtable_walk_stats stats;
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(spte_kunit_formats); i++) {
		KUNIT_ASSERT_EQ(test, spte_kunit_formats[i]->set_up(test), 0);
		for (j = 0; j < ARRAY_SIZE(absent); j++) {
			u64 spte = absent[j];

			spte_kunit_age(test, &spte, true, &stats);
			KUNIT_EXPECT_EQ(test, spte, absent[j]);
			KUNIT_EXPECT_EQ(test, stats.visited, 0);
			KUNIT_EXPECT_EQ(test, stats.young, 0);
		}
	}
}

static struct kunit_case spte_masks_cases[] = {
	KUNIT_CASE(test_aged_as_kvm_does),
	KUNIT_CASE(test_aged_as_by_spte_c),
	KUNIT_CASE(test_kinds_of_kvm),
	KUNIT_CASE(test_direct_bits),
	KUNIT_CASE(test_rwx_volatile),
	KUNIT_CASE(test_age_one),
	KUNIT_CASE(test_age_absent),
	{}
};

static struct kunit_suite spte_masks = {
	.name = "pgtable_walk_spte_masks",
	.test_cases = spte_masks_cases,
};

kunit_test_suites(&spte_masks, &spte_npt_4_levels, &spte_npt_5_levels, &spte_ept_ad_4_levels,
		  &spte_ept_ad_5_levels, &spte_ept_no_ad_4_levels, &spte_ept_no_ad_5_levels);
