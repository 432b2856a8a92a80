// SPDX-License-Identifier: GPL-2.0-only
/*
 * A guest that touches pages on command, and the host's side of it.
 */
#include "lockless_aging.h"

struct la_cmd la_cmds[LA_MAX_VCPUS];
bool la_by_batch;

uint64_t la_guest_cycles(void)
{
#if defined(__riscv)
	return csr_read(CSR_TIME);
#elif defined(__aarch64__)
	isb();
	return read_sysreg(cntvct_el0);
#elif defined(__x86_64__)
	return rdtsc();
#else
#error "No cycle counter for this architecture"
#endif
}

/*
 * A translation that is cached with A set lets the next access go unseen. This
 * drops what the guest itself may drop: the translations made with the guest's
 * own tables. An implementation may keep entries of the second stage alone
 * across it, so tests that need to be exact call la_flush_tlb() as well.
 */
static void guest_flush_tlb(void)
{
#if defined(__riscv)
	asm volatile("sfence.vma" ::: "memory");
#elif defined(__aarch64__)
	asm volatile("dsb ishst\n\ttlbi vmalle1\n\tdsb nsh\n\tisb" ::: "memory");
#elif defined(__x86_64__)
	asm volatile("mov %0, %%cr3" :: "r" (get_cr3()) : "memory");
#endif
}

/* Stays in the guest, unless the host takes the vCPU out, and flushes no TLB. */
static void guest_serve(struct la_cmd *cmd, const uint64_t *word)
{
	uint64_t asked = 0;

	for (;;) {
		while (__atomic_load_n(&cmd->asked, __ATOMIC_ACQUIRE) == asked)
			;
		asked = __atomic_load_n(&cmd->asked, __ATOMIC_ACQUIRE);
		if (asked == LA_ENOUGH)
			break;
		READ_ONCE(*word);
		__atomic_store_n(&cmd->served, asked, __ATOMIC_RELEASE);
	}
}

static void guest_one_page(struct la_cmd *cmd, uint64_t i)
{
	uint64_t gva = cmd->gva + i * cmd->step;
	uint64_t *word = (uint64_t *)gva;
	uint64_t start, value;

	switch (cmd->op) {
	case LA_OP_READ:
		READ_ONCE(*word);
		break;
	case LA_OP_WRITE:
		/* Not word 0: a stamp must survive being touched. */
		WRITE_ONCE(word[1], i);
		break;
	case LA_OP_STAMP:
		WRITE_ONCE(*word, la_value(cmd->stamp, gva));
		break;
	case LA_OP_CHECK:
		value = READ_ONCE(*word);
		if (value == la_value(cmd->stamp, gva))
			break;
		if (!cmd->bad++) {
			cmd->bad_gva = gva;
			cmd->bad_value = value;
		}
		break;
	case LA_OP_COPY:
		WRITE_ONCE(((uint64_t *)cmd->out)[i], READ_ONCE(*word));
		break;
	case LA_OP_FILL:
		WRITE_ONCE(*word, cmd->stamp + i * cmd->add);
		break;
	case LA_OP_CALL:
		((void (*)(void))(gva + LA_CODE))();
		break;
	case LA_OP_LATENCY:
		start = la_guest_cycles();
		WRITE_ONCE(word[1], i);
		/* The load waits for the store to have reached memory. */
		READ_ONCE(word[1]);
		WRITE_ONCE(((uint64_t *)cmd->out)[i], la_guest_cycles() - start);
		break;
	case LA_OP_SERVE:
		guest_serve(cmd, word);
		break;
	}
}

void la_guest_run_cmd(struct la_cmd *cmd)
{
	uint64_t i;

	guest_flush_tlb();
	cmd->bad = 0;
	for (i = 0; i < cmd->pages; i++) {
		if (!cmd->use_map || (cmd->map[i / 64] >> (i % 64)) & 1)
			guest_one_page(cmd, i);
	}
	cmd->cycles = la_guest_cycles();
	GUEST_SYNC(0);
	/* The host rewrote the command meanwhile. */
	barrier();
}

static void guest_main(uint64_t vcpu)
{
	for (;;)
		la_guest_run_cmd(&la_cmds[vcpu]);
}

void *la_mmap_aligned(size_t bytes)
{
	char *mem, *aligned;
	size_t head;

	mem = mmap(NULL, bytes + LA_TABLE_SIZE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	TEST_ASSERT(mem != MAP_FAILED, "Cannot map %zu bytes: %s", bytes, strerror(errno));

	aligned = align_ptr_up(mem, LA_TABLE_SIZE);
	head = aligned - mem;
	if (head)
		munmap(mem, head);
	munmap(aligned + bytes, LA_TABLE_SIZE - head);
	return aligned;
}

/* Memory that the host maps by small pages, aligned as a table is. */
void *la_alloc(size_t bytes)
{
	void *mem = la_mmap_aligned(bytes);

	if (thp_configured())
		TEST_ASSERT(!madvise(mem, bytes, MADV_NOHUGEPAGE), "MADV_NOHUGEPAGE: %s",
			    strerror(errno));
	return mem;
}

/* NULL when that much is not reserved in /proc/sys/vm/nr_hugepages. */
void *la_alloc_hugetlb(size_t bytes)
{
	void *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB |
			 (LA_TABLE_SHIFT << MAP_HUGE_SHIFT), -1, 0);

	return mem == MAP_FAILED ? NULL : mem;
}

/* NULL, or the name of what is missing for that. */
const char *la_missing_hugetlb(size_t bytes)
{
	void *mem = la_alloc_hugetlb(bytes);
	static char text[96];

	if (mem) {
		munmap(mem, bytes);
		return NULL;
	}
	snprintf(text, sizeof(text), "%lu huge pages of %lu MiB (/proc/sys/vm/nr_hugepages)",
		 bytes / LA_TABLE_SIZE, LA_TABLE_SIZE / SZ_1M);
	return text;
}

/* Backs a range of guest physical memory with @mem, and maps it at @gva. */
void la_add_slot(struct la_vm *v, uint32_t slot, uint32_t flags, uint64_t gpa, uint64_t gva,
		 void *mem, size_t bytes)
{
	vm_set_user_memory_region(v->vm, slot, flags, gpa, bytes, mem);
	virt_map(v->vm, gva, gpa, bytes / v->vm->page_size);
}

/*
 * The same for memory of huge pages. Where KVM shadows the guest's page tables, its
 * leaves are no larger than the guest's.
 */
void la_add_huge_slot(struct la_vm *v, uint32_t slot, uint32_t flags, uint64_t gpa, uint64_t gva,
		      void *mem, size_t bytes)
{
#ifdef __x86_64__
	vm_set_user_memory_region(v->vm, slot, flags, gpa, bytes, mem);
	virt_map_level(v->vm, gva, gpa, bytes, PG_LEVEL_2M);
#else
	la_add_slot(v, slot, flags, gpa, gva, mem, bytes);
#endif
}

void la_del_slot(struct la_vm *v, uint32_t slot)
{
	vm_set_user_memory_region(v->vm, slot, 0, 0, 0, NULL);
}

/* With pages of the host's size a slot takes the fewest PTEs of the guest. */
bool la_mode_fits(int mode)
{
	return (mode == VM_MODE_DEFAULT || guest_modes[mode].supported) &&
	       vm_guest_mode_params[mode].page_size == LA_PAGE_SIZE;
}

static int la_guest_mode(void)
{
	int mode = VM_MODE_DEFAULT;

	if (la_mode_fits(mode))
		return mode;
	for (mode = 0; mode < NUM_VM_MODES; mode++)
		if (la_mode_fits(mode))
			return mode;
	TEST_FAIL("No guest of the framework has pages of %lu bytes", LA_PAGE_SIZE);
}

void la_vm_create_mode(struct la_vm *v, int nr_vcpus, int mode)
{
	int i;

	/* The guest's own page tables for the slots come out of slot 0. */
	v->vm = __vm_create_with_vcpus(VM_SHAPE(mode), nr_vcpus, 8 * LA_MAX_PAGES, guest_main,
				       v->vcpus);
	v->step = LA_PAGE_SIZE;
	for (i = 0; i < nr_vcpus; i++)
		vcpu_args_set(v->vcpus[i], 1, (uint64_t)i);
	v->cmds = addr_gva2hva(v->vm, (uintptr_t)&la_cmds);

	v->flush_page = la_alloc(LA_PAGE_SIZE);
	la_add_slot(v, LA_FLUSH_SLOT, 0, LA_FLUSH_GPA, LA_FLUSH_GPA, v->flush_page, LA_PAGE_SIZE);
	v->age = access(LA_AGE, W_OK) ? -1 : la_age_open();
}

void la_vm_create(struct la_vm *v, int nr_vcpus)
{
	la_vm_create_mode(v, nr_vcpus, la_guest_mode());
}

/* A VM with so much memory at LA_GPA, which it returns. */
char *la_vm_create_mem(struct la_vm *v, int nr_vcpus, size_t bytes)
{
	char *mem = la_alloc(bytes);

	la_vm_create(v, nr_vcpus);
	la_add_slot(v, LA_SLOT, 0, LA_GPA, LA_GPA, mem, bytes);
	return mem;
}

#ifdef __x86_64__
bool la_has_tdp_mmu(void)
{
	return kvm_is_tdp_enabled() && get_kvm_param_bool("tdp_mmu");
}
#endif

/* NULL, or the name of what is missing to have huge leaves split by la_split_eagerly(). */
const char *la_missing_eager_split(void)
{
#ifdef __x86_64__
	return la_has_tdp_mmu() && get_kvm_param_bool("eager_page_split") ? NULL :
	       "kvm.tdp_mmu and kvm.eager_page_split";
#else
	return kvm_check_cap(KVM_CAP_ARM_SUPPORTED_BLOCK_SIZES) & LA_TABLE_SIZE ? NULL :
	       "KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE of the size of a table";
#endif
}

/*
 * Has huge leaves split when dirty logging is enabled, instead of one by one when they
 * are written to. x86 does so anyway. arm64 takes that order from a VM without memory
 * only. For a VM that never ran and has no slots of the test yet.
 */
void la_split_eagerly(struct la_vm *v)
{
#ifndef __x86_64__
	la_del_slot(v, 0);
	la_del_slot(v, LA_FLUSH_SLOT);
	vm_enable_cap(v->vm, KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE, LA_TABLE_SIZE);
	vm_ioctl(v->vm, KVM_SET_USER_MEMORY_REGION2, &memslot2region(v->vm, 0)->region);
	vm_set_user_memory_region(v->vm, LA_FLUSH_SLOT, 0, LA_FLUSH_GPA, LA_PAGE_SIZE,
				  v->flush_page);
#endif
}

void la_vm_free(struct la_vm *v)
{
	if (v->age >= 0)
		close(v->age);
	kvm_vm_free(v->vm);
	munmap(v->flush_page, LA_PAGE_SIZE);
}

/* Runs the vCPU's command to its end. */
static void la_run(struct la_vm *v, int vcpu)
{
	struct ucall uc;

	vcpu_run(v->vcpus[vcpu]);
	switch (get_ucall(v->vcpus[vcpu], &uc)) {
	case UCALL_SYNC:
		return;
	case UCALL_ABORT:
		REPORT_GUEST_ASSERT(uc);
		break;
	default:
		assert_on_unhandled_exception(v->vcpus[vcpu]);
		TEST_FAIL("vCPU %d left the guest, exit reason %u (%s)", vcpu,
			  v->vcpus[vcpu]->run->exit_reason,
			  exit_reason_str(v->vcpus[vcpu]->run->exit_reason));
	}
}

static struct la_cmd *vcpu_do(struct la_vm *v, int vcpu, enum la_op op, uint64_t gva,
			      uint64_t pages, uint64_t stamp, const unsigned long *map)
{
	struct la_cmd *cmd = &v->cmds[vcpu];

	TEST_ASSERT(!map || pages <= LA_MAX_PAGES, "%lu pages are too many for a map", pages);
	cmd->op = op;
	cmd->gva = gva;
	cmd->pages = pages;
	cmd->step = v->step;
	cmd->use_map = !!map;
	cmd->stamp = stamp;
	if (map)
		memcpy(cmd->map, map, BITS_TO_LONGS(pages) * sizeof(long));
	la_run(v, vcpu);
	return cmd;
}

/* Commands by vCPU 0 unless a vCPU is named; all of them wait for the end. */
struct la_cmd *la_vcpu_do(struct la_vm *v, int vcpu, enum la_op op, uint64_t gva, uint64_t pages,
			  uint64_t stamp)
{
	return vcpu_do(v, vcpu, op, gva, pages, stamp, NULL);
}

void la_touch(struct la_vm *v, enum la_op op, uint64_t gva, uint64_t pages)
{
	la_vcpu_do(v, 0, op, gva, pages, 0);
}

/* The same for those pages only whose bit is set in @map. */
void la_vcpu_do_map(struct la_vm *v, int vcpu, enum la_op op, uint64_t gva, uint64_t pages,
		    uint64_t stamp, const unsigned long *map)
{
	vcpu_do(v, vcpu, op, gva, pages, stamp, map);
}

void la_touch_map(struct la_vm *v, enum la_op op, uint64_t gva, uint64_t pages,
		  const unsigned long *map)
{
	la_vcpu_do_map(v, 0, op, gva, pages, 0, map);
}

/*
 * Makes KVM drop every cached translation of the VM. clear_flush_young flushes
 * the whole VM if it found a young page, and it always does here: the page is
 * aged by this function only, so no translation outlives its A bit. (A kernel
 * that elides that flush leaves guest_flush_tlb() alone to do the work.)
 */
void la_flush_tlb(struct la_vm *v)
{
	if (v->age < 0)
		return;
	la_touch(v, LA_OP_WRITE, LA_FLUSH_GPA, 1);
	TEST_ASSERT(la_age(v->age, "flush", v->flush_page, LA_PAGE_SIZE, 0).young,
		    "A page that the guest just wrote to is not young");
}

/* How many bits of a batch were young. */
uint64_t la_batch(struct la_vm *v, const char *op, char *mem, uint64_t page, uint64_t nr,
		  uint64_t step)
{
	return la_age(v->age, op, mem + PAGES(page), PAGES(nr), PAGES(step)).young;
}

uint64_t la_count_young(struct la_vm *v, char *mem, uint64_t page, uint64_t nr)
{
	if (la_by_batch)
		return la_batch(v, "batch-test", mem, page, nr, 1);
	return la_test(v->age, mem + PAGES(page), PAGES(nr));
}

/* In as few calls as it takes. */
bool la_clear_some(struct la_vm *v, char *mem, uint64_t page, uint64_t nr)
{
	if (la_by_batch)
		return la_batch(v, "batch-clear", mem, page, nr, 1);
	return la_clear_range(v->age, mem + PAGES(page), PAGES(nr));
}

/* Returns how many were young. */
uint64_t la_clear_each(struct la_vm *v, char *mem, uint64_t page, uint64_t nr)
{
	if (la_by_batch)
		return la_batch(v, "batch-clear", mem, page, nr, 1);
	return la_clear_pages(v->age, mem + PAGES(page), PAGES(nr));
}

/* What the last steps of a test did to mmu_lock is what the switch says. */
void la_check_locks(void)
{
	struct la_stats stats = la_stats_read();

	TEST_ASSERT(!stats.mmu_lock == la_get_lockless(),
		    "Aging took mmu_lock %lu times, with the switch %s", stats.mmu_lock,
		    la_get_lockless() ? "on" : "off");
}

bool la_page_young(struct la_vm *v, char *mem, uint64_t page)
{
	return la_test(v->age, mem + PAGES(page), LA_PAGE_SIZE);
}

/* Nothing is young after this, and no translation hides the next access. */
void la_make_old(struct la_vm *v, void *mem, size_t bytes)
{
	la_clear_pages(v->age, mem, bytes);
	la_flush_tlb(v);
}

/* So many of the pages, and at least one. */
void la_random_map(unsigned long *map, uint64_t pages, uint32_t percent, uint64_t *rng)
{
	uint64_t i;

	bitmap_zero(map, LA_MAX_PAGES);
	__set_bit(la_random(rng) % pages, map);
	for (i = 0; i < pages; i++)
		if (la_random(rng) % 100 < percent)
			__set_bit(i, map);
}
