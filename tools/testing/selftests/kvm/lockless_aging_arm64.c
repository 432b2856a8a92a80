// SPDX-License-Identifier: GPL-2.0-only
/*
 * What only arm64's stage 2 does: how often it gives the CPU up, how much it looks at,
 * and what an access fault says of a page.
 *
 * Nothing here measures time. Race windows that a debug kernel can make longer are
 * counted, or made so long that the kernel has to reschedule in them.
 */
#include <sched.h>

#include "lockless_aging_race.h"

#define PREEMPT		"/sys/kernel/debug/sched/preempt"
#define WINDOWS		LA_DEBUGFS "windows"

/*
 * The CPU is given up
 */

#define PARTS		16

/* What the kernel unmaps before it looks whether others want the CPU or mmu_lock. */
static size_t part_size(void)
{
	return getpagesize() > SZ_4K ? LA_TABLE_SIZE : SZ_1G;
}

#define PARTS_GPA	(SZ_1G * 64UL)

static const char *no_windows(void)
{
	return access(WINDOWS, R_OK) ? WINDOWS " (CONFIG_PGTABLE_WALK_DEBUG)" : NULL;
}

static const char *no_cooperation(void)
{
	if (access(PREEMPT, W_OK))
		return PREEMPT " (CONFIG_PREEMPT_DYNAMIC, CONFIG_SCHED_DEBUG)";
	return no_windows();
}

/* A page in each part: little memory, and tables that are all but empty. */
static void create_sparse_vm(struct la_vm *v, char **mem)
{
	const size_t size = part_size();
	int i;

	la_vm_create(v, 1);
	*mem = la_alloc(PARTS * size);
	vm_set_user_memory_region(v->vm, LA_SLOT, 0, PARTS_GPA, PARTS * size, *mem);
	for (i = 0; i < PARTS; i++)
		virt_map(v->vm, PARTS_GPA + i * size, PARTS_GPA + i * size, 1);
	v->step = size;
	la_touch(v, LA_OP_WRITE, PARTS_GPA, PARTS);
}

static uint64_t windows(void)
{
	char text[32];

	TEST_ASSERT(la_read(WINDOWS, text, sizeof(text)), "Cannot read " WINDOWS);
	return strtoull(text, NULL, 10);
}

struct hog {
	pthread_t thread;
	bool ready;
	bool stop;
	uint64_t most;	/* visits from one look to the next */
	uint64_t all;
};

static void *hog_main(void *arg)
{
	uint64_t now, last = windows();
	struct hog *h = arg;
	bool stop;

	WRITE_ONCE(h->ready, true);
	do {
		/* And once more after the end, for it may not have run until then. */
		stop = READ_ONCE(h->stop);
		now = windows();
		h->most = max(h->most, now - last);
		last = now;
	} while (!stop);
	return NULL;
}

/*
 * Runs @fn beside a thread that wants the same CPU, and looks how many entries @fn visits
 * until that thread gets it. A visit takes so long that its turn comes in each table.
 */
static struct hog beside_hog(void (*fn)(void *arg), void *arg)
{
	struct hog hog = {};
	cpu_set_t cpu;

	CPU_ZERO(&cpu);
	CPU_SET(sched_getcpu(), &cpu);
	TEST_ASSERT(!sched_setaffinity(0, sizeof(cpu), &cpu), "sched_setaffinity: %s",
		    strerror(errno));
	la_set_stalls(20 * 1000000UL / LA_TABLE_PAGES, 1);
	TEST_ASSERT(!pthread_create(&hog.thread, NULL, hog_main, &hog), "pthread_create");
	while (!READ_ONCE(hog.ready))
		sched_yield();

	hog.all = windows();
	fn(arg);
	hog.all = windows() - hog.all;

	WRITE_ONCE(hog.stop, true);
	pthread_join(hog.thread, NULL);
	la_set_stalls(0, 0);
	return hog;
}

static void must_have_yielded(struct hog hog)
{
	ksft_print_msg("%lu visits, %lu in a row at most\n", hog.all, hog.most);
	TEST_ASSERT(hog.all >= PARTS * LA_TABLE_PAGES, "%lu visits: not counted", hog.all);
	TEST_ASSERT(hog.most <= hog.all / 4, "%lu of %lu visits without giving the CPU up",
		    hog.most, hog.all);
}

static void drop_all(void *mem)
{
	la_drop(mem, PARTS * part_size());
}

static void test_unmap_yields(void)
{
	struct la_vm v;
	char *mem;

	create_sparse_vm(&v, &mem);
	must_have_yielded(beside_hog(drop_all, mem));
	la_vm_free(&v);
}

static void end_vm(void *vm)
{
	kvm_vm_release(vm);
}

static void set_preemption(const char *model)
{
	la_write(PREEMPT, model);
}

/*
 * Without mmu_lock, so that only a kernel that preempts nobody tells whether teardown
 * gives the CPU up on its own.
 */
static void test_teardown_yields(void)
{
	char models[64], *model;
	struct la_vm v;
	struct hog hog;
	char *mem;

	TEST_ASSERT(la_read(PREEMPT, models, sizeof(models)), "Cannot read " PREEMPT);
	model = strchr(models, '(');
	TEST_ASSERT(model && strchr(model, ')'), "No model in '%s'", models);
	*strchr(++model, ')') = '\0';

	create_sparse_vm(&v, &mem);
	set_preemption("none");
	hog = beside_hog(end_vm, v.vm);
	set_preemption(model);
	must_have_yielded(hog);
}

/*
 * What is looked at: the race windows that are passed, one for each visit of an entry
 */

/* They are counted while there are stalls: so seldom that there are none. */
static void count_windows(void)
{
	la_set_stalls(1, 1U << 31);
}

/* A grace period, however long. */
static void wait_for_freed(uint64_t tables)
{
	int i;

	for (i = 0; la_stats_read().freed < tables; i++) {
		TEST_ASSERT(i < 6000, "%lu of %lu tables are freed", la_stats_read().freed, tables);
		usleep(10000);
	}
}

/* An unmapped table is gone through once, to unmap it, and not again to free it. */
static void test_empty_tables_not_walked(void)
{
	const uint64_t gpa = LA_TABLE_GPA(0), tables = 8;
	uint64_t visits;
	struct la_vm v;
	char *mem;
	int i;

	la_vm_create(&v, 1);
	mem = la_alloc(tables * LA_TABLE_SIZE);
	vm_set_user_memory_region(v.vm, LA_SLOT, 0, gpa, tables * LA_TABLE_SIZE, mem);
	for (i = 0; i < tables; i++)
		virt_map(v.vm, gpa + i * LA_TABLE_SIZE, gpa + i * LA_TABLE_SIZE, 1);
	v.step = LA_TABLE_SIZE;
	la_touch(&v, LA_OP_WRITE, gpa, tables);

	la_stats_zero();
	count_windows();
	visits = windows();
	la_drop(mem, tables * LA_TABLE_SIZE);
	wait_for_freed(tables);
	visits = windows() - visits;

	ksft_print_msg("%lu visits of the entries of %lu tables\n", visits, tables);
	TEST_ASSERT(visits >= tables * LA_TABLE_PAGES, "%lu visits of %lu tables: not counted",
		    visits, tables);
	TEST_ASSERT(visits < tables * LA_TABLE_PAGES * 3 / 2,
		    "%lu visits of the entries of %lu tables: more than one each", visits, tables);
	la_vm_free(&v);
}

#define BLOCKS		2

static const char *no_blocks(void)
{
	return no_windows() ?: la_missing_eager_split() ?:
	       la_missing_hugetlb(BLOCKS * LA_TABLE_SIZE);
}

/* Returns the visits that it takes to split huge leaves that are young, or old. */
static uint64_t split_visits(bool young)
{
	char *mem = la_alloc_hugetlb(BLOCKS * LA_TABLE_SIZE);
	const uint64_t gpa = LA_TABLE_GPA(0);
	uint64_t visits;
	struct la_vm v;

	la_vm_create(&v, 1);
	la_split_eagerly(&v);
	la_add_huge_slot(&v, LA_SLOT, 0, gpa, gpa, mem, BLOCKS * LA_TABLE_SIZE);
	v.step = LA_TABLE_SIZE;
	la_touch(&v, LA_OP_WRITE, gpa, BLOCKS);
	if (!young)
		la_clear_range(v.age, mem, BLOCKS * LA_TABLE_SIZE);

	count_windows();
	visits = windows();
	vm_set_user_memory_region(v.vm, LA_SLOT, KVM_MEM_LOG_DIRTY_PAGES, gpa,
				  BLOCKS * LA_TABLE_SIZE, mem);
	visits = windows() - visits;
	la_set_stalls(0, 0);

	TEST_ASSERT(la_test(v.age, mem, BLOCKS * LA_TABLE_SIZE) ==
		    (young ? BLOCKS * LA_TABLE_PAGES : 0), "Pages are not as old as they were");
	la_vm_free(&v);
	munmap(mem, BLOCKS * LA_TABLE_SIZE);
	return visits;
}

/* The leaves of a new table are made young: only for an old block they are visited again. */
static void test_young_split_in_one_pass(void)
{
	const uint64_t young = split_visits(true), old = split_visits(false);

	ksft_print_msg("%lu visits for young blocks, %lu for old ones\n", young, old);
	TEST_ASSERT(young >= BLOCKS * LA_TABLE_PAGES, "%lu visits: not counted", young);
	TEST_ASSERT(old - young >= BLOCKS * LA_TABLE_PAGES,
		    "Splitting a young block takes %lu visits, an old one %lu", young, old);
	TEST_ASSERT(old - young < BLOCKS * LA_TABLE_PAGES * 3 / 2,
		    "Splitting a young block takes %lu visits, an old one %lu", young, old);
}

/*
 * What hangs on a table that a huge leaf replaces
 */

#define CYCLES		64

static const char *no_hugetlb(void)
{
	return la_missing_hugetlb(BLOCKS * LA_TABLE_SIZE);
}

/* Pages that are page tables of secondary MMUs. */
static long secondary_tables(void)
{
	char text[8192], *line;

	/* Sums up what CPUs keep to themselves. */
	la_write("/proc/sys/vm/stat_refresh", "1");
	TEST_ASSERT(la_read("/proc/vmstat", text, sizeof(text)), "Cannot read /proc/vmstat");
	line = strstr(text, "nr_sec_page_table_pages ");
	TEST_ASSERT(line, "No nr_sec_page_table_pages");
	return strtol(strchr(line, ' '), NULL, 10);
}

/*
 * Unlike one that was unmapped, it is full of leaves, each of which holds a reference.
 * While the dirty log is on, writes split huge leaves; after it they bring them back.
 */
static void test_replaced_tables_freed(void)
{
	const uint64_t gpa = LA_TABLE_GPA(0);
	long before, after;
	struct la_vm v;
	char *mem;
	int i;

	la_vm_create(&v, 1);
	mem = la_alloc_hugetlb(BLOCKS * LA_TABLE_SIZE);
	la_add_huge_slot(&v, LA_SLOT, 0, gpa, gpa, mem, BLOCKS * LA_TABLE_SIZE);
	v.step = LA_HUGE_STEP;
	la_touch(&v, LA_OP_WRITE, gpa, BLOCKS * LA_CHUNK_PAGES);
	la_stats_zero();
	before = secondary_tables();

	for (i = 0; i < CYCLES; i++) {
		vm_set_user_memory_region(v.vm, LA_SLOT, KVM_MEM_LOG_DIRTY_PAGES, gpa,
					  BLOCKS * LA_TABLE_SIZE, mem);
		v.step = LA_TABLE_SIZE / 8;
		la_touch(&v, LA_OP_WRITE, gpa, BLOCKS * 8);
		vm_set_user_memory_region(v.vm, LA_SLOT, 0, gpa, BLOCKS * LA_TABLE_SIZE, mem);
		v.step = LA_TABLE_SIZE / 8;
		la_touch(&v, LA_OP_STAMP, gpa + LA_PAGE_SIZE, BLOCKS * 8);
	}
	ksft_print_msg("%lu tables freed in %u cycles\n", la_stats_read().freed, CYCLES);
	wait_for_freed(CYCLES);
	after = secondary_tables();
	ksft_print_msg("%ld pages of tables at first, %ld in the end\n", before, after);
	/* One for each huge leaf that is split in the end. */
	TEST_ASSERT(after <= before + CYCLES / 2, "%ld pages of tables at first, %ld in the end",
		    before, after);
	la_vm_free(&v);
}

/*
 * Access faults
 */

#define IDLE_BITMAP	"/sys/kernel/mm/page_idle/bitmap"
#define KPAGEFLAGS	"/proc/kpageflags"
#define PAGEMAP		"/proc/self/pagemap"
#define LRU_GEN		"/sys/kernel/mm/lru_gen/enabled"
#define KPF_IDLE	25

static const char *no_page_idle(void)
{
	if (access(IDLE_BITMAP, W_OK))
		return IDLE_BITMAP " (CONFIG_IDLE_PAGE_TRACKING)";
	if (access(KPAGEFLAGS, R_OK))
		return KPAGEFLAGS " (CONFIG_PROC_PAGE_MONITOR)";
	return NULL;
}

static uint64_t word_of(const char *path, uint64_t index)
{
	int fd = open(path, O_RDONLY);
	uint64_t word;

	TEST_ASSERT(fd >= 0 && pread(fd, &word, 8, index * 8) == 8, "Cannot read %s: %s", path,
		    strerror(errno));
	close(fd);
	return word;
}

static void mark_idle(uint64_t pfn)
{
	const uint64_t word = BIT(pfn % 64);
	int fd = open(IDLE_BITMAP, O_WRONLY);

	TEST_ASSERT(fd >= 0 && pwrite(fd, &word, 8, pfn / 64 * 8) == 8,
		    "Cannot write " IDLE_BITMAP ": %s", strerror(errno));
	close(fd);
}

static bool is_idle(uint64_t pfn)
{
	return word_of(KPAGEFLAGS, pfn) & BIT(KPF_IDLE);
}

/*
 * An access fault sets the access flag and lets it speak for the page. To mark the page
 * itself, which may be somebody else's by then, is none of its business. What is idle
 * stays so until its age is asked for.
 */
static void test_access_fault_marks_no_page(void)
{
	bool idle, old, young, still_idle;
	char lru_gen[16];
	struct la_vm v;
	uint64_t pfn;
	char *mem;
	int i;

	mem = la_vm_create_mem(&v, 1, LA_PAGE_SIZE);
	la_touch(&v, LA_OP_WRITE, LA_GPA, 1);
	pfn = word_of(PAGEMAP, (unsigned long)mem >> LA_PAGE_SHIFT) & (BIT(55) - 1);
	TEST_ASSERT(pfn, "No page frame number; CAP_SYS_ADMIN is needed");

	/* MGLRU keeps a mark of another kind. */
	TEST_ASSERT(la_read(LRU_GEN, lru_gen, sizeof(lru_gen)), "Cannot read " LRU_GEN);
	la_write(LRU_GEN, "0");
	/* A new page waits for its LRU list, and is passed over until then. */
	for (i = 0; i < 100 && !is_idle(pfn); i++) {
		la_write("/proc/sys/vm/drop_caches", "1");
		usleep(50000);
		mark_idle(pfn);
	}
	idle = is_idle(pfn);
	old = !la_test(v.age, mem, LA_PAGE_SIZE);
	la_flush_tlb(&v);
	la_touch(&v, LA_OP_WRITE, LA_GPA, 1);
	young = la_test(v.age, mem, LA_PAGE_SIZE);
	still_idle = is_idle(pfn);
	la_write(LRU_GEN, lru_gen);

	TEST_ASSERT(idle, "The page does not get idle");
	TEST_ASSERT(old, "An idle page is young");
	TEST_ASSERT(young, "A page that was used is not young");
	TEST_ASSERT(still_idle, "The page itself was marked");
	la_vm_free(&v);
}

static struct la_race_test tests[] = {
	{ "unmap_yields",		test_unmap_yields,		no_windows },
	{ "teardown_yields",		test_teardown_yields,		no_cooperation },
	{ "empty_tables_not_walked",	test_empty_tables_not_walked,	no_windows },
	{ "young_split_in_one_pass",	test_young_split_in_one_pass,	no_blocks },
	{ "replaced_tables_freed",	test_replaced_tables_freed,	no_hugetlb },
	{ "access_fault_marks_no_page",	test_access_fault_marks_no_page, no_page_idle },
};

int main(int argc, char *argv[])
{
	la_race_main(argc, argv, tests, ARRAY_SIZE(tests), NULL);
}
