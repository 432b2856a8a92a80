// SPDX-License-Identifier: GPL-2.0-only
/*
 * Aging of what only x86 has: pages with several page tables, since SMM has an address
 * space of its own and nested guests are shadowed; rmaps, which say where the shadow
 * MMU maps a page; huge leaves that come and go; MMIO SPTEs.
 *
 * Tests that count run on an otherwise idle VM, with the switch off and on. The others
 * race with agers, as those of lockless_aging_stress do.
 */
#include <sys/stat.h>
#include <sys/vfs.h>

#include <linux/magic.h>

#include "lockless_aging_race.h"
#include "svm_util.h"

#ifndef KVM_X86_QUIRK_SLOT_ZAP_ALL
#define KVM_X86_QUIRK_SLOT_ZAP_ALL	BIT(7)
#endif

#define PARAM(name)	"/sys/module/kvm/parameters/" name

/* What tests change, and how it was. */
static struct {
	const char *path;
	char value[16];
} params[] = {
	{ PARAM("eager_page_split") },
	{ PARAM("nx_huge_pages") },
	{ PARAM("nx_huge_pages_recovery_ratio") },
	{ PARAM("nx_huge_pages_recovery_period_ms") },
};

static void save_params(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(params); i++)
		la_read(params[i].path, params[i].value, sizeof(params[i].value));
}

static void restore_params(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(params); i++)
		if (params[i].value[0])
			__la_write(params[i].path, params[i].value);
}

/* -f */
static const char *backing_file;

#define PAGES(nr)	((size_t)(nr) << LA_PAGE_SHIFT)

/* Whether the notifier is asked by bitmaps, a bit for each page. */
static bool by_batch;

/* How many bits of a batch were young. */
static uint64_t batch(struct la_vm *v, const char *op, char *mem, uint64_t page, uint64_t nr,
		      uint64_t step)
{
	return la_age(v->age, op, mem + PAGES(page), PAGES(nr), PAGES(step)).young;
}

static uint64_t count_young(struct la_vm *v, char *mem, uint64_t page, uint64_t nr)
{
	if (by_batch)
		return batch(v, "batch-test", mem, page, nr, 1);
	return la_test(v->age, mem + PAGES(page), PAGES(nr));
}

/* In as few calls as it takes. */
static bool clear_range(struct la_vm *v, char *mem, uint64_t page, uint64_t nr)
{
	if (by_batch)
		return batch(v, "batch-clear", mem, page, nr, 1);
	return la_clear_range(v->age, mem + PAGES(page), PAGES(nr));
}

/* Returns how many were young. */
static uint64_t clear_pages(struct la_vm *v, char *mem, uint64_t page, uint64_t nr)
{
	if (by_batch)
		return batch(v, "batch-clear", mem, page, nr, 1);
	return la_clear_pages(v->age, mem + PAGES(page), PAGES(nr));
}

/* What the last steps of a test did to mmu_lock is what the switch says. */
static void check_locks(void)
{
	struct la_stats stats = la_stats_read();

	TEST_ASSERT(!stats.mmu_lock == la_get_lockless(),
		    "Aging took mmu_lock %lu times, with the switch %s", stats.mmu_lock,
		    la_get_lockless() ? "on" : "off");
}

static const char *no_hugetlb(void)
{
	return la_missing_hugetlb(3 * LA_TABLE_SIZE);
}

/*
 * SMM: memslots and roots of its own.
 */

#define SMM_SLOT(slot)	(BIT(16) | (slot))
#define SMRAM_SLOT	(LA_SLOT + 6)
#define SMRAM_GPA	LA_TABLE_GPA(12)
#define SMRAM_BYTES	SZ_64K
#define SMI_HANDLER	0x8000
#define SMI_ARGS	0x8100
#define SMI_PORT	0x0e

struct smi_args {
	uint32_t gpa;
	uint32_t pages;
};

/* Writes to the second word of each page. In real mode, with segments of 4G. */
static const uint8_t smi_handler[] = {
	0x66, 0x2e, 0x8b, 0x1e, 0x00, 0x81,		/* mov %cs:SMI_ARGS, %ebx */
	0x66, 0x2e, 0x8b, 0x0e, 0x04, 0x81,		/* mov %cs:SMI_ARGS + 4, %ecx */
	0x67, 0x66, 0x89, 0x4b, 0x08,			/* 1: mov %ecx, 8(%ebx) */
	0x66, 0x81, 0xc3, 0x00, 0x10, 0x00, 0x00,	/* add $4096, %ebx */
	0x66, 0x49,					/* dec %ecx */
	0x75, 0xf0,					/* jnz 1b */
	0xe4, SMI_PORT,					/* in $SMI_PORT, %al */
	0x0f, 0xaa,					/* rsm */
};

static const char *no_smm(void)
{
	return kvm_has_cap(KVM_CAP_X86_SMM) ? NULL : "KVM_CAP_X86_SMM";
}

static char *smm_set_up(struct la_vm *v)
{
	struct kvm_vcpu *vcpu = v->vcpus[0];
	char *ram = la_alloc(SMRAM_BYTES);

	memcpy(ram + SMI_HANDLER, smi_handler, sizeof(smi_handler));
	vm_set_user_memory_region(v->vm, SMM_SLOT(SMRAM_SLOT), 0, SMRAM_GPA, SMRAM_BYTES, ram);
	la_vcpu_do(v, 0, LA_OP_NOP, 0, 0, 0);
	vcpu_set_msr(vcpu, MSR_IA32_SMBASE, SMRAM_GPA);
	return ram;
}

/* Has vCPU 0 write to pages in SMM, and leave it again. */
static void smm_write(struct la_vm *v, char *ram, uint64_t gpa, uint64_t pages)
{
	struct kvm_run *run = v->vcpus[0]->run;
	struct kvm_vcpu_events events;

	*(struct smi_args *)(ram + SMI_ARGS) = (struct smi_args) { gpa, pages };
	vcpu_events_get(v->vcpus[0], &events);
	events.smi.pending = 1;
	events.flags |= KVM_VCPUEVENT_VALID_SMM;
	vcpu_events_set(v->vcpus[0], &events);

	vcpu_run(v->vcpus[0]);
	TEST_ASSERT(run->exit_reason == KVM_EXIT_IO && run->io.port == SMI_PORT,
		    "The SMI handler did not get to its end, exit reason %u (%s)",
		    run->exit_reason, exit_reason_str(run->exit_reason));
	la_vcpu_do(v, 0, LA_OP_NOP, 0, 0, 0);
}

static void test_smm_pages_aged(void)
{
	/* Where the other address space has the same memory: at the same place, or not. */
	const uint64_t gpas[] = { LA_GPA, LA_CHUNK_GPA(2) }, nr = 600;
	char *mem = la_alloc(PAGES(nr)), *ram;
	struct la_vm v;
	int i;

	la_vm_create(&v, 1);
	ram = smm_set_up(&v);
	vm_set_user_memory_region(v.vm, SMM_SLOT(LA_SLOT), 0, LA_GPA, PAGES(nr), mem);
	TEST_ASSERT_EQ(count_young(&v, mem, 0, nr), 0);

	/* What only SMM maps */
	smm_write(&v, ram, LA_GPA, nr);
	TEST_ASSERT_EQ(count_young(&v, mem, 0, nr), nr);
	TEST_ASSERT_EQ(clear_pages(&v, mem, 0, nr), nr);
	TEST_ASSERT_EQ(clear_pages(&v, mem, 0, nr), 0);
	la_flush_tlb(&v);
	smm_write(&v, ram, LA_GPA + PAGES(nr - 1), 1);
	TEST_ASSERT_EQ(count_young(&v, mem, 0, nr), 1);
	TEST_ASSERT_EQ(count_young(&v, mem, nr - 1, 1), 1);
	TEST_ASSERT(clear_range(&v, mem, 0, nr), "Young in SMM, and not seen");
	TEST_ASSERT_EQ(count_young(&v, mem, 0, nr), 0);

	for (i = 0; i < ARRAY_SIZE(gpas); i++) {
		la_add_slot(&v, LA_SLOT, 0, gpas[i], gpas[i], mem, PAGES(nr));
		smm_write(&v, ram, LA_GPA, nr);
		la_touch(&v, LA_OP_WRITE, gpas[i], nr);
		clear_pages(&v, mem, 0, nr);
		TEST_ASSERT_EQ(count_young(&v, mem, 0, nr), 0);

		/* Young in either */
		la_flush_tlb(&v);
		la_touch(&v, LA_OP_WRITE, gpas[i] + PAGES(7), 1);
		TEST_ASSERT_EQ(count_young(&v, mem, 7, 1), 1);
		TEST_ASSERT(clear_range(&v, mem, 0, nr), "Young outside of SMM, and not seen");
		TEST_ASSERT_EQ(count_young(&v, mem, 0, nr), 0);
		la_flush_tlb(&v);
		smm_write(&v, ram, LA_GPA + PAGES(8), 1);
		TEST_ASSERT_EQ(count_young(&v, mem, 8, 1), 1);
		TEST_ASSERT(clear_range(&v, mem, 0, nr), "Young in SMM, and not seen");
		TEST_ASSERT_EQ(count_young(&v, mem, 0, nr), 0);

		/* Young in both: one call finds and clears both. */
		la_flush_tlb(&v);
		la_touch(&v, LA_OP_WRITE, gpas[i], nr);
		smm_write(&v, ram, LA_GPA, nr);
		la_stats_zero();
		TEST_ASSERT(clear_range(&v, mem, 0, nr), "Nothing is young");
		TEST_ASSERT_EQ(la_stats_read().young, 2 * nr);
		TEST_ASSERT(!clear_range(&v, mem, 0, nr), "Not all is old after one call");
		check_locks();

		la_del_slot(&v, LA_SLOT);
	}
	la_vm_free(&v);
}

static void test_smm_pages_aged_by_batch(void)
{
	by_batch = true;
	test_smm_pages_aged();
}

/*
 * Aliases: many SPTEs for one page, all in one rmap. A guest whose page tables are
 * shadowed makes them with its own; else L1 makes them with the nested page tables of
 * L2, which runs on vCPU 0. vCPU 1 may write to the entries of the aliases.
 */

#define NR_ALIASES	80
#define ALIAS_PAGES	8
#define ALIAS_STEP	SZ_2M
#define ALIAS_GVA	LA_TABLE_GPA(18)
#define ALIAS_TABLES_GPA LA_TABLE_GPA(10)
#define ALIAS_GPA	LA_TABLE_GPA(4)

/* Nested page tables: the root, one table below it, four below that, then the aliases'. */
#define NPT_PAGES	(6 + NR_ALIASES)
#define NPT_TABLE	(PTE_PRESENT_MASK | PTE_WRITABLE_MASK | PTE_USER_MASK)

struct alias_vm {
	struct la_vm v;
	char *mem;
	uint64_t *out;			/* of vCPU 0 */
	uint64_t pte_gva[NR_ALIASES];	/* entry of an alias's first page */
	uint64_t pte_flags;
};

static const char *no_nested_svm(void)
{
	return kvm_cpu_has(X86_FEATURE_SVM) ? NULL : "nested SVM";
}

static const char *no_nested_npt(void)
{
	return no_nested_svm() ?: (kvm_cpu_has(X86_FEATURE_NPT) ? NULL : "nested NPT");
}

static const char *no_aliases(void)
{
	return kvm_is_tdp_enabled() ? no_nested_npt() : NULL;
}

/* Each command comes with an exit to L1: changed nested page tables take effect there. */
static void l2_main(void)
{
	for (;;) {
		vmmcall();
		la_guest_run_cmd(&la_cmds[0]);
	}
}

static void l1_main(struct svm_test_data *svm, uint64_t npt, void *stack)
{
	struct vmcb_control_area *ctrl = &svm->vmcb->control;

	generic_svm_setup(svm, l2_main, stack);
	if (npt) {
		ctrl->nested_ctl = SVM_NESTED_CTL_NP_ENABLE;
		ctrl->nested_cr3 = npt;
	}

	for (;;) {
		run_guest(svm->vmcb, svm->vmcb_gpa);
		GUEST_ASSERT_EQ(ctrl->exit_code, SVM_EXIT_VMMCALL);
		/* The length of VMMCALL */
		svm->vmcb->save.rip += 3;
	}
}

/* Maps all below 4G as it is, for a start. */
static uint64_t *make_npt(struct la_vm *v, uint32_t slot, uint64_t gpa)
{
	uint64_t *npt = la_alloc(PAGES(NPT_PAGES)), *pd = npt + 2 * 512;
	uint64_t i;

	npt[0] = (gpa + PAGES(1)) | NPT_TABLE;
	for (i = 0; i < 4; i++)
		npt[512 + i] = (gpa + PAGES(2 + i)) | NPT_TABLE;
	for (i = 0; i < 4 * 512; i++)
		pd[i] = i * SZ_2M | NPT_TABLE | PTE_LARGE_MASK;
	la_add_slot(v, slot, 0, gpa, gpa, npt, PAGES(NPT_PAGES));
	return npt;
}

/* vCPU 0 becomes L1, with a guest that does what the vCPU would do; 0: no nested paging */
static void nest(struct la_vm *v, uint64_t npt_gpa)
{
	struct kvm_vm *vm = v->vm;
	vm_vaddr_t svm, stack;

	vcpu_alloc_svm(vm, &svm);
	stack = vm_vaddr_alloc(vm, PAGES(4), KVM_UTIL_MIN_VADDR) + PAGES(4) - 8;

	vcpu_arch_set_entry_point(v->vcpus[0], l1_main);
	vcpu_args_set(v->vcpus[0], 3, svm, npt_gpa, stack);
}

/* vCPU 1 maps or unmaps all pages of an alias. */
static void map_alias(struct alias_vm *a, int alias, bool map)
{
	struct la_vm *v = &a->v;

	v->step = sizeof(uint64_t);
	v->cmds[1].add = map ? LA_PAGE_SIZE : 0;
	la_vcpu_do(v, 1, LA_OP_FILL, a->pte_gva[alias], ALIAS_PAGES,
		   map ? ALIAS_GPA | a->pte_flags : 0);
	v->step = LA_PAGE_SIZE;
}

static uint64_t alias_gva(int alias, int page)
{
	return ALIAS_GVA + alias * ALIAS_STEP + PAGES(page);
}

/* vCPU 0 does something to a page through its first @nr aliases, or some of them. */
static void alias_do(struct alias_vm *a, enum la_op op, int page, int nr, uint64_t stamp,
		     const unsigned long *map)
{
	a->v.step = ALIAS_STEP;
	a->v.cmds[0].add = 1;
	if (map)
		la_vcpu_do_map(&a->v, 0, op, alias_gva(0, page), nr, stamp, map);
	else
		la_vcpu_do(&a->v, 0, op, alias_gva(0, page), nr, stamp);
	a->v.step = LA_PAGE_SIZE;
}

/*
 * With fewer shadow pages than there are aliases KVM zaps those that it has had for
 * longest, now and later. That is what it does unless told, as such a VM is so small.
 */
static void limit_tables(struct alias_vm *a, bool few)
{
	int i, ret = 0;

	/* Twice: if it zaps more than it has to, what is left becomes the limit at first. */
	for (i = 0; i < 2; i++)
		ret |= __vm_ioctl(a->v.vm, KVM_SET_NR_MMU_PAGES, (void *)(few ? 64UL : 1000UL));
	TEST_ASSERT(!ret, "KVM_SET_NR_MMU_PAGES: %s", strerror(errno));
}

static void alias_vm_create(struct alias_vm *a)
{
	const bool nested = kvm_is_tdp_enabled();
	uint64_t *npt = NULL, *ptes, gva, table;
	struct la_vm *v = &a->v;
	int i, page;

	la_vm_create(v, 2);
	a->mem = la_alloc(PAGES(ALIAS_PAGES));
	a->out = la_add_out(v, 0);
	a->pte_flags = PTE_PRESENT_MASK | PTE_WRITABLE_MASK;
	la_add_slot(v, LA_SLOT, 0, ALIAS_GPA, ALIAS_GPA, a->mem, PAGES(ALIAS_PAGES));
	if (nested) {
		nest(v, ALIAS_TABLES_GPA);
		npt = make_npt(v, LA_SLOT + 1, ALIAS_TABLES_GPA);
		a->pte_flags |= PTE_USER_MASK;
	}

	for (i = 0; i < NR_ALIASES; i++) {
		gva = alias_gva(i, 0);
		if (nested) {
			virt_map(v->vm, gva, gva, ALIAS_PAGES);
			table = PAGES(6 + i);
			npt[2 * 512 + gva / SZ_2M] = (ALIAS_TABLES_GPA + table) | NPT_TABLE;
			a->pte_gva[i] = ALIAS_TABLES_GPA + table;
			ptes = npt + table / sizeof(*npt);
			for (page = 0; page < ALIAS_PAGES; page++)
				ptes[page] = (ALIAS_GPA + PAGES(page)) | a->pte_flags;
		} else {
			virt_map(v->vm, gva, ALIAS_GPA, ALIAS_PAGES);
			ptes = vm_get_page_table_entry(v->vm, gva);
			a->pte_gva[i] = ALIAS_TABLES_GPA + PAGES(i);
			virt_map(v->vm, a->pte_gva[i], addr_hva2gpa(v->vm, ptes), 1);
		}
	}
	limit_tables(a, false);
}

static void test_aliases_aged(void)
{
	/* A descriptor of an rmap has room for 14 SPTEs. */
	static const int nr[ALIAS_PAGES] = { 1, 2, 3, 14, 15, 28, 29, NR_ALIASES };
	struct alias_vm a;
	int i, sum = 0;

	alias_vm_create(&a);
	for (i = 0; i < ALIAS_PAGES; i++) {
		alias_do(&a, LA_OP_WRITE, i, nr[i], 0, NULL);
		TEST_ASSERT_EQ(count_young(&a.v, a.mem, 0, ALIAS_PAGES), 1);
		TEST_ASSERT_EQ(count_young(&a.v, a.mem, i, 1), 1);
		la_stats_zero();
		TEST_ASSERT(clear_range(&a.v, a.mem, i, 1), "Page %d: not young", i);
		TEST_ASSERT_EQ(la_stats_read().young, nr[i]);
		TEST_ASSERT(!clear_range(&a.v, a.mem, i, 1), "Page %d: not old after one call", i);
		TEST_ASSERT_EQ(count_young(&a.v, a.mem, i, 1), 0);
		sum += nr[i];

		/* The first alias is the last one on the list. */
		la_flush_tlb(&a.v);
		la_touch(&a.v, LA_OP_READ, alias_gva(0, i), 1);
		TEST_ASSERT_EQ(count_young(&a.v, a.mem, i, 1), 1);
		TEST_ASSERT(clear_range(&a.v, a.mem, 0, ALIAS_PAGES), "Page %d: not young", i);
		la_flush_tlb(&a.v);
		la_touch(&a.v, LA_OP_READ, alias_gva(nr[i] - 1, i), 1);
		TEST_ASSERT_EQ(count_young(&a.v, a.mem, i, 1), 1);
		TEST_ASSERT(clear_range(&a.v, a.mem, i, 1), "Page %d: not young", i);
		la_flush_tlb(&a.v);
	}

	for (i = 0; i < ALIAS_PAGES; i++)
		alias_do(&a, LA_OP_READ, i, nr[i], 0, NULL);
	TEST_ASSERT_EQ(count_young(&a.v, a.mem, 0, ALIAS_PAGES), ALIAS_PAGES);
	la_stats_zero();
	TEST_ASSERT(clear_range(&a.v, a.mem, 0, ALIAS_PAGES), "Nothing is young");
	TEST_ASSERT_EQ(la_stats_read().young, sum);
	TEST_ASSERT(!clear_range(&a.v, a.mem, 0, ALIAS_PAGES), "Not all is old after one call");
	check_locks();
	la_vm_free(&a.v);
}

static void test_aliases_aged_by_batch(void)
{
	by_batch = true;
	test_aliases_aged();
}

/*
 * L1 is vCPU 1. With nested paging L2's pages are mapped by the shadow MMU alone, without
 * by a root of their own, which has the very same gpas as L1's.
 */
static void l2_pages_aged(bool nested_paging)
{
	const uint64_t nr = 600, both = 100, huge_gpa = LA_TABLE_GPA(6);
	char *mem = la_alloc(PAGES(nr)), *huge = la_alloc_hugetlb(LA_TABLE_SIZE);
	struct la_vm v;
	int i;

	la_vm_create(&v, 2);
	nest(&v, nested_paging ? ALIAS_TABLES_GPA : 0);
	if (nested_paging)
		make_npt(&v, LA_SLOT + 1, ALIAS_TABLES_GPA);
	la_add_slot(&v, LA_SLOT, 0, LA_GPA, LA_GPA, mem, PAGES(nr));

	la_touch(&v, LA_OP_WRITE, LA_GPA, nr);
	TEST_ASSERT_EQ(count_young(&v, mem, 0, nr), nr);
	la_stats_zero();
	TEST_ASSERT(clear_range(&v, mem, 0, nr), "Young in L2, and not seen");
	TEST_ASSERT_EQ(la_stats_read().young, nr);
	TEST_ASSERT_EQ(la_stats_read().visited, nr);
	TEST_ASSERT_EQ(clear_pages(&v, mem, 0, nr), 0);
	la_flush_tlb(&v);
	la_touch(&v, LA_OP_READ, LA_GPA + PAGES(77), 1);
	TEST_ASSERT_EQ(count_young(&v, mem, 0, nr), 1);
	TEST_ASSERT_EQ(clear_pages(&v, mem, 0, nr), 1);

	/* Young in L1, in L2, in both */
	la_vcpu_do(&v, 1, LA_OP_WRITE, LA_GPA, both, 0);
	TEST_ASSERT_EQ(count_young(&v, mem, 0, nr), both);
	TEST_ASSERT_EQ(clear_pages(&v, mem, 0, nr), both);
	for (i = 1; i <= 3; i++) {
		la_flush_tlb(&v);
		la_stats_zero();
		if (i & 1)
			la_touch(&v, LA_OP_READ, LA_GPA + PAGES(i), 1);
		if (i & 2)
			la_vcpu_do(&v, 1, LA_OP_READ, LA_GPA + PAGES(i), 1, 0);
		TEST_ASSERT_EQ(count_young(&v, mem, i, 1), 1);
		la_stats_zero();
		TEST_ASSERT(clear_range(&v, mem, 0, nr), "%d: not young", i);
		TEST_ASSERT_EQ(la_stats_read().young, 1 + (i == 3));
		TEST_ASSERT(!clear_range(&v, mem, 0, nr), "%d: not old after one call", i);
	}
	check_locks();

	/* If KVM shadows L1's tables, these have a huge leaf, too. */
	if (huge) {
		la_add_huge_slot(&v, LA_SLOT + 2, 0, huge_gpa, huge_gpa, huge, LA_TABLE_SIZE);
		la_touch(&v, LA_OP_WRITE, huge_gpa + PAGES(300), 1);
		TEST_ASSERT_EQ(count_young(&v, huge, 0, LA_TABLE_PAGES), LA_TABLE_PAGES);
		TEST_ASSERT(clear_range(&v, huge, 77, 2), "A huge leaf of L2 is not young");
		/* Other pages of it may be of interest to others than who asks for a batch. */
		TEST_ASSERT_EQ(clear_range(&v, huge, 0, LA_TABLE_PAGES),
			       by_batch && la_get_lockless());
		TEST_ASSERT(!clear_range(&v, huge, 0, LA_TABLE_PAGES), "Not old after one call");
	}
	la_vm_free(&v);
}

static void test_l2_pages_aged(void)
{
	l2_pages_aged(true);
}

static void test_l2_pages_aged_by_batch(void)
{
	by_batch = true;
	l2_pages_aged(true);
}

static void test_l2_root_aged(void)
{
	l2_pages_aged(false);
}

static void test_l2_root_aged_by_batch(void)
{
	by_batch = true;
	l2_pages_aged(false);
}

/* Lists of an rmap go from nothing to one, to many and back, and move between tables. */
static void test_rmap_churn(void)
{
	DECLARE_BITMAP(mapped, NR_ALIASES);
	DECLARE_BITMAP(map, LA_MAX_PAGES);
	uint64_t start_ns, rng = la_seed, value = 0, host, rounds = 0;
	unsigned long *log = bitmap_zalloc(ALIAS_PAGES);
	int i, page, alias, last;
	bool logging = false;
	struct alias_vm a;

	alias_vm_create(&a);
	bitmap_fill(mapped, NR_ALIASES);
	la_agers_start(a.mem, PAGES(ALIAS_PAGES), AGE_ALL);
	start_ns = la_now_ns();
	while (!la_time_is_up(start_ns)) {
		/* Written through some aliases, the last one of which wins */
		page = la_random(&rng) % ALIAS_PAGES;
		bitmap_zero(map, LA_MAX_PAGES);
		for (last = -1, alias = la_random(&rng) % 4; alias < NR_ALIASES;
		     alias += 1 + la_random(&rng) % 6) {
			if (!test_bit(alias, mapped))
				continue;
			__set_bit(alias, map);
			last = alias;
		}
		if (last >= 0) {
			value += NR_ALIASES;
			alias_do(&a, LA_OP_FILL, page, NR_ALIASES, value, map);
			alias_do(&a, LA_OP_COPY, page, NR_ALIASES, 0, map);
			host = *(uint64_t *)(a.mem + PAGES(page));
			TEST_ASSERT_EQ(host, value + last);
			for (i = 0; i < NR_ALIASES; i++)
				TEST_ASSERT(!test_bit(i, map) || a.out[i] == host,
					    "Page %d reads %#lx through alias %d, not %#lx",
					    page, a.out[i], i, host);
		}

		switch (la_random(&rng) % 6) {
		case 0:
			la_drop(a.mem + PAGES(page), LA_PAGE_SIZE);
			break;
		case 1:
			la_drop(a.mem, PAGES(ALIAS_PAGES));
			break;
		case 2:
			limit_tables(&a, la_random(&rng) % 2);
			break;
		case 3:
			logging = !logging;
			vm_set_user_memory_region(a.v.vm, LA_SLOT,
						  logging ? KVM_MEM_LOG_DIRTY_PAGES : 0, ALIAS_GPA,
						  PAGES(ALIAS_PAGES), a.mem);
			break;
		default:
			for (i = 0; i < 6; i++) {
				alias = la_random(&rng) % NR_ALIASES;
				map_alias(&a, alias, !test_bit(alias, mapped));
				if (test_bit(alias, mapped))
					__clear_bit(alias, mapped);
				else
					__set_bit(alias, mapped);
			}
			break;
		}
		/* Write-protects what the rmaps list. */
		if (logging)
			kvm_vm_get_dirty_log(a.v.vm, LA_SLOT, log);
		rounds++;
	}
	la_agers_end(rounds, "changes of rmaps");

	la_drop(a.mem, PAGES(ALIAS_PAGES));
	TEST_ASSERT_EQ(count_young(&a.v, a.mem, 0, ALIAS_PAGES), 0);
	la_vm_free(&a.v);
}

static const char *no_stalls(void)
{
	return la_has_stalls() ? NULL : LA_STALL_NS " (CONFIG_PGTABLE_WALK_DEBUG)";
}

static const char *no_slow_aliases(void)
{
	return no_stalls() ?: no_aliases();
}

/*
 * The same with an ager that is slow, on lists that are long: it is in the middle of one
 * when that is emptied, read, or taken apart.
 */
#define SLOW_PAGES	2

static void drop_aliased(void *arg)
{
	struct alias_vm *a = arg;

	la_drop(a->mem, PAGES(SLOW_PAGES));
}

static void protect_aliased(void *arg)
{
	struct alias_vm *a = arg;
	unsigned long log;

	kvm_vm_get_dirty_log(a->v.vm, LA_SLOT, &log);
}

static void zap_tables(void *arg)
{
	limit_tables(arg, true);
	limit_tables(arg, false);
}

/* vCPU 0 comes upon what vCPU 1 has changed when it goes on. */
static void unmap_aliases(void *arg)
{
	struct alias_vm *a = arg;
	int i;

	for (i = 0; i < NR_ALIASES; i += 7)
		map_alias(a, i, false);
	la_vcpu_do(&a->v, 0, LA_OP_NOP, 0, 0, 0);
	for (i = 0; i < NR_ALIASES; i += 7)
		map_alias(a, i, true);
}

static void test_rmap_changes_meet_ager(void)
{
	static void (* const ops[])(void *arg) = {
		drop_aliased, protect_aliased, zap_tables, unmap_aliases,
	};
	struct la_duel d = {
		.bytes = PAGES(SLOW_PAGES), .rng = la_seed, .stall_ns = 100000, .late = true,
	};
	uint64_t start_ns, host, rounds = 0, young = 0;
	struct alias_vm a;
	int i, page;

	alias_vm_create(&a);
	vm_set_user_memory_region(a.v.vm, LA_SLOT, KVM_MEM_LOG_DIRTY_PAGES, ALIAS_GPA,
				  PAGES(ALIAS_PAGES), a.mem);
	d.mem = a.mem;
	la_set_stalls(0, 0);
	start_ns = la_now_ns();
	while (!la_time_is_up(start_ns) || rounds < 2 * ARRAY_SIZE(ops)) {
		la_flush_tlb(&a.v);
		for (page = 0; page < SLOW_PAGES; page++)
			alias_do(&a, LA_OP_FILL, page, NR_ALIASES, rounds * NR_ALIASES, NULL);
		young += la_duel(&d, ops[rounds % ARRAY_SIZE(ops)], &a).young;

		for (page = 0; page < SLOW_PAGES; page++) {
			alias_do(&a, LA_OP_COPY, page, NR_ALIASES, 0, NULL);
			host = *(uint64_t *)(a.mem + PAGES(page));
			for (i = 0; i < NR_ALIASES; i++)
				TEST_ASSERT(a.out[i] == host,
					    "Round %lu: page %d reads %#lx through alias %d, not %#lx",
					    rounds, page, a.out[i], i, host);
		}
		rounds++;
	}
	ksft_print_msg("%lu rounds, %lu SPTEs were young\n", rounds, young);
	la_vm_free(&a.v);
}

/*
 * Huge leaves
 */

static void test_huge_leaf_covers_range(void)
{
	const uint64_t T = LA_TABLE_PAGES, gpa = LA_TABLE_GPA(2);
	const struct {
		uint64_t page;		/* that is touched */
		uint64_t first, nr;	/* of the range that is cleared */
	} cases[] = {
		/* Some pages, all, the first, the last, and those of it in a larger range */
		{ T + 300, T + 10, 7 }, { T + 300, T, T }, { T + 1, T, 1 },
		{ T, 2 * T - 1, 1 }, { T + 3, 0, 3 * T },
		/* Ranges that begin within a huge page and end within the next ones */
		{ T + 5, 300, T }, { T + 5, T - 1, 2 }, { T + 511, 300, T - 299 },
		{ 2 * T + 1, 1, 2 * T }, { 2 * T + 9, T + 511, 2 }, { 0, 511, 2 * T },
		{ 511, 300, T }, { 2 * T + 511, T + 511, T },
	};
	char *mem = la_alloc_hugetlb(3 * LA_TABLE_SIZE);
	struct la_vm v;
	int i;

	la_vm_create(&v, 1);
	la_add_huge_slot(&v, LA_SLOT, 0, gpa, gpa, mem, 3 * LA_TABLE_SIZE);
	v.step = LA_TABLE_SIZE;
	la_touch(&v, LA_OP_WRITE, gpa, 3);
	v.step = LA_PAGE_SIZE;
	la_stats_zero();
	TEST_ASSERT_EQ(la_clear_pages(v.age, mem, 3 * LA_TABLE_SIZE), 3);
	TEST_ASSERT_EQ(la_stats_read().young, 3);
	TEST_ASSERT_EQ(la_stats_read().visited, 3 * T);

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		la_flush_tlb(&v);
		la_touch(&v, LA_OP_READ, gpa + PAGES(cases[i].page), 1);
		TEST_ASSERT_EQ(count_young(&v, mem, 0, 3 * T), T);
		TEST_ASSERT_EQ(count_young(&v, mem, cases[i].page / T * T, T), T);
		la_stats_zero();
		TEST_ASSERT(clear_range(&v, mem, cases[i].first, cases[i].nr),
			    "Page %lu was touched, and clearing [%lu, +%lu) does not see it",
			    cases[i].page, cases[i].first, cases[i].nr);
		TEST_ASSERT_EQ(la_stats_read().young, 1);
		TEST_ASSERT(!clear_range(&v, mem, cases[i].first, cases[i].nr), "Young twice");
		TEST_ASSERT_EQ(count_young(&v, mem, 0, 3 * T), 0);
	}
	check_locks();
	la_vm_free(&v);
}

/*
 * Of a huge leaf all bits are young whose pages it maps, and it is made old only if the
 * batch is about all of it.
 */
static void test_huge_leaf_by_batch(void)
{
	const uint64_t T = LA_TABLE_PAGES, gpa = LA_TABLE_GPA(2);
	const struct {
		uint64_t page;			/* that is touched */
		uint64_t first, nr, step;	/* of the batch; 512 bits at a time */
		uint64_t young;
		bool whole;
	} cases[] = {
		{ T + 300, T + 10, 7, 1, 7 }, { T + 300, T, T, 1, T, true },
		{ T + 1, T, 1, 1, 1 }, { T, 2 * T - 1, 2, 1, 1 }, { T + 5, T + 1, T - 1, 1, T - 1 },
		{ T + 5, T - 1, T, 1, T - 1 }, { 2 * T + 9, T + 511, 2, 1, 1 },
		{ T + 5, 0, 3 * T, 8, T / 8, true }, { T + 5, 8, 3 * T - 8, 8, T / 8, true },
		{ T + 5, T + 8, T, 8, T / 8 - 1 }, { 2 * T, 0, 3 * T, T, 1, true },
	};
	char *mem = la_alloc_hugetlb(3 * LA_TABLE_SIZE);
	struct la_vm v;
	int i;

	la_vm_create(&v, 1);
	la_add_huge_slot(&v, LA_SLOT, 0, gpa, gpa, mem, 3 * LA_TABLE_SIZE);
	v.step = LA_TABLE_SIZE;
	la_touch(&v, LA_OP_WRITE, gpa, 3);
	v.step = LA_PAGE_SIZE;
	TEST_ASSERT_EQ(la_clear_pages(v.age, mem, 3 * LA_TABLE_SIZE), 3);

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		const uint64_t first = cases[i].first, nr = cases[i].nr, step = cases[i].step;
		const uint64_t left = T * !cases[i].whole;

		la_flush_tlb(&v);
		la_touch(&v, LA_OP_READ, gpa + PAGES(cases[i].page), 1);
		TEST_ASSERT_EQ(batch(&v, "batch-test", mem, first, nr, step), cases[i].young);
		TEST_ASSERT_EQ(count_young(&v, mem, 0, 3 * T), T);
		TEST_ASSERT_EQ(batch(&v, "batch-clear", mem, first, nr, step), cases[i].young);
		TEST_ASSERT(count_young(&v, mem, 0, 3 * T) == left,
			    "Page %lu touched, batch of [%lu, +%lu) by %lu cleared: %lu pages are young",
			    cases[i].page, first, nr, step, count_young(&v, mem, 0, 3 * T));
		TEST_ASSERT_EQ(la_clear_range(v.age, mem, 3 * LA_TABLE_SIZE), !cases[i].whole);
	}
	la_vm_free(&v);
}

#define HUGE_GPA	LA_TABLE_GPA(0)
#define HUGE_LEAVES	2UL
#define HUGE_BYTES	(HUGE_LEAVES * LA_TABLE_SIZE)
#define HUGE_PAGES	(HUGE_LEAVES * LA_TABLE_PAGES)

static char *create_huge_vm(struct la_vm *v)
{
	char *mem = la_alloc_hugetlb(HUGE_BYTES);

	la_vm_create(v, 1);
	la_add_huge_slot(v, LA_SLOT, 0, HUGE_GPA, HUGE_GPA, mem, HUGE_BYTES);
	return mem;
}

static void set_logging(struct la_vm *v, char *mem, bool on)
{
	vm_set_user_memory_region(v->vm, LA_SLOT, on ? KVM_MEM_LOG_DIRTY_PAGES : 0, HUGE_GPA,
				  HUGE_BYTES, mem);
}

/* Each bit with one chance in @one_in, and at least one */
static void random_map(unsigned long *map, uint64_t pages, uint32_t one_in, uint64_t *rng)
{
	uint64_t i;

	bitmap_zero(map, LA_MAX_PAGES);
	__set_bit(la_random(rng) % pages, map);
	for (i = 0; i < pages; i++)
		if (!(la_random(rng) % one_in))
			__set_bit(i, map);
}

/* The guest writes, with no hurry; all of that is in the log, and in memory. */
static void write_and_collect(struct la_vm *v, char *mem, uint64_t *stamps, uint64_t stamp,
			      unsigned long *log, uint64_t *rng)
{
	DECLARE_BITMAP(map, LA_MAX_PAGES);
	uint64_t page, host;

	random_map(map, HUGE_PAGES, 8, rng);
	la_vcpu_do_map(v, 0, LA_OP_STAMP, HUGE_GPA, HUGE_PAGES, stamp, map);
	bitmap_zero(log, HUGE_PAGES);
	kvm_vm_get_dirty_log(v->vm, LA_SLOT, log);
	for (page = 0; page < HUGE_PAGES; page++) {
		if (test_bit(page, map)) {
			stamps[page] = stamp;
			TEST_ASSERT(test_bit(page, log),
				    "Page %lu was written to and is not in the dirty log", page);
		}
		host = *(uint64_t *)(mem + PAGES(page));
		TEST_ASSERT(host == la_value(stamps[page], HUGE_GPA + PAGES(page)),
			    "Page %lu holds %#lx, not what the guest wrote last", page, host);
	}
}

/* Dirty logging splits huge leaves, at once or page by page; without it they recover. */
static void split_and_recover(bool eager)
{
	uint64_t stamps[HUGE_PAGES], start_ns, page, rng = la_seed, stamp = 0, rounds = 0;
	unsigned long *log = bitmap_zalloc(HUGE_PAGES);
	struct la_vm v;
	char *mem;
	int i;

	la_write(PARAM("eager_page_split"), eager ? "Y" : "N");
	mem = create_huge_vm(&v);
	la_agers_start(mem, HUGE_BYTES, AGE_ALL);
	start_ns = la_now_ns();
	while (!la_time_is_up(start_ns)) {
		stamp++;
		la_vcpu_do(&v, 0, LA_OP_STAMP, HUGE_GPA, HUGE_PAGES, stamp);
		for (page = 0; page < HUGE_PAGES; page++)
			stamps[page] = stamp;
		TEST_ASSERT_EQ(vm_get_stat(v.vm, "pages_2m"), HUGE_LEAVES);

		set_logging(&v, mem, true);
		if (eager)
			TEST_ASSERT_EQ(vm_get_stat(v.vm, "pages_2m"), 0);
		for (i = 0; i < 3; i++)
			write_and_collect(&v, mem, stamps, ++stamp, log, &rng);
		set_logging(&v, mem, false);

		/* Every other time the huge leaves are new. */
		if (rounds++ % 2)
			la_drop(mem, HUGE_BYTES);
	}
	la_agers_end(rounds, "splits and recoveries");
	la_vm_free(&v);
}

static void test_huge_split_and_recovery(void)
{
	split_and_recover(false);
}

static const char *no_tdp_mmu(void)
{
	return la_has_tdp_mmu() ? no_hugetlb() : "kvm.tdp_mmu";
}

static void test_huge_eager_split(void)
{
	split_and_recover(true);
}

/*
 * Reads of trace events are how to see the dirty bit of an SPTE: KVM does not give it
 * away where it protects pages from writing to log them.
 */

#define SPTE_EVENT	"events/kvmmmu/kvm_tdp_mmu_spte_changed/"

static const char *tracefs(void)
{
	static const char * const dirs[] = { "/sys/kernel/tracing/", "/sys/kernel/debug/tracing/" };
	char path[128];
	int i;

	for (i = 0; i < ARRAY_SIZE(dirs); i++) {
		snprintf(path, sizeof(path), "%s" SPTE_EVENT "enable", dirs[i]);
		if (!access(path, W_OK))
			return dirs[i];
	}
	return NULL;
}

static const char *no_spte_event(void)
{
	if (!la_has_tdp_mmu())
		return "kvm.tdp_mmu";
	if (host_cpu_is_intel && !get_kvm_intel_param_bool("eptad"))
		return "kvm_intel.eptad";
	return tracefs() ? NULL : "tracefs with kvm_tdp_mmu_spte_changed";
}

static void trace_sptes(bool on)
{
	char path[128];

	/* To open it like this empties it. */
	snprintf(path, sizeof(path), "%strace", tracefs());
	if (on)
		close(open(path, O_WRONLY | O_TRUNC));
	snprintf(path, sizeof(path), "%s" SPTE_EVENT "enable", tracefs());
	la_write(path, on ? "1" : "0");
}

#define SPTE_A	(host_cpu_is_intel ? BIT(8) : BIT(5))
#define SPTE_D	(host_cpu_is_intel ? BIT(9) : BIT(6))

static void must_be_old_and_dirty(uint64_t gfn, uint64_t old, uint64_t new)
{
	TEST_ASSERT(!(old & SPTE_A), "gfn %#lx: SPTE %#lx was made old", gfn, old);
	TEST_ASSERT(old & SPTE_D, "gfn %#lx: SPTE %#lx was written to", gfn, old);
}

static void must_become_old(uint64_t gfn, uint64_t old, uint64_t new)
{
	TEST_ASSERT(old & SPTE_A && new == (old & ~SPTE_A),
		    "gfn %#lx: SPTE %#lx became %#lx, and was to become old", gfn, old, new);
}

/* Returns how many changes of the SPTEs were traced. */
static uint64_t read_trace(uint64_t first, uint64_t nr,
			   void (*check)(uint64_t gfn, uint64_t old, uint64_t new))
{
	unsigned long long gfn, old, new;
	char path[128], line[512], *at;
	uint64_t changes = 0;
	FILE *trace;

	snprintf(path, sizeof(path), "%strace", tracefs());
	trace = fopen(path, "r");
	TEST_ASSERT(trace, "Cannot open %s: %s", path, strerror(errno));
	while (fgets(line, sizeof(line), trace)) {
		at = strstr(line, "kvm_tdp_mmu_spte_changed: ");
		at = at ? strstr(at, "gfn ") : NULL;
		if (!at || sscanf(at, "gfn %llx level 1 old_spte %llx new_spte %llx",
				  &gfn, &old, &new) != 3)
			continue;
		if (gfn < first || gfn >= first + nr)
			continue;
		changes++;
		check(gfn, old, new);
	}
	fclose(trace);
	return changes;
}

static void test_dirty_bit_stays(void)
{
	const uint64_t nr = 64;
	struct la_vm v;
	char *mem;

	la_vm_create(&v, 1);
	mem = la_alloc(PAGES(nr));
	la_add_slot(&v, LA_SLOT, 0, LA_GPA, LA_GPA, mem, PAGES(nr));
	la_touch(&v, LA_OP_WRITE, LA_GPA, nr);
	TEST_ASSERT_EQ(la_clear_pages(v.age, mem, PAGES(nr)), nr);

	trace_sptes(true);
	la_drop(mem, PAGES(nr));
	trace_sptes(false);
	TEST_ASSERT_EQ(read_trace(LA_GPA >> LA_PAGE_SHIFT, nr, must_be_old_and_dirty), nr);
	la_vm_free(&v);
}

/* Aging is a change like others to those who trace SPTEs. */
static void test_aging_is_traced(void)
{
	const uint64_t nr = 64, touched = 40;
	struct la_vm v;
	char *mem;
	int i;

	la_vm_create(&v, 1);
	mem = la_alloc(PAGES(nr));
	la_add_slot(&v, LA_SLOT, 0, LA_GPA, LA_GPA, mem, PAGES(nr));
	la_touch(&v, LA_OP_WRITE, LA_GPA, nr);
	TEST_ASSERT_EQ(la_clear_pages(v.age, mem, PAGES(nr)), nr);

	for (i = 0; i < 3; i++) {
		by_batch = i == 2;
		la_flush_tlb(&v);
		la_touch(&v, LA_OP_READ, LA_GPA, touched);
		trace_sptes(true);
		TEST_ASSERT_EQ(count_young(&v, mem, 0, nr), touched);
		if (i)
			TEST_ASSERT(clear_range(&v, mem, 0, nr), "Nothing is young");
		else
			TEST_ASSERT_EQ(clear_pages(&v, mem, 0, nr), touched);
		TEST_ASSERT_EQ(count_young(&v, mem, 0, nr), 0);
		trace_sptes(false);
		TEST_ASSERT_EQ(read_trace(LA_GPA >> LA_PAGE_SHIFT, nr, must_become_old), touched);
	}
	la_vm_free(&v);
}

/*
 * A page that is mapped writable is dirty from then on, though the guest only reads it: an
 * ager may take from SPTEs what says that it was written to. Pages that the host may drop
 * are clean before.
 */

#define PAGEMAP		"/proc/self/pagemap"
#define PAGEMAP_PFN	((1UL << 55) - 1)
#define KPAGEFLAGS	"/proc/kpageflags"
#define KPF_DIRTY	4

static bool is_dirty(int pagemap, int kpageflags, char *addr)
{
	off_t offset = ((unsigned long)addr >> LA_PAGE_SHIFT) * 8;
	uint64_t pfn, flags;

	TEST_ASSERT(pread(pagemap, &pfn, 8, offset) == 8 && (pfn & PAGEMAP_PFN),
		    "No page frame number in " PAGEMAP "; CAP_SYS_ADMIN is needed");
	TEST_ASSERT(pread(kpageflags, &flags, 8, (pfn & PAGEMAP_PFN) * 8) == 8,
		    "read of " KPAGEFLAGS ": %s", strerror(errno));
	return flags & BIT(KPF_DIRTY);
}

static const char *no_page_flags(void)
{
	return access(KPAGEFLAGS, R_OK) ? KPAGEFLAGS " (CONFIG_PROC_PAGE_MONITOR)" : NULL;
}

static void test_mapped_is_dirty(void)
{
	const int pagemap = open(PAGEMAP, O_RDONLY), kpageflags = open(KPAGEFLAGS, O_RDONLY);
	const uint64_t nr = 256, step = 16;
	uint64_t page, dirty = 0;
	struct la_vm v;
	char *mem;

	la_vm_create(&v, 1);
	mem = la_alloc(PAGES(nr));
	la_add_slot(&v, LA_SLOT, 0, LA_GPA, LA_GPA, mem, PAGES(nr));
	memset(mem, 1, PAGES(nr));
	TEST_ASSERT(!madvise(mem, PAGES(nr), MADV_FREE), "MADV_FREE: %s", strerror(errno));
	for (page = 0; page < nr; page++)
		TEST_ASSERT(!is_dirty(pagemap, kpageflags, mem + PAGES(page)),
			    "Page %lu is dirty before the guest has it", page);

	v.step = PAGES(step);
	la_touch(&v, LA_OP_READ, LA_GPA, nr / step);
	v.step = LA_PAGE_SIZE;
	la_stats_zero();
	count_young(&v, mem, 0, nr);
	for (page = 0; page < nr; page++) {
		bool is = is_dirty(pagemap, kpageflags, mem + PAGES(page));

		TEST_ASSERT(is || page % step, "Page %lu is mapped writable, and clean", page);
		dirty += is;
	}

	/* The neighbours that the shadow MMU prefetched are, too. */
	TEST_ASSERT_EQ(dirty, la_stats_read().visited);
	ksft_print_msg("%lu pages read, %lu mapped\n", nr / step, dirty);
	close(pagemap);
	close(kpageflags);
	la_vm_free(&v);
}

/*
 * KVM may split huge pages to keep guests from executing from them, and has a thread
 * that puts them together again.
 */

static const char *no_nx_huge_pages(void)
{
	return access(PARAM("nx_huge_pages"), W_OK) ? PARAM("nx_huge_pages") : no_hugetlb();
}

static void test_nx_recovery(void)
{
	const uint8_t ret = 0xc3;
	uint64_t start_ns, page, rng = la_seed, rounds = 0, splits = 0, recovered = 0;
	DECLARE_BITMAP(map, LA_MAX_PAGES);
	struct la_vm v;
	char *mem;
	int i;

	la_write(PARAM("nx_huge_pages"), "force");
	la_write(PARAM("nx_huge_pages_recovery_ratio"), "1");
	la_write(PARAM("nx_huge_pages_recovery_period_ms"), "50");

	mem = create_huge_vm(&v);
	for (page = 0; page < HUGE_PAGES; page++)
		memcpy(mem + PAGES(page) + LA_CODE, &ret, sizeof(ret));

	la_agers_start(mem, HUGE_BYTES, AGE_ALL);
	start_ns = la_now_ns();
	while (!la_time_is_up(start_ns) || !recovered) {
		la_vcpu_do(&v, 0, LA_OP_STAMP, HUGE_GPA, HUGE_PAGES, ++rounds);
		random_map(map, HUGE_PAGES, 40, &rng);
		la_vcpu_do_map(&v, 0, LA_OP_CALL, HUGE_GPA, HUGE_PAGES, 0, map);
		splits += vm_get_stat(v.vm, "nx_lpage_splits");
		la_must_hold(&v, 0, HUGE_GPA, HUGE_PAGES, rounds);

		/* Now and then it gets the time for all. */
		if (rounds % 4)
			continue;
		for (i = 0; i < 100 && vm_get_stat(v.vm, "nx_lpage_splits"); i++)
			usleep(20000);
		TEST_ASSERT(i < 100, "%lu split huge pages are not put together again",
			    vm_get_stat(v.vm, "nx_lpage_splits"));
		la_must_hold(&v, 0, HUGE_GPA, HUGE_PAGES, rounds);
		TEST_ASSERT_EQ(vm_get_stat(v.vm, "pages_2m"), HUGE_LEAVES);
		recovered++;
	}
	ksft_print_msg("%lu huge pages seen split, %lu times all recovered\n", splits, recovered);
	TEST_ASSERT(splits, "No huge page was split");
	la_agers_end(rounds, "rounds of executing from huge pages");
	la_vm_free(&v);
}

/*
 * Write-back: what the guest wrote last is on the disk in the end.
 */

#define FILE_PAGES	256UL

static bool can_write_back(int fd)
{
	struct statfs fs;
	struct stat st;

	TEST_ASSERT(!fstat(fd, &st) && !fstatfs(fd, &fs), "fstat: %s", strerror(errno));
	return S_ISBLK(st.st_mode) ||
	       (fs.f_type != TMPFS_MAGIC && fs.f_type != RAMFS_MAGIC &&
		fs.f_type != HUGETLBFS_MAGIC);
}

static int open_backing(void)
{
	struct stat st;
	int fd;

	if (backing_file)
		fd = open(backing_file, O_RDWR | O_CREAT, 0600);
	else
		fd = open(".", O_RDWR | O_TMPFILE, 0600);
	if (fd < 0)
		return -1;
	if (!can_write_back(fd) ||
	    (!fstat(fd, &st) && S_ISREG(st.st_mode) && ftruncate(fd, PAGES(FILE_PAGES)))) {
		close(fd);
		return -1;
	}
	return fd;
}

static const char *no_backing(void)
{
	int fd = open_backing();

	if (fd < 0)
		return "a file with something to be written back to, see -f";
	close(fd);
	return NULL;
}

struct writer {
	pthread_t thread;
	int fd;
	char *mem;
	uint64_t rng;
	uint64_t syncs;
	bool stop;
};

static void *writer_main(void *arg)
{
	struct writer *w = arg;
	int ret;

	while (!READ_ONCE(w->stop)) {
		ret = la_random(&w->rng) % 2 ? msync(w->mem, PAGES(FILE_PAGES), MS_SYNC) :
					       fdatasync(w->fd);
		TEST_ASSERT(!ret, "Cannot sync: %s", strerror(errno));
		w->syncs++;
		usleep(la_random(&w->rng) % 3000);
	}
	return NULL;
}

/* Drops what the page cache has of the file. */
static void forget(int fd)
{
	unsigned char resident[FILE_PAGES];
	int i, tries;
	void *mem;

	mem = mmap(NULL, PAGES(FILE_PAGES), PROT_READ, MAP_SHARED, fd, 0);
	TEST_ASSERT(mem != MAP_FAILED, "mmap: %s", strerror(errno));
	for (tries = 0; tries < 20; tries++) {
		TEST_ASSERT(!fdatasync(fd), "fdatasync: %s", strerror(errno));
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		TEST_ASSERT(!mincore(mem, PAGES(FILE_PAGES), resident), "mincore: %s",
			    strerror(errno));
		for (i = 0; i < FILE_PAGES && !(resident[i] & 1); i++)
			;
		if (i == FILE_PAGES)
			break;
		usleep(50000);
	}
	munmap(mem, PAGES(FILE_PAGES));
	TEST_ASSERT(tries < 20, "Page %d of the file stays cached", i);
}

/* One life of a VM whose memory is the file's first pages */
static void write_file(struct writer *w, uint64_t *stamps, uint64_t *stamp)
{
	DECLARE_BITMAP(map, LA_MAX_PAGES);
	uint64_t rng = w->rng + 1, page, batches;
	bool vm_first = la_random(&rng) % 2;
	struct la_vm v;

	w->mem = mmap(NULL, PAGES(FILE_PAGES), PROT_READ | PROT_WRITE, MAP_SHARED, w->fd, 0);
	TEST_ASSERT(w->mem != MAP_FAILED, "mmap: %s", strerror(errno));
	la_vm_create(&v, 1);
	la_add_slot(&v, LA_SLOT, 0, LA_GPA, LA_GPA, w->mem, PAGES(FILE_PAGES));

	la_agers_start(w->mem, PAGES(FILE_PAGES), AGE_ALL);
	w->stop = false;
	TEST_ASSERT(!pthread_create(&w->thread, NULL, writer_main, w), "pthread_create");
	for (batches = 0; batches < 20; batches++) {
		random_map(map, FILE_PAGES, 8, &rng);
		la_vcpu_do_map(&v, 0, LA_OP_STAMP, LA_GPA, FILE_PAGES, ++*stamp, map);
		for (page = 0; page < FILE_PAGES; page++)
			if (test_bit(page, map))
				stamps[page] = *stamp;
	}
	WRITE_ONCE(w->stop, true);
	pthread_join(w->thread, NULL);
	la_agers_end(batches, "batches of writes");

	if (vm_first)
		la_vm_free(&v);
	munmap(w->mem, PAGES(FILE_PAGES));
	if (!vm_first)
		la_vm_free(&v);
}

static void test_writeback_keeps_dirty(void)
{
	uint64_t stamps[FILE_PAGES] = {}, stamp = 0, start_ns, page, word, lives = 0;
	struct writer w = { .fd = open_backing(), .rng = la_seed };

	start_ns = la_now_ns();
	do {
		write_file(&w, stamps, &stamp);
		forget(w.fd);
		for (page = 0; page < FILE_PAGES; page++) {
			if (!stamps[page])
				continue;
			TEST_ASSERT(pread(w.fd, &word, sizeof(word), PAGES(page)) == sizeof(word),
				    "pread: %s", strerror(errno));
			TEST_ASSERT(word == la_value(stamps[page], LA_GPA + PAGES(page)),
				    "Page %lu on the disk holds %#lx, not write %lu, the guest's last",
				    page, word, stamps[page]);
		}
		lives++;
	} while (!la_time_is_up(start_ns));
	ksft_print_msg("%lu VMs, %lu batches of writes, %lu syncs\n", lives, stamp, w.syncs);
	TEST_ASSERT(w.syncs, "Nothing was written back");
	close(w.fd);
}

/*
 * Memslots: their end makes all roots invalid, or zaps the slot alone, while vCPUs fault
 * and SMM has roots of its own. What is at a gpa alternates between two memories.
 */
static void slot_changes(bool zap_all)
{
	const uint64_t pages = LA_CHUNK_PAGES, other_gpa = LA_TABLE_GPA(8);
	struct la_faulter f = {
		.round = la_fault_in, .vcpu = 1, .gva = other_gpa, .bytes = LA_CHUNK_SIZE / 4,
	};
	uint64_t start_ns, rng = la_seed, *out, changes = 0;
	DECLARE_BITMAP(map, LA_MAX_PAGES);
	char *mem, *half, *ram = NULL;
	struct la_vm v;

	la_vm_create(&v, 2);
	if (!zap_all)
		vm_enable_cap(v.vm, KVM_CAP_DISABLE_QUIRKS2, KVM_X86_QUIRK_SLOT_ZAP_ALL);
	mem = la_alloc(2 * LA_CHUNK_SIZE);
	half = mem;
	la_add_slot(&v, LA_SLOT, 0, LA_GPA, LA_GPA, half, LA_CHUNK_SIZE);
	f.v = &v;
	f.mem = la_alloc(f.bytes);
	la_add_slot(&v, LA_SLOT + 1, 0, other_gpa, other_gpa, f.mem, f.bytes);
	out = la_add_out(&v, 0);
	if (!no_smm()) {
		ram = smm_set_up(&v);
		vm_set_user_memory_region(v.vm, SMM_SLOT(LA_SLOT), 0, LA_GPA, 2 * LA_CHUNK_SIZE,
					  mem);
	}

	la_agers_start(mem, 2 * LA_CHUNK_SIZE, AGE_ALL);
	la_faulter_start(&f);
	start_ns = la_now_ns();
	while (!la_time_is_up(start_ns)) {
		la_sparse_map(map, pages, &rng);
		la_vcpu_do_map(&v, 0, LA_OP_STAMP, LA_GPA, pages, ++changes, map);
		if (ram && !(changes % 4))
			smm_write(&v, ram, LA_GPA + PAGES(la_random(&rng) % (2 * pages - 8)), 8);

		la_del_slot(&v, LA_SLOT);
		half = mem + (changes & 1) * LA_CHUNK_SIZE;
		vm_set_user_memory_region(v.vm, LA_SLOT, 0, LA_GPA, LA_CHUNK_SIZE, half);
		la_must_match(&v, 0, LA_GPA, half, pages, out, map);
	}
	pthread_join(f.thread, NULL);
	la_agers_end(changes, "slots deleted");
	la_vm_free(&v);
}

static void test_root_invalidation(void)
{
	slot_changes(true);
}

static const char *no_slot_zap(void)
{
	return kvm_check_cap(KVM_CAP_DISABLE_QUIRKS2) & KVM_X86_QUIRK_SLOT_ZAP_ALL ? NULL :
	       "KVM_X86_QUIRK_SLOT_ZAP_ALL";
}

static void test_slot_zap(void)
{
	slot_changes(false);
}

/*
 * An ager that is late leaves alone what has come about since it looked: its cmpxchg
 * fails, which it counts, and the page stays young. It goes over many pages, slowly, and
 * all of them change behind its back.
 */

#define LATE_PAGES	64
#define LATE_BYTES	PAGES(LATE_PAGES)

struct late {
	struct la_vm v;
	char *mem;
	char *spare;
	uint64_t stamp;
	unsigned long log;
};

/* Other pages of the host take the place of these: they are not the same for sure. */
static void swap_pages(void *arg)
{
	struct late *late = arg;

	TEST_ASSERT(mremap(late->spare, LATE_BYTES, LATE_BYTES, MREMAP_MAYMOVE | MREMAP_FIXED,
			   late->mem) == late->mem, "mremap: %s", strerror(errno));
	la_vcpu_do(&late->v, 0, LA_OP_STAMP, LA_GPA, LATE_PAGES, ++late->stamp);
}

static void write_protect(void *arg)
{
	struct late *late = arg;

	kvm_vm_get_dirty_log(late->v.vm, LA_SLOT, &late->log);
}

static uint64_t late_clears(void (*op)(void *arg), uint32_t flags)
{
	struct late late = { .mem = la_alloc(LATE_BYTES), .spare = la_alloc(LATE_BYTES) };
	struct la_duel d = {
		.mem = late.mem, .bytes = LATE_BYTES, .rng = la_seed, .stall_ns = 200000,
		.late = true,
	};
	uint64_t start_ns, young, rounds = 0, lost = 0;
	struct la_stats stats;
	void *at = late.spare;

	la_vm_create(&late.v, 1);
	la_add_slot(&late.v, LA_SLOT, flags, LA_GPA, LA_GPA, late.mem, LATE_BYTES);
	la_set_stalls(0, 0);
	start_ns = la_now_ns();
	while (!la_time_is_up(start_ns)) {
		late.spare = mmap(at, LATE_BYTES, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		TEST_ASSERT(late.spare == at, "mmap: %s", strerror(errno));
		memset(late.spare, 1, LATE_BYTES);
		la_flush_tlb(&late.v);
		la_vcpu_do(&late.v, 0, LA_OP_STAMP, LA_GPA, LATE_PAGES, ++late.stamp);

		stats = la_duel(&d, op, &late);
		lost += stats.lost;
		young = count_young(&late.v, late.mem, 0, LATE_PAGES);
		TEST_ASSERT(young >= stats.lost,
			    "Round %lu: %lu races lost by the ager, and only %lu pages are young",
			    rounds, stats.lost, young);
		la_must_hold(&late.v, 0, LA_GPA, LATE_PAGES, late.stamp);
		rounds++;
	}
	ksft_print_msg("%lu rounds, %lu races lost by the ager\n", rounds, lost);
	la_vm_free(&late.v);
	return lost;
}

static void test_late_clear_spares_new_pages(void)
{
	uint64_t lost = late_clears(swap_pages, 0);

	/* With rmaps the zap waits for the ager instead. */
	TEST_ASSERT(lost || !la_has_tdp_mmu(), "No race was lost, or none was seen");
}

static void test_late_clear_keeps_protection(void)
{
	uint64_t lost = late_clears(write_protect, KVM_MEM_LOG_DIRTY_PAGES);

	TEST_ASSERT(lost, "No race was lost, or none was seen");
}

/*
 * MMIO SPTEs carry a generation, some of which look like the A bit. They stay in the
 * tables when the gpa becomes memory, stale.
 */

#define MMIO_PAGES	8

static void read_mmio(struct la_vm *v, uint64_t gpa)
{
	struct kvm_vcpu *vcpu = v->vcpus[0];
	struct la_cmd *cmd = &v->cmds[0];
	struct ucall uc;
	int exits = 0;

	cmd->op = LA_OP_READ;
	cmd->gva = gpa;
	cmd->pages = 1;
	cmd->use_map = 0;
	for (vcpu_run(vcpu); vcpu->run->exit_reason == KVM_EXIT_MMIO; vcpu_run(vcpu))
		exits++;
	TEST_ASSERT_EQ(get_ucall(vcpu, &uc), UCALL_SYNC);
	TEST_ASSERT_EQ(exits, 1);
}

static void test_mmio_left_alone(void)
{
	const uint64_t gpa = LA_TABLE_GPA(8), never_gpa = LA_TABLE_GPA(6);
	char *mem = la_alloc(PAGES(MMIO_PAGES)), *never = la_alloc(PAGES(MMIO_PAGES));
	void *page = la_alloc(LA_PAGE_SIZE);
	struct la_vm v;
	int i;

	la_vm_create(&v, 1);
	la_add_slot(&v, LA_SLOT, 0, never_gpa, never_gpa, never, PAGES(MMIO_PAGES));
	memset(never, 1, PAGES(MMIO_PAGES));
	virt_map(v.vm, gpa, gpa, MMIO_PAGES);
	for (i = 0; i < MMIO_PAGES; i++) {
		read_mmio(&v, gpa + PAGES(i));
		/* A new slot: the next generation */
		vm_set_user_memory_region(v.vm, LA_SLOT + 2 + i, 0,
					  LA_TABLE_GPA(2) + PAGES(i), LA_PAGE_SIZE, page);
	}
	vm_set_user_memory_region(v.vm, LA_SLOT + 1, 0, gpa, PAGES(MMIO_PAGES), mem);
	la_stats_zero();
	TEST_ASSERT_EQ(count_young(&v, mem, 0, MMIO_PAGES), 0);
	TEST_ASSERT(!clear_range(&v, mem, 0, MMIO_PAGES), "MMIO is young");
	TEST_ASSERT_EQ(la_clear_pages(v.age, never, PAGES(MMIO_PAGES)), 0);
	TEST_ASSERT(!clear_range(&v, never, 0, MMIO_PAGES), "What was never used is young");
	TEST_ASSERT_EQ(la_stats_read().visited, 0);
	TEST_ASSERT_EQ(la_stats_read().young, 0);
	check_locks();

	la_touch(&v, LA_OP_WRITE, gpa, MMIO_PAGES);
	TEST_ASSERT_EQ(la_clear_pages(v.age, mem, PAGES(MMIO_PAGES)), MMIO_PAGES);
	la_vm_free(&v);
}

static struct la_race_test tests[] = {
	{ "smm_pages_aged",	test_smm_pages_aged,	no_smm,		true },
	{ "smm_pages_aged_by_batch", test_smm_pages_aged_by_batch, no_smm, true },
	{ "l2_pages_aged",	test_l2_pages_aged,	no_nested_npt,	true },
	{ "l2_pages_aged_by_batch", test_l2_pages_aged_by_batch, no_nested_npt, true },
	{ "l2_root_aged",	test_l2_root_aged,	no_nested_svm,	true },
	{ "l2_root_aged_by_batch", test_l2_root_aged_by_batch, no_nested_svm, true },
	{ "aliases_aged",	test_aliases_aged,	no_aliases,	true },
	{ "aliases_aged_by_batch", test_aliases_aged_by_batch, no_aliases, true },
	{ "huge_leaf_covers_range", test_huge_leaf_covers_range, no_hugetlb, true },
	{ "huge_leaf_by_batch",	test_huge_leaf_by_batch, no_hugetlb },
	{ "mmio_left_alone",	test_mmio_left_alone,	NULL,		true },
	{ "dirty_bit_stays",	test_dirty_bit_stays,	no_spte_event,	true },
	{ "aging_is_traced",	test_aging_is_traced,	no_spte_event,	true },
	{ "mapped_is_dirty",	test_mapped_is_dirty,	no_page_flags },
	{ "huge_split_and_recovery", test_huge_split_and_recovery, no_hugetlb },
	{ "huge_eager_split",	test_huge_eager_split,	no_tdp_mmu },
	{ "nx_recovery",	test_nx_recovery,	no_nx_huge_pages },
	{ "writeback_keeps_dirty", test_writeback_keeps_dirty, no_backing },
	{ "root_invalidation",	test_root_invalidation },
	{ "slot_zap",		test_slot_zap,		no_slot_zap },
	{ "rmap_churn",		test_rmap_churn,	no_aliases },
	{ "rmap_changes_meet_ager", test_rmap_changes_meet_ager, no_slow_aliases },
	{ "late_clear_spares_new_pages", test_late_clear_spares_new_pages, no_stalls },
	{ "late_clear_keeps_protection", test_late_clear_keeps_protection, no_stalls },
};

static void help(const char *name)
{
	printf("usage: %s [-h] [-t seconds] [-f file] [-s seed] [-n name]...\n"
	       " -f: a block device, or a file that is not in memory only; it is overwritten\n"
	       "     (default: a temporary file in this directory)\n", name);
	la_race_help(tests, ARRAY_SIZE(tests));
}

int main(int argc, char *argv[])
{
	int opt;

	la_seed = time(NULL);
	while ((opt = getopt(argc, argv, RACE_OPTIONS "f:")) != -1) {
		if (la_race_option(tests, ARRAY_SIZE(tests), opt))
			continue;
		if (opt == 'f') {
			backing_file = optarg;
			continue;
		}
		help(argv[0]);
		return opt == 'h' ? KSFT_PASS : KSFT_FAIL;
	}
	save_params();
	atexit(restore_params);
	la_race_main(tests, ARRAY_SIZE(tests));
}
