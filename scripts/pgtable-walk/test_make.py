# SPDX-License-Identifier: GPL-2.0
"""Tests of the Makefile in clones at odd paths, and of the shell tools: need, fetch-base,
copy-base, stage."""
import os
import shutil
import signal
import subprocess
import sys
import time

from testbench import APPLY, BASE_FILES, CONVERT, FAKE_C, HERE, OVERLAY_FILES, Mount, Skip, put

ROOT = HERE.parent.parent
KNOWN = "tools/testing/pgtable-walk/lab/arch"
CHECKED = ("check", "check-host", "check-litmus", "check-cocci", "check-static", "check-docs", "check-kernel", "demo",
           "check-series", "check-farm", "lava", "hardware-tests", "sabotage-kernel", "record-stock")


# ---- make ----

class Clone:
    """A clone with the fake conversions, at a path below that of the bench."""

    def __init__(self, b, name="clone"):
        self.b, self.dir = b, b.dir / name
        put(self.dir, OVERLAY_FILES)
        shutil.copy2(ROOT / "Makefile", self.dir / "Makefile")
        shutil.copytree(HERE, self.dir / "scripts/pgtable-walk", dirs_exist_ok=True)
        shutil.copytree(ROOT / KNOWN, self.dir / KNOWN)

    def make(self, *args, **env):
        clean = {k: v for k, v in os.environ.items() if k not in
                 ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "KDIR", "ARCHES", "BASE", "JOBS", "FULL",
                  "SCHEDULES", "V")}
        return subprocess.run(["make", *args], cwd=self.dir, capture_output=True, text=True, check=False,
                              timeout=300, env={**clean, "TMPDIR": str(self.b.tmp), **env})

    def good(self, *args, **env):
        out = self.make(*args, **env)
        assert out.returncode == 0, out
        return out.stdout

    def refused(self, *args, words=(), **env):
        """In one line, before anything is there."""
        before = everything(self.b.dir)
        out = self.make(*args, **env)
        assert out.returncode and not out.stdout, (args, out)
        lines = [line for line in out.stderr.splitlines() if not line.startswith("make: ***")]
        assert len(lines) == 1, (args, out.stderr)
        for word in words:
            assert word in lines[0], f"{args}: no '{word}' in: {lines[0]}"
        assert everything(self.b.dir) == before, args


def everything(top):
    return {str(p.relative_to(top)) for p in top.rglob("*")}


ODD = ("pro j", "a;touch x", "$(touch x)", "$HOME", "it's", 'quo"te', "a&b", "hash#", "(x)", "star*", "co:lon", "per%cent")


def test_odd_paths(b):
    """Of the clone and of the tree; below them lies what an unquoted path would name."""
    put(b.dir, {"pro/build/keep": "x", "j/build/keep": "x", "a/keep": "x"})
    for number, name in enumerate(ODD):
        clone, tree = Clone(b, f"{number}/{name}"), b.dir / f"trees{number}" / name
        put(tree, BASE_FILES)
        before = everything(b.dir)
        assert "make apply" in clone.good() == clone.good("help")
        clone.good("apply", f"KDIR={tree}")
        assert "new_call" in (tree / "kernel/fake.c").read_text()
        clone.good("unapply", f"KDIR={tree}")
        assert (tree / "kernel/fake.c").read_text() == FAKE_C
        (clone.dir / "build").mkdir()
        clone.good("clean")
        assert everything(b.dir) == before, name
        if number < 3:
            for goal in ("check", "demo", "sabotage"):
                clone.refused(goal, words=("move the clone",))
        else:
            clone.refused("check", words=("move the clone",))


def test_elsewhere(b):
    clone = Clone(b)
    other = b.dir / "other"
    put(other, {"build/keep": "x"})
    clone.refused("-f", str(clone.dir / "Makefile"), "--no-print-directory", "-C", str(other), "clean",
                  words=("make -C",))


def test_apply_without_kdir(b):
    """At a path with a space: a copy of the base, in spite of what was killed before."""
    clone = Clone(b, "pro j")
    put(clone.dir / "build/src/linux-6.12-stock", BASE_FILES)
    put(clone.dir / "build/src/linux-6.12.tmp", {"half": "x"})
    clone.good("apply")
    assert "new_call" in (clone.dir / "build/src/linux-6.12/kernel/fake.c").read_text()
    assert "nothing to do" in clone.good("apply")
    assert {p.name for p in (clone.dir / "build/src").iterdir()} == \
        {"linux-6.12", "linux-6.12-stock", "linux-6.12.lock"}
    assert not (clone.dir / "build/src/linux-6.12/half").exists()
    (clone.dir / CONVERT / "0002-doom.edit").unlink()
    clone.good("apply")
    assert (clone.dir / "build/src/linux-6.12/lib/Makefile").read_text() == BASE_FILES["lib/Makefile"]
    clone.good("clean")
    assert not (clone.dir / "build").exists()


def test_kdir_is_for_one_tree(b):
    clone = Clone(b)
    for goal in (*CHECKED, "clean", "check-cocci"):
        clone.refused(goal, f"KDIR={b.tree}", words=("KDIR is for", goal))
    clone.refused("apply", "check", f"KDIR={b.tree}", words=("KDIR is for", "check"))
    clone.refused("unapply", words=("KDIR=tree",))
    for empty in ("", " "):
        for goal in ("apply", "unapply", "coccicheck"):
            clone.refused(goal, f"KDIR={empty}", words=("KDIR is empty",))
    clone.refused("coccicheck", f"KDIR={b.tree}", "M=nowhere", words=("nowhere", "M="))
    clone.refused("coccicheck", f"KDIR={b.tree}", "M=$(shell touch x)", words=("M=",))
    clone.refused("coccicheck", f"KDIR={b.tree}", "MODE=mend", words=("MODE='mend'", "report context org patch"))
    for goal in ("apply", "unapply", "coccicheck"):
        clone.refused(goal, KDIR=str(b.tree), words=("environment",))
        clone.refused("-e", goal, KDIR=str(b.tree), words=("environment",))
    for args in (("check-cocci",), ("-e", "check-static"), ("check",)):
        out = clone.make("-n", *args, KDIR=str(b.tree))
        assert out.returncode == 0 and str(b.tree) not in out.stdout, out
    assert "new_call" not in (b.tree / "kernel/fake.c").read_text()


def test_kdir_at_home(b):
    clone = Clone(b)
    clone.good("apply", "KDIR=~/tree", HOME=str(b.dir))
    assert "new_call" in (b.tree / "kernel/fake.c").read_text()
    clone.good("unapply", "KDIR=~/tree", HOME=str(b.dir))
    assert (b.tree / "kernel/fake.c").read_text() == FAKE_C


def test_kdir_runs_nothing(b):
    clone = Clone(b)
    for name in (f"a;touch {b.dir}/ran", f"$(touch {b.dir}/ran)", f"$(shell touch {b.dir}/ran)", f"`touch {b.dir}/ran`",
                 f"a' ; touch {b.dir}/ran; '", "-h", "--help", "a b"):
        clone.refused("apply", f"KDIR={name}", words=("not a kernel source tree",))
    (clone.dir / "build").mkdir(exist_ok=True)
    for goals in (("clean",), ("help",), ("apply", f"KDIR={b.tree}"), ("unapply", f"KDIR={b.tree}")):
        clone.good(*goals, f"ARCHES=$(shell touch {b.dir}/ran)")
        clone.good(*goals, ARCHES=f"$(shell touch {b.dir}/ran)")
        assert not (b.dir / "ran").exists(), goals
    for name in ("BASE", "FULL", "JOBS", "SCHEDULES", "V"):
        clone.good("help", f"{name}=$(shell touch {b.dir}/ran)")
        clone.good("help", **{name: f"$(shell touch {b.dir}/ran)"})
        assert not (b.dir / "ran").exists(), name
    for name, value in (("JOBS", f"2;touch {b.dir}/ran"), ("JOBS", ""), ("V", "2"), ("BASE", "9.9"),
                        ("BASE", "../x"), ("FULL", "yes"), ("SCHEDULES", ""), ("SCHEDULES", "-1"),
                        ("JOBS", f"$(shell touch {b.dir}/ran)")):
        clone.refused("check-host", f"{name}={value}", words=(name,))


def test_what_is_ours_stays_ours(b):
    clone = Clone(b)
    victim = b.dir / "victim"
    put(victim, {"keep": "x"})
    for name in ("BUILD", "STOCK", "OURS", "SCRIPTS", "TESTS", "STAGE", "LAB", "HOST", "CURDIR"):
        clone.refused("clean", f"{name}={victim}", words=(name, "cannot be set"))
        if name != "CURDIR":    # which make sets itself
            clone.refused("-e", "clean", **{name: str(victim)}, words=(name, "cannot be set"))
    clone.good("clean", BUILD=str(victim))
    assert (victim / "keep").exists()


def test_checks_without_architectures(b):
    clone = Clone(b)
    known = " ".join(sorted(path.stem for path in (ROOT / KNOWN).glob("*.mk")))
    for goal in CHECKED:
        for arches in ("", " ", "x86_64", "arm64 x86_64", f"x86;touch {b.dir}/ran"):
            clone.refused(goal, f"ARCHES={arches}", words=("ARCHES", known))
        clone.refused(goal, ARCHES="x86_64", words=("ARCHES", known))
    clone.good("help", "ARCHES=")


def test_dry_run(b):
    clone = Clone(b)
    before = everything(b.dir)
    for goal in ("check", "demo", "check-litmus", "check-cocci", "check-kernel", "apply"):
        out = clone.make("-n", goal)
        assert out.returncode == 0 and "==" not in out.stdout, out
    assert everything(b.dir) == before


def test_only_is_a_regex(b):
    """Or else there is one line, and nothing is built."""
    top = ROOT / "tools/testing/pgtable-walk"
    for command in ((top / "sabotage.py", "host", f"--build={b.dir / 'build'}", "--only"),
                    (top / "bench/bench.py", "--arches=none", "--base=6.12", f"--build={b.dir / 'build'}",
                     "--lab=false", "--loops=none", "--only")):
        out = subprocess.run([*command, "a(b"], capture_output=True, text=True, check=False, timeout=60)
        assert out.returncode == 1 and not out.stdout, out
        assert len(out.stderr.splitlines()) == 1 and "a(b" in out.stderr, out
        assert not (b.dir / "build").exists(), command


def test_old_python(b):
    shim = b.dir / "bin/python3"
    put(b.dir, {"bin/python3": "#!/bin/sh\necho False\n"})
    shim.chmod(0o755)
    clone = Clone(b)
    clone.refused("check", PATH=f"{b.dir}/bin:{os.environ['PATH']}", words=("Python 3.8",))
    code = "import sys; sys.version_info = (3, 7, 2); exec(open(sys.argv[1]).read())"
    out = subprocess.run([sys.executable, "-c", code, APPLY], capture_output=True, text=True, check=False)
    assert out.returncode == 1 and out.stderr.splitlines() == \
        ["apply.py: needs Python 3.8 or newer, not 3.7; nothing was changed"], out
    subprocess.run([sys.executable, "-c", "import ast, sys; ast.parse(open(sys.argv[1]).read(), feature_version=(3, 4))",
                    APPLY], check=True)


def test_ccache(b):
    clone = Clone(b)
    put(b.dir, {"bin/ccache": f"#!/bin/sh\necho '{b.dir}/cache'\n"})
    (b.dir / "bin/ccache").chmod(0o755)
    rule = "\nsay:\n\t@echo $${CCACHE_DIR-unset}; $(cache_says)\n"
    with open(clone.dir / "Makefile", "a", encoding="utf-8") as makefile:
        makefile.write(rule)
    env = {"PATH": f"{b.dir}/bin:{os.environ['PATH']}"}
    os.environ.pop("CCACHE_DIR", None)
    ours = str(clone.dir / "build/ccache")
    assert clone.good("say", **env).split() == [ours, "ccache:", ours]
    assert clone.good("say", **env, CCACHE_DIR="/x").split() == ["/x", "ccache:", "/x"]
    (b.dir / "cache").mkdir()
    assert clone.good("say", **env).split() == ["unset", "ccache:", f"{b.dir}/cache"]


# ---- need, fetch-base, copy-base, stage ----

def helper(b, name, *args, **shims):
    """Run one of the shell tools with some commands replaced."""
    for command, script in shims.items():
        put(b.dir / "bin", {command.replace("_", "-"): f"#!/bin/sh\n{script}\n"})
        (b.dir / "bin" / command.replace("_", "-")).chmod(0o755)
    env = {**os.environ, "PATH": f"{b.dir}/bin:{os.environ['PATH']}", "T": str(b.dir)}
    return subprocess.run([HERE / name, *args], capture_output=True, text=True, env=env,
                          check=False, timeout=60)


DPKG = 'for p; do [ -e "$T/installed-$p" ] && printf "installed:%s " "$p"; done; exit 1'


def test_need_has_all(b):
    put(b.dir, {"installed-one": "", "installed-two": ""})
    out = helper(b, "need", "one", "two", dpkg_query=DPKG, apt_get="exit 1")
    assert (out.returncode, out.stdout, out.stderr) == (0, "", ""), out


def test_need_installs(b):
    put(b.dir, {"installed-one": ""})
    apt = 'echo "$@" >>$T/calls; [ "$1" = update ] && : >$T/updated; [ -e $T/updated ]'
    out = helper(b, "need", "one", "two", "three", dpkg_query=DPKG, apt_get=apt, id="echo 0")
    assert out.returncode == 0 and len(out.stderr.splitlines()) == 1, out
    calls = (b.dir / "calls").read_text().splitlines()
    assert [c.split()[0] for c in calls] == ["install", "update", "install"], calls
    assert calls[0].endswith(" two three"), calls


def test_need_cannot(b):
    shims = {"dpkg_query": DPKG, "apt_get": "echo E: no such thing; exit 100"}
    out = helper(b, "need", "one", "two", id="echo 1000", sudo="exit 1", **shims)
    assert out.returncode == 1 and len(out.stderr.splitlines()) == 1, out
    assert "apt-get install one two" in out.stderr, out
    out = helper(b, "need", "one", id="echo 0", **shims)
    assert out.returncode == 1 and "E: no such thing" in out.stderr, out


def test_fetch_base_refuses_unknown(b):
    out = helper(b, "fetch-base", "5.4", b.dir / "x")
    assert out.returncode == 1 and len(out.stderr.splitlines()) == 1 and "5.4" in out.stderr, out
    assert not (b.dir / "x").exists()


def test_fetch_base_leaves_no_half_tree(b):
    if not os.path.exists("/usr/src/linux-source-6.12.tar.xz"):
        raise Skip("linux-source-6.12 is not installed")
    tar = 'while [ "$1" != -C ]; do shift; done; echo x >"$2/Makefile"; echo tar: broken >&2; exit 2'
    out = helper(b, "fetch-base", "6.12", b.dir / "base", tar=tar, dpkg_query='for p; do :; done\n'
                 'printf "installed:linux-source-6.12 installed:xz-utils "')
    assert out.returncode == 1 and "tar: broken" in out.stderr, out
    assert [p.name for p in b.dir.glob("base*")] == ["base.lock"]
    out = helper(b, "fetch-base", "6.12", b.dir / "base", tar=tar.replace("exit 2", "exit 0"))
    assert out.returncode == 0 and (b.dir / "base/Makefile").read_text() == "x\n", out
    assert {p.name for p in b.dir.glob("base*")} == {"base", "base.lock"}


def test_fetch_cannot(b):
    """In one line, and nothing is left."""
    apt = '[ "$1" != indextargets ] || { echo http://mirror/debian/; exit; }; echo E: no such thing; exit 100'
    for name, args in (("fetch-package", ("sid", b.dir / "new", "one", "two")), ("fetch-herd", (b.dir / "new",))):
        for shim, words in (("exit 0", "no mirror"), (apt, "E: no such thing")):
            out = helper(b, name, *args, apt_get=shim)
            lines = [line for line in out.stderr.splitlines() if not line.startswith("fetching")]
            assert out.returncode == 1 and len(lines) == 1 and words in lines[0], out
            assert not (b.dir / "new").exists() and not list(b.dir.glob("*.tmp")), out


def test_fetch_package(b):
    apt = 'case $1 in indextargets) echo http://mirror/debian/ ;; download) cp "$T/one.deb" . ;; esac'
    put(b.dir, {"one.deb": "x"})
    out = helper(b, "fetch-package", "sid", b.dir / "new", "one", apt_get=apt,
                 dpkg_deb='[ "$1" = -x ] && mkdir -p "$3/usr" && cp "$2" "$3/usr"')
    assert out.returncode == 0 and (b.dir / "new/usr/one.deb").read_text() == "x", out


def test_need_takes_the_command(b):
    """However it came; the package is not asked for."""
    out = helper(b, "need", "there:one", "sh:two", dpkg_query="exit 1", apt_get="exit 1", there="exit 0")
    assert (out.returncode, out.stdout, out.stderr) == (0, "", ""), out
    out = helper(b, "need", "there:one", "not-there:two", dpkg_query="exit 1", apt_get="exit 1", there="exit 0",
                 id="echo 1000", sudo="exit 1")
    assert out.returncode == 1 and "apt-get install two" in out.stderr and "one" not in out.stderr, out


def test_copy_base(b):
    def copy():
        return subprocess.run([HERE / "copy-base", b.tree, b.dir / "copy"], capture_output=True, text=True,
                              check=False, timeout=60)
    (b.tree / "link").symlink_to("Makefile")
    put(b.dir, {"copy.tmp/half": "x", "copy.tmp/tree/half": "x"})
    for _ in range(2):
        assert copy().returncode == 0
        assert everything(b.dir / "copy") == everything(b.tree) and (b.dir / "copy/link").is_symlink()
        assert not (b.dir / "copy.tmp").exists()
    shutil.rmtree(b.dir / "copy")
    shutil.rmtree(b.tree)
    out = copy()
    assert out.returncode == 1 and len(out.stderr.splitlines()) == 1 and "cannot copy" in out.stderr, out
    assert not list(b.dir.glob("copy*mp")) and not (b.dir / "copy").exists()


def test_copy_base_full_disk(b):
    put(b.tree, {"big": "x" * 100000})
    (b.dir / "disk").mkdir()
    with Mount("-t", "tmpfs", "-o", "size=64k", "none", at=b.dir / "disk"):
        out = subprocess.run([HERE / "copy-base", b.tree, b.dir / "disk/copy"], capture_output=True, text=True,
                             check=False)
        assert out.returncode == 1 and "No space left" in out.stderr and len(out.stderr.splitlines()) == 1, out
        assert everything(b.dir / "disk") == {"copy.lock"}


SLOW = 'echo x >"$T/started"; for last; do :; done; mkdir -p "$last"; echo x >"$last/half"; ' \
       'while [ ! -e "$T/go" ]; do sleep 0.02; done; exec {} "$@"'


def copying(b, number):
    """A copy that is sent a signal in the middle; cp waits there for $T/go."""
    for name in ("started", "go"):
        (b.dir / name).unlink(missing_ok=True)
    put(b.dir, {"bin/cp": "#!/bin/sh\n" + SLOW.format(shutil.which("cp")) + "\n"})
    (b.dir / "bin/cp").chmod(0o755)
    env = {**os.environ, "PATH": f"{b.dir}/bin:{os.environ['PATH']}", "T": str(b.dir)}
    with subprocess.Popen([HERE / "copy-base", b.tree, b.dir / "copy"], env=env, start_new_session=True,
                          stderr=subprocess.DEVNULL) as child:
        deadline = time.monotonic() + 300
        while not (b.dir / "copy.tmp/half").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        if number == signal.SIGKILL:
            child.kill()        # cp goes on, and keeps the lock
        else:
            os.killpg(child.pid, number)
    return child.returncode


def test_copy_base_killed(b):
    put(b.tree, {"tree/file": "x"})
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        assert copying(b, number)
        with subprocess.Popen([HERE / "copy-base", b.tree, b.dir / "copy"], text=True,
                              stderr=subprocess.PIPE) as child:
            said = child.stderr.readline() if number == signal.SIGKILL else ""
            (b.dir / "go").touch()
            said += child.stderr.read()
        assert child.returncode == 0, said
        assert everything(b.dir / "copy") == everything(b.tree)
        assert not (b.dir / "copy.tmp").exists()
        assert ("waiting for another run" in said) == (number == signal.SIGKILL), said
        shutil.rmtree(b.dir / "copy")


def test_copy_base_twice_at_once(b):
    children = [subprocess.Popen([HERE / "copy-base", b.tree, b.dir / "copy"], stderr=subprocess.DEVNULL)
                for _ in range(4)]
    assert [child.wait(timeout=60) for child in children] == [0] * 4
    assert everything(b.dir / "copy") == everything(b.tree)


def stage(b, *args):
    return subprocess.run([HERE / "stage", b.dir / "build", *args], capture_output=True, text=True, check=False)


def test_stage_counts(b):
    assert stage(b, "1", "check-one", "printf", "1..2\nok 1 a\nok 2 b # SKIP\n").returncode == 0
    assert stage(b, "1", "--report", "check-one").stdout.endswith("\n1 passed, 0 failed, 1 skipped\n")
    assert stage(b, "1", "check-none", "true").returncode == 1
    out = stage(b, "1", "--report")
    assert out.returncode == 1 and out.stdout.endswith("\n0 passed, 1 failed\n"), out


def test_stage_without_its_results(b):
    for text, total in (("1..2\nok 1 a # SKIP\nok 2 b # SKIP\n", "0 passed, 1 failed, 2 skipped"),
                        ("1..3\nok 1 a\nok 2 b\n", "2 passed, 1 failed"),
                        ("1..1\nok 1 a\n1..2\nok 1 b\n", "2 passed, 1 failed"),
                        ("1..0 # SKIP\n", "0 passed, 1 failed")):
        assert stage(b, "1", "check-some", "printf", "%b", text).returncode == 1, text
        out = stage(b, "1", "--report", "check-some")
        assert out.returncode == 1 and out.stdout.endswith(f"\n{total}\n"), (text, out)
    assert stage(b, "1", "install", "printf", "1..2\n").returncode == 0


def test_stage_that_died(b):
    stage(b, "1", "install", "true")
    stage(b, "1", "check-one", "echo", "ok 1 a")
    stage(b, "1", "check-two", "sh", "-c", "echo ok 1 a; kill -9 $PPID")
    out = stage(b, "1", "--report", "install", "check-one", "check-two")
    assert out.returncode == 1 and out.stdout.endswith("\n1 passed, 1 failed\n") and \
        "check-two did not get to its end" in out.stdout, out
    out = stage(b, "1", "--report", "check-one")
    assert out.returncode == 1 and out.stdout.endswith("\n0 passed, 1 failed\n"), out


def test_stages_of_two_jobs(b):
    stage(b, "1", "check-one", "echo", "ok 1 a")
    stage(b, "2", "demo", "true")
    assert "check-one" not in stage(b, "2", "--report", "demo").stdout
    assert stage(b, "1", "--report", "check-one").stdout.endswith("\n1 passed, 0 failed\n")


def test_report_of_make(b):
    """It knows which stages there must be, and is not that of another make."""
    clone = Clone(b)
    put(clone.dir, {"scripts/pgtable-walk/need": "#!/bin/sh\nkill -9 $PPID\n", "build/stages.1": "x 1 1 0 0\n"})
    (clone.dir / "scripts/pgtable-walk/need").chmod(0o755)
    out = clone.make("check")
    assert out.returncode and out.stdout.endswith("\n0 passed, 7 failed\n"), out
    for goal in ("install", "apply", "check-host", "check-litmus", "check-cocci", "check-static", "check-kernel"):
        assert f"{goal} did not get to its end" in out.stdout, out
    assert [p.name for p in (clone.dir / "build").glob("stages*")] == ["stages.1"]
