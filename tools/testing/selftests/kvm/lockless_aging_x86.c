// SPDX-License-Identifier: GPL-2.0-only
/*
 * What aging leaves alone on x86: dirty bits, which trace events and write-back tell of,
 * what has changed since an aging thread looked, and MMIO SPTEs.
 *
 * Tests that count run on an otherwise idle VM, with the switch off and on. The others
 * race with aging threads, as those of lockless_aging_stress do.
 */
#include <sys/stat.h>
#include <sys/vfs.h>

#include <linux/magic.h>

#include "lockless_aging_race.h"

/* -f */
static const char *backing_file;

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

	mem = la_vm_create_mem(&v, 1, PAGES(nr));
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

	mem = la_vm_create_mem(&v, 1, PAGES(nr));
	la_touch(&v, LA_OP_WRITE, LA_GPA, nr);
	TEST_ASSERT_EQ(la_clear_pages(v.age, mem, PAGES(nr)), nr);

	for (i = 0; i < 3; i++) {
		la_by_batch = i == 2;
		la_flush_tlb(&v);
		la_touch(&v, LA_OP_READ, LA_GPA, touched);
		trace_sptes(true);
		TEST_ASSERT_EQ(la_count_young(&v, mem, 0, nr), touched);
		if (i)
			TEST_ASSERT(la_clear_some(&v, mem, 0, nr), "Nothing is young");
		else
			TEST_ASSERT_EQ(la_clear_each(&v, mem, 0, nr), touched);
		TEST_ASSERT_EQ(la_count_young(&v, mem, 0, nr), 0);
		trace_sptes(false);
		TEST_ASSERT_EQ(read_trace(LA_GPA >> LA_PAGE_SHIFT, nr, must_become_old), touched);
	}
	la_vm_free(&v);
}

/*
 * A page that the guest wrote to is dirty once KVM has unmapped it, though an aging thread took
 * what it could from the SPTE.  Pages that the host may drop are clean before.
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

static void test_written_is_dirty(void)
{
	const int pagemap = open(PAGEMAP, O_RDONLY), kpageflags = open(KPAGEFLAGS, O_RDONLY);
	const uint64_t nr = 256;
	struct la_vm v;
	uint64_t page;
	char *mem;

	mem = la_vm_create_mem(&v, 1, PAGES(nr));
	memset(mem, 1, PAGES(nr));
	TEST_ASSERT(!madvise(mem, PAGES(nr), MADV_FREE), "MADV_FREE: %s", strerror(errno));
	for (page = 0; page < nr; page++)
		TEST_ASSERT(!is_dirty(pagemap, kpageflags, mem + PAGES(page)),
			    "Page %lu is dirty before the guest has it", page);

	la_touch(&v, LA_OP_WRITE, LA_GPA, nr);
	TEST_ASSERT_EQ(la_clear_pages(v.age, mem, PAGES(nr)), nr);
	mprotect(mem, PAGES(nr), PROT_READ);
	for (page = 0; page < nr; page++)
		TEST_ASSERT(is_dirty(pagemap, kpageflags, mem + PAGES(page)),
			    "Page %lu was written to, and is clean", page);

	close(pagemap);
	close(kpageflags);
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

/*
 * Whether the file keeps what this process writes while it is synced, without a guest: a
 * RAM disk of Linux 7.3 loses some of that.
 */
static const char *no_backing_that_keeps(void)
{
	struct writer w = { .fd = open_backing(), .rng = la_seed };
	uint64_t round, page, word, lost = 0;

	if (w.fd < 0)
		return no_backing();
	w.mem = mmap(NULL, PAGES(FILE_PAGES), PROT_READ | PROT_WRITE, MAP_SHARED, w.fd, 0);
	TEST_ASSERT(w.mem != MAP_FAILED, "mmap: %s", strerror(errno));
	TEST_ASSERT(!pthread_create(&w.thread, NULL, writer_main, &w), "pthread_create");
	for (round = 1; round <= 50 || !READ_ONCE(w.syncs); round++) {
		for (page = 0; page < FILE_PAGES; page++)
			WRITE_ONCE(*(uint64_t *)(w.mem + PAGES(page)), round);
		usleep(la_random(&w.rng) % 3000);
	}
	WRITE_ONCE(w.stop, true);
	pthread_join(w.thread, NULL);
	munmap(w.mem, PAGES(FILE_PAGES));

	forget(w.fd);
	for (page = 0; page < FILE_PAGES; page++) {
		TEST_ASSERT(pread(w.fd, &word, sizeof(word), PAGES(page)) == sizeof(word),
			    "pread: %s", strerror(errno));
		lost += word != round - 1;
	}
	close(w.fd);
	return lost ? "a disk that keeps what the host writes" : NULL;
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

	la_aging_start(w->mem, PAGES(FILE_PAGES), AGE_ALL);
	w->stop = false;
	TEST_ASSERT(!pthread_create(&w->thread, NULL, writer_main, w), "pthread_create");
	for (batches = 0; batches < 20; batches++) {
		la_random_map(map, FILE_PAGES, 12, &rng);
		la_vcpu_do_map(&v, 0, LA_OP_STAMP, LA_GPA, FILE_PAGES, ++*stamp, map);
		for (page = 0; page < FILE_PAGES; page++)
			if (test_bit(page, map))
				stamps[page] = *stamp;
	}
	WRITE_ONCE(w->stop, true);
	pthread_join(w->thread, NULL);
	la_aging_end(batches, "batches of writes");

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
 * An aging thread that is late leaves alone what has come about since it looked: its cmpxchg
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
		young = la_count_young(&late.v, late.mem, 0, LATE_PAGES);
		TEST_ASSERT(young >= stats.lost,
			    "Round %lu: %lu races lost by the aging thread, and only %lu pages are young",
			    rounds, stats.lost, young);
		la_must_hold(&late.v, 0, LA_GPA, LATE_PAGES, late.stamp);
		rounds++;
	}
	ksft_print_msg("%lu rounds, %lu races lost by the aging thread\n", rounds, lost);
	la_vm_free(&late.v);
	return lost;
}

static void test_late_clear_spares_new_pages(void)
{
	uint64_t lost = late_clears(swap_pages, 0);

	/* With rmaps the zap waits for the aging thread instead. */
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
	TEST_ASSERT_EQ(la_count_young(&v, mem, 0, MMIO_PAGES), 0);
	TEST_ASSERT(!la_clear_some(&v, mem, 0, MMIO_PAGES), "MMIO is young");
	TEST_ASSERT_EQ(la_clear_pages(v.age, never, PAGES(MMIO_PAGES)), 0);
	TEST_ASSERT(!la_clear_some(&v, never, 0, MMIO_PAGES), "What was never used is young");
	TEST_ASSERT_EQ(la_stats_read().visited, 0);
	TEST_ASSERT_EQ(la_stats_read().young, 0);
	la_check_locks();

	la_touch(&v, LA_OP_WRITE, gpa, MMIO_PAGES);
	TEST_ASSERT_EQ(la_clear_pages(v.age, mem, PAGES(MMIO_PAGES)), MMIO_PAGES);
	la_vm_free(&v);
}

static struct la_race_test tests[] = {
	{ "mmio_left_alone",	test_mmio_left_alone,	NULL,		true },
	{ "dirty_bit_stays",	test_dirty_bit_stays,	no_spte_event,	true },
	{ "aging_is_traced",	test_aging_is_traced,	no_spte_event,	true },
	{ "written_is_dirty",	test_written_is_dirty,	no_page_flags },
	{ "writeback_keeps_dirty", test_writeback_keeps_dirty, no_backing_that_keeps },
	{ "late_clear_spares_new_pages", test_late_clear_spares_new_pages, la_no_stalls },
	{ "late_clear_keeps_protection", test_late_clear_keeps_protection, la_no_stalls },
};

static bool take_file(const char *arg)
{
	backing_file = arg;
	return true;
}

int main(int argc, char *argv[])
{
	const struct la_race_option file = {
		'f', "a block device, or a file that is not in memory only; it is overwritten\n"
		"     (default: a temporary file in this directory)", take_file,
	};

	la_race_main(argc, argv, tests, ARRAY_SIZE(tests), &file);
}
