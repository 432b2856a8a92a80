#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Run the tests of apply.py: those here, of what it does with trees, and those in
test_conversions.py, test_undo.py and test_make.py, on small trees made there; with
--base TREE also those in test_real.py, of the repository's own conversions.  Speaks
KTAP."""
import argparse
import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
# pylint: disable=wrong-import-position
import test_conversions  # noqa: E402
import test_make  # noqa: E402
import test_real  # noqa: E402
import test_undo  # noqa: E402
from converter.record import MANIFEST  # noqa: E402
from testbench import (APPLY, BASE_FILES, CONVERT, KCONFIG_AFTER, MAKEFILE, MAKEFILE_AFTER, Mount, Skip,  # noqa: E402
                       as_root, put, run_tests, snapshot)

# ---- what it does ----

def test_converts(b):
    out = b.applied()
    text = (b.tree / "kernel/fake.c").read_text()
    assert text.count("new_call") == 3 and "old_call" not in text and "\tint right;" in text
    assert "doomed" not in text and "int added(void)\n{\n\treturn 1;\n}\n\nstatic int one" in text
    assert (b.tree / "lib/Kconfig").read_text() == KCONFIG_AFTER
    assert (b.tree / "lib/Makefile").read_text() == MAKEFILE_AFTER
    assert (b.tree / "include/linux/walk_fake.h").read_text() == "/* new */\n"
    assert not (b.tree / "README.md").exists() and not (b.tree / CONVERT).exists()
    lines = out.splitlines()
    assert len(lines) == 3 and lines[0].startswith("0001-calls ") and "4 hunks" in lines[0], out
    assert "7 hunks" in lines[1] and "2 conversions, 3 new files, 3 converted" in lines[2], out


def test_keeps_modes_owners_times(b):
    (b.tree / "kernel/fake.c").chmod(0o600)
    (b.tree / "lib/Makefile").chmod(0o755)
    (b.tree / "lib/Kconfig").chmod(0o444)
    if os.geteuid() == 0:
        for path in [b.tree, *b.tree.rglob("*")]:
            os.chown(path, 1234, 1235)
    before = snapshot(b.tree)
    b.applied()
    after = snapshot(b.tree)
    for path, (mode, uid, gid, digest, mtime) in before.items():
        assert after[path][:3] == (mode, uid, gid), path
        if after[path][3] == digest:
            assert after[path][4] == mtime, f"{path}: touched"
    assert after["kernel/fake.c"][3] != before["kernel/fake.c"][3]
    assert after["arch/fake/run.S"][0] & 0o777 == 0o755
    assert after["include/linux/walk_fake.h"][0] & 0o777 == 0o644
    assert all(a[1:3] == before["lib"][1:3] for a in after.values()), "owners of new files"


def test_second_run_does_nothing(b):
    b.applied()
    before = snapshot(b.tree)
    out = b.applied()
    assert "nothing to do" in out and "2 conversions, 3 new files" in out, out
    assert before == snapshot(b.tree)


def test_second_run_without_record(b):
    b.applied()
    (b.tree / MANIFEST).unlink()
    b.refused("kernel/fake.c", "0001-calls", f"no {MANIFEST} says which version")


def test_new_conversion_on_converted_tree(b):
    b.applied()
    put(b.root, {f"{CONVERT}/0003-more.edit":
                 "/// more\nFile: Kconfig\nAfter: # top\nAdd: # more\n"})
    out = b.applied()
    assert "0003-more" in out, out
    assert (b.tree / "Kconfig").read_text() == "# top\n# more\n"


def test_check_only_and_quiet(b):
    before = snapshot(b.tree)
    assert "can be converted" in b.applied("--check-only")
    assert before == snapshot(b.tree)
    assert b.applied("--quiet") == ""
    assert "nothing to do" in b.applied("--check-only")


def only_sources(b):
    put(b.root, {f"lib/pgtable-walk/{name}": "x" for name in
                 ("x.o", ".x.c.swp", "x.c.orig", "x.c.rej", "x.c~", "#x.c#", ".#x.c", "x.mod.c", "tags", "new.c")})
    b.applied()
    assert sorted(p.name for p in (b.tree / "lib/pgtable-walk").iterdir()) == ["Kconfig", "new.c"]


def test_only_sources_with_git(b):
    subprocess.run(["git", "init", "-q", b.root], check=True)
    put(b.root, {".gitignore": "*.o\n"})
    only_sources(b)


def test_only_sources_without_git(b):
    only_sources(b)


def test_all_that_git_tracks(b):
    put(b.root, {"lib/pgtable-walk/data": "x"})
    subprocess.run(["git", "init", "-q", b.root], check=True)
    subprocess.run(["git", "-C", b.root, "add", "lib/pgtable-walk"], check=True)
    b.applied()
    assert (b.tree / "lib/pgtable-walk/data").exists()


def test_users_git_tree(b):
    def git(*args):
        return subprocess.run(["git", "-C", b.tree, "-c", "user.name=n", "-c", "user.email=e", *args],
                              capture_output=True, text=True, check=True).stdout
    git("init", "-q")
    git("add", "-A")
    git("commit", "-qm", "stock")
    b.edit("kernel/fake.c", "static int two", "static int deux")
    git("commit", "-qam", "theirs")
    b.refused("kernel/fake.c", "two: 2 hunks expected, 0 found, not in the tree")
    assert git("status", "--porcelain") == ""
    git("reset", "-q", "--hard", "HEAD^")
    b.applied()
    assert " M kernel/fake.c" in git("status", "--porcelain")


def test_users_uncommitted_work(b):
    """In a worktree, with a submodule: what is staged, edited and untracked is there after --undo, and git's own
    files are left alone."""
    def git(*args):
        return subprocess.run(["git", "-C", b.tree, "-c", "user.name=n", "-c", "user.email=e",
                               "-c", "protocol.file.allow=always", *args],
                              capture_output=True, text=True, check=True).stdout

    def of_git():
        index = git("ls-files", "--stage"), git("diff", "--cached"), git("stash", "list"), git("rev-parse", "HEAD")
        return index, (b.tree / ".git").read_bytes(), git("status", "--porcelain"), git("diff")
    git("init", "-q")
    git("add", "-A")
    git("commit", "-qm", "stock")
    main, b.tree = b.tree, b.dir / "worktree"
    subprocess.run(["git", "-C", main, "worktree", "add", "-q", b.tree], capture_output=True, check=True)
    git("submodule", "--quiet", "add", str(main), "sub")
    git("commit", "-qm", "submodule")
    for name in ("kernel/fake.c", "kernel/other.c"):
        b.edit(name, "int ", "/* staged */\nint ")
    git("add", "-A")
    b.edit("kernel/fake.c", "return 0;", "return 1;")
    b.edit("kernel/other.c", "return", "return 1 +")
    b.edit("sub/kernel/other.c", "return", "return 1 +")
    put(b.tree, {"kernel/mine.c": "untracked\n"})
    before, files = of_git(), b.contents()
    b.applied()
    assert of_git()[:1] == before[:1] and "?? include" in git("status", "--porcelain")
    text = (b.tree / "kernel/fake.c").read_text()
    assert "/* staged */" in text and "return 1;" in text and text.count("new_call") == 3
    b.applied("--undo")
    assert of_git() == before
    there = b.contents()
    assert {p: there[p] for p in there if p.startswith("k")} == {p: files[p] for p in files if p.startswith("k")}
    assert there.keys() == files.keys()


# ---- new files ----

def test_collision(b):
    put(b.tree, {"include/linux/walk_fake.h": "/* theirs */\n"})
    b.refused("include/linux/walk_fake.h", "move it away")


def test_new_file_edited_in_repository(b):
    b.applied()
    put(b.root, {"include/linux/walk_fake.h": "/* newer */\n"})
    before = snapshot(b.tree)
    b.applied()
    assert (b.tree / "include/linux/walk_fake.h").read_text() == "/* newer */\n"
    after = snapshot(b.tree)
    changed = {p for p in after if after[p] != before.get(p)}
    assert changed == {"include/linux/walk_fake.h", MANIFEST}, changed


def test_new_file_edited_in_tree(b):
    b.applied()
    put(b.tree, {"include/linux/walk_fake.h": "/* by hand */\n"})
    b.refused("include/linux/walk_fake.h", "edited since")


def test_new_file_renamed_in_repository(b):
    b.applied()
    (b.root / "include/linux/walk_fake.h").rename(b.root / "include/linux/walk_real.h")
    b.applied()
    assert not (b.tree / "include/linux/walk_fake.h").exists()
    assert (b.tree / "include/linux/walk_real.h").exists()


def test_conversion_of_new_file(b):
    b.applied()
    put(b.root, {f"{CONVERT}/0003-own.edit": "/// own\nFile: lib/pgtable-walk/Kconfig\n"
                 "At: end\nAdd: # end\n"})
    b.refused("lib/pgtable-walk/Kconfig", "both a new file")


def test_directory_in_the_way(b):
    put(b.tree, {"arch/fake": "a file\n"})
    b.refused("arch/fake")


# ---- bad trees ----

def test_etc(b):
    b.refused("/etc", "not a kernel source tree", tree=pathlib.Path("/etc"))
    b.refused("/nowhere", "not a kernel source tree", tree=pathlib.Path("/nowhere"))


def test_unsupported_version(b):
    b.edit("Makefile", "VERSION = 6", "VERSION = 5")
    b.refused("Linux 5.12", "for 6.12 only")


def test_other_version(b):
    """It gets the conversions of the nearest base with its major number, and that is said."""
    put(b.root, {f"{CONVERT}/6.6/README": "6.6\n", f"{CONVERT}/7.3/README": "7.3\n"})
    for version, extra, base in (("6.6", "", ""), ("6.12", "-vendor+", ""), ("6.8", "", "6.6"), ("6.9", "", "6.12"),
                                 ("6.13", "$(shell date)", "6.12"), ("7.2", "-rc7", "7.3"), ("7.4", "", "7.3")):
        major, minor = version.split(".")
        put(b.tree, {"Makefile": f"VERSION={major}\nPATCHLEVEL = {minor} \nSUBLEVEL = 1\nEXTRAVERSION = {extra}\n"})
        first, *_, last = b.applied().splitlines()
        full = f"Linux {version}.1{'' if '$' in extra else extra}"
        assert first == f"{b.tree}: {full}: there are no conversions for it: trying those for {base}" \
            if base else first.startswith("0001"), first
        assert last.startswith(f"{b.tree}: {full}, {f'by the conversions for {base}, ' if base else ''}has "), last
        b.applied("--undo")
    b.edit("kernel/fake.c", "old_call(a)", "older_call(a)")
    b.refused("kernel/fake.c")


def test_all_that_does_not_fit(b):
    """Each file with the first thing about it that does not fit, and nothing that follows from that."""
    b.edit("kernel/fake.c", "static int two", "static int deux")
    b.edit("lib/Kconfig", "config KVM", "config VKM")
    (b.tree / "lib/Makefile").unlink()
    b.refused("apply.py: kernel/fake.c: 0001-calls.cocci: two: 2 hunks expected, 0 found, not in the tree",
              "apply.py: lib/Kconfig: 0002-doom.edit:6: the line 'config KVM' is there 0 times",
              "apply.py: lib/Makefile: 0002-doom.edit:10 changes it, but the tree has no such file",
              "these 3 places; nothing was changed", count=4)


def test_crlf(b):
    for path in BASE_FILES:
        (b.tree / path).write_bytes((b.tree / path).read_bytes().replace(b"\n", b"\r\n"))
    b.refused(str(b.tree), "CR LF", "autocrlf")


def test_crlf_in_one_file(b):
    (b.tree / "kernel/fake.c").write_bytes((b.tree / "kernel/fake.c").read_bytes().replace(b"\n", b"\r\n"))
    b.refused("kernel/fake.c: ", "CR LF", "autocrlf")


def test_damaged_record(b):
    put(b.tree, {MANIFEST: "[1"})
    b.refused(MANIFEST, "damaged")


def test_read_only(b):
    with Mount("--bind", b.tree, at=b.tree):
        subprocess.run(["mount", "-o", "remount,bind,ro", b.tree], check=True)
        b.refused(str(b.tree), "Read-only file system")


def test_no_permission(b):
    as_root()
    for path in [b.dir, *b.dir.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    os.chmod(b.tmp, 0o1777)
    nobody = {"user": 65534, "group": 65534, "extra_groups": []}
    for python in (sys.executable, "/usr/bin/python3"):
        with contextlib.suppress(OSError):
            subprocess.run([python, "--version"], capture_output=True, check=True, **nobody)
            b.refused(str(b.tree), "Permission denied",
                      run=lambda p=python: b.run(command=(p, "-B", APPLY), **nobody))
            return
    raise Skip("no Python that an unprivileged user can run")


def test_full_disk(b):
    tree = b.dir / "small"
    tree.mkdir()
    put(b.root, {f"lib/pgtable-walk/big{i}.c": "x" * 30000 for i in range(8)})
    with Mount("-t", "tmpfs", "-o", "size=160k", "none", at=tree):
        put(tree, BASE_FILES)
        b.refused(str(tree), "No space left", tree=tree)
        for i in range(8):
            (b.root / f"lib/pgtable-walk/big{i}.c").unlink()
        b.applied(tree=tree)


def test_full_temporary_disk(b):
    with Mount("-t", "tmpfs", "-o", "size=4k", "none", at=b.tmp):
        b.refused("no space left for temporary files", str(b.tmp))


FAILING_RENAME = """
rename, calls = os.rename, []
def failing(a, b):
    calls.append(a)
    if len(calls) == 6:
        raise OSError(28, 'No space left on device', str(b))
    if len(calls) == 7 and {signal}:
        os.kill(os.getpid(), signal.SIGTERM)
    rename(a, b)
os.rename = failing
"""


def test_rename_fails_midway(b):
    b.refused("No space left", run=lambda: b.patched(FAILING_RENAME.format(signal=False)))


def test_signal_while_rolling_back(b):
    b.refused("No space left", run=lambda: b.patched(FAILING_RENAME.format(signal=True)))


# ---- interruptions ----

def stopped(b, number):
    """Signal apply.py while spatch runs."""
    shims, flag = b.dir / "bin", b.dir / "started"
    put(shims, {"spatch": f"#!/bin/sh\necho $$ >{flag}.new; mv {flag}.new {flag}; exec sleep 60\n"})
    (shims / "spatch").chmod(0o755)
    env = {**os.environ, "TMPDIR": str(b.tmp), "PATH": f"{shims}:{os.environ['PATH']}"}
    child = subprocess.Popen([APPLY, "--overlay-root", b.root, b.tree], env=env, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 30
    while not flag.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    child.send_signal(number)
    out, err = child.communicate(timeout=30)
    assert not os.path.exists(f"/proc/{flag.read_text().strip()}"), "spatch goes on"
    return subprocess.CompletedProcess([], child.returncode, out, err)


def test_sigterm_in_spatch(b):
    b.refused("stopped by SIGTERM", run=lambda: stopped(b, signal.SIGTERM))


def test_sigint_in_spatch(b):
    b.refused("stopped by SIGINT", run=lambda: stopped(b, signal.SIGINT))


def test_sigterm_while_writing(b):
    b.refused("stopped by SIGTERM", run=lambda: b.patched(
        "write = t.Transaction.write\n"
        "def noisy(self, temporary, dest, *args):\n"
        "    write(self, temporary, dest, *args)\n"
        "    if dest.name == 'Kconfig':\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "t.Transaction.write = noisy\n"))


def test_nohup(b):
    put(b.dir, {"bin/spatch": f"#!/bin/sh\nkill -HUP $PPID\nexec {shutil.which('spatch')} \"$@\"\n"})
    (b.dir / "bin/spatch").chmod(0o755)
    b.applied(command=("nohup", APPLY), env={"PATH": f"{b.dir}/bin:{os.environ['PATH']}"})


def test_two_at_once(b):
    b.refused("another apply", run=lambda: b.patched(
        f"import fcntl\nlock = os.open({str(b.tree)!r}, os.O_RDONLY)\n"
        "fcntl.flock(lock, fcntl.LOCK_EX)\n"))


# ---- --from ----

def from_stock(b):
    stock = b.dir / "stock"
    shutil.copytree(b.tree, stock)
    b.applied("--from", stock)
    return stock


def test_from_reconverts(b):
    stock = from_stock(b)
    before = snapshot(b.tree)
    assert "nothing to do" in b.applied("--from", stock)
    b.conversion("0001-calls.cocci", "+ new_call(e)", "+ new_call(e, 1)")
    (b.root / CONVERT / "0002-doom.edit").unlink()
    b.applied("--from", stock)
    after = snapshot(b.tree)
    assert "new_call(a, 1)" in (b.tree / "kernel/fake.c").read_text()
    assert (b.tree / "lib/Makefile").read_text() == MAKEFILE
    changed = {p for p in after if after[p] != before[p]}
    assert changed == {"kernel/fake.c", "lib/Makefile", "lib/Kconfig", MANIFEST}, changed


def test_from_keeps_local_edits(b):
    stock = from_stock(b)
    b.edit("kernel/fake.c", "// fake", "// mine")
    b.refused("kernel/fake.c", "edited since", args=("--from", stock))


def test_from_other_version(b):
    stock = from_stock(b)
    (stock / "Makefile").write_text("VERSION = 6\nPATCHLEVEL = 6\n")
    b.refused("not the Linux 6.12", args=("--from", stock))


# ---- running ----

def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", type=pathlib.Path, metavar="TREE", help="a pristine kernel tree")
    parser.add_argument("--full", action="store_true", help="all definitions that conversions name, not some")
    parser.add_argument("-k", default="", metavar="WORD", help="only tests with this in their name")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), metavar="N")
    args = parser.parse_args()
    tests = test_real.tests(args.base.resolve(), args.full) if args.base else {}
    for module in (sys.modules[__name__], test_conversions, test_undo, test_make):
        tests.update({n[5:]: f for n, f in vars(module).items() if n.startswith("test_") and callable(f)})
    run_tests({n: f for n, f in tests.items() if args.k in n}, args.jobs)


if __name__ == "__main__":
    main()
