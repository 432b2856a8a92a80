// SPDX-License-Identifier: GPL-2.0
/*
 * Interleavings of riscv KVM's own code: aging, unmap, write-protect, the end of a VM, and
 * reads of guest memory, see explore.h and explore_guest.h.
 *
 * Of the adopters, it is the one whose code for tables builds here.  That of the others is
 * in files of upstream that need the rest of their kernel; interleave.c does what they do with
 * the same helpers.
 */
#include "explore_guest.h"

#include "../../../../arch/riscv/kvm/gstage_walk.h"
#include "../../../../arch/riscv/kvm/guest_read.h"
#include "../../../../virt/kvm/lockless_aging.h"

#define LEVELS		3
#define PROT		(_PAGE_PRESENT | _PAGE_USER | _PAGE_READ | _PAGE_WRITE)
/* Pages that are looked at in each of two tables. */
#define PAGES		2

static unsigned int gstage_page(vpte_t leaf)
{
	return (leaf & _PAGE_PFN_MASK) >> _PAGE_PFN_SHIFT;
}

static const struct explore_mmu gstage = {
	.fmt = &gstage_format,
	.accessed = _PAGE_ACCESSED,
	.dirty = _PAGE_DIRTY,
	.write = _PAGE_WRITE,
	.page = gstage_page,
};

static struct kvm kvm;
static struct explore_vcpu tlb;
static const struct kvm_memory_slot slot = { .npages = 2 * PMD_SIZE / PAGE_SIZE };

/* ---- the rest of riscv KVM ---- */

/* Fences are requests to a vCPU that reads guest memory by itself. */
static bool by_request;
static struct kvm_vcpu vcpu;
static u64 interrupts_on;

static bool resched;

bool need_resched(void)
{
	return resched;
}

bool spin_needbreak(spinlock_t *lock)
{
	return false;
}

void cond_resched(void)
{
}

void cond_resched_lock(spinlock_t *lock)
{
	spin_unlock(lock);
	spin_lock(lock);
}

unsigned long host_csr_read(unsigned int csr)
{
	return 0;
}

bool kvm_riscv_gstage_vmid_ver_changed(struct kvm_vmid *vmid)
{
	return false;
}

void kvm_riscv_local_hfence_gvma_vmid_all(unsigned long vmid)
{
	explore_say("fences what this CPU has cached");
	memset(tlb.tlb, 0, sizeof(tlb.tlb));
}

static bool interrupted(void *before)
{
	return interrupts_on != *(u64 *)before;
}

/* As kvm_make_all_cpus_request(): it does not wait for vCPUs outside of guest mode. */
void kvm_flush_remote_tlbs(struct kvm *kvm)
{
	u64 before;

	if (!by_request) {
		explore_fence_all(&tlb);
		return;
	}
	explore_step(&vcpu.requests, true);
	explore_say("requests a fence of everything");
	vcpu.requests |= 1UL << KVM_REQ_TLB_FLUSH;
	before = interrupts_on;
	if (READ_ONCE(vcpu.mode) != OUTSIDE_GUEST_MODE)
		explore_step_when(&interrupts_on, false, NULL, interrupted, &before);
}

void gstage_fence(struct kvm *kvm, gpa_t start, gpa_t size, unsigned int order)
{
	explore_fence(&tlb, start, start + size);
}

/* ---- what threads share ---- */

static u64 page_addr(unsigned int page)
{
	return page / PAGES * PMD_SIZE + page % PAGES * PAGE_SIZE;
}

static pte_t *entry_at(u64 addr, unsigned int level)
{
	const struct pgtable_walk_tree tree = pgtable_root_deref(&kvm.arch.gstage_root, true);
	vpte_t *table = tree.table;
	unsigned int l;

	for (l = LEVELS - 1;; l--) {
		pte_t *ptep = (pte_t *)&table[(addr >> (12 + 9 * l)) % 512];

		if (l == level)
			return ptep;
		if (gstage_entry_kind(ptep, l) == PGTABLE_WALK_NONE) {
			table = host_alloc_table();
			explore_name_table(table, l - 1, addr & -(1ULL << (12 + 9 * l)));
			gstage_link_table(ptep, pfn_pte(PHYS_PFN(virt_to_phys(table)), PAGE_TABLE));
		}
		if (gstage_entry_kind(ptep, l) == PGTABLE_WALK_LEAF)
			return NULL;
		table = gstage_child(vpte_read(gstage_vpte(ptep)));
	}
}

/* As a fault does, with the lock. */
static void map_page(unsigned int page)
{
	pte_t *ptep = entry_at(page_addr(page), 0);

	if (vpte_read(gstage_vpte(ptep)))
		return;
	explore_pages_back(page, 1);
	gstage_xchg_pte(ptep, pfn_pte(page, __pgprot(PROT | _PAGE_ACCESSED)));
}

static void begin_empty(void)
{
	struct pgtable_walk_tree tree;

	memset(&kvm, 0, sizeof(kvm));
	memset(&tlb, 0, sizeof(tlb));
	memset(&vcpu, 0, sizeof(vcpu));
	vcpu.kvm = &kvm;
	vcpu.mode = OUTSIDE_GUEST_MODE;
	interrupts_on = 0;
	by_request = false;
	resched = false;
	kvm.arch.pgd = explore_root();
	explore_name_table(kvm.arch.pgd, LEVELS - 1, 0);
	explore_name_word(&kvm.arch.gstage_root, "the root");
	explore_name_word(&vcpu.mode, "the vCPU's mode");
	explore_name_word(&vcpu.requests, "the vCPU's requests");
	gstage_publish_root(&kvm, LEVELS);
	tree = pgtable_root_deref(&kvm.arch.gstage_root, true);
	explore_guest_begin(&gstage, &tree);
}

/* Two pages of one table. */
static void begin_pages(void)
{
	begin_empty();
	map_page(0);
	map_page(1);
}

static void begin_reads(void)
{
	begin_pages();
	by_request = true;
}

/* ---- threads ---- */

static void age_gfns(u64 start, u64 end, bool clear)
{
	const struct pgtable_age age = { .start = start << PAGE_SHIFT, .end = end << PAGE_SHIFT };
	struct kvm_gfn_range range = {
		.slot = &slot,
		.start = start,
		.end = end,
		.lockless = true,
	};

	explore_age_begin();
	explore_age_end(&age, clear ? kvm_age_gfn(&kvm, &range) : kvm_test_age_gfn(&kvm, &range));
}

static void age_parts(u64 start, u64 end, unsigned long want_bits, bool clear)
{
	unsigned long want[8] = { want_bits }, young[8] = {};
	const struct mmu_notifier_age parts = {
		.start = start << PAGE_SHIFT,
		.nr = end - start,
		.shift = PAGE_SHIFT,
		.clear = clear,
		.want = want,
		.young = young,
	};
	const struct pgtable_age age = {
		.start = start << PAGE_SHIFT,
		.end = end << PAGE_SHIFT,
		.shift = PAGE_SHIFT,
		.origin = start << PAGE_SHIFT,
		.want = want,
		.young = young,
	};
	struct kvm_gfn_range range = {
		.slot = &slot,
		.start = start,
		.end = end,
		.arg.age = &parts,
		.lockless = true,
	};

	explore_age_begin();
	explore_age_end(&age, kvm_age_gfn_batch(&kvm, &range));
}

static void age_range(void *unused)
{
	age_gfns(0, PAGES, true);
}

static void test_range(void *unused)
{
	age_gfns(0, PAGES, false);
}

static void age_batch(void *unused)
{
	age_parts(0, PAGES, 2, true);
}

/* Pages from one to another of those that are looked at, or the tables that they are in. */
static void unmap_range(unsigned int from, unsigned int to, bool whole, bool may_block)
{
	const u64 end = whole ? (to + PAGES - 1) / PAGES * PMD_SIZE : page_addr(to - 1) + PAGE_SIZE;

	spin_lock(&kvm.mmu_lock);
	gstage_unmap(&kvm, page_addr(from), end, may_block);
	/* A page is marked dirty when it is mapped, so D is not checked. */
	explore_pages_dropped(from, to - from);
	if (!may_block)
		explore_pages_gone(from, to - from);
	spin_unlock(&kvm.mmu_lock);
}

static void unmap_table(void *unused)
{
	unmap_range(0, PAGES, true, false);
}

static void unmap_pages(void *unused)
{
	unmap_range(0, PAGES, false, false);
}

static void unmap_in_pieces(void *unused)
{
	resched = true;
	unmap_range(0, PAGES, true, true);
}

static void map_pages(void *unused)
{
	spin_lock(&kvm.mmu_lock);
	if (READ_ONCE(kvm.arch.gstage_root.word))
		map_page(0);
	spin_unlock(&kvm.mmu_lock);
}

static void wrprotect(void *unused)
{
	spin_lock(&kvm.mmu_lock);
	gstage_wrprotect(&kvm, 0, PAGES * PAGE_SIZE, false);
	kvm_flush_remote_tlbs(&kvm);
	explore_pages_readonly(0, PAGES);
	spin_unlock(&kvm.mmu_lock);
}

static void end_vm(void *unused)
{
	kvm_riscv_gstage_free_pgd(&kvm);
}

static void use(void *unused)
{
	explore_role(EXPLORE_VCPU);
	explore_vcpu_access(&tlb, PAGE_SIZE, true);
	explore_vcpu_access(&tlb, 0, true);
}

/* Twice, so that something is cached when it reads again. */
static void read_guest(void *unused)
{
	int i;

	explore_role(EXPLORE_VCPU);
	for (i = 0; i < 2; i++) {
		kvm_riscv_guest_read_begin(&vcpu);
		explore_vcpu_access(&tlb, i * PAGE_SIZE, false);
		kvm_riscv_guest_read_end(&vcpu);
		explore_step(&interrupts_on, true);
		interrupts_on++;
	}
}

/* ---- all interleavings ---- */

static void against(struct kunit *test, const char *what, void (*owner)(void *arg))
{
	void (*const agers[])(void *arg) = { age_range, age_batch, test_range };
	static const char *const kinds[] = { "aging a range", "aging parts", "testing a range" };
	struct explore_scenario scenario = { .begin = begin_pages, .end = explore_guest_end };
	char name[80];
	size_t i;

	scenario.what = name;
	for (i = 0; i < ARRAY_SIZE(agers); i++) {
		snprintf(name, sizeof(name), "riscv: %s, %s", kinds[i], what);
		scenario.threads[0] = (struct explore_thread) { "ager", agers[i] };
		scenario.threads[1] = (struct explore_thread) { "owner", owner };
		scenario.threads[2] = (struct explore_thread) { "vCPU", use };
		explore(test, &scenario, NULL);
	}
}

static void test_gstage_age_against_unmap(struct kunit *test)
{
	static const struct explore_scenario refilled = {
		"riscv: unmap in pieces, map, aging", begin_pages, explore_guest_end,
		{ { "owner", unmap_in_pieces }, { "fault", map_pages }, { "ager", age_range } }
	};

	against(test, "unmap of pages", unmap_pages);
	against(test, "unmap of a table", unmap_table);
	explore(test, &refilled, NULL);
}

static void test_gstage_age_against_wrprotect(struct kunit *test)
{
	against(test, "write-protect", wrprotect);
}

static void test_gstage_end(struct kunit *test)
{
	static const struct explore_scenario twice = {
		"riscv: end twice, aging", begin_pages, explore_guest_end,
		{ { "owner", end_vm }, { "second", end_vm }, { "ager", age_range } }
	}, unmap = {
		"riscv: end, unmap, aging", begin_pages, explore_guest_end,
		{ { "owner", end_vm }, { "flush", unmap_pages }, { "ager", age_batch } }
	};

	explore(test, &twice, NULL);
	explore(test, &unmap, NULL);
}

static void test_gstage_guest_read(struct kunit *test)
{
	static const struct explore_scenario two = {
		"riscv: guest reads, unmap", begin_reads, explore_guest_end,
		{ { "vCPU", read_guest }, { "owner", unmap_table } }
	}, three = {
		"riscv: guest reads, unmap, aging", begin_reads, explore_guest_end,
		{ { "vCPU", read_guest }, { "owner", unmap_table }, { "ager", age_range } }
	};

	explore(test, &two, NULL);
	explore(test, &three, NULL);
}

/* ---- random interleavings of more ---- */

static void run_ager(void *unused)
{
	int i;

	for (i = 0; i < 6; i++) {
		const u64 start = explore_choice(2) * 512 + explore_choice(PAGES);

		if (explore_choice(2))
			age_gfns(start, start + 1 + explore_choice(520), explore_choice(4));
		else
			age_parts(start, start + 1 + explore_choice(8), explore_choice(256),
				  explore_choice(4));
	}
}

static void run_owner(void *unused)
{
	unsigned int from;
	int i;

	for (i = 0; i < 12; i++) {
		explore_role(EXPLORE_OWNER);
		from = explore_choice(2 * PAGES);
		switch (explore_choice(6)) {
		case 0:
			unmap_range(from, 2 * PAGES, false, false);
			break;
		case 1:
			from -= from % PAGES;
			unmap_range(from, from + PAGES, true, false);
			break;
		case 2:
			wrprotect(NULL);
			break;
		default:
			spin_lock(&kvm.mmu_lock);
			map_page(from);
			spin_unlock(&kvm.mmu_lock);
		}
	}
}

static void run_vcpu(void *unused)
{
	int i;

	explore_role(EXPLORE_VCPU);
	for (i = 0; i < 16; i++)
		explore_vcpu_access(&tlb, page_addr(explore_choice(2 * PAGES)), explore_choice(2));
}

static void test_gstage_random(struct kunit *test)
{
	static const struct explore_scenario all = {
		"riscv: two agers, two owners, a vCPU", begin_pages, explore_guest_end,
		{ { "ager", run_ager }, { "other", run_ager }, { "owner", run_owner },
		  { "second", run_owner }, { "vCPU", run_vcpu } }
	};
	struct explore_result result;

	memset(&explore_tally, 0, sizeof(explore_tally));
	result = explore_random(test, &all, NULL, explore_schedules);
	if (result.runs && !result.failed)
		explore_expect_tally(test);
}

static struct kunit_case gstage_cases[] = {
	KUNIT_CASE(test_gstage_age_against_unmap),
	KUNIT_CASE(test_gstage_age_against_wrprotect),
	KUNIT_CASE(test_gstage_end),
	KUNIT_CASE(test_gstage_guest_read),
	KUNIT_CASE(test_gstage_random),
	{}
};

static struct kunit_suite interleave_gstage = {
	.name = "pgtable_walk_interleave_gstage",
	.test_cases = gstage_cases,
};

kunit_test_suites(&interleave_gstage);
