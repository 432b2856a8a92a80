// SPDX-License-Identifier: GPL-2.0-only
/*
 * Aging of pages with several page tables on x86: SMM has an address space of its own,
 * nested guests are shadowed, and rmaps say where the shadow MMU maps a page.
 *
 * Tests that count run on an otherwise idle VM, with the switch off and on. The others
 * race with aging threads, as those of lockless_aging_stress do.
 */
#include "lockless_aging_race.h"
#include "lockless_aging_svm.h"

#ifndef KVM_X86_QUIRK_SLOT_ZAP_ALL
#define KVM_X86_QUIRK_SLOT_ZAP_ALL	BIT(7)
#endif

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
	TEST_ASSERT_EQ(la_count_young(&v, mem, 0, nr), 0);

	/* What only SMM maps */
	smm_write(&v, ram, LA_GPA, nr);
	TEST_ASSERT_EQ(la_count_young(&v, mem, 0, nr), nr);
	TEST_ASSERT_EQ(la_clear_each(&v, mem, 0, nr), nr);
	TEST_ASSERT_EQ(la_clear_each(&v, mem, 0, nr), 0);
	la_flush_tlb(&v);
	smm_write(&v, ram, LA_GPA + PAGES(nr - 1), 1);
	TEST_ASSERT_EQ(la_count_young(&v, mem, 0, nr), 1);
	TEST_ASSERT_EQ(la_count_young(&v, mem, nr - 1, 1), 1);
	TEST_ASSERT(la_clear_some(&v, mem, 0, nr), "Young in SMM, and not seen");
	TEST_ASSERT_EQ(la_count_young(&v, mem, 0, nr), 0);

	for (i = 0; i < ARRAY_SIZE(gpas); i++) {
		la_add_slot(&v, LA_SLOT, 0, gpas[i], gpas[i], mem, PAGES(nr));
		smm_write(&v, ram, LA_GPA, nr);
		la_touch(&v, LA_OP_WRITE, gpas[i], nr);
		la_clear_each(&v, mem, 0, nr);
		TEST_ASSERT_EQ(la_count_young(&v, mem, 0, nr), 0);

		/* Young in either */
		la_flush_tlb(&v);
		la_touch(&v, LA_OP_WRITE, gpas[i] + PAGES(7), 1);
		TEST_ASSERT_EQ(la_count_young(&v, mem, 7, 1), 1);
		TEST_ASSERT(la_clear_some(&v, mem, 0, nr), "Young outside of SMM, and not seen");
		TEST_ASSERT_EQ(la_count_young(&v, mem, 0, nr), 0);
		la_flush_tlb(&v);
		smm_write(&v, ram, LA_GPA + PAGES(8), 1);
		TEST_ASSERT_EQ(la_count_young(&v, mem, 8, 1), 1);
		TEST_ASSERT(la_clear_some(&v, mem, 0, nr), "Young in SMM, and not seen");
		TEST_ASSERT_EQ(la_count_young(&v, mem, 0, nr), 0);

		/* Young in both: one call finds and clears both. */
		la_flush_tlb(&v);
		la_touch(&v, LA_OP_WRITE, gpas[i], nr);
		smm_write(&v, ram, LA_GPA, nr);
		la_stats_zero();
		TEST_ASSERT(la_clear_some(&v, mem, 0, nr), "Nothing is young");
		TEST_ASSERT_EQ(la_stats_read().young, 2 * nr);
		TEST_ASSERT(!la_clear_some(&v, mem, 0, nr), "Not all is old after one call");
		la_check_locks();

		la_del_slot(&v, LA_SLOT);
	}
	la_vm_free(&v);
}

static void test_smm_pages_aged_by_batch(void)
{
	la_by_batch = true;
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

#define PT_PRESENT	BIT_ULL(0)
#define PT_WRITABLE	BIT_ULL(1)
#define PT_USER		BIT_ULL(2)
#define PT_LARGE	BIT_ULL(7)

/*
 * Nested page tables: the root, one table below it, four below that, then the aliases', and
 * last a root with one more level.
 */
#define NPT_PAGES	(7 + NR_ALIASES)
#define NPT_ROOT5	(6 + NR_ALIASES)
#define NPT_TABLE	(PT_PRESENT | PT_WRITABLE | PT_USER)

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
	la_svm_setup(svm, l2_main, stack, npt);

	for (;;) {
		run_guest(svm->vmcb, svm->vmcb_gpa);
		GUEST_ASSERT_EQ(svm->vmcb->control.exit_code, SVM_EXIT_VMMCALL);
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
		pd[i] = i * SZ_2M | NPT_TABLE | PT_LARGE;
	npt[NPT_ROOT5 * 512] = gpa | NPT_TABLE;
	la_add_slot(v, slot, 0, gpa, gpa, npt, PAGES(NPT_PAGES));
	return npt;
}

/*
 * vCPU 0 becomes L1, with a guest that does what the vCPU would do; 0: no nested paging. Nested
 * page tables have as many levels as L1's own.
 */
static void nest(struct la_vm *v, uint64_t npt_gpa)
{
	struct kvm_vm *vm = v->vm;
	uint64_t svm, stack;

	vcpu_alloc_svm(vm, &svm);
	stack = la_guest_alloc(vm, PAGES(4)) + PAGES(4) - 8;
	if (npt_gpa && la_guest_levels(vm) == 5)
		npt_gpa += PAGES(NPT_ROOT5);

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
	a->pte_flags = PT_PRESENT | PT_WRITABLE;
	la_add_slot(v, LA_SLOT, 0, ALIAS_GPA, ALIAS_GPA, a->mem, PAGES(ALIAS_PAGES));
	if (nested) {
		nest(v, ALIAS_TABLES_GPA);
		npt = make_npt(v, LA_SLOT + 1, ALIAS_TABLES_GPA);
		a->pte_flags |= PT_USER;
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
			ptes = la_guest_pte(v->vm, gva);
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
		TEST_ASSERT_EQ(la_count_young(&a.v, a.mem, 0, ALIAS_PAGES), 1);
		TEST_ASSERT_EQ(la_count_young(&a.v, a.mem, i, 1), 1);
		la_stats_zero();
		TEST_ASSERT(la_clear_some(&a.v, a.mem, i, 1), "Page %d: not young", i);
		TEST_ASSERT_EQ(la_stats_read().young, nr[i]);
		TEST_ASSERT(!la_clear_some(&a.v, a.mem, i, 1), "Page %d: not old after one call",
			    i);
		TEST_ASSERT_EQ(la_count_young(&a.v, a.mem, i, 1), 0);
		sum += nr[i];

		/* The first alias is the last one on the list. */
		la_flush_tlb(&a.v);
		la_touch(&a.v, LA_OP_READ, alias_gva(0, i), 1);
		TEST_ASSERT_EQ(la_count_young(&a.v, a.mem, i, 1), 1);
		TEST_ASSERT(la_clear_some(&a.v, a.mem, 0, ALIAS_PAGES), "Page %d: not young", i);
		la_flush_tlb(&a.v);
		la_touch(&a.v, LA_OP_READ, alias_gva(nr[i] - 1, i), 1);
		TEST_ASSERT_EQ(la_count_young(&a.v, a.mem, i, 1), 1);
		TEST_ASSERT(la_clear_some(&a.v, a.mem, i, 1), "Page %d: not young", i);
		la_flush_tlb(&a.v);
	}

	for (i = 0; i < ALIAS_PAGES; i++)
		alias_do(&a, LA_OP_READ, i, nr[i], 0, NULL);
	TEST_ASSERT_EQ(la_count_young(&a.v, a.mem, 0, ALIAS_PAGES), ALIAS_PAGES);
	la_stats_zero();
	TEST_ASSERT(la_clear_some(&a.v, a.mem, 0, ALIAS_PAGES), "Nothing is young");
	TEST_ASSERT_EQ(la_stats_read().young, sum);
	TEST_ASSERT(!la_clear_some(&a.v, a.mem, 0, ALIAS_PAGES), "Not all is old after one call");
	la_check_locks();
	la_vm_free(&a.v);
}

static void test_aliases_aged_by_batch(void)
{
	la_by_batch = true;
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
	TEST_ASSERT_EQ(la_count_young(&v, mem, 0, nr), nr);
	la_stats_zero();
	TEST_ASSERT(la_clear_some(&v, mem, 0, nr), "Young in L2, and not seen");
	TEST_ASSERT_EQ(la_stats_read().young, nr);
	TEST_ASSERT_EQ(la_stats_read().visited, nr);
	TEST_ASSERT_EQ(la_clear_each(&v, mem, 0, nr), 0);
	la_flush_tlb(&v);
	la_touch(&v, LA_OP_READ, LA_GPA + PAGES(77), 1);
	TEST_ASSERT_EQ(la_count_young(&v, mem, 0, nr), 1);
	TEST_ASSERT_EQ(la_clear_each(&v, mem, 0, nr), 1);

	/* Young in L1, in L2, in both */
	la_vcpu_do(&v, 1, LA_OP_WRITE, LA_GPA, both, 0);
	TEST_ASSERT_EQ(la_count_young(&v, mem, 0, nr), both);
	TEST_ASSERT_EQ(la_clear_each(&v, mem, 0, nr), both);
	for (i = 1; i <= 3; i++) {
		la_flush_tlb(&v);
		la_stats_zero();
		if (i & 1)
			la_touch(&v, LA_OP_READ, LA_GPA + PAGES(i), 1);
		if (i & 2)
			la_vcpu_do(&v, 1, LA_OP_READ, LA_GPA + PAGES(i), 1, 0);
		TEST_ASSERT_EQ(la_count_young(&v, mem, i, 1), 1);
		la_stats_zero();
		TEST_ASSERT(la_clear_some(&v, mem, 0, nr), "%d: not young", i);
		TEST_ASSERT_EQ(la_stats_read().young, 1 + (i == 3));
		TEST_ASSERT(!la_clear_some(&v, mem, 0, nr), "%d: not old after one call", i);
	}
	la_check_locks();

	/* If KVM shadows L1's tables, these have a huge leaf, too. */
	if (huge) {
		la_add_huge_slot(&v, LA_SLOT + 2, 0, huge_gpa, huge_gpa, huge, LA_TABLE_SIZE);
		la_touch(&v, LA_OP_WRITE, huge_gpa + PAGES(300), 1);
		TEST_ASSERT_EQ(la_count_young(&v, huge, 0, LA_TABLE_PAGES), LA_TABLE_PAGES);
		TEST_ASSERT(la_clear_some(&v, huge, 77, 2), "A huge leaf of L2 is not young");
		/* Other pages of it may be of interest to others than who asks for a batch. */
		TEST_ASSERT_EQ(la_clear_some(&v, huge, 0, LA_TABLE_PAGES),
			       la_by_batch && la_get_lockless());
		TEST_ASSERT(!la_clear_some(&v, huge, 0, LA_TABLE_PAGES), "Not old after one call");
	}
	la_vm_free(&v);
}

static void test_l2_pages_aged(void)
{
	l2_pages_aged(true);
}

static void test_l2_pages_aged_by_batch(void)
{
	la_by_batch = true;
	l2_pages_aged(true);
}

static void test_l2_root_aged(void)
{
	l2_pages_aged(false);
}

static void test_l2_root_aged_by_batch(void)
{
	la_by_batch = true;
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
	la_aging_start(a.mem, PAGES(ALIAS_PAGES), AGE_ALL);
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
	la_aging_end(rounds, "changes of rmaps");

	la_drop(a.mem, PAGES(ALIAS_PAGES));
	TEST_ASSERT_EQ(la_count_young(&a.v, a.mem, 0, ALIAS_PAGES), 0);
	la_vm_free(&a.v);
}

static const char *no_slow_aliases(void)
{
	return la_no_stalls() ?: no_aliases();
}

/*
 * The same with an aging thread that is slow, on lists that are long: it is in the middle of one
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

static void test_rmap_changes_meet_aging(void)
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

	la_aging_start(mem, 2 * LA_CHUNK_SIZE, AGE_ALL);
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
	la_aging_end(changes, "slots deleted");
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

static struct la_race_test tests[] = {
	{ "smm_pages_aged",	test_smm_pages_aged,	no_smm,		true },
	{ "smm_pages_aged_by_batch", test_smm_pages_aged_by_batch, no_smm, true },
	{ "l2_pages_aged",	test_l2_pages_aged,	no_nested_npt,	true },
	{ "l2_pages_aged_by_batch", test_l2_pages_aged_by_batch, no_nested_npt, true },
	{ "l2_root_aged",	test_l2_root_aged,	no_nested_svm,	true },
	{ "l2_root_aged_by_batch", test_l2_root_aged_by_batch, no_nested_svm, true },
	{ "aliases_aged",	test_aliases_aged,	no_aliases,	true },
	{ "aliases_aged_by_batch", test_aliases_aged_by_batch, no_aliases, true },
	{ "root_invalidation",	test_root_invalidation },
	{ "slot_zap",		test_slot_zap,		no_slot_zap },
	{ "rmap_churn",		test_rmap_churn,	no_aliases },
	{ "rmap_changes_meet_aging", test_rmap_changes_meet_aging, no_slow_aliases },
};

int main(int argc, char *argv[])
{
	la_race_main(argc, argv, tests, ARRAY_SIZE(tests), NULL);
}
