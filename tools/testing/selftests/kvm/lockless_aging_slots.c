// SPDX-License-Identifier: GPL-2.0-only
/*
 * Aging finds exactly the pages that the guest touched, wherever memslots are and whatever
 * the host backs them with: one memory twice, hugetlb and transparent huge pages, high gpas.
 * Every test runs with the lockless walk on and off, on an otherwise idle VM.
 */
#include "lockless_aging.h"
#include "kselftest_harness.h"

/* A sanitizer kernel under emulation takes its time. */
#define TIMEOUT		1200

FIXTURE(aging) {
	struct la_vm v;
	uint64_t rng;
};

FIXTURE_VARIANT(aging) {
	bool lockless;
};

FIXTURE_VARIANT_ADD(aging, on) {
	.lockless = true,
};

FIXTURE_VARIANT_ADD(aging, off) {
	.lockless = false,
};

FIXTURE_SETUP(aging)
{
	const char *missing = la_missing();

	if (missing)
		SKIP(return, "needs %s", missing);

	la_set_lockless(variant->lockless);
	la_stats_zero();
	la_vm_create(&self->v, 1);
	self->rng = 1;
}

FIXTURE_TEARDOWN(aging)
{
	struct la_stats stats = la_stats_read();

	la_vm_free(&self->v);
	if (variant->lockless)
		EXPECT_EQ(0, stats.mmu_lock);
}

TEST_F_TIMEOUT(aging, range_past_the_slot, TIMEOUT)
{
	const uint64_t total = 1024, first = 300, nr = 200, gpa = LA_CHUNK_GPA(4);
	char *mem = la_alloc(total << LA_PAGE_SHIFT);
	struct la_stats stats;

	la_add_slot(&self->v, LA_SLOT + 1, 0, gpa, gpa, mem + PAGES(first), nr << LA_PAGE_SHIFT);
	la_touch(&self->v, LA_OP_WRITE, gpa, nr);
	EXPECT_EQ(nr, la_clear_pages(self->v.age, mem, total << LA_PAGE_SHIFT));

	la_flush_tlb(&self->v);
	la_touch(&self->v, LA_OP_WRITE, gpa + ((nr - 1) << LA_PAGE_SHIFT), 1);
	EXPECT_TRUE(la_clear_some(&self->v, mem, 0, total));
	EXPECT_FALSE(la_clear_some(&self->v, mem, 0, total));
	la_flush_tlb(&self->v);
	la_touch(&self->v, LA_OP_WRITE, gpa, nr);
	EXPECT_TRUE(la_clear_some(&self->v, mem, first + nr - 1, total - first - nr + 1));
	EXPECT_TRUE(la_clear_some(&self->v, mem, 0, first + 1));
	EXPECT_EQ(nr - 2, la_count_young(&self->v, mem, 0, total));

	/* Outside of every slot there is nothing to walk, nor to lock. */
	la_stats_zero();
	EXPECT_FALSE(la_clear_some(&self->v, mem, 0, first));
	EXPECT_EQ(0, la_count_young(&self->v, mem, first + nr, total - first - nr));
	stats = la_stats_read();
	EXPECT_EQ(0, stats.walks);
	EXPECT_EQ(0, stats.mmu_lock);
}

TEST_F_TIMEOUT(aging, deleted_slot, TIMEOUT)
{
	const uint64_t pages = 3 * LA_CHUNK_PAGES;
	char *mem = la_alloc(PAGES(pages));

	la_add_slot(&self->v, LA_SLOT, 0, LA_GPA, LA_GPA, mem, PAGES(pages));
	la_touch(&self->v, LA_OP_WRITE, LA_GPA, pages);
	la_del_slot(&self->v, LA_SLOT);
	EXPECT_EQ(0, la_clear_pages(self->v.age, mem, PAGES(pages)));

	vm_set_user_memory_region(self->v.vm, LA_SLOT, 0, LA_GPA, PAGES(pages), mem);
	EXPECT_EQ(0, la_clear_pages(self->v.age, mem, PAGES(pages)));
	la_touch(&self->v, LA_OP_WRITE, LA_GPA, pages);
	EXPECT_EQ(pages, la_clear_pages(self->v.age, mem, PAGES(pages)));
}

TEST_F_TIMEOUT(aging, two_gpas_of_one_hva, TIMEOUT)
{
	const uint64_t nr = 300, gpas[] = { LA_CHUNK_GPA(2), LA_CHUNK_GPA(8) };
	DECLARE_BITMAP(maps[2], LA_MAX_PAGES);
	char *mem = la_alloc(nr << LA_PAGE_SHIFT);
	uint64_t page, either = 0;
	int i;

	for (i = 0; i < 2; i++) {
		la_add_slot(&self->v, LA_SLOT + 1 + i, 0, gpas[i], gpas[i], mem,
			    nr << LA_PAGE_SHIFT);
		la_touch(&self->v, LA_OP_WRITE, gpas[i], nr);
	}
	la_make_old(&self->v, mem, nr << LA_PAGE_SHIFT);

	/* Young through either one. */
	for (i = 0; i < 2; i++) {
		la_touch(&self->v, LA_OP_WRITE, gpas[i] + (7 << LA_PAGE_SHIFT), 1);
		EXPECT_EQ(1, la_count_young(&self->v, mem, 0, nr));
		EXPECT_TRUE(la_page_young(&self->v, mem, 7));
		EXPECT_TRUE(la_clear_some(&self->v, mem, 0, nr));
		EXPECT_EQ(0, la_count_young(&self->v, mem, 0, nr));
		la_flush_tlb(&self->v);
	}

	/* Young through both: one call clears both. */
	for (i = 0; i < 2; i++)
		la_touch(&self->v, LA_OP_WRITE, gpas[i], nr);
	EXPECT_TRUE(la_clear_some(&self->v, mem, 0, nr));
	EXPECT_EQ(0, la_count_young(&self->v, mem, 0, nr));
	la_flush_tlb(&self->v);

	for (i = 0; i < 2; i++) {
		la_random_map(maps[i], nr, 30, &self->rng);
		la_touch_map(&self->v, LA_OP_READ, gpas[i], nr, maps[i]);
	}
	for (page = 0; page < nr; page++)
		either += test_bit(page, maps[0]) || test_bit(page, maps[1]);
	EXPECT_EQ(either, la_count_young(&self->v, mem, 0, nr));
	EXPECT_EQ(either, la_clear_pages(self->v.age, mem, nr << LA_PAGE_SHIFT));
	EXPECT_EQ(0, la_count_young(&self->v, mem, 0, nr));
}

/* Neighbours in hva are strangers in gpa, with a gap that no slot covers. */
TEST_F_TIMEOUT(aging, one_range_over_slots, TIMEOUT)
{
	const struct {
		uint64_t page, nr, gpa;
	} slots[] = {
		{   0, 100, LA_CHUNK_GPA(8) },
		{ 100,   1, LA_CHUNK_GPA(2) },
		{ 101, 250, LA_CHUNK_GPA(4) + 5 * LA_PAGE_SIZE },
		{ 400, 200, LA_CHUNK_GPA(1) },
	};
	const uint64_t total = 600, backed = 551;
	char *mem = la_alloc(total << LA_PAGE_SHIFT);
	struct la_stats stats;
	int i;

	for (i = 0; i < ARRAY_SIZE(slots); i++) {
		la_add_slot(&self->v, LA_SLOT + 1 + i, 0, slots[i].gpa, slots[i].gpa,
			    mem + PAGES(slots[i].page), slots[i].nr << LA_PAGE_SHIFT);
		la_touch(&self->v, LA_OP_WRITE, slots[i].gpa, slots[i].nr);
	}
	EXPECT_EQ(backed, la_count_young(&self->v, mem, 0, total));
	EXPECT_TRUE(la_clear_some(&self->v, mem, 0, total));
	EXPECT_EQ(0, la_count_young(&self->v, mem, 0, total));

	for (i = 0; i < ARRAY_SIZE(slots); i++) {
		la_flush_tlb(&self->v);
		la_touch(&self->v, LA_OP_WRITE,
			 slots[i].gpa + ((slots[i].nr - 1) << LA_PAGE_SHIFT), 1);
		EXPECT_EQ(1, la_count_young(&self->v, mem, 0, total));
		EXPECT_TRUE(la_clear_some(&self->v, mem, 0, total));
		EXPECT_EQ(0, la_count_young(&self->v, mem, 0, total));
	}

	la_stats_zero();
	la_clear_some(&self->v, mem, 0, total);
	stats = la_stats_read();
	EXPECT_EQ(ARRAY_SIZE(slots), stats.walks);
	EXPECT_EQ(backed, stats.visited);
	/* Counted for each slot, although one acquisition covers them all. */
	EXPECT_EQ(variant->lockless ? 0 : ARRAY_SIZE(slots), stats.mmu_lock);
}

TEST_F_TIMEOUT(aging, read_only_slot, TIMEOUT)
{
	const uint64_t nr = 100, gpa = LA_CHUNK_GPA(2);
	char *mem;

	if (!kvm_has_cap(KVM_CAP_READONLY_MEM))
		SKIP(return, "needs KVM_CAP_READONLY_MEM");

	mem = la_alloc(nr << LA_PAGE_SHIFT);
	memset(mem, 1, nr << LA_PAGE_SHIFT);
	la_add_slot(&self->v, LA_SLOT + 1, KVM_MEM_READONLY, gpa, gpa, mem, nr << LA_PAGE_SHIFT);
	la_touch(&self->v, LA_OP_READ, gpa, nr);
	EXPECT_EQ(nr, la_clear_pages(self->v.age, mem, nr << LA_PAGE_SHIFT));
	la_flush_tlb(&self->v);
	la_touch(&self->v, LA_OP_READ, gpa + (42 << LA_PAGE_SHIFT), 1);
	EXPECT_EQ(1, la_count_young(&self->v, mem, 0, nr));
	EXPECT_TRUE(la_clear_some(&self->v, mem, 30, 20));
	EXPECT_EQ(0, la_count_young(&self->v, mem, 0, nr));
}

/* A huge leaf is young or old as a whole, however little of it is asked about. */
TEST_F_TIMEOUT(aging, hugetlb, TIMEOUT)
{
	const char *missing = la_missing_hugetlb(2 * LA_TABLE_SIZE);
	const uint64_t T = LA_TABLE_PAGES, gpa = LA_TABLE_GPA(2);
	char *mem;

	if (missing)
		SKIP(return, "needs %s", missing);

	mem = la_alloc_hugetlb(2 * LA_TABLE_SIZE);
	la_add_huge_slot(&self->v, LA_SLOT + 1, 0, gpa, gpa, mem, 2 * LA_TABLE_SIZE);
	la_touch(&self->v, LA_OP_WRITE, gpa + (5 << LA_PAGE_SHIFT), 1);
	EXPECT_EQ(T, la_count_young(&self->v, mem, 0, 2 * T));
	la_touch(&self->v, LA_OP_WRITE, gpa + PAGES(T + 9), 1);
	EXPECT_EQ(2 * T, la_count_young(&self->v, mem, 0, 2 * T));

	/* The first page takes the bit of all of its huge page. */
	EXPECT_EQ(2, la_clear_pages(self->v.age, mem, 2 * LA_TABLE_SIZE));

	la_flush_tlb(&self->v);
	la_touch(&self->v, LA_OP_READ, gpa, 1);
	EXPECT_FALSE(la_clear_some(&self->v, mem, T, T));
	EXPECT_TRUE(la_clear_some(&self->v, mem, 100, 2));
	EXPECT_EQ(0, la_count_young(&self->v, mem, 0, 2 * T));

	/* Clipped on both sides, and only the second one is young. */
	la_flush_tlb(&self->v);
	la_touch(&self->v, LA_OP_READ, gpa + ((2 * T - 1) << LA_PAGE_SHIFT), 1);
	EXPECT_TRUE(la_clear_some(&self->v, mem, T - 12, 40));
	EXPECT_EQ(0, la_count_young(&self->v, mem, 0, 2 * T));
}

/*
 * Huge pages that lie askew in guest physical memory, or partly outside of the slot, are
 * mapped page by page. A leaf that is not aligned makes the guest fault for ever, so the
 * limit is lower here.
 */
TEST_F_TIMEOUT(aging, hugetlb_that_does_not_fit, TIMEOUT / 4)
{
	const char *missing = la_missing_hugetlb(2 * LA_TABLE_SIZE);
	const uint64_t T = LA_TABLE_PAGES, askew = LA_TABLE_GPA(2) + LA_PAGE_SIZE;
	const uint64_t inside = LA_TABLE_GPA(4) + LA_PAGE_SIZE;
	char *mem;

	if (missing)
		SKIP(return, "needs %s", missing);

	/* Long enough to have all of a huge leaf in the slot, at the wrong address. */
	mem = la_alloc_hugetlb(2 * LA_TABLE_SIZE);
	la_add_slot(&self->v, LA_SLOT + 1, 0, askew, askew, mem, 2 * LA_TABLE_SIZE);
	la_touch(&self->v, LA_OP_WRITE, askew + (5 << LA_PAGE_SHIFT), 2);
	EXPECT_EQ(2, la_count_young(&self->v, mem, 0, 2 * T));
	la_touch(&self->v, LA_OP_WRITE, askew + ((T - 1) << LA_PAGE_SHIFT), 1);
	EXPECT_EQ(3, la_count_young(&self->v, mem, 0, 2 * T));
	la_touch(&self->v, LA_OP_WRITE, askew + PAGES(T + 5), 2);
	EXPECT_EQ(5, la_count_young(&self->v, mem, 0, 2 * T));
	EXPECT_TRUE(la_clear_some(&self->v, mem, 0, 2 * T));
	la_del_slot(&self->v, LA_SLOT + 1);

	la_add_slot(&self->v, LA_SLOT + 1, 0, inside, inside, mem + PAGES(1),
		    LA_TABLE_SIZE - 2 * LA_PAGE_SIZE);
	la_touch(&self->v, LA_OP_WRITE, inside, 1);
	EXPECT_EQ(1, la_count_young(&self->v, mem, 0, T));
	la_touch(&self->v, LA_OP_WRITE, inside + ((T - 3) << LA_PAGE_SHIFT), 1);
	EXPECT_EQ(2, la_count_young(&self->v, mem, 0, T));
}

/*
 * Dirty logging splits huge leaves, or leaves that to the first write. Neither is a
 * use of the memory.
 */
static void check_split(struct __test_metadata *_metadata, struct la_vm *v, char *mem, bool manual)
{
	const uint64_t T = LA_TABLE_PAGES, gpa = LA_TABLE_GPA(2), pages = 2 * T;
	unsigned long *log = bitmap_zalloc(pages);
	int i;

	if (manual)
		vm_enable_cap(v->vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
			      KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET);
	if (!la_missing_eager_split())
		la_split_eagerly(v);
	la_add_huge_slot(v, LA_SLOT, 0, gpa, gpa, mem, 2 * LA_TABLE_SIZE);
	for (i = 0; i < 2; i++)
		la_touch(v, LA_OP_WRITE, gpa + i * LA_TABLE_SIZE, 1);
	ASSERT_EQ(2 * T, la_count_young(v, mem, 0, 2 * T));
	EXPECT_TRUE(la_clear_some(v, mem, 0, T));
	la_flush_tlb(v);

	/* The first one is old, the second one young. */
	vm_set_user_memory_region(v->vm, LA_SLOT, KVM_MEM_LOG_DIRTY_PAGES, gpa,
				  2 * LA_TABLE_SIZE, mem);
	kvm_vm_get_dirty_log(v->vm, LA_SLOT, log);
	if (manual)
		kvm_vm_clear_dirty_log(v->vm, LA_SLOT, log, 0, pages);
	EXPECT_EQ(0, la_count_young(v, mem, 0, T));
	EXPECT_EQ(T, la_count_young(v, mem, T, T));

	if (!la_missing_eager_split()) {
		la_stats_zero();
		EXPECT_FALSE(la_clear_some(v, mem, 0, T));
		EXPECT_EQ(T, la_stats_read().visited);
	}
	la_touch(v, LA_OP_WRITE, gpa + (3 << LA_PAGE_SHIFT), 1);
	EXPECT_EQ(1, la_count_young(v, mem, 0, T));
	EXPECT_TRUE(la_page_young(v, mem, 3));
	bitmap_free(log);
}

TEST_F_TIMEOUT(aging, split_keeps_age, TIMEOUT)
{
	const unsigned int manual = KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE |
				    KVM_DIRTY_LOG_INITIALLY_SET;
	const char *missing = la_missing_hugetlb(2 * LA_TABLE_SIZE);
	struct la_vm v;
	char *mem;
	int i;

	if (missing)
		SKIP(return, "needs %s", missing);

	/* Split when logging is enabled, and when the log is cleared. */
	for (i = 0; i < 2; i++) {
		if (i && (kvm_check_cap(KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2) & manual) != manual)
			break;
		la_vm_create(&v, 1);
		mem = la_alloc_hugetlb(2 * LA_TABLE_SIZE);
		check_split(_metadata, &v, mem, i);
		la_vm_free(&v);
		munmap(mem, 2 * LA_TABLE_SIZE);
	}
}

/* Whatever size KVM maps it with: a huge page's range finds its young page. */
TEST_F_TIMEOUT(aging, thp_range, TIMEOUT)
{
	const uint64_t T = LA_TABLE_PAGES, gpa = LA_TABLE_GPA(2);
	const uint64_t pos[] = { T - 1, 1, T / 2, 0 };
	char *mem;
	int i;

	if (!thp_configured())
		SKIP(return, "needs CONFIG_TRANSPARENT_HUGEPAGE");

	mem = la_mmap_aligned(LA_TABLE_SIZE);
	ASSERT_EQ(0, madvise(mem, LA_TABLE_SIZE, MADV_HUGEPAGE));
	memset(mem, 1, LA_TABLE_SIZE);
	la_add_huge_slot(&self->v, LA_SLOT + 1, 0, gpa, gpa, mem, LA_TABLE_SIZE);
	la_touch(&self->v, LA_OP_WRITE, gpa, T);
	EXPECT_TRUE(la_clear_some(&self->v, mem, 0, T));
	EXPECT_EQ(0, la_count_young(&self->v, mem, 0, T));

	for (i = 0; i < ARRAY_SIZE(pos); i++) {
		la_flush_tlb(&self->v);
		la_touch(&self->v, LA_OP_WRITE, gpa + (pos[i] << LA_PAGE_SHIFT), 1);
		EXPECT_TRUE(la_page_young(&self->v, mem, pos[i]));
		EXPECT_TRUE(la_clear_some(&self->v, mem, 0, T));
		EXPECT_EQ(0, la_count_young(&self->v, mem, 0, T));
	}
}

/* The gpa's limit for virt_map(): what KVM offers and the guest's PTEs reach. */
static uint64_t gpa_limit(struct kvm_vm *vm)
{
#ifdef __riscv
	unsigned int bits = min_t(unsigned int, kvm_check_cap(KVM_CAP_VM_GPA_BITS), 56);

	/* The framework's modes end before. */
	vm->max_gfn = (1UL << (bits - LA_PAGE_SHIFT)) - 1;
#endif
	return (vm->max_gfn + 1) << vm->page_shift;
}

/* Slots across the borders between the entries of upper levels. */
static void check_high_gpas(struct __test_metadata *_metadata, struct la_vm *v)
{
	static const int bits[] = { 32, 36, 38, 39, 40, 41, 42, 47, 48, 49, 50, 51, 55 };
	const uint64_t nr = 16, limit = gpa_limit(v->vm);
	uint64_t gpas[ARRAY_SIZE(bits)], gvas[ARRAY_SIZE(bits)], total;
	int i, page, slots = 0;
	char *mem;

	for (i = 0; i < ARRAY_SIZE(bits); i++) {
		uint64_t gpa = (1UL << bits[i]) - nr / 2 * LA_PAGE_SIZE;

		if (gpa + nr * LA_PAGE_SIZE >= limit)
			continue;
		gpas[slots] = gpa;
		gvas[slots++] = LA_TABLE_GPA(8) + i * LA_TABLE_SIZE;
	}
	ASSERT_LT(0, slots);
	TH_LOG("gpas up to %#lx, limit %#lx", gpas[slots - 1], limit);

	total = slots * nr;
	mem = la_alloc(total << LA_PAGE_SHIFT);
	for (i = 0; i < slots; i++) {
		la_add_slot(v, LA_SLOT + 1 + i, 0, gpas[i], gvas[i], mem + PAGES(i * nr),
			    nr << LA_PAGE_SHIFT);
		la_touch(v, LA_OP_WRITE, gvas[i], nr);
	}
	EXPECT_EQ(total, la_clear_pages(v->age, mem, total << LA_PAGE_SHIFT));

	for (i = 0; i < slots; i++) {
		for (page = 0; page < nr; page += nr / 2 - 1) {
			la_flush_tlb(v);
			la_touch(v, LA_OP_WRITE, gvas[i] + page * LA_PAGE_SIZE, 1);
			EXPECT_EQ(1, la_count_young(v, mem, 0, total));
			EXPECT_TRUE(la_page_young(v, mem, i * nr + page));
			EXPECT_TRUE(la_clear_some(v, mem, 0, total));
			EXPECT_EQ(0, la_count_young(v, mem, 0, total));
		}
	}
}

TEST_F_TIMEOUT(aging, high_gpas, TIMEOUT)
{
	struct la_vm v;
	int mode;

	check_high_gpas(_metadata, &self->v);

	/* The width of gpas decides how many levels there are, and how wide the root is. */
	for (mode = 0; mode < NUM_VM_MODES; mode++) {
		if (mode == self->v.vm->mode || !la_mode_fits(mode))
			continue;
		la_vm_create_mode(&v, 1, mode);
		check_high_gpas(_metadata, &v);
		la_vm_free(&v);
	}
}

#ifdef __riscv
/*
 * The root table of the G-stage has two index bits more than others. With Sv57x4
 * they are above what a guest's PTE can name, so the guest goes there with its
 * own translation off, from a page at which gva and gpa agree.
 */
void guest_bare_write(uint64_t gpa, uint64_t pages), guest_bare_write_end(void);

asm(".pushsection .text\n\t"
	".balign	4\n\t"
	".global	guest_bare_write, guest_bare_write_end\n"
"guest_bare_write:\n\t"
	"csrrw		t0, satp, zero\n\t"
	"sfence.vma\n\t"
	"li		t1, 4096\n"
"1:	beqz		a1, 2f\n\t"
	"sd		a1, 8(a0)\n\t"
	"add		a0, a0, t1\n\t"
	"addi		a1, a1, -1\n\t"
	"j		1b\n"
"2:	csrw		satp, t0\n\t"
	"sfence.vma\n\t"
	"ret\n"
"guest_bare_write_end:\n\t"
	".popsection\n");

/* Runs guest_bare_write() from its copy at @code for each command. */
static void guest_bare_main(void (*code)(uint64_t gpa, uint64_t pages))
{
	struct la_cmd *cmd = la_cmds;

	asm volatile("fence.i" ::: "memory");
	for (;;) {
		code(READ_ONCE(cmd->gva), READ_ONCE(cmd->pages));
		GUEST_SYNC(0);
	}
}

TEST_F_TIMEOUT(aging, root_index_extra_bits, TIMEOUT)
{
	const unsigned int bits = kvm_check_cap(KVM_CAP_VM_GPA_BITS);
	const uint64_t nr = 4, low = LA_TABLE_GPA(8), code_gpa = LA_TABLE_GPA(4);
	/*
	 * The same index but for an extra bit. It is not the topmost one: QEMU
	 * 7.2 takes that for a sign and faults for ever where it is set.
	 */
	const uint64_t gpas[] = { low, low | BIT(bits - 2) };
	const uint64_t total = nr * ARRAY_SIZE(gpas);
	struct la_vm *v = &self->v;
	char *mem = la_alloc(total << LA_PAGE_SHIFT);
	void *code = la_alloc(LA_PAGE_SIZE);
	int i;

	memcpy(code, guest_bare_write, (char *)guest_bare_write_end - (char *)guest_bare_write);
	la_add_slot(v, LA_SLOT + 1, 0, code_gpa, code_gpa, code, LA_PAGE_SIZE);
	for (i = 0; i < ARRAY_SIZE(gpas); i++)
		vm_set_user_memory_region(v->vm, LA_SLOT + 2 + i, 0, gpas[i], nr << LA_PAGE_SHIFT,
					  mem + PAGES(nr * i));

	vcpu_arch_set_entry_point(v->vcpus[0], guest_bare_main);
	vcpu_args_set(v->vcpus[0], 1, code_gpa);

	for (i = 0; i < ARRAY_SIZE(gpas); i++) {
		la_touch(v, LA_OP_WRITE, gpas[i], nr);
		EXPECT_EQ(nr * (i + 1), la_count_young(v, mem, 0, total));
		/* guest_bare_write() counts down. */
		EXPECT_EQ(nr, ((uint64_t *)(mem + PAGES(nr * i)))[1]);
	}
	EXPECT_EQ(total, la_clear_pages(v->age, mem, total << LA_PAGE_SHIFT));

	for (i = 0; i < ARRAY_SIZE(gpas); i++) {
		la_flush_tlb(v);
		la_touch(v, LA_OP_WRITE, gpas[i] + LA_PAGE_SIZE, 1);
		EXPECT_EQ(1, la_count_young(v, mem, 0, total));
		EXPECT_TRUE(la_page_young(v, mem, nr * i + 1)) {
			TH_LOG("gpa %#lx", gpas[i]);
		}
		EXPECT_TRUE(la_clear_some(v, mem, nr * i, nr));
		EXPECT_EQ(0, la_count_young(v, mem, 0, total));
	}
}
#endif /* __riscv */

int main(int argc, char *argv[])
{
	la_restore_lockless_at_exit();
	return test_harness_run(argc, argv);
}
