# SPDX-License-Identifier: GPL-2.0
"""A small overlay and kernel tree for tests of apply.py, and what runs the tests."""
import concurrent.futures
import hashlib
import multiprocessing
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tools/testing/pgtable-walk"))
# pylint: disable=wrong-import-position
from testlib import Ktap  # noqa: E402

APPLY = HERE / "apply.py"
CONVERT = "scripts/coccinelle/pgtable-walk/convert"


class Skip(Exception):
    pass


FAKE_C = """\
// fake
#include <linux/fake.h>

struct pair {
	int left;
};

static int one(int a)
{
	old_call(a);
	return 0;
}

/* two calls */
static int two(int a)
{
	old_call(a);
	if (a)
		old_call(a + 1);
	return 0;
}

int doomed(void)
{
	return 0;
}

int last(void)
{
	return 0;
}
"""

CALLS = """\
// SPDX-License-Identifier: GPL-2.0
/// fake: Call the new thing
///
/// It is better.
// File: kernel/fake.c
// Hunks: one 1
// Hunks: two 2
// Hunks: struct pair 1
// Applied: one new_call
// Applied: two new_call
// Applied: struct pair right
@@
expression e;
@@
- old_call(e)
+ new_call(e)
@@
@@
 struct pair {
	...
	int left;
+	int right;
 };
"""

DOOM = """\
/// fake: Drop what nobody calls, add what somebody will
// File: kernel/fake.c
// Hunks: - 1
// Hunks: doomed 1
// Applied: doomed !.
// Applied: - ^int added\\(
@@
@@
- int doomed(...) { ... }
@@
@@
+int added(void)
+{
+	return 1;
+}
+
 static int one(...) { ... }
"""

HOOKS = """\
/// fake: Hook it up
///
File: lib/Kconfig
After: source "lib/math/Kconfig"
Add: source "lib/pgtable-walk/Kconfig"
File: lib/Kconfig
In: config KVM
After: 	select COMMON
Add: 	select PGTABLE_WALK
File: lib/Makefile
Before: obj-y += z.o
Add: # the walker
Add: obj-y += pgtable-walk/
File: lib/Makefile
Replace: obj-y += b.o
Replace: obj-y += c.o
Add: obj-y += b.o d.o
File: lib/Makefile
At: end
Add: 
Add: # end
"""

KCONFIG = """\
source "lib/math/Kconfig"

config KVM
	bool "KVM"
	select COMMON

	help
	  It.

config OTHER
	select COMMON
"""

KCONFIG_AFTER = KCONFIG.replace('Kconfig"\n', 'Kconfig"\nsource "lib/pgtable-walk/Kconfig"\n').replace(
    "COMMON\n\n", "COMMON\n\tselect PGTABLE_WALK\n\n")
MAKEFILE = "obj-y += a.o\nobj-y += b.o\nobj-y += c.o\nobj-y += z.o\n"
MAKEFILE_AFTER = ("obj-y += a.o\nobj-y += b.o d.o\n# the walker\nobj-y += pgtable-walk/\n"
                  "obj-y += z.o\n\n# end\n")

BASE_FILES = {
    "Makefile": "# SPDX\nVERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 1\n",
    "Kconfig": "# top\n",
    "kernel/fake.c": FAKE_C,
    "kernel/other.c": "int other(int a)\n{\n\treturn old_call(a);\n}\n",
    "lib/Kconfig": KCONFIG,
    "lib/Makefile": MAKEFILE,
}
OVERLAY_FILES = {
    "include/linux/walk_fake.h": "/* new */\n",
    "lib/pgtable-walk/Kconfig": "config PGTABLE_WALK\n\tbool\n",
    "arch/fake/run.S": "#!/bin/sh\n",
    "README.md": "not for the tree\n",
    f"{CONVERT}/6.12/README": "what only 6.12 has\n",
    f"{CONVERT}/0001-calls.cocci": CALLS,
    f"{CONVERT}/0002-doom.cocci": DOOM,
    f"{CONVERT}/0002-doom.edit": HOOKS,
}


class Bench:
    """An overlay and a kernel tree in a directory of their own."""

    def __init__(self, directory):
        self.dir = directory
        self.root, self.tree = directory / "overlay", directory / "tree"
        self.tmp = directory / "tmp"
        self.tmp.mkdir()
        put(self.root, OVERLAY_FILES)
        put(self.tree, BASE_FILES)
        (self.root / "arch/fake/run.S").chmod(0o755)

    def conversion(self, name, old, new):
        path = self.root / CONVERT / name
        text = path.read_text()
        assert old in text, f"fixture: no '{old}' in {name}"
        path.write_text(text.replace(old, new, 1))

    def edit(self, name, old, new):
        path = self.tree / name
        text = path.read_text()
        assert old in text, f"fixture: no '{old}' in {name}"
        path.write_text(text.replace(old, new, 1))

    def run(self, *args, tree=None, command=(APPLY,), **popen):
        env = {**os.environ, "TMPDIR": str(self.tmp), **popen.pop("env", {})}
        return subprocess.run([*command, "--overlay-root", self.root, *args, tree or self.tree],
                              capture_output=True, text=True, env=env, check=False,
                              timeout=900, **popen)

    def patched(self, code, *args):
        """Run apply.py with some of it replaced."""
        script = self.dir / "patched.py"
        script.write_text("import os, signal, sys\n"
                          f"sys.path.insert(0, {str(HERE)!r})\n"
                          "from converter import main as m, transaction as t\n"
                          f"{code}\nm.main()\n")
        return self.run(*args, command=(sys.executable, "-B", script))

    def applied(self, *args, **kwargs):
        out = self.run(*args, **kwargs)
        assert out.returncode == 0, f"failed: {out.stderr}"
        assert not out.stderr, f"stderr: {out.stderr}"
        return out.stdout

    def refused(self, *words, run=None, tree=None, args=(), count=1):
        """apply refuses in so many lines that have all these words, and changes nothing."""
        watched = tree or self.tree
        small = watched.is_relative_to(self.dir)
        before = snapshot(watched) if small else None
        out = run() if run else self.run(*args, tree=tree)
        assert out.returncode == 1, f"exit {out.returncode}, {out.stdout}{out.stderr}"
        lines = out.stderr.splitlines()
        assert len(lines) == count, f"not {count} lines: {out.stderr}"
        for word in words:
            assert word in out.stderr, f"no '{word}' in: {out.stderr}"
        assert before == (snapshot(watched) if small else None), "the tree was changed"
        assert not list(self.tmp.iterdir()), f"left behind: {list(self.tmp.iterdir())}"


    def contents(self):
        """{path: (mode, data)} of the tree, None for a directory."""
        return {str(p.relative_to(self.tree)): None if p.is_dir() else (p.stat().st_mode, p.read_bytes())
                for p in self.tree.rglob("*")}


def put(root, files):
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def snapshot(tree):
    """All there is to know about a tree but access and directory times."""
    found = {}
    for path in tree.rglob("*"):
        stat = path.lstat()
        content = ("", 0) if path.is_dir() else \
            (hashlib.sha256(path.read_bytes()).hexdigest(), stat.st_mtime_ns)
        found[str(path.relative_to(tree))] = (stat.st_mode, stat.st_uid, stat.st_gid, *content)
    return found


def as_root():
    if os.geteuid():
        raise Skip("needs root")


class Mount:
    """A mount for the length of a test; SKIP where that is not allowed."""

    def __init__(self, *args, at):
        as_root()
        out = subprocess.run(["mount", *args, at], capture_output=True, text=True, check=False)
        if out.returncode:
            raise Skip(f"mount: {out.stderr.strip()}")
        self.at = at

    def __enter__(self):
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", self.at], check=True)


# ---- running ----

TESTS = {}      # by name; what runs one is a copy of this process


def run_test(name):
    """The verdict, why it was skipped, and lines that say what is wrong or what else the test says."""
    with tempfile.TemporaryDirectory(prefix="test-apply-") as directory:
        try:
            return "pass", "", TESTS[name](Bench(pathlib.Path(directory))) or []
        except Skip as reason:
            return "skip", str(reason), []
        except Exception:       # whatever it is, the test has failed
            return "fail", "", traceback.format_exc().rstrip().split("\n")


def run_tests(tests, jobs):
    """Run {name: function(bench)}, print results as KTAP, exit."""
    # Where a shell ran this in the background, SIGINT is ignored, and programs that the tests
    # start would ignore it too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    TESTS.update(tests)
    ktap = Ktap(len(tests))
    with concurrent.futures.ProcessPoolExecutor(max(1, jobs), multiprocessing.get_context("fork")) as pool:
        for name, (verdict, why, lines) in zip(tests, pool.map(run_test, tests)):
            ktap.diagnose(*lines)
            ktap.line(verdict, name, why)
    ktap.finish()
