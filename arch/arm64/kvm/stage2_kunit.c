// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit tests of the page-table walker over stage-2 tables of every granule, whatever the
 * kernel's own.  Numbers are those of the Arm Architecture Reference Manual, VMSAv8-64,
 * stage 2 descriptors; only for its own granule does the kernel have a say.
 */
#include <linux/kvm_host.h>
#include <linux/module.h>
#include <kunit/pgtable_walk.h>
#include <asm/kvm_mmu.h>
#include <asm/stage2_pgtable.h>

#include "stage2_format.h"

#define S2_VALID	BIT_ULL(0)
#define S2_TYPE		BIT_ULL(1)	/* set: table or page, clear: block */
#define S2_AF		BIT_ULL(10)

/* Where an output address is in a descriptor. */
static vpte_t stage2_kunit_addr(phys_addr_t pa, unsigned int page_shift, bool lpa2)
{
	const vpte_t page = (vpte_t)pa >> page_shift << page_shift;

	/* PA[51:50] in bits 9:8, where SH is else. */
	if (lpa2)
		return (page & 0x0003ffffffffffffULL) | (page >> 50 & 0x3) << 8;
	/* PA[51:48] in bits 15:12, which pages of 64K leave free. */
	if (page_shift == 16)
		return (page & 0x0000ffffffffffffULL) | (page >> 48 & 0xf) << 12;
	return page & 0x0000ffffffffffffULL;
}

/* The address is that of a page at each level: a walk that takes a block for a table finds it. */
static vpte_t stage2_kunit_leaf(vpte_t addr, unsigned int level, unsigned int flavour, bool young,
				bool lpa2)
{
	vpte_t pte = addr | S2_VALID;

	if (!level)
		pte |= S2_TYPE;
	if (young)
		pte |= S2_AF;
	if (!lpa2)
		pte |= (vpte_t)(flavour >> 1 & 0x3) << 8;	/* SH */
	pte |= (vpte_t)(flavour * 7 & 0xf) << 2;		/* MemAttr */
	pte |= (vpte_t)(flavour & 0x3) << 6;			/* S2AP */
	pte |= (vpte_t)(flavour >> 3 & 0x1) << 51;		/* DBM */
	pte |= (vpte_t)(flavour >> 4 & 0x1) << 52;		/* Contiguous */
	pte |= (vpte_t)(flavour >> 2 & 0x3) << 53;		/* XN */
	pte |= (vpte_t)(flavour * 5 & 0xf) << 55;		/* for software */
	return pte;
}

/* An AF of its own: without FEAT_HAFT, bit 10 of a table descriptor is ignored. */
static vpte_t stage2_kunit_table(vpte_t addr)
{
	return addr | S2_AF | S2_TYPE | S2_VALID;
}

/* AF too, unless it is that bit of an invalid entry which says that it is frozen. */
static vpte_t stage2_kunit_absent(vpte_t addr, bool lpa2)
{
	const vpte_t attrs = 0x07f8000000000cfcULL | (lpa2 ? 0 : 0x300);

	return addr | (attrs & ~KVM_INVALID_PTE_LOCKED) | S2_TYPE;
}

#define STAGE2_KUNIT(_name, _page_shift, _lpa2)						\
enum { _name##_shift = (_page_shift), _name##_has_lpa2 = (_lpa2) };			\
static __always_inline vpte_t *_name##_child(vpte_t pte)				\
{											\
	return phys_to_virt(stage2_table_phys(pte, _name##_shift, _name##_has_lpa2));	\
}											\
static const struct pgtable_walk_format _name##_format =				\
	STAGE2_FORMAT(_name##_shift, _name##_child);					\
static u64 _name##_walk(enum pgtable_kunit_op op, u64 start, u64 end,			\
			struct pgtable_kunit *t)					\
{											\
	return pgtable_kunit_walk(&_name##_format, op, start, end, t);			\
}											\
static vpte_t _name##_addr(phys_addr_t pa)						\
{											\
	return stage2_kunit_addr(pa, _name##_shift, _name##_has_lpa2);			\
}											\
static vpte_t _name##_leaf(phys_addr_t pa, unsigned int level, unsigned int flavour,	\
			   bool young)							\
{											\
	return stage2_kunit_leaf(_name##_addr(pa), level, flavour, young,		\
				 _name##_has_lpa2);					\
}											\
static vpte_t _name##_table(phys_addr_t pa)						\
{											\
	return stage2_kunit_table(_name##_addr(pa));					\
}											\
static vpte_t _name##_absent(phys_addr_t pa)						\
{											\
	return stage2_kunit_absent(_name##_addr(pa), _name##_has_lpa2);			\
}											\
static const struct pgtable_kunit_format _name = {					\
	.format = &_name##_format,							\
	.walk = _name##_walk,								\
	.page_shift = _name##_shift,							\
	.index_bits = _name##_shift - 3,						\
	.busy = KVM_INVALID_PTE_LOCKED,							\
	.leaf = _name##_leaf,								\
	.table = _name##_table,								\
	.absent = _name##_absent,							\
	.table_is_leaf = true,								\
}

STAGE2_KUNIT(stage2_4k, 12, false);
STAGE2_KUNIT(stage2_4k_lpa2, 12, true);
STAGE2_KUNIT(stage2_16k, 14, false);
STAGE2_KUNIT(stage2_16k_lpa2, 14, true);
STAGE2_KUNIT(stage2_64k, 16, false);

/*
 * By width of an intermediate physical address: up to 16 tables are concatenated to save
 * a level, else the root may be less than a table.
 */
PGTABLE_KUNIT_SUITE(stage2_4k_ipa32, stage2_4k, 2, 2);
PGTABLE_KUNIT_SUITE(stage2_4k_ipa34, stage2_4k, 2, 4);
PGTABLE_KUNIT_SUITE(stage2_4k_ipa39, stage2_4k, 3, 0);
PGTABLE_KUNIT_SUITE(stage2_4k_ipa40, stage2_4k, 3, 1);
PGTABLE_KUNIT_SUITE(stage2_4k_ipa44, stage2_4k, 4, -4);
PGTABLE_KUNIT_SUITE(stage2_4k_ipa48, stage2_4k, 4, 0);
PGTABLE_KUNIT_SUITE(stage2_4k_ipa52, stage2_4k_lpa2, 4, 4);
PGTABLE_KUNIT_SUITE(stage2_16k_ipa40, stage2_16k, 2, 4);
PGTABLE_KUNIT_SUITE(stage2_16k_ipa47, stage2_16k, 3, 0);
PGTABLE_KUNIT_SUITE(stage2_16k_ipa48, stage2_16k, 3, 1);
PGTABLE_KUNIT_SUITE(stage2_16k_ipa52, stage2_16k_lpa2, 4, -6);
PGTABLE_KUNIT_SUITE(stage2_64k_ipa42, stage2_64k, 2, 0);
PGTABLE_KUNIT_SUITE(stage2_64k_ipa46, stage2_64k, 2, 4);
PGTABLE_KUNIT_SUITE(stage2_64k_ipa48, stage2_64k, 3, -7);
PGTABLE_KUNIT_SUITE(stage2_64k_ipa52, stage2_64k, 3, -3);

/* ---- the format that KVM walks with, over entries made by KVM's own means ---- */

static u64 stage2_own_walk(enum pgtable_kunit_op op, u64 start, u64 end, struct pgtable_kunit *t)
{
	return pgtable_kunit_walk(&stage2_format, op, start, end, t);
}

static vpte_t stage2_own_leaf(phys_addr_t pa, unsigned int level, unsigned int flavour, bool young)
{
	vpte_t pte = kvm_phys_to_pte(pa) | (level ? PMD_TYPE_SECT : PTE_TYPE_PAGE);

	if (young)
		pte |= KVM_PTE_LEAF_ATTR_LO_S2_AF;
	if (flavour & 1)
		pte |= KVM_PTE_LEAF_ATTR_LO_S2_S2AP_R;
	if (flavour & 2)
		pte |= KVM_PTE_LEAF_ATTR_LO_S2_S2AP_W;
	if (flavour & 4)
		pte |= KVM_PTE_LEAF_ATTR_HI_S2_XN;
	if (!kvm_lpa2_is_enabled())
		pte |= FIELD_PREP(KVM_PTE_LEAF_ATTR_LO_S2_SH, KVM_PTE_LEAF_ATTR_LO_S2_SH_IS);
	pte |= PTE_S2_MEMATTR(flavour & 8 ? MT_S2_NORMAL_NC : MT_S2_NORMAL);
	return pte | FIELD_PREP(KVM_PTE_LEAF_ATTR_HI_SW, flavour & 0xf);
}

static vpte_t stage2_own_table(phys_addr_t pa)
{
	return kvm_phys_to_pte(pa) | PMD_TYPE_TABLE;
}

static vpte_t stage2_own_absent(phys_addr_t pa)
{
	const vpte_t pte = stage2_own_leaf(pa, 0, 0xf, true);

	return pte & ~(vpte_t)(KVM_INVALID_PTE_LOCKED | KVM_PTE_VALID);
}

static const struct pgtable_kunit_format stage2_own_kunit = {
	.format = &stage2_format,
	.walk = stage2_own_walk,
	.page_shift = PAGE_SHIFT,
	.index_bits = PAGE_SHIFT - 3,
	.busy = KVM_INVALID_PTE_LOCKED,
	.leaf = stage2_own_leaf,
	.table = stage2_own_table,
	.absent = stage2_own_absent,
	.table_is_leaf = true,
};

/* What a VM has that doesn't say how wide its addresses are. */
#define STAGE2_OWN_LEVELS	stage2_pgtable_levels(KVM_PHYS_SHIFT)
#define STAGE2_OWN_EXTRA_BITS	(KVM_PHYS_SHIFT - PAGE_SHIFT - STAGE2_OWN_LEVELS * (PAGE_SHIFT - 3))

PGTABLE_KUNIT_SUITE(stage2_own, stage2_own_kunit, STAGE2_OWN_LEVELS, STAGE2_OWN_EXTRA_BITS);

/* ---- single entries ---- */

static void test_table_address(struct kunit *test)
{
	static const struct {
		unsigned int page_shift;
		bool lpa2;
		phys_addr_t all;	/* every bit that an address can have */
	} granules[] = {
		{ 12, false, 0x0000fffffffff000ULL },
		{ 12, true,  0x000ffffffffff000ULL },
		{ 14, false, 0x0000ffffffffc000ULL },
		{ 14, true,  0x000fffffffffc000ULL },
		{ 16, false, 0x000fffffffff0000ULL },
	};
	unsigned int i, bit;

	for (i = 0; i < ARRAY_SIZE(granules); i++) {
		const unsigned int shift = granules[i].page_shift;
		const bool lpa2 = granules[i].lpa2;
		const phys_addr_t all = granules[i].all;
		const vpte_t pte = stage2_kunit_addr(all, shift, lpa2);

		for (bit = 0; bit < 64; bit++) {
			const phys_addr_t pa = BIT_ULL(bit) & all;
			const vpte_t one = stage2_kunit_addr(pa, shift, lpa2);

			KUNIT_EXPECT_EQ_MSG(test, stage2_table_phys(one, shift, lpa2), pa,
					    "bit %u, pages of 2^%u, LPA2 %u", bit, shift, lpa2);
		}
		KUNIT_EXPECT_EQ(test, stage2_table_phys(pte, shift, lpa2), all);
		/* No other bit of an entry has a part in it. */
		KUNIT_EXPECT_EQ(test, stage2_table_phys(~pte, shift, lpa2), 0);
		KUNIT_EXPECT_EQ(test, stage2_table_phys(~0ULL, shift, lpa2), all);
	}
}

/* KVM, with this kernel on this machine, agrees. */
static void test_table_address_of_kvm(struct kunit *test)
{
	const bool lpa2 = kvm_lpa2_is_enabled();
	unsigned int bit;

	for (bit = 0; bit < 64; bit++) {
		const u64 one = BIT_ULL(bit);

		KUNIT_EXPECT_EQ(test, stage2_table_phys(one, PAGE_SHIFT, lpa2),
				kvm_pte_to_phys(one));
		KUNIT_EXPECT_EQ(test, stage2_table_phys(~one, PAGE_SHIFT, lpa2),
				kvm_pte_to_phys(~one));
		KUNIT_EXPECT_EQ(test, stage2_kunit_addr(one, PAGE_SHIFT, lpa2),
				kvm_phys_to_pte(one));
		KUNIT_EXPECT_EQ(test, stage2_kunit_addr(~one, PAGE_SHIFT, lpa2),
				kvm_phys_to_pte(~one));
	}
}

/* Whatever the other bits say. */
static const vpte_t stage2_kunit_rest[] = {
	0, 0x3fc, BIT_ULL(11), GENMASK_ULL(47, 12), GENMASK_ULL(63, 48),
	~(S2_AF | S2_TYPE | S2_VALID),
};

static enum pgtable_walk_kind stage2_kunit_invalid(vpte_t pte)
{
	return pte & KVM_INVALID_PTE_LOCKED ? PGTABLE_WALK_BUSY : PGTABLE_WALK_NONE;
}

static void test_kinds(struct kunit *test)
{
	unsigned int level, i;

	for (level = 0; level < PGTABLE_WALK_MAX_LEVELS; level++) {
		const enum pgtable_walk_kind block = level ? PGTABLE_WALK_LEAF : PGTABLE_WALK_NONE;
		const enum pgtable_walk_kind page = level ? PGTABLE_WALK_TABLE : PGTABLE_WALK_LEAF;

		for (i = 0; i < ARRAY_SIZE(stage2_kunit_rest); i++) {
			const vpte_t rest = stage2_kunit_rest[i];
			const vpte_t af = rest | S2_AF;

			KUNIT_EXPECT_EQ(test, stage2_kind(rest, level), stage2_kunit_invalid(rest));
			KUNIT_EXPECT_EQ(test, stage2_kind(rest | S2_TYPE, level),
					stage2_kunit_invalid(rest));
			KUNIT_EXPECT_EQ(test, stage2_kind(af, level), stage2_kunit_invalid(af));
			KUNIT_EXPECT_EQ(test, stage2_kind(af | S2_TYPE, level),
					stage2_kunit_invalid(af));

			KUNIT_EXPECT_EQ(test, stage2_kind(rest | S2_VALID, level), block);
			KUNIT_EXPECT_EQ(test, stage2_kind(af | S2_VALID, level), block);
			KUNIT_EXPECT_EQ(test, stage2_kind(rest | S2_TYPE | S2_VALID, level), page);
			KUNIT_EXPECT_EQ(test, stage2_kind(af | S2_TYPE | S2_VALID, level), page);
		}
		KUNIT_EXPECT_EQ(test, stage2_kind(KVM_INVALID_PTE_LOCKED, level),
				PGTABLE_WALK_BUSY);
	}
}

/* Levels as the architecture counts them: AF is volatile in leaves, and nothing else is. */
static void test_volatile_bits(struct kunit *test)
{
	unsigned int i, bits;
	s8 level;

	KUNIT_EXPECT_EQ(test, stage2_format.accessed, S2_AF);
	KUNIT_EXPECT_EQ(test, stage2_format.volatile_bits, S2_AF);

	for (level = -1; level <= 3; level++) {
		const vpte_t type = level == 3 ? S2_TYPE | S2_VALID : S2_VALID;

		for (i = 0; i < ARRAY_SIZE(stage2_kunit_rest); i++) {
			for (bits = 0; bits < 4; bits++) {
				const vpte_t pte = stage2_kunit_rest[i] | bits;
				const bool leaf = bits == type;

				KUNIT_EXPECT_EQ(test, stage2_pte_leaf(pte, level), leaf);
				KUNIT_EXPECT_EQ(test, stage2_pte_leaf(pte | S2_AF, level), leaf);
				KUNIT_EXPECT_EQ(test, stage2_pte_volatile(pte, level),
						leaf ? S2_AF : 0);
				KUNIT_EXPECT_EQ(test, stage2_pte_volatile(pte | S2_AF, level),
						leaf ? S2_AF : 0);
			}
		}
		KUNIT_EXPECT_FALSE(test, stage2_pte_leaf(KVM_INVALID_PTE_LOCKED, level));
		KUNIT_EXPECT_EQ(test, stage2_pte_volatile(KVM_INVALID_PTE_LOCKED, level), 0);
	}
}

static bool stage2_kunit_update(vpte_t *ptep, vpte_t *old, vpte_t clear, vpte_t set, s8 level,
				enum kvm_pgtable_walk_flags flags)
{
	const struct kvm_pgtable_visit_ctx ctx = {
		.ptep = ptep,
		.old = *old,
		.level = level,
		.flags = flags,
	};

	return stage2_try_update_pte(&ctx, old, clear, set);
}

static bool stage2_kunit_break(vpte_t *ptep, vpte_t *old, s8 level,
			       enum kvm_pgtable_walk_flags flags)
{
	return stage2_kunit_update(ptep, old, ~(vpte_t)0, KVM_INVALID_PTE_LOCKED, level, flags);
}

/* An empty entry may differ from a frozen one in AF's bit, which is not volatile in it. */
static void test_break_entry_that_others_froze(struct kunit *test)
{
	const vpte_t was[] = {
		0,
		stage2_4k_absent(0x1234567000),
		stage2_4k_table(0x1234567000) & ~S2_AF,
		stage2_4k_leaf(0x1234567000, 0, 3, true),
		stage2_4k_leaf(0x1234567000, 0, 3, false),
		stage2_4k_leaf(0x1234400000, 1, 3, true),
	};
	unsigned int i;
	s8 level;

	for (level = -1; level <= 3; level++) {
		for (i = 0; i < ARRAY_SIZE(was); i++) {
			vpte_t pte = KVM_INVALID_PTE_LOCKED, old = was[i];

			KUNIT_EXPECT_FALSE(test, stage2_kunit_break(&pte, &old, level,
								    KVM_PGTABLE_WALK_SHARED));
			KUNIT_EXPECT_EQ(test, pte, KVM_INVALID_PTE_LOCKED);
			KUNIT_EXPECT_EQ(test, old, KVM_INVALID_PTE_LOCKED);
		}
	}
}

/* Aged since it was looked at, used since, and neither; nobody else may have touched it. */
static void test_update_leaf_that_was_aged(struct kunit *test)
{
	const vpte_t write = BIT_ULL(7), xn = BIT_ULL(54);
	unsigned int i;
	s8 level;

	for (level = -1; level <= 3; level++) {
		for (i = 0; i < 4; i++) {
			const vpte_t seen = stage2_4k_leaf(0x1234567000, 3 - level, 2, i & 1);
			const vpte_t live = stage2_4k_leaf(0x1234567000, 3 - level, 2, i & 2);
			vpte_t pte = live, old = seen;

			KUNIT_EXPECT_TRUE(test, stage2_kunit_update(&pte, &old, write, xn, level,
								    0));
			KUNIT_EXPECT_EQ(test, pte, (live & ~write) | xn);
			KUNIT_EXPECT_EQ(test, old, live);

			pte = live;
			old = seen;
			KUNIT_EXPECT_TRUE(test, stage2_kunit_break(&pte, &old, level, 0));
			KUNIT_EXPECT_EQ(test, pte, KVM_INVALID_PTE_LOCKED);
			KUNIT_EXPECT_EQ(test, old, live);
		}
	}
}

static void test_update_entry_that_changed(struct kunit *test)
{
	const enum kvm_pgtable_walk_flags shared = KVM_PGTABLE_WALK_SHARED;
	unsigned int i;
	s8 level;

	for (level = -1; level <= 3; level++) {
		const vpte_t leaf = stage2_4k_leaf(0x1234567000, 3 - level, 2, true);
		const vpte_t others[] = {
			0,
			stage2_4k_leaf(0x1234568000, 3 - level, 2, true),
			stage2_4k_leaf(0x1234567000, 3 - level, 3, false),
			leaf & ~S2_VALID,
			leaf ^ S2_TYPE,
		};

		for (i = 0; i < ARRAY_SIZE(others); i++) {
			vpte_t pte = others[i], old = leaf;

			KUNIT_EXPECT_FALSE(test, stage2_kunit_update(&pte, &old, 0, S2_AF, level,
								     shared));
			KUNIT_EXPECT_EQ(test, pte, others[i]);
			KUNIT_EXPECT_EQ(test, old, others[i]);
		}
	}
}

/* An entry that others froze does not turn into an empty one by a change of software bits. */
static void test_changes_but_volatile_bits(struct kunit *test)
{
	struct kvm_pgtable_visit_ctx ctx = {};

	for (ctx.level = -1; ctx.level <= 3; ctx.level++) {
		ctx.old = KVM_INVALID_PTE_LOCKED;
		KUNIT_EXPECT_EQ(test, stage2_pte_changes(&ctx, 0), KVM_INVALID_PTE_LOCKED);
		ctx.old = S2_AF;
		KUNIT_EXPECT_EQ(test, stage2_pte_changes(&ctx, 0), S2_AF);
	}

	for (ctx.level = -1; ctx.level <= 3; ctx.level++) {
		ctx.old = stage2_4k_leaf(0x1234567000, 3 - ctx.level, 2, true);
		KUNIT_EXPECT_EQ(test, stage2_pte_changes(&ctx, ctx.old & ~S2_AF), 0);
		KUNIT_EXPECT_EQ(test, stage2_pte_changes(&ctx, ctx.old ^ BIT_ULL(55) ^ S2_AF),
				BIT_ULL(55));
		KUNIT_EXPECT_EQ(test, stage2_pte_changes(&ctx, ctx.old ^ S2_VALID), S2_VALID);
	}
}

/* Ignored by hardware, and so not the aging walk's either. */
static void test_bit_10_of_tables(struct kunit *test)
{
	struct pgtable_kunit *t;
	unsigned int i, op;

	pgtable_kunit_init(test, &stage2_4k, 4, 0);
	t = test->priv;
	pgtable_kunit_put_leaf(t, pgtable_kunit_addr(t), 0, true);
	KUNIT_ASSERT_EQ(test, t->nr_slots, 4U);

	for (op = PGTABLE_KUNIT_CLEAR; op <= PGTABLE_KUNIT_SHARED; op++) {
		/* Set in one table, clear in the next. */
		for (i = 0; i < 3; i++) {
			t->slots[i].pte = stage2_4k_table(virt_to_phys(t->slots[i].table));
			if ((i ^ op) & 1)
				t->slots[i].pte &= ~S2_AF;
		}
		pgtable_kunit_restore(t);
		pgtable_kunit_run(t, op, 0, t->width);
		for (i = 0; i < 3; i++)
			KUNIT_EXPECT_EQ(test, READ_ONCE(*t->slots[i].ptep), t->slots[i].pte);
		KUNIT_EXPECT_EQ(test, t->stats.visited, 1);
	}
}

static struct kunit_case stage2_entries_cases[] = {
	KUNIT_CASE(test_table_address),
	KUNIT_CASE(test_table_address_of_kvm),
	KUNIT_CASE(test_kinds),
	KUNIT_CASE(test_volatile_bits),
	KUNIT_CASE(test_break_entry_that_others_froze),
	KUNIT_CASE(test_update_leaf_that_was_aged),
	KUNIT_CASE(test_update_entry_that_changed),
	KUNIT_CASE(test_changes_but_volatile_bits),
	KUNIT_CASE(test_bit_10_of_tables),
	{}
};

static struct kunit_suite stage2_entries = {
	.name = "pgtable_walk_stage2_entries",
	.test_cases = stage2_entries_cases,
};

kunit_test_suites(&stage2_entries, &stage2_own, &stage2_4k_ipa32, &stage2_4k_ipa34,
		  &stage2_4k_ipa39, &stage2_4k_ipa40, &stage2_4k_ipa44, &stage2_4k_ipa48,
		  &stage2_4k_ipa52, &stage2_16k_ipa40, &stage2_16k_ipa47, &stage2_16k_ipa48,
		  &stage2_16k_ipa52, &stage2_64k_ipa42, &stage2_64k_ipa46, &stage2_64k_ipa48,
		  &stage2_64k_ipa52);

MODULE_DESCRIPTION("KUnit tests of the page-table walker over arm64 stage-2 tables");
MODULE_LICENSE("GPL");
