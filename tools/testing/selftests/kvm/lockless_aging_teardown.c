// SPDX-License-Identifier: GPL-2.0-only
/*
 * Aging at full speed against the end of VMs, and of VMs that never came to be.
 */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "lockless_aging_race.h"
#include "lockless_aging_usage.h"

/*
 * The end of a VM. The VMM is a child; its aging thread is another process, which has the
 * age files of the VMM's address space and goes on with them whatever becomes of
 * the VMM. All that a VM took must be back afterwards.
 */
enum vm_end {
	END_EXIT,
	END_CLOSE,
	END_KILL,
	/* Another process has the VM's files and closes them while the VMM exits. */
	END_TWICE,
};

/* Who else has the VMM's address space, now and then, and may be the last one. */
enum vm_other { OTHER_NONE, OTHER_READER, OTHER_MGLRU };

/* Each of these is seen to leave nothing, so there have to be enough for that to show. */
#define MIN_VMS		6

struct vm_life {
	enum vm_end end[2];	/* by turns */
	enum vm_other other;
	unsigned int ops;	/* of the aging threads */
	size_t bytes;
	bool unused;		/* the guest never runs */
	/* From when there is something to age to the end: how long, and stalls meanwhile */
	unsigned int wait_us;
	uint64_t stall_ns;

	bool populated;
	unsigned int begun;	/* of those who race with the end */
	bool ending;
	bool stop;
	uint64_t calls;
	uint64_t other_calls;
};

static void begin_when_populated(struct vm_life *life)
{
	/* Leave the CPU to the VM until there is one. */
	while (!READ_ONCE(life->populated) && !READ_ONCE(life->stop))
		usleep(500);
	__atomic_add_fetch(&life->begun, 1, __ATOMIC_RELAXED);
}

/* They may come late if the CPUs are busy. */
static void wait_until_begun(struct vm_life *life)
{
	while (READ_ONCE(life->begun) < NR_AGING + !!life->other && !READ_ONCE(life->stop))
		usleep(500);
}

static void vmm_ager(struct vm_life *life, int fd, char *mem, uint64_t rng)
{
	uint64_t calls = 0;

	begin_when_populated(life);
	do {
		calls += la_age_something(fd, mem, life->bytes, life->ops, &rng);
	} while (!READ_ONCE(life->stop));
	__atomic_add_fetch(&life->calls, calls, __ATOMIC_RELAXED);
	_exit(0);
}

/* Reads the VMM's memory over and over, with a reference on its address space. */
static void vmm_reader(struct vm_life *life, int mem_fd, char *mem)
{
	char *copy = la_alloc(life->bytes);
	uint64_t calls = 0;

	begin_when_populated(life);
	/* Until the address space is no more. */
	while (!READ_ONCE(life->stop) &&
	       pread(mem_fd, copy, life->bytes, (off_t)(unsigned long)mem) > 0)
		calls++;
	__atomic_add_fetch(&life->other_calls, calls, __ATOMIC_RELAXED);
	_exit(0);
}

#define LRU_GEN		"/sys/kernel/debug/lru_gen"
#define LRU_GEN_ENABLED	"/sys/kernel/mm/lru_gen/enabled"
#define LRU_GEN_WALKS	2

static const char *no_mglru(void)
{
	char text[16];

	return access(LRU_GEN, W_OK) || !la_read(LRU_GEN_ENABLED, text, sizeof(text)) ||
	       !(strtoul(text, NULL, 0) & LRU_GEN_WALKS) ?
	       LRU_GEN_ENABLED " with walks of page tables" : NULL;
}

/* A pass of MGLRU over the cgroup; false if another one came first. */
static bool age_cgroup(void)
{
	static char text[1 << 16];
	unsigned long memcg = 0, id, seq = 0, gen;
	char path[256], cmd[64], *line, *save;
	bool mine = false;

	TEST_ASSERT(la_read(LRU_GEN, text, sizeof(text)), "Cannot read " LRU_GEN);
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (sscanf(line, "memcg %lu %255s", &id, path) == 2) {
			mine = !strcmp(path, la_cgroup + strlen(CGROUP_ROOT));
			if (mine)
				memcg = id;
		} else if (mine && sscanf(line, " %lu %*u", &gen) == 1) {
			seq = gen;
		}
	}
	TEST_ASSERT(memcg, "No cgroup %s in " LRU_GEN, la_cgroup);
	snprintf(cmd, sizeof(cmd), "+ %lu 0 %lu 1 1\n", memcg, seq);
	return !__la_write(LRU_GEN, cmd);
}

static void vmm_mglru(struct vm_life *life)
{
	uint64_t calls = 0;

	begin_when_populated(life);
	while (!READ_ONCE(life->stop))
		calls += age_cgroup();
	__atomic_add_fetch(&life->other_calls, calls, __ATOMIC_RELAXED);
	_exit(0);
}

static void vmm_closer(struct vm_life *life, struct la_vm *v, uint64_t rng)
{
	while (!READ_ONCE(life->ending) && !READ_ONCE(life->stop))
		usleep(la_random(&rng) % 500);
	kvm_vm_release(v->vm);
	_exit(0);
}

/* Returns in the child only. */
static bool forked(void)
{
	pid_t pid = fork();

	TEST_ASSERT(pid >= 0, "fork: %s", strerror(errno));
	return !pid;
}

static void vmm_main(struct vm_life *life, enum vm_end end, uint64_t rng)
{
	const uint64_t pages = life->bytes >> LA_PAGE_SHIFT;
	DECLARE_BITMAP(map, LA_MAX_PAGES);
	struct la_vm v;
	char *mem;
	int i, fd;

	la_enter_cgroup();
	mem = la_alloc(life->bytes);
	/* The aging threads first, so that they hold no file of the VM. */
	for (i = 0; i < NR_AGING; i++) {
		fd = la_age_open();
		if (forked())
			vmm_ager(life, fd, mem, rng + i);
		close(fd);
	}
	if (life->other == OTHER_READER) {
		fd = open("/proc/self/mem", O_RDONLY);
		TEST_ASSERT(fd >= 0, "/proc/self/mem: %s", strerror(errno));
		if (forked())
			vmm_reader(life, fd, mem);
		close(fd);
	}
	if (life->other == OTHER_MGLRU && forked())
		vmm_mglru(life);

	la_vm_create(&v, 1);
	la_add_slot(&v, LA_SLOT, 0, LA_GPA, LA_GPA, mem, life->bytes);
	/* A fork unmaps what the guest has. */
	if (end == END_TWICE && forked())
		vmm_closer(life, &v, rng);
	la_sparse_map(map, pages, &rng);
	__set_bit(0, map);
	if (!life->unused)
		la_touch_map(&v, LA_OP_WRITE, LA_GPA, pages, map);
	/* The other process has the last files of the VM now. */
	if (end == END_TWICE)
		kvm_vm_release(v.vm);
	if (life->stall_ns)
		la_set_stalls(life->stall_ns, 1);
	WRITE_ONCE(life->populated, true);

	/* Killed while the guest runs or faults. A single page has to stay, to be young. */
	while (end == END_KILL) {
		if (pages > 1)
			la_drop(mem, min(life->bytes, LA_CHUNK_SIZE));
		la_touch_map(&v, LA_OP_WRITE, LA_GPA, pages, map);
	}

	wait_until_begun(life);
	usleep(life->wait_us + la_random(&rng) % 3000);
	/* All tables are walked now; it is the aging threads that shall be late. */
	if (life->stall_ns)
		la_set_stalls(0, 0);
	if (end == END_CLOSE) {
		la_vm_free(&v);
		munmap(mem, life->bytes);
		usleep(5000);
	} else if (end == END_TWICE) {
		WRITE_ONCE(life->ending, true);
		usleep(la_random(&rng) % 500);
	}
	_exit(0);
}

/* It stays a zombie, so that wait_for_all() sees how it ended. */
static bool has_ended(pid_t pid, int options)
{
	siginfo_t info = {};

	TEST_ASSERT(!waitid(P_PID, pid, &info, WEXITED | WNOWAIT | options), "waitid: %s",
		    strerror(errno));
	return info.si_pid == pid;
}

static void wait_for_all(enum vm_end end, pid_t vmm)
{
	int status;
	pid_t pid;

	while ((pid = wait(&status)) > 0) {
		if (pid == vmm && end == END_KILL && WIFSIGNALED(status) &&
		    WTERMSIG(status) == SIGKILL)
			continue;
		TEST_ASSERT(WIFEXITED(status) && !WEXITSTATUS(status),
			    "A child failed, status %#x", status);
	}
}

/* From the first VM to the last of its processes. */
static void vm_lifetime(struct vm_life *life, enum vm_end end, uint64_t *rng)
{
	const struct vm_life plan = *life;
	pid_t pid;

	la_random(rng);
	pid = fork();
	TEST_ASSERT(pid >= 0, "fork: %s", strerror(errno));
	if (!pid)
		vmm_main(life, end, *rng);

	if (end == END_KILL) {
		while (!READ_ONCE(life->populated) && !has_ended(pid, WNOHANG))
			usleep(200);
		wait_until_begun(life);
		usleep(plan.wait_us + la_random(rng) % 5000);
		if (plan.stall_ns)
			la_set_stalls(0, 0);
		kill(pid, SIGKILL);
	}
	has_ended(pid, 0);
	usleep(2000);
	WRITE_ONCE(life->stop, true);
	wait_for_all(end, pid);
}

/* Whether what VMs took is given back, to less than a page for each that ended in one way. */
static bool lives_leave_nothing(struct vm_life *life, const struct vm_life plan, uint64_t *rng)
{
	uint64_t start_ns, vms, calls = 0, other_calls = 0;
	struct la_usage base, last;

	/* There is nothing in the cgroup, and no VM. */
	base = la_settled();
	la_stats_zero();
	start_ns = la_now_ns();
	for (vms = 0; vms < MIN_VMS || (plan.other && !other_calls) || !la_time_is_up(start_ns);
	     vms++) {
		*life = plan;
		vm_lifetime(life, plan.end[vms % 2], rng);
		calls += life->calls;
		other_calls += life->other_calls;
	}
	ksft_print_msg("%lu aging calls against the ends of %lu VMs, %lu by others\n", calls, vms,
		       other_calls);
	la_must_have_aged(calls, plan.ops);

	return la_usage_returns("cgroup", base, vms, vms / 2 - 1, &last);
}

static void vm_lives(const struct vm_life plan)
{
	uint64_t rng = la_seed, vms;
	struct vm_life *life;

	TEST_ASSERT(la_make_cgroup("lockless_aging_teardown"), "needs cgroup2 with memory at "
		    CGROUP_ROOT);
	life = mmap(NULL, sizeof(*life), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	TEST_ASSERT(life != MAP_FAILED, "mmap: %s", strerror(errno));
	/* The aging threads outlive their parent. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);

	/* One of each first, which make what stays for good. */
	for (vms = 0; vms < 2; vms++) {
		*life = plan;
		vm_lifetime(life, plan.end[vms], &rng);
	}
	/* The kernel keeps some pages of its own now and then. A leak is there each time. */
	TEST_ASSERT(lives_leave_nothing(life, plan, &rng) || lives_leave_nothing(life, plan, &rng),
		    "Memory of VMs is left");
	la_remove_cgroup();
}

static const char *no_cgroup(void)
{
	bool made = la_make_cgroup("lockless_aging_teardown");

	la_remove_cgroup();
	return made ? NULL : "cgroup2 with memory at " CGROUP_ROOT;
}

static void vm_ends(enum vm_end end)
{
	vm_lives((struct vm_life) {
		.end = { end, end }, .ops = AGE_ALL, .bytes = 2 * LA_CHUNK_SIZE,
	});
}

static void test_vm_exit(void)
{
	vm_ends(END_EXIT);
}

static void test_vm_close(void)
{
	vm_ends(END_CLOSE);
}

static void test_vm_kill(void)
{
	vm_ends(END_KILL);
}

/*
 * A VM that never ran has no table but the root: it is gone in no time, and aging threads
 * spend all of theirs between finding the root and reading it.
 */
static void test_vm_root(void)
{
	vm_lives((struct vm_life) {
		.end = { END_EXIT, END_EXIT }, .ops = AGE_ALL, .bytes = LA_PAGE_SIZE,
		.unused = true, .wait_us = 50000, .stall_ns = 400000000,
	});
}

/*
 * One page that was used, found by aging threads that flush TLBs for it. They are on their
 * way to it when the VM ends, and flush when the root is gone or about to go.
 */
static void test_vm_flush(void)
{
	vm_lives((struct vm_life) {
		.end = { END_EXIT, END_KILL }, .ops = AGE_FLUSH, .bytes = LA_PAGE_SIZE,
		.wait_us = 50000, .stall_ns = 100000000,
	});
}

/*
 * The notifiers' ->release() runs twice at once: for the address space that ends, and
 * for the VM's last file. While one of them waits for aging threads, which are late, the other
 * one must not free what these use. That takes long enough for both to get there.
 */
static void test_vm_twice(void)
{
	vm_lives((struct vm_life) {
		.end = { END_TWICE, END_TWICE }, .ops = AGE_ALL, .bytes = LA_PAGE_SIZE,
		.wait_us = 20000, .stall_ns = 400000000,
	});
}

/* The exiting VMM closes the files, and another process ends the address space. */
static void test_vm_pinned(void)
{
	vm_lives((struct vm_life) {
		.end = { END_EXIT, END_KILL }, .other = OTHER_READER, .ops = AGE_ALL,
		.bytes = LA_PAGE_SIZE, .wait_us = 20000, .stall_ns = 400000000,
	});
}

/* The same with MGLRU, which walks the address space and ends it in a worker. */
static void test_vm_mglru(void)
{
	vm_lives((struct vm_life) {
		.end = { END_EXIT, END_KILL }, .other = OTHER_MGLRU, .ops = AGE_ALL,
		.bytes = LA_PAGE_SIZE, .wait_us = 20000, .stall_ns = 400000000,
	});
}

/*
 * KVM_CREATE_VM that is interrupted: the notifier cannot be registered then, and all
 * that was made before has to go.
 */
#define MIN_FAILURES	64

static void on_signal(int sig)
{
}

static void interrupted_vms_main(unsigned int nr)
{
	struct itimerspec once = {}, none = {};
	struct sigaction action = { .sa_handler = on_signal };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	uint64_t start_ns, took_ns = 1000000, rng = la_seed;
	unsigned int made = 0, failed = 0;
	timer_t timer;
	int kvm, vm, error, age;
	char *mem;

	la_enter_cgroup();
	sigaction(SIGUSR1, &action, NULL);
	mem = la_alloc(LA_CHUNK_SIZE);
	age = la_age_open();
	TEST_ASSERT(!timer_create(CLOCK_MONOTONIC, &event, &timer), "timer_create: %s",
		    strerror(errno));
	kvm = open("/dev/kvm", O_RDWR);
	TEST_ASSERT(kvm >= 0, "/dev/kvm: %s", strerror(errno));

	while (failed < nr) {
		/* It counts if the notifier is not registered yet, which comes early on x86. */
		once.it_value.tv_nsec = 1 + la_random(&rng) % (took_ns / 6 + 1);
		start_ns = la_now_ns();
		timer_settime(timer, 0, &once, NULL);
		vm = ioctl(kvm, KVM_CREATE_VM, 0);
		error = errno;
		timer_settime(timer, 0, &none, NULL);
		took_ns = min(la_now_ns() - start_ns, 900000000UL);
		if (vm < 0) {
			TEST_ASSERT(error == EINTR, "KVM_CREATE_VM: %s", strerror(error));
			failed++;
		} else {
			close(vm);
			made++;
		}
		/* By now there is no VM to be asked. */
		la_stats_zero();
		la_age_something(age, mem, LA_CHUNK_SIZE, AGE_ALL, &rng);
		TEST_ASSERT(!la_stats_read().walks, "A VM that is no more was asked");
	}
	ksft_print_msg("%u VMs failed, %u came to be\n", failed, made);
	close(age);
	close(kvm);
}

static void interrupt_vms(unsigned int nr)
{
	int status;

	if (forked()) {
		interrupted_vms_main(nr);
		fflush(stdout);
		_exit(0);
	}
	TEST_ASSERT(wait(&status) > 0 && WIFEXITED(status) && !WEXITSTATUS(status),
		    "A child failed, status %#x", status);
}

/*
 * A root that is charged to nobody, four pages on riscv, shows in what is free. So does
 * what the kernel does by itself, a page or so for each VM if it has sanitizers. A leak
 * is there each time.
 */
static bool memory_returns(void)
{
	const int64_t most_kb = 3 * MIN_FAILURES * LA_PAGE_SIZE / SZ_1K;
	struct la_usage base, last;
	int tries;

	for (tries = 0; tries < 4; tries++) {
		base = la_settled();
		interrupt_vms(MIN_FAILURES);
		TEST_ASSERT(la_usage_returns("cgroup", base, MIN_FAILURES, MIN_FAILURES / 2, &last),
			    "Memory of VMs is left");
		ksft_print_msg("%ld kB of memory unaccounted for at first, %ld in the end\n",
			       base.unknown, last.unknown);
		if (last.unknown < base.unknown + most_kb)
			return true;
	}
	return false;
}

static void test_vm_interrupted(void)
{
	TEST_ASSERT(la_make_cgroup("lockless_aging_teardown"), "needs cgroup2 with memory at "
		    CGROUP_ROOT);
	/* A few first, which make what stays for good. */
	interrupt_vms(10);
	TEST_ASSERT(memory_returns(), "Memory of VMs is left");
	la_remove_cgroup();
}

static struct la_race_test tests[] = {
	{ "vm_exit",			test_vm_exit,		no_cgroup },
	{ "vm_close",			test_vm_close,		no_cgroup },
	{ "vm_kill",			test_vm_kill,		no_cgroup },
	{ "vm_root",			test_vm_root,		no_cgroup },
	{ "vm_flush",			test_vm_flush,		no_cgroup },
	{ "vm_twice",			test_vm_twice,		no_cgroup },
	{ "vm_pinned",			test_vm_pinned,		no_cgroup },
	{ "vm_mglru",			test_vm_mglru,		no_mglru },
	{ "vm_interrupted",		test_vm_interrupted,	no_cgroup },
};

int main(int argc, char *argv[])
{
	la_race_main(argc, argv, tests, ARRAY_SIZE(tests), NULL);
}
