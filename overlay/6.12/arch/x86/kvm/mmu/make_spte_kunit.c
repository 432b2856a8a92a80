// SPDX-License-Identifier: GPL-2.0
/*
 * KUnit test of make_spte(): which pages are marked dirty when they are mapped.  The role of
 * a shadow page alone says whether its SPTEs have A/D bits, so this makes SPTEs without them
 * on any CPU.
 */
#include <linux/kvm_host.h>
#include <kunit/test.h>

#include "mmu.h"
#include "mmu_internal.h"
#include "spte.h"

/* All that make_spte() looks at: no VM is needed. */
struct make_spte_kunit {
	struct kvm kvm;
	struct kvm_vcpu vcpu;
	struct kvm_memory_slot slot;
	struct kvm_mmu_page sp;
};

static void test_mapped_is_dirty(struct kunit *test)
{
	struct make_spte_kunit *t;
	struct page *page;
	unsigned int i;

	if (!tdp_enabled)
		kunit_skip(test, "TDP is not enabled, or not yet");

	t = kunit_kzalloc(test, sizeof(*t), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, t);
	t->kvm.arch.mmu_page_hash = kunit_kcalloc(test, KVM_NUM_MMU_PAGES,
						  sizeof(struct hlist_head), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, t->kvm.arch.mmu_page_hash);
	t->vcpu.kvm = &t->kvm;
	t->vcpu.arch.mmu = &t->vcpu.arch.root_mmu;
	t->sp.role.level = PG_LEVEL_4K;
	page = alloc_page(GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, page);

	for (i = 0; i < 32; i++) {
		const unsigned int access = i & 1 ? ACC_ALL : ACC_ALL & ~ACC_WRITE_MASK;
		const bool host_writable = i & 2, prefetch = i & 4, ad_disabled = i & 8;
		const u64 old_spte = i & 16 ? SPTE_MMU_PRESENT_MASK | PT_WRITABLE_MASK : 0;
		const bool writable = access == ACC_ALL && host_writable;
		u64 spte;

		t->sp.role.ad_disabled = ad_disabled;
		make_spte(&t->vcpu, &t->sp, &t->slot, access, 0, page_to_pfn(page), old_spte,
			  prefetch, true, host_writable, &spte);
		KUNIT_EXPECT_EQ(test, spte_to_pfn(spte), page_to_pfn(page));
		KUNIT_EXPECT_EQ(test, spte_ad_enabled(spte), !ad_disabled);
		KUNIT_EXPECT_EQ(test, is_mmu_writable_spte(spte), writable);
		KUNIT_EXPECT_EQ(test, !!PageDirty(page), ad_disabled && writable);
		ClearPageDirty(page);
	}
	__free_page(page);
}

static struct kunit_case make_spte_cases[] = {
	KUNIT_CASE(test_mapped_is_dirty),
	{}
};

static struct kunit_suite make_spte_suite = {
	.name = "pgtable_walk_make_spte",
	.test_cases = make_spte_cases,
};

kunit_test_suite(make_spte_suite);
