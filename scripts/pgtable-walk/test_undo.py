# SPDX-License-Identifier: GPL-2.0
"""Tests of --undo, of trees that an older version converted, and of runs that are killed."""
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

from converter import transaction
from converter.record import MANIFEST
from converter.stage import OWNER
from testbench import APPLY, BASE_FILES, CONVERT, FAKE_C, HERE, put, snapshot


# ---- back to what it was ----

def test_undo(b):
    (b.tree / "kernel/fake.c").chmod(0o600)
    stock = b.contents()
    b.applied()
    assert b.contents() != stock
    out = b.applied("--undo")
    assert b.contents() == stock
    assert "3 files as before, 3 removed" in out, out
    before = snapshot(b.tree)
    assert "nothing to do" in b.applied("--undo")
    assert before == snapshot(b.tree)
    b.applied()
    b.applied("--undo")
    assert b.contents() == stock


def test_undo_touches_what_it_changes(b):
    """What was built from the converted file has to be built again."""
    before = snapshot(b.tree)
    b.applied()
    os.utime(b.tree / "kernel/fake.c", (1, 1))
    b.applied("--undo")
    after = snapshot(b.tree)
    assert after["kernel/fake.c"][4] > 10 ** 18
    assert after["kernel/other.c"] == before["kernel/other.c"]


def test_undo_without_end_of_line(b):
    for path, text in BASE_FILES.items():
        (b.tree / path).write_text(text.rstrip("\n"))
    (b.tree / "kernel/fake.c").write_bytes(b"// \xff\f\xe2\x80\xa8\n" + FAKE_C.rstrip("\n").encode())
    stock = b.contents()
    b.applied()
    b.applied("--undo")
    assert b.contents() == stock


def test_undo_keeps_edits(b):
    b.edit("kernel/fake.c", "// fake", "// edited before")
    stock = b.contents()
    b.applied()
    b.edit("kernel/fake.c", "#include <linux/fake.h>\n", "#include <linux/fake.h>\n#include <linux/mine.h>\n")
    b.edit("kernel/fake.c", "int last(void)\n{\n\treturn 0;", "int last(void)\n{\n\tmine();\n\treturn 2;")
    b.edit("kernel/other.c", "other", "another")
    b.edit("lib/Makefile", "obj-y += a.o\n", "obj-y += mine.o\nobj-y += a.o\n")
    put(b.tree, {"lib/pgtable-walk/mine.c": "mine\n", "kernel/mine.c": "mine\n"})
    b.applied("--undo")
    after = b.contents()
    text = after.pop("kernel/fake.c")[1].decode()
    assert text == FAKE_C.replace("// fake", "// edited before").replace(
        "fake.h>\n", "fake.h>\n#include <linux/mine.h>\n").replace(
        "int last(void)\n{\n\treturn 0;", "int last(void)\n{\n\tmine();\n\treturn 2;"), text
    assert after.pop("lib/Makefile")[1].decode() == "obj-y += mine.o\n" + BASE_FILES["lib/Makefile"]
    assert after.pop("kernel/other.c")[1].decode() == BASE_FILES["kernel/other.c"].replace("other", "another")
    assert after.pop("lib/pgtable-walk/mine.c")[1] == after.pop("kernel/mine.c")[1] == b"mine\n"
    del after["lib/pgtable-walk"]
    for path in ("kernel/fake.c", "lib/Makefile", "kernel/other.c"):
        del stock[path]
    assert after == stock


def test_undo_keeps_edits_in_a_converted_function(b):
    b.edit("kernel/fake.c", "\told_call(a);\n\tif (a)", "\told_call(a);\n\tx();\n\ty();\n\tif (a)")
    b.applied()
    b.edit("kernel/fake.c", "\tx();\n\ty();\n\tif (a)", "\tx();\n\tmine();\n\ty();\n\tif (a)")
    b.applied("--undo")
    assert (b.tree / "kernel/fake.c").read_text() == FAKE_C.replace(
        "\told_call(a);\n\tif (a)", "\told_call(a);\n\tx();\n\tmine();\n\ty();\n\tif (a)")


def test_undo_refuses_overlap(b):
    b.applied()
    put(b.tree, {"kernel/fake.c": "// one line\n" + (b.tree / "kernel/fake.c").read_text()})
    b.edit("kernel/fake.c", "new_call(a + 1)", "new_call(a + 2)")
    line = (b.tree / "kernel/fake.c").read_text().split("\n").index("\t\tnew_call(a + 2);") + 1
    b.refused(f"kernel/fake.c:{line}:", "edit", args=("--undo",))
    b.edit("kernel/fake.c", "new_call(a + 2)", "new_call(a + 1)")
    b.applied("--undo")
    assert (b.tree / "kernel/fake.c").read_text() == "// one line\n" + FAKE_C


def test_undo_of_files_put_back_by_hand(b):
    stock = b.contents()
    b.applied()
    put(b.tree, {"kernel/fake.c": FAKE_C})
    b.edit("lib/Kconfig", "\tselect PGTABLE_WALK\n", "")
    b.applied("--undo")
    assert b.contents() == stock


def test_undo_keeps_edited_new_file(b):
    b.applied()
    b.edit("include/linux/walk_fake.h", "new", "mine")
    out = b.applied("--undo")
    assert "kept, as they were edited: include/linux/walk_fake.h" in out, out
    assert (b.tree / "include/linux/walk_fake.h").read_text() == "/* mine */\n"
    assert (b.tree / "kernel/fake.c").read_text() == FAKE_C and not (b.tree / "lib/pgtable-walk").exists()


def test_undo_refuses_removed_file(b):
    b.applied()
    (b.tree / "lib/Kconfig").unlink()
    b.refused("lib/Kconfig", "removed since", args=("--undo",))


def test_undo_refuses_without_record(b):
    b.applied()
    (b.tree / MANIFEST).unlink()
    b.refused(MANIFEST, "restore the stock files", args=("--undo",))


def test_undo_check_only(b):
    b.applied()
    before = snapshot(b.tree)
    assert "can be undone" in b.applied("--undo", "--check-only")
    assert before == snapshot(b.tree)


# ---- trees that another version converted ----

def newer(b):
    """Change a replacement, drop a conversion, and change a header with its caller."""
    b.conversion("0001-calls.cocci", "+ new_call(e)", "+ new_call(e, 1)")
    put(b.root, {"include/linux/walk_fake.h": "/* newer, for new_call(a, b) */\n"})
    (b.root / CONVERT / "0002-doom.edit").unlink()


def test_upgrade(b):
    stock = b.contents()
    b.applied()
    newer(b)
    out = b.applied()
    assert "converting it anew" in out, out
    text = (b.tree / "kernel/fake.c").read_text()
    assert text.count("new_call(") == text.count(", 1);") == 3, text
    assert "newer" in (b.tree / "include/linux/walk_fake.h").read_text()
    assert (b.tree / "lib/Makefile").read_text() == BASE_FILES["lib/Makefile"]
    upgraded = b.contents()
    assert "nothing to do" in b.applied()
    b.applied("--undo")
    assert b.contents() == stock
    b.applied()
    assert {k: v for k, v in b.contents().items() if k != MANIFEST} == \
        {k: v for k, v in upgraded.items() if k != MANIFEST}


def test_upgrade_keeps_edits(b):
    b.applied()
    b.edit("kernel/fake.c", "// fake", "// mine")
    b.edit("lib/Makefile", "obj-y += a.o\n", "obj-y += mine.o\nobj-y += a.o\n")
    newer(b)
    b.applied()
    text = (b.tree / "kernel/fake.c").read_text()
    assert text.startswith("// mine") and text.count(", 1);") == 3
    assert (b.tree / "lib/Makefile").read_text() == "obj-y += mine.o\n" + BASE_FILES["lib/Makefile"]
    b.applied("--undo")
    assert (b.tree / "kernel/fake.c").read_text() == FAKE_C.replace("// fake", "// mine")


def test_upgrade_refuses_overlap(b):
    b.applied()
    b.edit("kernel/fake.c", "new_call(a + 1)", "new_call(a + 2)")
    newer(b)
    b.refused("kernel/fake.c:", "an edit made after apply")


def test_conversion_dropped(b):
    b.applied()
    (b.root / CONVERT / "0002-doom.edit").unlink()
    (b.root / CONVERT / "0002-doom.cocci").unlink()
    b.applied()
    text = (b.tree / "kernel/fake.c").read_text()
    assert "doomed" in text and "added" not in text and text.count("new_call") == 3
    assert (b.tree / "lib/Kconfig").read_text() == BASE_FILES["lib/Kconfig"]


def first_format(b):
    """A record as versions made it that could not undo."""
    record = json.loads((b.tree / MANIFEST).read_text())
    (b.tree / MANIFEST).write_text(json.dumps({"new": record["new"], "converted": {
        path: entry["hash"] for path, entry in record["converted"].items()}}))


def test_record_of_first_version(b):
    stock = b.contents()
    b.applied()
    first_format(b)
    b.refused("older than 'make unapply'", "restore them")
    b.refused("older than 'make unapply'", "restore them", args=("--undo",))
    for path in ("kernel/fake.c", "lib/Kconfig", "lib/Makefile"):
        put(b.tree, {path: BASE_FILES[path]})
    b.applied()
    b.applied("--undo")
    assert b.contents() == stock


def test_record_of_first_version_from_stock(b):
    shutil.copytree(b.tree, b.dir / "stock")
    b.applied()
    first_format(b)
    newer(b)
    b.applied("--from", b.dir / "stock")
    assert (b.tree / "kernel/fake.c").read_text().count(", 1);") == 3
    b.applied("--undo")
    assert (b.tree / "kernel/fake.c").read_text() == FAKE_C


def test_record_of_later_version(b):
    b.applied()
    b.edit(MANIFEST, '"format": 2', '"format": 3')
    b.refused("a newer pgtable-walk")
    b.refused("a newer pgtable-walk", args=("--undo",))


# ---- killed ----

KILL_AT = """
count = {after}
def counted(function):
    def f(*args, **kwargs):
        global count
        count -= 1
        if not count:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return f
class Os:
    def __getattr__(self, name):
        real = getattr(__import__("os"), name)
        return counted(real) if name in ("rename", "chmod", "fsync") else real
t.os = Os()
import pathlib
for name in ("unlink", "mkdir", "rmdir"):
    setattr(pathlib.Path, name, counted(getattr(pathlib.Path, name)))
"""


def killed_everywhere(b, do):
    """Kill do(code) at each of its writes in turn; yields after each, until none was reached."""
    for after in range(1, 1000):
        out = do(KILL_AT.format(after=after))
        if out.returncode == 0:
            assert after > 10, f"only {after} places to be killed at: {out.stderr}"
            return
        assert out.returncode == -signal.SIGKILL, out
        yield after


def commits(b, code, *changes):
    """Write to a tree with a transaction, in a process of its own."""
    script = "import os, pathlib, signal, sys\n" \
             f"sys.path.insert(0, {str(HERE)!r})\nsys.dont_write_bytecode = True\n" \
             "from converter import transaction as t\n" \
             f"tree = pathlib.Path({str(b.tree)!r})\nt.lock(tree)\n{code}\nprint(t.recover(tree, []))\n"
    for writes in changes:
        script += f"read = {{p: t.digest(tree / p) for p in {list(writes)!r}}}\n" \
                  f"t.Transaction(tree).commit({writes!r}, {{}}, ['lib/new/deep', 'lib/new'], read)\n"
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)


WRITES = {"kernel/fake.c": b"other\n", "lib/Kconfig": None, "lib/new/deep/file": b"new\n", "lib/new/file": b"new\n",
          "Makefile": b"m\n"}
BACK = {"kernel/fake.c": FAKE_C.encode(), "lib/Kconfig": BASE_FILES["lib/Kconfig"].encode(),
        "lib/new/deep/file": None, "lib/new/file": None, "Makefile": BASE_FILES["Makefile"].encode()}


def test_killed_at_every_write(b):
    """Of a transaction and of the one that takes it back."""
    stock = b.contents()
    assert commits(b, "", WRITES).returncode == 0
    converted = b.contents()
    assert converted != stock
    for before, after, writes, back in ((stock, converted, WRITES, BACK), (converted, stock, BACK, WRITES)):
        commits(b, "", back)
        assert b.contents() == before
        for place in killed_everywhere(b, lambda code, w=writes: commits(b, code, w)):
            assert commits(b, "").returncode == 0
            now = b.contents()
            assert now in (before, after), f"killed at {place}: {sorted(set(now) ^ set(before))}"
            commits(b, "", back)
            assert b.contents() == before


def test_killed_while_recovering(b):
    stock = b.contents()
    out = commits(b, KILL_AT.format(after=18), WRITES)
    assert out.returncode == -signal.SIGKILL and (b.tree / transaction.JOURNAL).exists(), out
    shutil.copytree(b.tree, b.dir / "middle")
    for _ in killed_everywhere(b, lambda code: commits(b, code)):
        assert commits(b, "").returncode == 0
        assert b.contents() == stock
        shutil.rmtree(b.tree)
        shutil.copytree(b.dir / "middle", b.tree)
    assert b.contents() == stock


def test_killed_at_random(b):
    """A run with its spatch, at 20 points of its time; then again, and undone."""
    stock = b.contents()
    start = time.monotonic()
    b.applied()
    took = time.monotonic() - start
    b.applied("--undo")
    assert b.contents() == stock
    dice, reached = random.Random(), 0
    shutil.copytree(b.tree, b.dir / "whole")
    b.applied(tree=b.dir / "whole")
    whole = {str(p.relative_to(b.dir / "whole")): p.read_bytes() for p in (b.dir / "whole").rglob("*") if p.is_file()}
    for _ in range(20):
        with subprocess.Popen([APPLY, "--quiet", "--overlay-root", b.root, b.tree], start_new_session=True,
                              env={**os.environ, "TMPDIR": str(b.tmp)}) as child:
            time.sleep(dice.uniform(0, took))
            os.killpg(child.pid, signal.SIGKILL)
        reached += child.returncode == -signal.SIGKILL
        b.applied()
        now = {path: entry[1] for path, entry in b.contents().items() if entry}
        assert now == whole, sorted(p for p in now.keys() | whole if now.get(p) != whole.get(p))
        b.applied("--undo")
        assert b.contents() == stock
    assert reached, "no run was killed"


def test_undo_killed(b):
    """The next run puts it back or finishes it, whichever of the two is asked for."""
    stock = b.contents()
    b.applied()
    converted = b.contents()
    for after, again in ((3, "--undo"), (12, "--undo"), (16, "--quiet"), (22, "--quiet")):
        out = b.patched(KILL_AT.format(after=after), "--undo")
        assert out.returncode == -signal.SIGKILL, out
        b.applied(again)
        assert b.contents() == (stock if again == "--undo" else converted), after
        b.applied()


def test_edited_after_it_was_killed(b):
    saved = []
    for after in range(20, 60):
        b.patched(KILL_AT.format(after=after))
        saved = [p for p in b.tree.rglob(".*.apply-old") if (p.parent / p.name[1:-10]).exists()]
        if saved and (b.tree / transaction.JOURNAL).exists():
            break
        b.applied("--undo")
    assert saved, sorted(b.contents())
    victim = saved[0].parent / saved[0].name[1:-10]
    victim.write_text("mine\n")
    b.refused(str(victim.relative_to(b.tree)), "edited since", saved[0].name)
    victim.unlink()
    b.applied()
    b.applied("--undo")


def test_killed_by_version_without_journal(b):
    """It renamed the files in their order, and then removed the old ones."""
    stock = b.contents()
    b.applied()
    converted = b.contents()
    names = ["arch/fake/run.S", "kernel/fake.c", "lib/Kconfig", "lib/Makefile"]
    for done in range(len(names) + 1):
        for path in converted.keys() - stock.keys():
            if converted[path]:
                (b.tree / path).unlink()
        for number, name in enumerate(names):
            path, (mode, data) = b.tree / name, converted[name]
            transaction.new_name(path).write_bytes(data)
            transaction.new_name(path).chmod(mode & 0o777)
            if name in stock:
                path.write_bytes(stock[name][1])
                if number < done:
                    path.rename(transaction.old_name(path))
            if number < done - 1:
                transaction.new_name(path).rename(path)
        b.applied()
        now = b.contents()
        assert {**now, MANIFEST: 0} == {**converted, MANIFEST: 0}, (done, sorted(set(now) ^ set(converted)))


def test_saved_files_that_nobody_claims(b):
    """Without a journal and a new file beside it: one whose place is empty goes back there,
    any other may be the user's."""
    (b.tree / "lib/Kconfig").rename(b.tree / "lib/.Kconfig.apply-old")
    put(b.tree, {"lib/.Makefile.apply-old": "mine"})
    out = b.run()
    assert out.returncode == 1 and "lib/.Makefile.apply-old: in the way" in out.stderr, out
    assert (b.tree / "lib/Kconfig").read_text() == BASE_FILES["lib/Kconfig"]
    assert (b.tree / "lib/.Makefile.apply-old").read_text() == "mine"
    put(b.tree, {"lib/.Makefile.apply-new": "mine too"})
    (b.tree / "lib/.Makefile.apply-old").unlink()
    put(b.tree, {"kernel/.fake.c.apply-old": "mine", "kernel/.other.c.apply-old": "mine"})
    (b.tree / "lib/.Makefile.apply-new").unlink()
    b.refused("kernel/.fake.c.apply-old", "in the way")
    (b.tree / "kernel/.fake.c.apply-old").unlink()
    b.applied()
    assert (b.tree / "kernel/.other.c.apply-old").read_text() == "mine"


def test_temporary_files_of_killed_run(b):
    """Those with our mark, named as we name them, and old enough."""
    names = ("dead0000", "young000", "unmarked", "dead0000-of-the-user", "sh_rt")
    for name in names:
        directory = b.tmp / f"pgtable-walk-apply-{name}"
        put(directory, {"stage/file": "x"} if name == "unmarked" else {"stage/file": "x", OWNER: ""})
        os.utime(directory, None if name == "young000" else (1, 1))
    b.applied()
    assert sorted(p.name for p in b.tmp.iterdir()) == sorted(f"pgtable-walk-apply-{n}" for n in names[1:])


# ---- edited while apply is at work ----

# What is done to the tree at the first call of a function of a module.
MEANWHILE = """
real_{name} = {place}.{name}
def meanwhile(*args, **kwargs):
    {place}.{name} = real_{name}
    {do}
    return real_{name}(*args, **kwargs)
{place}.{name} = meanwhile
"""


def meanwhile(b, place, name, path, text):
    where = b.tree / path
    do = f"open({str(where)!r}, 'w').write({text!r})" if text else f"os.remove({str(where)!r})"
    return MEANWHILE.format(place=place, name=name, do=do)


def test_saved_meanwhile(b):
    """While spatch runs, while the new files are written, and just before the swap."""
    stock = b.contents()
    for place, name in (("m", "convert_all"), ("m", "overlay_writes"), ("t.Transaction", "write"),
                        ("t.Transaction", "swap")):
        for path, text in (("kernel/fake.c", FAKE_C.replace("// fake", "// saved")), ("lib/Makefile", "saved\n"),
                           ("lib/Kconfig", None), ("include/linux/walk_fake.h", "mine\n")):
            if path.startswith("include"):
                (b.tree / "include/linux").mkdir(parents=True)
            # What is seen before anything is written leaves no need to go back.
            early = "t.Transaction.write = None\n" if place == "m" else ""
            out = b.patched(early + meanwhile(b, place, name, path, text))
            lines = out.stderr.splitlines()
            assert out.returncode == 1 and len(lines) == 1 and path in lines[0], (name, path, out)
            there = b.contents()
            assert (there.pop(path)[1].decode() if text else there.pop(path, None)) == text, (name, path)
            there.pop("include", None), there.pop("include/linux", None)
            assert there == {p: v for p, v in stock.items() if p != path}, (name, path)
            shutil.rmtree(b.tree)
            put(b.tree, BASE_FILES)
            for p, v in stock.items():
                if v:
                    (b.tree / p).chmod(v[0] & 0o777)


def test_saved_meanwhile_when_undoing(b):
    b.applied()
    converted = b.contents()
    for place, name in (("m", "stock_texts"), ("t.Transaction", "write"), ("t.Transaction", "swap")):
        text = converted["kernel/fake.c"][1].decode()
        out = b.patched(meanwhile(b, place, name, "kernel/fake.c", text + "// saved\n"), "--undo")
        assert out.returncode == 1 and "kernel/fake.c: changed while" in out.stderr, out
        assert (b.tree / "kernel/fake.c").read_text() == text + "// saved\n"
        put(b.tree, {"kernel/fake.c": text})
        assert b.contents() == converted


# ---- paths that lead out of the tree ----

def test_record_names_files_elsewhere(b):
    victim = b.dir / "victim"
    victim.mkdir()
    put(victim, {"file": "x"})
    known = transaction.sha256(b"x")
    b.applied()
    record = (b.tree / MANIFEST).read_text()
    (b.tree / "way").symlink_to(victim)
    for path in (str(victim / "file"), "../victim/file", "lib/../../victim/file", "way/file", "./lib/x", "lib//x"):
        for key, value in (("new", known), ("converted", {"hash": known}), ("dirs", None)):
            changed = json.loads(record)
            if value is None:
                changed[key].append(path)
            else:
                changed[key][path] = value
            (b.tree / MANIFEST).write_text(json.dumps(changed))
            b.refused(MANIFEST, "damaged", args=("--undo",))
            assert (victim / "file").exists()
    b.refused(MANIFEST, "damaged")
    (b.tree / MANIFEST).write_text(record)
    b.applied("--undo")


def test_journal_names_files_elsewhere(b):
    victim = b.dir / "victim"
    put(victim, {"file": "x", ".old.apply-old": "x"})
    (b.tree / "way").symlink_to(victim)
    whole = everything_in(victim)
    for path in (str(victim / "file"), "../victim/file", "way/file", "way/old", 7):
        for journal in ({"files": {str(path): [None, transaction.sha256(b"x")]}, "made": [], "gone": []},
                        {"files": {}, "made": [path], "gone": [path]}):
            for name in (transaction.JOURNAL, transaction.DONE):
                put(b.tree, {name: json.dumps(journal)})
                if str(path) != "7" or not journal["files"]:
                    b.refused(name, "damaged")
                (b.tree / name).unlink(missing_ok=True)
                assert everything_in(victim) == whole
    put(b.tree, {transaction.JOURNAL: "[]"})
    b.refused(transaction.JOURNAL, "damaged")


def everything_in(directory):
    return {p.name: p.read_bytes() for p in directory.iterdir()}


def test_links_in_the_tree(b):
    """A converted file that is one, a directory above it, one above a new file, the record."""
    for link in ("kernel/fake.c", "kernel", "lib/pgtable-walk", "include", MANIFEST):
        there, away = b.tree / link, b.dir / "away"
        shutil.rmtree(away, ignore_errors=True)
        if there.is_dir():
            shutil.copytree(there, away)
            shutil.rmtree(there)
        elif there.exists():
            away.write_bytes(there.read_bytes())
            there.unlink()
        elif link != MANIFEST:
            away.mkdir()
        else:
            away.write_text("{}")
        there.symlink_to(away)
        before = snapshot(away)
        b.refused(f"{link} is a symbolic link")
        assert snapshot(away) == before
        there.unlink()
        shutil.rmtree(b.tree)
        put(b.tree, BASE_FILES)
        if away.is_file():
            away.unlink()


# ---- stock files put back ----

def test_checkout_after_it_was_killed(b):
    """What git checkout put back is no edit."""
    stock = b.contents()
    reached = 0
    for after in range(18, 40):
        out = b.patched(KILL_AT.format(after=after))
        if out.returncode == 0:
            break
        if (b.tree / transaction.JOURNAL).exists():
            old = [p for p in b.tree.rglob(".*.apply-old")]
            reached += bool(old)
            put(b.tree, BASE_FILES)
        b.applied("--undo")
        assert b.contents() == stock, after
    assert reached > 2, reached


def test_checkout_after_apply(b):
    stock = b.contents()
    b.applied()
    converted = b.contents()
    put(b.tree, BASE_FILES)
    b.applied()
    assert b.contents() == converted
    put(b.tree, BASE_FILES)
    newer(b)
    b.applied()
    put(b.tree, BASE_FILES)
    b.applied("--undo")
    assert b.contents() == stock


def test_moved_to_another_version(b):
    b.applied()
    put(b.tree, {"kernel/fake.c": FAKE_C.replace("old_call(a", "other_call(a")})
    for args in ((), ("--undo",)):
        b.refused("kernel/fake.c:", "another version", f"remove {MANIFEST}", args=args)
    (b.tree / "lib/Makefile").unlink()
    put(b.tree, {"kernel/fake.c": FAKE_C})
    for args in ((), ("--undo",)):
        b.refused("lib/Makefile", "another version", f"remove {MANIFEST}", args=args)
    put(b.tree, BASE_FILES)
    (b.tree / MANIFEST).unlink()
    b.applied()


# ---- the same version again ----

def test_again_with_edits(b):
    """An edit on a converted line stays, unless it takes back what the conversion did; the
    checks see it."""
    b.applied()
    b.edit("kernel/fake.c", "new_call(a + 1);", "new_call(a + 1);\t/* why */")
    b.edit("lib/Kconfig", "\tselect PGTABLE_WALK\n", "\tselect PGTABLE_WALK\n\tselect MINE\n")
    edited = b.contents()
    out = b.applied()
    assert "nothing to do" in out and len(out.splitlines()) == 1, out
    assert b.contents() == edited
    b.edit("lib/Kconfig", "\tselect PGTABLE_WALK\n\tselect MINE\n", "")
    b.edit("kernel/fake.c", "\t/* why */", "")
    b.applied()
    assert "\tselect PGTABLE_WALK\n" in (b.tree / "lib/Kconfig").read_text()
    put(b.root, {"scripts/coccinelle/pgtable-walk/check/mine.cocci": CHECK})
    shutil.rmtree(b.tree)
    put(b.tree, BASE_FILES)
    put(b.tree, {"virt/kvm/fake.c": "int vm(void)\n{\n\told_call(0);\n\treturn 0;\n}\n"})
    put(b.root, {f"{CONVERT}/0003-vm.cocci": VM})
    b.applied()
    assert "nothing to do" in b.applied()
    b.edit("virt/kvm/fake.c", "new_call(0)", "new_call(bad())")
    b.refused("virt/kvm/fake.c:3: ERROR: bad", "mine.cocci")


def test_again_after_checkout_without_a_mark(b):
    """The later of two conversions takes back the mark of the earlier one."""
    stock = "int vm(void)\n{\n\told_call(0);\n\treturn 0;\n}\n"
    put(b.tree, {"virt/kvm/fake.c": stock})
    put(b.root, {f"{CONVERT}/0003-vm.cocci": VM, f"{CONVERT}/0004-vm.cocci": VM.replace(
        "vm new_call", "vm !new_call").replace("+ new_call(e)", "+ newer_call(e)").replace("- old_call", "- new_call")})
    b.applied()
    converted = b.contents()
    assert "nothing to do" in b.applied()
    put(b.tree, {"virt/kvm/fake.c": stock})
    b.applied()
    assert b.contents() == converted


VM = """\
// SPDX-License-Identifier: GPL-2.0
/// fake: Call the new thing for VMs
// File: virt/kvm/fake.c
// Hunks: vm 1
// Applied: vm new_call
@@
expression e;
@@
- old_call(e)
+ new_call(e)
"""
CHECK = """\
// SPDX-License-Identifier: GPL-2.0
// Keywords: bad
virtual report
@r@
position p;
@@
 bad@p()
@script:python depends on report@
p << r.p;
@@
coccilib.report.print_report(p[0], "ERROR: bad")
"""
