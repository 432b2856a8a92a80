/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the lockless_aging_* tests share: the kernel's debug files, a guest
 * that touches pages on command, and memory regions placed by the test.
 */
#ifndef SELFTEST_KVM_LOCKLESS_AGING_H
#define SELFTEST_KVM_LOCKLESS_AGING_H

#include <linux/bitmap.h>
#include <linux/sizes.h>
#include <pthread.h>
#include <time.h>

#include "guest_modes.h"
#include "kvm_util.h"
#include "processor.h"
#include "test_util.h"
#include "ucall_common.h"

#define LA_DEBUGFS	"/sys/kernel/debug/pgtable_walk/"
#define LA_AGE		"/sys/kernel/debug/mmu_notifier_age"
#define LA_STATS	LA_DEBUGFS "stats"
#define LA_STALL_NS	LA_DEBUGFS "stall_ns"
#define LA_STALL_ONE_IN	LA_DEBUGFS "stall_one_in"
#define LA_LOCKED	"/sys/kernel/debug/kvm/aged_locked"
#define LA_SWITCH	"/sys/module/kvm/parameters/lockless_aging"

/* Parts of a batch at most, see lib/pgtable-walk/age_debug.c. */
#define LA_BATCH_BITS	512

#define LA_MAX_VCPUS	4
#define LA_MAX_PAGES	8192

/* Page size of the host, and of the guest: 4K, 16K or 64K. */
static unsigned int la_page_shift;

static void __attribute__((constructor)) la_init(void)
{
	la_page_shift = ilog2(getpagesize());
}

#define LA_PAGE_SHIFT	la_page_shift
#define LA_PAGE_SIZE	BIT(LA_PAGE_SHIFT)
/* What one last-level table covers, and the size of the smallest huge leaf. */
#define LA_TABLE_SHIFT	(2 * LA_PAGE_SHIFT - 3)
#define LA_TABLE_SIZE	BIT(LA_TABLE_SHIFT)
#define LA_TABLE_PAGES	(LA_TABLE_SIZE >> LA_PAGE_SHIFT)

/*
 * As many pages as a table of 4K has entries. The tables of larger pages cover more
 * than a test has the memory or the time to touch, so slots are placed where such a
 * chunk ends with its table: then they lie in two tables at least, as with 4K.
 */
#define LA_CHUNK_PAGES	512UL
#define LA_CHUNK_SIZE	(LA_CHUNK_PAGES << LA_PAGE_SHIFT)

/* Places for slots: at the first page of a table, and a chunk before its end. */
#define LA_TABLE_GPA(n)	(SZ_1G + (n) * (4UL * LA_MAX_PAGES << LA_PAGE_SHIFT))
#define LA_CHUNK_GPA(n)	(LA_TABLE_GPA(n) + LA_TABLE_SIZE - LA_CHUNK_SIZE)

/* Slot 0 is the framework's, slot 1 holds the page of la_flush_tlb(). */
#define LA_FLUSH_SLOT	1
#define LA_FLUSH_GPA	(SZ_1G - LA_TABLE_SIZE)
#define LA_SLOT		2
#define LA_GPA		LA_CHUNK_GPA(0)

/*
 * Debug files
 */

static inline int __la_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	ssize_t ret;

	if (fd < 0)
		return -errno;
	ret = write(fd, text, strlen(text));
	ret = ret < 0 ? -errno : 0;
	close(fd);
	return ret;
}

static inline void la_write(const char *path, const char *text)
{
	int ret = __la_write(path, text);

	TEST_ASSERT(!ret, "Cannot write '%s' to %s: %s", text, path, strerror(-ret));
}

static inline void la_write_u64(const char *path, uint64_t val)
{
	char text[32];

	snprintf(text, sizeof(text), "%lu", val);
	la_write(path, text);
}

/* Returns false when the file is missing: the kernel lacks that interface. */
static inline bool la_read(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY);
	size_t len = 0;
	ssize_t ret;

	if (fd < 0)
		return false;
	/* Some files give a page at a time. */
	do {
		ret = read(fd, text + len, size - 1 - len);
		TEST_ASSERT(ret >= 0, "Cannot read %s: %s", path, strerror(errno));
		len += ret;
	} while (ret);
	text[len] = '\0';
	close(fd);
	return true;
}

/* NULL, or the name of what the running kernel lacks for driving aging. */
static inline const char *la_missing(void)
{
	if (access("/dev/kvm", R_OK | W_OK))
		return "/dev/kvm";
	if (access(LA_SWITCH, W_OK))
		return LA_SWITCH " (CONFIG_KVM_MMU_LOCKLESS_AGING)";
	if (access(LA_STATS, W_OK))
		return LA_STATS " (debugfs mounted, CONFIG_PGTABLE_WALK)";
	if (access(LA_AGE, W_OK))
		return LA_AGE " (CONFIG_MMU_NOTIFIER_AGE_DEBUG)";
	return NULL;
}

static inline bool la_get_lockless(void)
{
	char text[8];

	TEST_ASSERT(la_read(LA_SWITCH, text, sizeof(text)), "Cannot read " LA_SWITCH);
	return text[0] == 'Y';
}

static inline void la_set_lockless(bool on)
{
	la_write(LA_SWITCH, on ? "1" : "0");
}

static inline bool la_has_stalls(void)
{
	return !access(LA_STALL_NS, W_OK) && !access(LA_STALL_ONE_IN, W_OK);
}

/* Widens the race windows of a lockless walker; without the knobs a no-op. */
static inline void la_set_stalls(uint64_t ns, uint64_t one_in)
{
	if (!la_has_stalls())
		return;
	la_write_u64(LA_STALL_ONE_IN, one_in);
	la_write_u64(LA_STALL_NS, ns);
}

/* Counts of the library, of KVM (of VMs that still exist), and of the mmu notifier. */
struct la_stats {
	uint64_t walks;
	uint64_t visited;
	uint64_t young;
	uint64_t lost;
	uint64_t busy;
	uint64_t freed;
	uint64_t mmu_lock;
	uint64_t batches;
	uint64_t refused;
};

/* The value of a line "name value". */
static inline uint64_t la_stat(const char *text, const char *name)
{
	const char *line = text;
	size_t len = strlen(name);

	while (line && *line) {
		if (!strncmp(line, name, len) && line[len] == ' ')
			return strtoull(line + len, NULL, 10);
		line = strchr(line, '\n');
		if (line)
			line++;
	}
	TEST_FAIL("No line '%s' in: %s", name, text);
}

/* What /proc/vmstat had when the counts were zeroed, for it can't be. */
static struct la_stats la_stats_base;

static inline struct la_stats la_stats_read(void)
{
	char walks[1024], locked[32], vmstat[1 << 14];

	TEST_ASSERT(la_read(LA_STATS, walks, sizeof(walks)), "Cannot read " LA_STATS);
	TEST_ASSERT(la_read(LA_LOCKED, locked, sizeof(locked)), "Cannot read " LA_LOCKED);
	TEST_ASSERT(la_read("/proc/vmstat", vmstat, sizeof(vmstat)), "Cannot read vmstat");
	return (struct la_stats) {
		.walks		= la_stat(walks, "walks"),
		.visited	= la_stat(walks, "visited"),
		.young		= la_stat(walks, "young"),
		.lost		= la_stat(walks, "lost"),
		.busy		= la_stat(walks, "busy"),
		.freed		= la_stat(walks, "freed"),
		.mmu_lock	= strtoull(locked, NULL, 10),
		.batches	= la_stat(vmstat, "mmu_notifier_age_range") -
				  la_stats_base.batches,
		.refused	= la_stat(vmstat, "mmu_notifier_age_refused") -
				  la_stats_base.refused,
	};
}

static inline void la_stats_zero(void)
{
	la_write(LA_STATS, "0");
	la_write(LA_LOCKED, "0");
	la_stats_base = (struct la_stats) {};
	la_stats_base = la_stats_read();
}

/* The file ages the mm of the process that opens it. */
static inline int la_age_open(void)
{
	int fd = open(LA_AGE, O_RDWR);

	TEST_ASSERT(fd >= 0, "Cannot open " LA_AGE ": %s", strerror(errno));
	return fd;
}

struct la_aged {
	uint64_t calls;
	uint64_t young;
	uint64_t nsec;
};

/*
 * Returns 0 or -errno. A step of 0 leaves the step out of the command, an @every of 0
 * how many of a batch's parts are wanted.
 */
static inline int __la_age(int fd, const char *op, const void *start, size_t bytes, size_t step,
			   unsigned int every)
{
	unsigned long first = (unsigned long)start;
	char cmd[128];
	int len;

	len = snprintf(cmd, sizeof(cmd), "%s 0x%lx 0x%lx", op, first, first + bytes);
	if (step)
		len += snprintf(cmd + len, sizeof(cmd) - len, " 0x%lx", step);
	if (every)
		len += snprintf(cmd + len, sizeof(cmd) - len, " %u", every);
	return write(fd, cmd, len) == len ? 0 : -errno;
}

/* A batch, "batch-clear" or "batch-test", of which each @every-th part is wanted. */
static inline struct la_aged la_age_batch(int fd, const char *op, const void *start, size_t bytes,
					  size_t step, unsigned int every)
{
	struct la_aged aged;
	char text[96];
	ssize_t len;
	int ret;

	ret = __la_age(fd, op, start, bytes, step, every);
	TEST_ASSERT(!ret, "age: '%s' of %zu bytes at %p: %s", op, bytes, start, strerror(-ret));

	len = pread(fd, text, sizeof(text) - 1, 0);
	TEST_ASSERT(len > 0, "age: cannot read the result: %s", strerror(errno));
	text[len] = '\0';
	len = sscanf(text, "%lu %lu %lu", &aged.calls, &aged.young, &aged.nsec);
	TEST_ASSERT(len == 3, "age: unexpected result '%s'", text);
	return aged;
}

static inline struct la_aged la_age(int fd, const char *op, const void *start, size_t bytes,
				    size_t step)
{
	return la_age_batch(fd, op, start, bytes, step, 0);
}

/* How many pages of the range are young; they stay so. */
static inline uint64_t la_test(int fd, const void *start, size_t bytes)
{
	return la_age(fd, "test", start, bytes, 0).young;
}

/* Clears page by page and returns how many were young. */
static inline uint64_t la_clear_pages(int fd, const void *start, size_t bytes)
{
	return la_age(fd, "clear", start, bytes, LA_PAGE_SIZE).young;
}

/* Clears in one call and returns whether any page was young. */
static inline bool la_clear_range(int fd, const void *start, size_t bytes)
{
	return la_age(fd, "clear", start, bytes, 0).young;
}

/*
 * The guest: runs one command at a time.
 */

enum la_op {
	LA_OP_NOP,
	LA_OP_READ,
	LA_OP_WRITE,
	LA_OP_STAMP,	/* write la_value() to each page */
	LA_OP_CHECK,	/* count the pages that do not hold la_value() */
	LA_OP_COPY,	/* copy the stamps to @out */
	LA_OP_FILL,	/* write @stamp, and @add more to each page than to the last */
	LA_OP_CALL,	/* call what is at LA_CODE in each page */
	LA_OP_LATENCY,	/* write to each page; how long each took goes to @out */
	LA_OP_SERVE,	/* read a page each time @asked changes, until it is LA_ENOUGH */
};

#define LA_ENOUGH	(~0UL)

/* Where a page has room for code beside what the other commands write to. */
#define LA_CODE		128

struct la_cmd {
	uint64_t op;
	uint64_t gva;
	uint64_t pages;
	uint64_t step;		/* bytes from one page to the next */
	uint64_t use_map;	/* only the pages whose bit is set in @map */
	uint64_t stamp;
	uint64_t add;
	uint64_t out;		/* gva of an array of @pages words */
	uint64_t asked;		/* the vCPU runs while these two change */
	uint64_t served;

	uint64_t bad;		/* results */
	uint64_t bad_gva;
	uint64_t bad_value;
	uint64_t cycles;

	uint64_t map[LA_MAX_PAGES / 64];
};

static struct la_cmd la_cmds[LA_MAX_VCPUS];

static inline uint64_t la_value(uint64_t stamp, uint64_t gva)
{
	return (stamp << 48) ^ gva;
}

static inline uint64_t guest_cycles(void)
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
static inline void guest_flush_tlb(void)
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
static inline void guest_serve(struct la_cmd *cmd, const uint64_t *word)
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

static inline void guest_one_page(struct la_cmd *cmd, uint64_t i)
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
		start = guest_cycles();
		WRITE_ONCE(word[1], i);
		/* The load waits for the store to have reached memory. */
		READ_ONCE(word[1]);
		WRITE_ONCE(((uint64_t *)cmd->out)[i], guest_cycles() - start);
		break;
	case LA_OP_SERVE:
		guest_serve(cmd, word);
		break;
	}
}

static inline void guest_run_cmd(struct la_cmd *cmd)
{
	uint64_t i;

	guest_flush_tlb();
	cmd->bad = 0;
	for (i = 0; i < cmd->pages; i++) {
		if (!cmd->use_map || (cmd->map[i / 64] >> (i % 64)) & 1)
			guest_one_page(cmd, i);
	}
	cmd->cycles = guest_cycles();
	GUEST_SYNC(0);
	/* The host rewrote the command meanwhile. */
	barrier();
}

static inline void guest_main(uint64_t vcpu)
{
	for (;;)
		guest_run_cmd(&la_cmds[vcpu]);
}

/*
 * The host's side of the guest
 */

struct la_vm {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpus[LA_MAX_VCPUS];
	struct la_cmd *cmds;
	void *flush_page;
	uint64_t step;		/* of commands; more than a page leaves pages out */
	int age;		/* -1 without the age file */
};

/* For huge leaves: as many pages of each as fit in one of 2M. */
#define LA_HUGE_STEP	(LA_TABLE_SIZE / LA_CHUNK_PAGES)

static inline void *la_mmap_aligned(size_t bytes)
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
static inline void *la_alloc(size_t bytes)
{
	void *mem = la_mmap_aligned(bytes);

	if (thp_configured())
		TEST_ASSERT(!madvise(mem, bytes, MADV_NOHUGEPAGE), "MADV_NOHUGEPAGE: %s",
			    strerror(errno));
	return mem;
}

/* NULL when that much is not reserved in /proc/sys/vm/nr_hugepages. */
static inline void *la_alloc_hugetlb(size_t bytes)
{
	void *mem = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB |
			 (LA_TABLE_SHIFT << MAP_HUGE_SHIFT), -1, 0);

	return mem == MAP_FAILED ? NULL : mem;
}

/* NULL, or the name of what is missing for that. */
static inline const char *la_missing_hugetlb(size_t bytes)
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
static inline void la_add_slot(struct la_vm *v, uint32_t slot, uint32_t flags, uint64_t gpa,
			       uint64_t gva, void *mem, size_t bytes)
{
	vm_set_user_memory_region(v->vm, slot, flags, gpa, bytes, mem);
	virt_map(v->vm, gva, gpa, bytes / v->vm->page_size);
}

/*
 * The same for memory of huge pages. Where KVM shadows the guest's page tables, its
 * leaves are no larger than the guest's.
 */
static inline void la_add_huge_slot(struct la_vm *v, uint32_t slot, uint32_t flags, uint64_t gpa,
				    uint64_t gva, void *mem, size_t bytes)
{
#ifdef __x86_64__
	vm_set_user_memory_region(v->vm, slot, flags, gpa, bytes, mem);
	virt_map_level(v->vm, gva, gpa, bytes, PG_LEVEL_2M);
#else
	la_add_slot(v, slot, flags, gpa, gva, mem, bytes);
#endif
}

static inline void la_del_slot(struct la_vm *v, uint32_t slot)
{
	vm_set_user_memory_region(v->vm, slot, 0, 0, 0, NULL);
}

/* With pages of the host's size a slot takes the fewest PTEs of the guest. */
static inline bool la_mode_fits(int mode)
{
	return (mode == VM_MODE_DEFAULT || guest_modes[mode].supported) &&
	       vm_guest_mode_params[mode].page_size == LA_PAGE_SIZE;
}

static inline int la_guest_mode(void)
{
	int mode = VM_MODE_DEFAULT;

	if (la_mode_fits(mode))
		return mode;
	for (mode = 0; mode < NUM_VM_MODES; mode++)
		if (la_mode_fits(mode))
			return mode;
	TEST_FAIL("No guest of the framework has pages of %lu bytes", LA_PAGE_SIZE);
}

static inline void la_vm_create_mode(struct la_vm *v, int nr_vcpus, int mode)
{
	int i;

	/* The guest's own page tables for the slots come out of slot 0. */
	v->vm = __vm_create_with_vcpus(VM_SHAPE(mode), nr_vcpus, 8 * LA_MAX_PAGES, guest_main,
				       v->vcpus);
	v->step = LA_PAGE_SIZE;
	for (i = 0; i < nr_vcpus; i++)
		vcpu_args_set(v->vcpus[i], 1, (uint64_t)i);
	v->cmds = addr_gva2hva(v->vm, (vm_vaddr_t)&la_cmds);

	v->flush_page = la_alloc(LA_PAGE_SIZE);
	la_add_slot(v, LA_FLUSH_SLOT, 0, LA_FLUSH_GPA, LA_FLUSH_GPA, v->flush_page, LA_PAGE_SIZE);
	v->age = access(LA_AGE, W_OK) ? -1 : la_age_open();
}

static inline void la_vm_create(struct la_vm *v, int nr_vcpus)
{
	la_vm_create_mode(v, nr_vcpus, la_guest_mode());
}

#ifdef __x86_64__
static inline bool la_has_tdp_mmu(void)
{
	return kvm_is_tdp_enabled() && get_kvm_param_bool("tdp_mmu");
}
#endif

/* NULL, or the name of what is missing to have huge leaves split by la_split_eagerly(). */
static inline const char *la_missing_eager_split(void)
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
static inline void la_split_eagerly(struct la_vm *v)
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

static inline void la_vm_free(struct la_vm *v)
{
	if (v->age >= 0)
		close(v->age);
	kvm_vm_free(v->vm);
	munmap(v->flush_page, LA_PAGE_SIZE);
}

/* Runs the vCPU's command to its end. */
static inline void la_run(struct la_vm *v, int vcpu)
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

/* Commands by vCPU 0 unless a vCPU is named; all of them wait for the end. */
static inline struct la_cmd *la_vcpu_do(struct la_vm *v, int vcpu, enum la_op op, uint64_t gva,
					uint64_t pages, uint64_t stamp)
{
	struct la_cmd *cmd = &v->cmds[vcpu];

	cmd->op = op;
	cmd->gva = gva;
	cmd->pages = pages;
	cmd->step = v->step;
	cmd->use_map = 0;
	cmd->stamp = stamp;
	la_run(v, vcpu);
	return cmd;
}

static inline void la_touch(struct la_vm *v, enum la_op op, uint64_t gva, uint64_t pages)
{
	la_vcpu_do(v, 0, op, gva, pages, 0);
}

/* The same for those pages only whose bit is set in @map. */
static inline void la_vcpu_do_map(struct la_vm *v, int vcpu, enum la_op op, uint64_t gva,
				  uint64_t pages, uint64_t stamp, const unsigned long *map)
{
	struct la_cmd *cmd = &v->cmds[vcpu];

	TEST_ASSERT(pages <= LA_MAX_PAGES, "%lu pages are too many for a map", pages);
	cmd->op = op;
	cmd->gva = gva;
	cmd->pages = pages;
	cmd->step = v->step;
	cmd->use_map = 1;
	cmd->stamp = stamp;
	memcpy(cmd->map, map, BITS_TO_LONGS(pages) * sizeof(long));
	la_run(v, vcpu);
}

static inline void la_touch_map(struct la_vm *v, enum la_op op, uint64_t gva, uint64_t pages,
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
static inline void la_flush_tlb(struct la_vm *v)
{
	if (v->age < 0)
		return;
	la_touch(v, LA_OP_WRITE, LA_FLUSH_GPA, 1);
	TEST_ASSERT(la_age(v->age, "flush", v->flush_page, LA_PAGE_SIZE, 0).young,
		    "A page that the guest just wrote to is not young");
}

/*
 * A generator for the host: the framework's is meant for the guest, and threads
 * need one each.
 */
static inline uint32_t la_random(uint64_t *state)
{
	*state = *state * 6364136223846793005UL + 1442695040888963407UL;
	return *state >> 33;
}

static inline uint64_t la_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return timespec_to_ns(ts);
}

#endif /* SELFTEST_KVM_LOCKLESS_AGING_H */
