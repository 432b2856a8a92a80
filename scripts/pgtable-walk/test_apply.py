#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Tests of apply.py on small trees made here, and those in test_undo.py and
test_make.py; with --base TREE also of the repository's own conversions, on the
files of a pristine kernel tree that they name.  Speaks KTAP."""
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
import converter as tool  # noqa: E402
import test_make  # noqa: E402
import test_undo  # noqa: E402
from testbench import (APPLY, BASE_FILES, CALLS, CONVERT, HERE, HOOKS, KCONFIG_AFTER, MAKEFILE,  # noqa: E402
                       MAKEFILE_AFTER, Mount, Skip, as_root, put, run_tests, snapshot)

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
    (b.tree / tool.MANIFEST).unlink()
    b.refused("kernel/fake.c", "0001-calls", f"no {tool.MANIFEST} says which version")


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


def test_other_base_is_left_out(b):
    b.conversion("0001-calls.cocci", "@@\n", "// File: kernel/other.c\n// Hunks: 7.3 other 1\n"
                 "// Applied: 7.3 other new_call\n@@\n")
    b.conversion("0002-doom.edit", "File: lib/Makefile\nAt", "File: lib/Makefile\nBase: 7.3\nAt")
    before = (b.tree / "kernel/other.c").read_text()
    b.applied()
    assert (b.tree / "kernel/other.c").read_text() == before
    assert not (b.tree / "lib/Makefile").read_text().endswith("# end\n")


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


# ---- counts ----

def test_count_stated_too_high(b):
    b.conversion("0001-calls.cocci", "two 2", "two 3")
    b.refused("kernel/fake.c", "0001-calls.cocci", "two: 3 hunks expected, 2 found")


def test_count_stated_too_low(b):
    b.conversion("0001-calls.cocci", "two 2", "two 1")
    b.refused("kernel/fake.c", "0001-calls.cocci", "two: 1 hunks expected, 2 found")


def test_function_edited_away(b):
    b.edit("kernel/fake.c", "static int one", "static int uno")
    b.refused("kernel/fake.c", "0001-calls.cocci", "one: 1 hunks expected, 0 found, not in the tree",
              "uno: 0 hunks expected, 1 found")


def test_removed_function_edited_away(b):
    b.edit("kernel/fake.c", "int doomed(void)\n{\n\treturn 0;\n}\n\n", "")
    b.refused("kernel/fake.c", "0002-doom.cocci", "doomed: 1 hunks expected, 0 found")


def test_call_edited_away(b):
    b.edit("kernel/fake.c", "\tif (a)\n\t\told_call(a + 1);\n", "")
    b.refused("kernel/fake.c", "two: 2 hunks expected, 1 found")


def test_rule_matches_elsewhere(b):
    b.edit("kernel/fake.c", "int last(void)\n{\n", "int last(void)\n{\n\told_call(1);\n")
    b.refused("kernel/fake.c", "last: 0 hunks expected, 1 found")


def test_struct_edited_away(b):
    b.edit("kernel/fake.c", "int left;", "int first;")
    b.refused("struct pair: 1 hunks expected, 0 found")


def test_file_missing(b):
    (b.tree / "kernel/fake.c").unlink()
    b.refused("kernel/fake.c", "0001-calls.cocci", "no such file")


def test_half_converted_function(b):
    b.edit("kernel/fake.c", "old_call(a);\n\treturn", "new_call(a);\n\treturn")
    b.refused("kernel/fake.c", "one: 1 hunks expected, 0 found", "partly converted")


def test_half_converted_tree(b):
    b.applied()
    text = (b.tree / "kernel/fake.c").read_text().replace("new_call", "old_call")
    (b.tree / "kernel/fake.c").write_text(text)
    b.refused("kernel/fake.c:", "an edit made after apply")
    (b.tree / tool.MANIFEST).unlink()
    b.refused("kernel/fake.c", "0001-calls.cocci", "struct pair", "partly converted")


def test_later_conversion_there_already(b):
    b.applied()
    text = (b.tree / "kernel/fake.c").read_text().replace("new_call", "old_call")
    (b.tree / "kernel/fake.c").write_text(text.replace("\tint right;\n", ""))
    b.refused("kernel/fake.c:", "an edit made after apply")
    (b.tree / tool.MANIFEST).unlink()
    b.refused("kernel/fake.c", "0002-doom is there already")


def test_applied_line_wrong(b):
    b.conversion("0001-calls.cocci", "two new_call", "two newer_call")
    b.refused("kernel/fake.c", "0001-calls.cocci", "Applied: 6.12 two newer_call")


# ---- edits ----

def test_anchor_missing(b):
    b.edit("lib/Kconfig", "math", "maths")
    b.refused("lib/Kconfig", "0002-doom.edit:3", 'source "lib/math/Kconfig"', "0 times")


def test_anchor_twice(b):
    b.edit("lib/Makefile", "obj-y += z.o\n", "obj-y += z.o\nobj-y += z.o\n")
    b.refused("lib/Makefile", "0002-doom.edit", "obj-y += z.o", "2 times")


def test_anchor_outside_scope(b):
    b.edit("lib/Kconfig", "\tselect COMMON\n\n", "\n")
    b.refused("lib/Kconfig", "0002-doom.edit", "select COMMON", "0 times")


def test_scope_missing(b):
    b.edit("lib/Kconfig", "config KVM\n", "config KVM_OTHER\n")
    b.refused("lib/Kconfig", "0002-doom.edit", "config KVM", "0 times")


def test_anchor_tabs_count(b):
    b.edit("lib/Kconfig", "\tselect COMMON\n\n", "        select COMMON\n\n")
    b.refused("lib/Kconfig", "select COMMON", "0 times")


def test_edit_there_already(b):
    b.edit("lib/Makefile", "obj-y += z.o", "# the walker\nobj-y += pgtable-walk/\nobj-y += z.o")
    b.refused("lib/Makefile", "0002-doom.edit", "there already")


# ---- fragments ----

MORE = """\
/// fake: Do more
File: kernel/other.c
Before: int other(int a)
Fragment: more.c
Add:
"""
MORE_C = "// SPDX-License-Identifier: GPL-2.0\n\nint more(void)\n{\n\treturn 1;\n}\n"
OTHER_C = BASE_FILES["kernel/other.c"]


def with_fragment(b, edit=MORE, text=MORE_C):
    put(b.root, {f"{CONVERT}/0003-more.edit": edit, f"{CONVERT}/0003-more/more.c": text})


def test_fragment(b):
    with_fragment(b)
    put(b.root, {f"{CONVERT}/0003-more/{name}": "x" for name in (".more.c.swp", "more.c~", "#more.c#", ".#more.c")})
    b.applied()
    other = b.tree / "kernel/other.c"
    assert other.read_text() == "int more(void)\n{\n\treturn 1;\n}\n\n" + OTHER_C
    assert not list(b.tree.rglob("more.c"))
    assert "nothing to do" in b.applied()
    put(b.root, {f"{CONVERT}/0003-more/more.c": MORE_C.replace("1", "2")})
    assert "converting it anew" in b.applied()
    assert other.read_text() == "int more(void)\n{\n\treturn 2;\n}\n\n" + OTHER_C
    b.applied("--undo")
    assert other.read_text() == OTHER_C


def test_fragment_in_the_middle(b):
    with_fragment(b, MORE.replace("Before: int other(int a)\n", "Replace: {\nReplace: \treturn old_call(a);\n").replace(
        "Add:\n", ""), "/* SPDX-License-Identifier: GPL-2.0 */\n\n{\n\n\treturn 1;\n")
    b.applied()
    assert (b.tree / "kernel/other.c").read_text() == "int other(int a)\n{\n\n\treturn 1;\n}\n"


def test_fragment_without_its_place(b):
    with_fragment(b)
    b.edit("kernel/other.c", "int other", "long other")
    b.refused("kernel/other.c", "0003-more.edit:2", "'int other(int a)'", "0 times")
    (b.tree / "kernel/other.c").write_text(OTHER_C + OTHER_C)
    b.refused("kernel/other.c", "0003-more.edit:2", "'int other(int a)'", "2 times")
    (b.tree / "kernel/other.c").write_text(MORE_C + "\n" + OTHER_C)
    b.refused("kernel/other.c", "0003-more is there already")


def test_bad_fragments(b):
    for old, new, words in (
            ("Add:", "Add: /* C */", "0003-more.edit:5: kernel/other.c is C"),
            ("other.c\n", "other.h\n", "0003-more.edit:4: 'more.c' is no name of a fragment"),
            ("other.c\n", "other.S\n", "0003-more.edit:4: 'more.c' is no name of a fragment"),
            ("more.c", "../0003-more/more.c", "0003-more.edit:4: '../0003-more/more.c' is no name"),
            ("more.c", "less.c", "0003-more.edit:4: there is no fragment 0003-more/less.c"),
            ("Fragment: more.c\n", "", "0003-more/more.c: no .edit names"),
            ("Before: int other(int a)\nFragment: more.c\n", "Fragment: more.c\n", "0003-more.edit:3: not understood"),
            ("Fragment: more.c\nAdd:", "", "no anchor, or no Add: or Fragment:")):
        with_fragment(b)
        b.conversion("0003-more.edit", old, new)
        b.refused("0003-more", words)
    for old, new in (("// SPDX-License-Identifier: GPL-2.0\n\n", ""), ("2.0\n\n", "2.0\n"), ("2.0\n\n", "2.0\n\n\n"),
                     ("}\n", "}"), ("}\n", "}\n\n"), ("int more(void)\n{\n\treturn 1;\n}\n", "")):
        with_fragment(b, text=MORE_C.replace(old, new))
        b.refused("0003-more/more.c: a fragment is an SPDX line")
    with_fragment(b)
    (b.root / CONVERT / "0003-more.edit").unlink()
    b.refused("0003-more/more.c: no .edit names this fragment")


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
    assert changed == {"include/linux/walk_fake.h", tool.MANIFEST}, changed


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
    b.edit("Makefile", "PATCHLEVEL = 12", "PATCHLEVEL = 6")
    b.refused("Linux 6.6", "for 6.12 only")


def test_crlf(b):
    for path in BASE_FILES:
        (b.tree / path).write_bytes((b.tree / path).read_bytes().replace(b"\n", b"\r\n"))
    b.refused(str(b.tree), "CR LF", "autocrlf")


def test_damaged_record(b):
    put(b.tree, {tool.MANIFEST: "[1"})
    b.refused(tool.MANIFEST, "damaged")


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


# ---- errors in conversions ----

def test_spatch_error(b):
    b.conversion("0001-calls.cocci", "- old_call(e)", "- old_call((e)")
    log = b.root / "build/log/spatch-0001-calls-kernel_fake.c.log"
    b.refused("kernel/fake.c", "0001-calls.cocci", "spatch failed", str(log))
    assert log.stat().st_size


def test_spatch_error_without_log(b):
    b.conversion("0001-calls.cocci", "- old_call(e)", "- old_call((e)")
    put(b.root, {"build": "not a directory"})
    b.refused("kernel/fake.c", "0001-calls.cocci", "spatch failed", "parse error")


def test_bad_headers(b):
    name, good = "0001-calls.cocci", CALLS
    for old, new, words in (
            ("/// fake: Call the new thing\n///\n/// It is better.\n", "", "no commit message"),
            ("two 2", "two x", f"{name}:7: not understood"),
            ("two 2", "two 0", f"{name}:7: not understood"),
            ("// Hunks: 6.12 one", "// Hunk: 6.12 one", f"{name}:6: not understood"),
            ("two new_call", "two new_call(", f"{name}:10: bad regular expression"),
            ("// File: kernel/fake.c\n", "", f"{name}:5: not understood"),
            ("// Applied", "// Later", "not understood"),
            ("6.12 struct pair 1", "7.3 struct pair 1", "needs Hunks and Applied"),
            ("// Hunks: 6.12 two 2\n", "// Hunks: 6.12 two 2\n// Hunks: 6.12 two 2\n",
             f"{name}:8: not understood")):
        put(b.root, {f"{CONVERT}/{name}": good})
        b.conversion(name, old, new)
        b.refused(words)


def test_bad_edits(b):
    name, good = "0002-doom.edit", HOOKS
    for old, new, words in (
            ("File: lib/Kconfig\n", "", f"{name}:3: not understood"),
            ("At: end", "At: start", "not understood"),
            ("Before: ", "Befor: ", "not understood"),
            ("Before: obj-y += z.o\n", "", f"{name}:11: not understood"),
            ("Add: # the walker\nAdd: obj-y += pgtable-walk/\n", "", "no Add: or Fragment:"),
            ("Add: obj-y += b.o d.o", "Add: obj-y += b.o\nAdd: obj-y += c.o", "part of what it adds"),
            ("File: lib/Makefile", "File: kernel/fake.c", f"{name}:12: kernel/fake.c is C")):
        put(b.root, {f"{CONVERT}/{name}": good})
        b.conversion(name, old, new)
        b.refused(name, words)


def test_number_twice(b):
    put(b.root, {f"{CONVERT}/0002-other.edit": HOOKS})
    b.refused("0002-other.edit", "another conversion has the number 0002")


def test_no_conversions(b):
    shutil.rmtree(b.root / CONVERT)
    b.refused("Linux 6.12", "no version")


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
    assert changed == {"kernel/fake.c", "lib/Makefile", "lib/Kconfig", tool.MANIFEST}, changed


def test_from_keeps_local_edits(b):
    stock = from_stock(b)
    b.edit("kernel/fake.c", "// fake", "// mine")
    b.refused("kernel/fake.c", "edited since", args=("--from", stock))


def test_from_other_version(b):
    stock = from_stock(b)
    (stock / "Makefile").write_text("VERSION = 6\nPATCHLEVEL = 6\n")
    b.refused("not the Linux 6.12", args=("--from", stock))


# ---- attribution ----

def test_definitions(_):
    text = """\
#define MACRO(x) do { \\
	x; } while (0)
DEFINE_THING(a, b);
static __must_check int f(struct x *a, int (*cb)(int))
	__must_hold(&a->lock)
{
#ifdef A
	if (a) {
#else
	if (b) {
#endif
		s = "}";  /* } */ c = '{';
	}
}
int __g(void) { return 1; }
struct __packed s {
	union { int a; } u;
} __aligned(8);
static const struct ops table[] __section("x") = {
	{ .f = f }, };
#ifdef B
int h(int a) {
#else
int h(void) {
#endif
	return 0;
}
enum e { A, B };
typedef struct { int a; } anonymous;
struct s var = { 1 };
struct s *p(void)
{
}
"""
    found = [(d.name, d.first + 1, d.last + 1) for d in tool.definitions(text)]
    assert found == [("f", 4, 14), ("__g", 15, 15), ("struct s", 16, 18), ("table", 19, 20),
                     ("h", 24, 27), ("enum e", 28, 28), ("var", 30, 30), ("p", 31, 33)], found


def counted(b, old, new):
    put(b.dir, {"old.c": old, "new.c": new})
    return dict(tool.hunks(b.dir / "old.c", b.dir / "new.c"))


def test_hunks(b):
    f, g, h = ("int %s(void)\n{\n\tx();\n\ty();\n\treturn 0;\n}\n\n" % n for n in "fgh")
    assert counted(b, f + g + h, f + h) == {"g": 1}
    assert counted(b, f + g + h, h) == {"f": 1, "g": 1}
    assert counted(b, f + h, f + g + h) == {"-": 1}
    assert counted(b, f + g, f + g + h) == {"-": 1}
    assert counted(b, f + g, f.replace("x", "z") + g.replace("\tx();\n", "")) == {"f": 1, "g": 1}
    assert counted(b, f, f.replace("\tx();", "\tx();\n\tx();")) == {"f": 1}
    assert counted(b, f, f.replace("x", "a").replace("0", "1")) == {"f": 2}
    assert counted(b, "#include <a>\n" + f, "#include <a>\n#include <b>\n" + f) == {"-": 1}
    assert counted(b, f, f.replace("f", "q")) == {"f": 1}
    assert counted(b, f, f) == {}


# ---- the repository's own conversions ----

ROOT = HERE.parent.parent


def real_copy(b, base):
    """The files of a base that our conversions name."""
    conversions = tool.load_conversions(ROOT / CONVERT)
    version = tool.tree_version(base)
    shutil.rmtree(b.tree)
    for path in {"Makefile", "Kconfig"} | {p for c in conversions for p in c.paths(version)}:
        (b.tree / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(base / path, b.tree / path)
    b.root = ROOT
    return conversions, version


def remove_definition(path, name):
    text = tool.read_text(path)
    lines = text.split("\n")
    for d in reversed([d for d in tool.definitions(text) if d.name == name]):
        del lines[d.first:d.last + 1]
    path.write_bytes(tool.encode("\n".join(lines)))


def real_applies(b, base):
    conversions, version = real_copy(b, base)
    stock = b.contents()
    out = b.applied()
    assert [line.split()[0] for line in out.splitlines()[:-1]] == \
        [c.stem for c in conversions if c.paths(version)], out
    before = snapshot(b.tree)
    out = b.applied()
    assert "nothing to do" in out and len(out.splitlines()) == 1, f"converted again: {out}"
    assert before == snapshot(b.tree)
    b.applied("--undo")
    assert b.contents() == stock


def real_refuses(b, base):
    """Stock without the first function that each conversion names in each file."""
    conversions, version = real_copy(b, base)
    for conv in conversions:
        for section in conv.sections:
            names = [n for n in section.hunks.get(version, ()) if n != "-"]
            text = tool.read_text(base / section.path)
            names = [n for n in names if any(d.name == n for d in tool.definitions(text))]
            if names:
                remove_definition(b.tree / section.path, names[0])
                b.refused(section.path, f"{names[0]}: ", "not in the tree")
                shutil.copy2(base / section.path, b.tree / section.path)


def real_every_function(b, base):
    """Each conversion, with each function that it names missing just then."""
    conversions, version = real_copy(b, base)
    stage = tool.Stage(b.tree, b.dir / "stage")
    for conv in conversions:
        for section in conv.sections:
            for name in section.hunks.get(version, ()):
                if name != "-":
                    without(b, stage, conv, section, version, name)
        if conv.paths(version):
            tool.convert(conv, version, stage, ROOT)


VISITOR = """
static int vendor_{0}(const struct kvm_pgtable_visit_ctx *ctx, enum kvm_pgtable_walk_flags visit)
{{
	WRITE_ONCE(*ctx->ptep, ctx->old | KVM_PTE_LEAF_ATTR_LO_S2_AF);
	return 0;
}}
"""
# What a vendor may have added: where, what, and on which of its lines.
WRITERS = (("arch/arm64/kvm/hyp/pgtable.c", VISITOR.format("walker"), "WRITE_ONCE"),
           ("arch/arm64/kvm/hyp/pgtable.c", VISITOR.format("walker").replace("vendor", "stage2_vendor"), "WRITE_ONCE"),
           ("arch/x86/kvm/mmu/mmu.c", "\nstatic void vendor_clear(u64 *sptep)\n{\n\tWRITE_ONCE(*sptep, 0);\n}\n",
            "WRITE_ONCE"),
           ("arch/x86/kvm/mmu/tdp_mmu.c", "\nstatic void vendor_clear(struct tdp_iter *iter)\n{\n"
            "\t__kvm_tdp_mmu_write_spte(iter->sptep, 0);\n}\n", "__kvm_tdp"),
           ("arch/x86/kvm/mmu/mmu.c", "\nstatic bool vendor_many(struct kvm_rmap_head *head)\n{\n"
            "\treturn head->val & KVM_RMAP_MANY;\n}\n", "head->val"),
           ("arch/riscv/kvm/mmu.c", "\nstatic void vendor_clear(pte_t *ptep)\n{\n\tif (vpte_read(gstage_vpte(ptep)))\n"
            "\t\tset_pte(ptep, __pte(0));\n}\n", "set_pte"))


def appended(path, text, word):
    """Add text to a file; the number of its line with the word."""
    whole = tool.read_text(path) + text
    path.write_bytes(tool.encode(whole))
    return next(n for n, line in reversed(list(enumerate(whole.split("\n"), 1))) if word in line)


def real_writers(b, base):
    """Trees with more writers of page-table entries."""
    conversions, version = real_copy(b, base)
    put(b.tree, {"arch/arm64/kvm/vendor.c": VISITOR.format("file")})
    b.refused("arch/arm64/kvm/vendor.c:4: ERROR:", "vpte_plain.cocci")
    stage = tool.Stage(b.tree, b.dir / "stage")
    tool.convert_all(conversions, version, stage, ROOT, lambda line: None)
    wanted = [("arch/arm64/kvm/vendor.c", 4)]
    for path, text, word in WRITERS:
        wanted.append((path, appended(b.tree / path, text, word)))
        appended(stage.directory / path, text, word)
    found = [(path, line) for path, line, *_ in tool.findings(stage, ROOT, b.tree, [])]
    assert sorted(found) == sorted(wanted), (sorted(found), sorted(wanted))


def without(b, stage, conv, section, version, name):
    copy = b.dir / "without"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(b.tree, copy)
    for path in stage.paths:
        shutil.copy2(stage.directory / path, copy / path)
    remove_definition(copy / section.path, name)
    try:
        tool.convert_file(conv, section, version, tool.Stage(copy, b.dir / "stage-without"), ROOT, False)
    except tool.Refused as error:
        assert section.path in str(error) and f"{name}: " in str(error), f"{conv.stem}: {error}"
    else:
        raise AssertionError(f"{conv.stem}: takes {section.path} without {name}")


# ---- running ----

def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", type=pathlib.Path, metavar="TREE", help="a pristine kernel tree")
    parser.add_argument("-k", default="", metavar="WORD", help="only tests with this in their name")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), metavar="N")
    args = parser.parse_args()
    tests = {}
    if args.base:
        base = args.base.resolve()
        for function in (real_refuses, real_every_function, real_applies, real_writers):     # the longest first
            tests[f"{function.__name__}_{tool.tree_version(base)}"] = lambda b, f=function: f(b, base)
    for module in (sys.modules[__name__], test_undo, test_make):
        tests.update({n[5:]: f for n, f in vars(module).items() if n.startswith("test_") and callable(f)})
    sys.exit(0 if run_tests({n: f for n, f in tests.items() if args.k in n}, args.jobs) else 1)


if __name__ == "__main__":
    main()
