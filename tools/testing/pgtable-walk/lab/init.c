// SPDX-License-Identifier: GPL-2.0
/*
 * init of the lab's kernels: mounts what the tests need, runs the tests that
 * /plan lists, one at a time, reports in KTAP and powers the machine off.
 *
 * Or, on a machine that is up, as a program: it runs the tests of the plan beside
 * it, or of the one that is named, as the init of a PID namespace with mounts of its
 * own, reports on its output, and puts back what it set.
 *
 * A line of the plan is one of
 *	NAME SECONDS pass|fail PROGRAM [ARGUMENT...]
 *	write PATH VALUE
 * PROGRAM is below tests/. "fail" is for a test whose point is to fail.
 *
 * The modules that /modules/list names, if there is one, are loaded before, with their
 * parameters from the kernel's command line, and unloaded after the tests.
 *
 * All output of init goes through /dev/kmsg, a record a line, so that no message of
 * the kernel can tear a line of ours apart.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MAX_ARGS	32
#define MAX_LINE	900	/* below what /dev/kmsg takes in one write */
#define KILL_GRACE_MS	60000
#define KSFT_SKIP	4
#define MAX_MODULES	16
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

static int out_fd = -1;		/* /dev/kmsg, or standard output */
static bool hosted;		/* not init of the machine */
static char top[PATH_MAX];	/* of the plan and the tests */

static void leave(int status)
{
	if (hosted)
		_exit(status);
	sync();
	reboot(RB_POWER_OFF);
}

static void say(const char *fmt, ...)
{
	char line[MAX_LINE + 100];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	if (hosted)
		strcat(line, "\n");
	/* not dprintf(), which seeks, and /dev/kmsg refuses that */
	if (write(out_fd, line, strlen(line)) < 0)
		leave(1);		/* nobody could hear of any result */
}

static long long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

static bool write_file(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, value, strlen(value)) > 0;

	if (!ok)
		say("# cannot write \"%s\" to %s: %s", value, path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return ok;
}

static void read_file(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

	buf[n < 0 ? 0 : n] = '\0';
	if (fd >= 0)
		close(fd);
}

static long taint_flags(void)
{
	char buf[32];

	read_file("/proc/sys/kernel/tainted", buf, sizeof(buf));
	return atol(buf);
}

static void say_free_memory(const char *when)
{
	char buf[4096];
	char *line;

	read_file("/proc/meminfo", buf, sizeof(buf));
	line = strstr(buf, "MemFree:");
	if (line)
		say("# memory free at the %s: %ld kB", when, atol(line + strlen("MemFree:")));
}

static void mount_at(const char *type, const char *dir)
{
	mkdir(dir, 0755);
	if (mount(type, dir, type, 0, NULL) && errno != EBUSY)
		say("# cannot mount %s on %s: %s", type, dir, strerror(errno));
}

/* A module's name has _ where the file's has -, and a parameter may have either. */
static char plain(char c)
{
	return c == '-' ? '_' : c;
}

/* "a=1 b=2" of the kernel's "name.a=1 other.c=3 name.b=2". */
static void module_params(const char *name, char *params, size_t size)
{
	char line[4096], *word;
	size_t used = 0, i;

	params[0] = '\0';
	read_file("/proc/cmdline", line, sizeof(line));
	for (word = strtok(line, "\n "); word; word = strtok(NULL, "\n ")) {
		for (i = 0; name[i] && plain(word[i]) == plain(name[i]); i++)
			;
		if (!name[i] && word[i] == '.' && used < size)
			used += snprintf(params + used, size - used, "%s ", word + i + 1);
	}
}

static char modules[MAX_MODULES][64];
static int nr_modules;

static void load_modules(void)
{
	FILE *list = fopen("/modules/list", "re");
	char path[128], params[1024];
	int fd;

	while (list && nr_modules < MAX_MODULES && fscanf(list, "%63s", modules[nr_modules]) == 1) {
		snprintf(path, sizeof(path), "/modules/%s.ko", modules[nr_modules]);
		module_params(modules[nr_modules], params, sizeof(params));
		say("# loads %s %s", path, params);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || syscall(SYS_finit_module, fd, params, 0))
			say("Bail out! cannot load %s: %s", path, strerror(errno));
		else
			nr_modules++;
		if (fd >= 0)
			close(fd);
	}
	if (list)
		fclose(list);
}

/* The last one first: others may need those before it. */
static void unload_modules(void)
{
	char *name, *c;

	while (nr_modules) {
		name = modules[--nr_modules];
		for (c = name; *c; c++)
			*c = plain(*c);
		if (syscall(SYS_delete_module, name, O_NONBLOCK))
			say("Bail out! cannot unload %s: %s", name, strerror(errno));
	}
}

/* What the tests want of the machine at least, and what was there before. */
static struct {
	const char *path, *value;
	char before[32];
} settings[] = {
	{ "/proc/sys/vm/nr_hugepages", "16", "" },
	{ "/proc/sys/vm/overcommit_memory", "1", "" },
};

/* Exits with what the running kernel lacks, if anything. */
static void need_ours(void)
{
	static const struct {
		const char *path, *option;
	} needs[] = {
		{ "/dev/kvm", "KVM, and a CPU with virtualization" },
		{ "/sys/module/kvm/parameters/lockless_aging", "a kernel with pgtable-walk" },
		{ "/sys/kernel/debug/pgtable_walk/stats", "CONFIG_DEBUG_FS" },
		{ "/sys/kernel/debug/mmu_notifier_age", "CONFIG_MMU_NOTIFIER_AGE_DEBUG" },
		{ "/sys/kernel/debug/lru_gen", "CONFIG_LRU_GEN" },
		{ "/sys/fs/cgroup/cgroup.subtree_control", "CONFIG_CGROUPS" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(needs); i++) {
		if (access(needs[i].path, R_OK | W_OK)) {
			fprintf(stderr, "no %s: the tests need %s\n", needs[i].path,
				needs[i].option);
			leave(2);
		}
	}
}

static void set_up(void)
{
	char tests[PATH_MAX + 8];

	if (!hosted) {
		mount_at("devtmpfs", "/dev");
		out_fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	}
	mount_at("proc", "/proc");
	mount_at("sysfs", "/sys");
	mount_at("debugfs", "/sys/kernel/debug");
	mount_at("cgroup2", "/sys/fs/cgroup");
	if (!hosted) {
		mount_at("tmpfs", "/tmp");
		mount_at("tmpfs", "/dev/shm");
	}
	if (hosted)
		need_ours();
	write_file("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
		if (atol(settings[i].before) < atol(settings[i].value))
			write_file(settings[i].path, settings[i].value);
	snprintf(tests, sizeof(tests), "%s/tests", top);
	if (chdir(tests))	/* KVM selftests load their guest code from argv[0] */
		say("# cannot change to %s: %s", tests, strerror(errno));
}

/* Prints the whole lines in @buf, and the rest too if @all; returns what is left. */
static size_t say_lines(const char *name, char *buf, size_t len, bool all)
{
	char *line = buf, *end = buf + len, *eol;

	while (line < end) {
		eol = memchr(line, '\n', end - line);
		if (!eol && !all && end - line < MAX_LINE)
			break;
		if (!eol)
			eol = end;
		say("# %s: %.*s", name, (int)(eol - line), line);
		line = eol < end ? eol + 1 : end;
	}
	memmove(buf, line, end - line);
	return end - line;
}

static pid_t start(char **argv, int *out)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC))
		return -1;
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	pid = fork();
	if (!pid) {
		dup2(open("/dev/null", O_RDONLY | O_CLOEXEC), 0);
		dup2(fds[1], 1);
		dup2(fds[1], 2);
		execv(argv[0], argv);
		dprintf(2, "cannot run %s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}
	close(fds[1]);
	*out = fds[0];
	return pid;
}

/* Returns the wait status, or -1 if the test ran out of time. */
static int run(const char *name, long seconds, char **argv)
{
	long long limit = now_ms() + seconds * 1000;
	int out = -1, status = 0, killed = 0;
	bool dead = false;
	char buf[MAX_LINE];
	size_t len = 0;
	ssize_t n;
	pid_t pid = start(argv, &out);

	if (pid < 0)
		return W_EXITCODE(127, 0);
	while (!dead) {
		struct pollfd pfd = { .fd = out, .events = POLLIN };

		/* A closed pipe is always ready, but the test may go on without it. */
		if (poll(&pfd, 1, 20) > 0 && pfd.revents == POLLHUP)
			usleep(10000);
		dead = waitpid(pid, &status, WNOHANG) == pid;
		if (dead)
			kill(-1, SIGKILL);	/* what the test left running */
		while ((n = read(out, buf + len, sizeof(buf) - len)) > 0)
			len = say_lines(name, buf, len + n, false);
		if (!dead && now_ms() > limit) {
			if (killed++)
				break;		/* it is stuck in the kernel */
			kill(-1, SIGKILL);
			limit = now_ms() + KILL_GRACE_MS;
		}
	}
	say_lines(name, buf, len, true);
	close(out);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	if (!dead)
		say("# %s: cannot be killed", name);
	return killed ? -1 : status;
}

struct totals {
	int number, pass, fail, skip;
};

static void report(struct totals *t, const char *name, bool expect_fail, int status, bool taint)
{
	int code = status != -1 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	char why[64] = "";

	t->number++;
	if (taint)
		snprintf(why, sizeof(why), "the kernel warned");
	else if (status == -1)
		snprintf(why, sizeof(why), "timeout");
	else if (WIFSIGNALED(status))
		snprintf(why, sizeof(why), "killed by signal %d", WTERMSIG(status));
	else if (expect_fail && !code)
		snprintf(why, sizeof(why), "passed, but should fail");
	else if (!expect_fail && code && code != KSFT_SKIP)
		snprintf(why, sizeof(why), "exit code %d", code);

	if (why[0]) {
		t->fail++;
		say("not ok %d %s # %s", t->number, name, why);
	} else if (code == KSFT_SKIP) {
		t->skip++;
		say("ok %d %s # SKIP", t->number, name);
	} else {
		t->pass++;
		say("ok %d %s", t->number, name);
	}
}

/* Reads the next line that says something into @line and splits it; false at the end. */
static bool next_line(FILE *plan, char *line, int size, char **word, int *words)
{
	while (fgets(line, size, plan)) {
		static const char blank[] = " \t\n";
		int n = 0;

		for (char *w = strtok(line, blank); w && n < MAX_ARGS - 1; w = strtok(NULL, blank))
			word[n++] = w;
		word[n] = NULL;
		*words = n;
		if (n && word[0][0] != '#')
			return true;
	}
	return false;
}

/*
 * A block device that a test would overwrite, and that a machine which is up does not have,
 * or uses; or NULL.
 */
static const char *device_missing(char **argv)
{
	struct stat st;
	int fd;

	for (; hosted && *argv; argv++) {
		if (strncmp(*argv, "/dev/", 5))
			continue;
		fd = open(*argv, O_RDWR | O_EXCL | O_CLOEXEC);
		if (fd < 0 || fstat(fd, &st) || !S_ISBLK(st.st_mode))
			return *argv;
		close(fd);
	}
	return NULL;
}

/* Returns whether the plan was run to its end. */
static bool run_plan(struct totals *t, const char *path)
{
	FILE *plan = fopen(path, "re");
	char line[1024], *word[MAX_ARGS];
	const char *device;
	int words, tests = 0;

	if (!plan) {
		say("Bail out! cannot open %s: %s", path, strerror(errno));
		return false;
	}
	while (next_line(plan, line, sizeof(line), word, &words))
		tests += strcmp(word[0], "write") != 0;
	say("1..%d", tests);
	rewind(plan);
	while (next_line(plan, line, sizeof(line), word, &words)) {
		bool is_write = !strcmp(word[0], "write");
		long taint = taint_flags();
		int status;

		if (is_write ? words != 3 || !write_file(word[1], word[2]) : words < 4) {
			say("Bail out! bad line in the plan: %s %s", word[0], word[1] ?: "");
			break;
		}
		if (is_write)
			continue;
		device = device_missing(word + 4);
		if (device) {
			t->skip++;
			say("ok %d %s # SKIP no %s that nobody uses", ++t->number, word[0], device);
			continue;
		}
		say("# %s: starts", word[0]);
		status = run(word[0], atol(word[1]), word + 3);
		report(t, word[0], !strcmp(word[2], "fail"), status, taint_flags() != taint);
	}
	fclose(plan);
	return t->number == tests;
}

static int run_all(const char *plan)
{
	struct totals t = {};
	bool whole;

	set_up();
	load_modules();
	say("KTAP version 1");
	say_free_memory("start");
	whole = run_plan(&t, plan);
	unload_modules();
	say_free_memory("end");
	say("# Totals: pass:%d fail:%d skip:%d", t.pass, t.fail, t.skip);
	return !whole || t.fail || !t.pass;
}

static pid_t namespace_init;

static void stop(int sig)
{
	kill(namespace_init, SIGKILL);	/* which ends all in the namespace */
	signal(sig, stop);
}

static int run_hosted(const char *plan)
{
	static const int ends[] = { SIGINT, SIGTERM, SIGHUP, SIGPIPE };
	sigset_t blocked, before;
	int status;

	if (geteuid()) {
		fprintf(stderr, "the tests need root\n");
		return 2;
	}
	if (unshare(CLONE_NEWPID | CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) {
		fprintf(stderr, "no namespaces: %s: the tests need CONFIG_PID_NS\n",
			strerror(errno));
		return 2;
	}
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
		read_file(settings[i].path, settings[i].before, sizeof(settings[i].before));
	out_fd = STDOUT_FILENO;
	/* They are for stop(), which the child has no use for. */
	sigemptyset(&blocked);
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		sigaddset(&blocked, ends[i]);
	sigprocmask(SIG_BLOCK, &blocked, &before);
	namespace_init = fork();
	if (namespace_init < 0) {
		fprintf(stderr, "fork: %s\n", strerror(errno));
		return 2;
	}
	if (!namespace_init) {
		sigprocmask(SIG_SETMASK, &before, NULL);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		leave(run_all(plan));
	}
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		signal(ends[i], stop);
	sigprocmask(SIG_SETMASK, &before, NULL);
	while (waitpid(namespace_init, &status, 0) != namespace_init)
		;
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++)
		write_file(settings[i].path, settings[i].before);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv)
{
	char plan[PATH_MAX + 8], *slash;

	hosted = getpid() != 1;
	if (hosted && readlink("/proc/self/exe", top, sizeof(top) - 1) > 0) {
		slash = strrchr(top, '/');
		*slash = '\0';
	}
	snprintf(plan, sizeof(plan), "%s/plan", top);
	if (!hosted)
		leave(run_all(plan));
	if (argc > 2) {
		fprintf(stderr, "usage: %s [PLAN]\n", argv[0]);
		return 2;
	}
	if ((argc == 2 && !realpath(argv[1], plan)) || access(plan, R_OK)) {
		fprintf(stderr, "%s: %s\n", argc == 2 ? argv[1] : plan, strerror(errno));
		return 2;
	}
	return run_hosted(plan);
}
