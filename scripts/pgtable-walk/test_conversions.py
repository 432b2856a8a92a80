# SPDX-License-Identifier: GPL-2.0
"""Tests of what conversions say: counts, edits, fragments, headers; and of how changes of C
source are counted."""
import shutil

from converter.csource import definitions, hunks
from converter.record import MANIFEST
from testbench import BASE_FILES, CALLS, CONVERT, HOOKS, put

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
    (b.tree / MANIFEST).unlink()
    b.refused("kernel/fake.c", "0001-calls.cocci", "struct pair", "partly converted",
              "lib/Kconfig: 0002", "lib/Makefile: 0002", "these 3 places", count=4)


def test_later_conversion_there_already(b):
    b.applied()
    text = (b.tree / "kernel/fake.c").read_text().replace("new_call", "old_call")
    (b.tree / "kernel/fake.c").write_text(text.replace("\tint right;\n", ""))
    b.refused("kernel/fake.c:", "an edit made after apply")
    (b.tree / MANIFEST).unlink()
    b.refused("kernel/fake.c", "0002-doom is there already")


def test_applied_line_wrong(b):
    b.conversion("0001-calls.cocci", "two new_call", "two newer_call")
    b.refused("kernel/fake.c", "0001-calls.cocci", "Applied: two newer_call")


# ---- edits ----

def test_anchor_missing(b):
    b.edit("lib/Kconfig", "math", "maths")
    b.refused("lib/Kconfig", "0002-doom.edit:3", 'source "lib/math/Kconfig"', "0 times")


def test_removed_lines_not_there(b):
    """They are missed, and not taken for removed."""
    put(b.root, {f"{CONVERT}/0003-less.edit": "/// less\n///\n/// x\nFile: kernel/other.c\nReplace: {\n"
                 "Replace: \treturn old_call(a);\nAdd: \nFile: lib/Kconfig\nAt: end\nAdd: more\n"})
    b.edit("kernel/other.c", "\treturn old", "\t/* theirs */\n\treturn old")
    b.refused("kernel/other.c: 0003-less.edit:4: the 2 lines with 'return old_call(a);' are there 0 times")
    b.edit("kernel/other.c", "\t/* theirs */\n", "")
    b.applied()


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


# ---- bases ----

def with_base(b, files):
    """A tree of 7.3, and what there is for this base."""
    put(b.root, {f"{CONVERT}/7.3/{path}": text for path, text in files.items()})
    b.edit("Makefile", "VERSION = 6\nPATCHLEVEL = 12", "VERSION = 7\nPATCHLEVEL = 3")


def test_parts_of_a_base(b):
    """They add to what is for all bases, and other bases do not see them."""
    before = b.contents()
    put(b.root, {"overlay/7.3/lib/pgtable-walk/own.h": "/* 7.3 */\n",
                 "overlay/6.12/lib/pgtable-walk/own.h": "/* 6.12 */\n", f"{CONVERT}/0003-more/more.c": MORE_C})
    files = {"0001-calls.edit": "File: kernel/other.c\nAfter: {\nFragment: own.c\n", "0003-more.edit": MORE,
             "0001-calls/own.c": MORE_C.partition("int")[0] + "\t/* 7.3 */\n",
             "0004-other.cocci": CALLS.replace("fake.c", "other.c").replace("one", "other").replace("two", "other")
             .replace("// Hunks: other 2\n", "").replace("// Hunks: struct pair 1\n", "").replace(
                 "// Applied: struct pair right\n", "")}
    put(b.root, {f"{CONVERT}/7.3/{path}": text for path, text in files.items()})
    b.applied()
    assert (b.tree / "kernel/other.c").read_text() == OTHER_C
    assert (b.tree / "lib/pgtable-walk/own.h").read_text() == "/* 6.12 */\n"
    put(b.root, {f"{CONVERT}/7.3/0001-calls/own.c": MORE_C.partition("int")[0] + "\t/* 7.3.1 */\n"})
    assert "nothing to do" in b.applied()
    b.applied("--undo")
    assert b.contents() == before
    with_base(b, {})
    b.applied()
    assert (b.tree / "kernel/other.c").read_text() == "int more(void)\n{\n\treturn 1;\n}\n\n" + \
        OTHER_C.replace("{\n", "{\n\t/* 7.3.1 */\n").replace("old_call", "new_call")
    assert (b.tree / "lib/pgtable-walk/own.h").read_text() == "/* 7.3 */\n"
    assert "new_call" in (b.tree / "kernel/fake.c").read_text()


def test_counts_of_a_base(b):
    with_base(b, {"0005-x.edit": MORE.replace("Fragment: more.c\n", "Fragment: x.c\n"), "0005-x/x.c": MORE_C})
    b.edit("kernel/fake.c", "\tif (a)\n\t\told_call(a + 1);\n", "")
    b.edit("kernel/fake.c", "int left;", "int first;")
    b.refused("0001-calls.cocci", "two: 2 hunks expected, 1 found")
    b.conversion("0001-calls.cocci", "two 2\n", "two 2\n// Hunks 7.3: two 1\n")
    b.refused("0001-calls.cocci", "struct pair: 1 hunks expected, 0 found")
    b.conversion("0001-calls.cocci", "pair 1\n", "pair 1\n// Hunks 7.3: struct pair 0\n")
    b.conversion("0001-calls.cocci", "// Applied: struct", "// Applied 6.12: struct")
    b.applied()
    b.applied("--undo")
    put(b.tree, BASE_FILES)
    b.applied()


def test_files_of_a_base(b):
    """A section or a block for one base only."""
    put(b.root, {f"{CONVERT}/7.3/0001-calls.edit": "File: lib/Makefile\nAt: end\nAdd: # 7.3\n"})
    b.conversion("0002-doom.edit", "File: lib/Kconfig\nAfter", "File 6.12: lib/Kconfig\nAfter")
    b.conversion("0002-doom.edit", HOOKS[-20:], HOOKS[-20:] + "File 7.3: lib/Makefile\nAfter: obj-y += a.o\nAdd: #7.3\n")
    b.conversion("0002-doom.cocci", "@@\n@@\n- int", "// File 7.3: kernel/other.c\n// Hunks: other 1\n// Applied: other x\n"
                 "@@\n@@\n- int")
    b.applied()
    b.applied("--undo")
    with_base(b, {})
    b.refused("kernel/other.c", "other: 1 hunks expected, 0 found")
    b.conversion("0002-doom.cocci", "// File 7.3: kernel/other.c\n// Hunks: other 1\n// Applied: other x\n", "")
    b.applied()
    assert (b.tree / "lib/Makefile").read_text().startswith("obj-y += a.o\n#7.3\n")
    assert "pgtable-walk" not in (b.tree / "lib/Kconfig").read_text().partition("config KVM")[0]


def test_bad_bases(b):
    for file, old, new, words in (
            ("0001-calls.cocci", "Hunks: two", "Hunks 7.4: two", "0001-calls.cocci:7: not understood"),
            ("0002-doom.edit", "File: lib/Makefile", "File 7.4: lib/Makefile", "0002-doom.edit:10: not understood"),
            ("7.3/0006-x.edit", "/// fake: x\n", "", "7.3/0006-x.edit: no commit message"),
            ("7.3/0006-x.edit", "After", "Behind", "7.3/0006-x.edit:3: not understood"),
            ("7.3/0006-x.edit", "File", "File 6.12", "7.3/0006-x.edit: no File: line for Linux 7.3")):
        put(b.root, {f"{CONVERT}/0001-calls.cocci": CALLS, f"{CONVERT}/0002-doom.edit": HOOKS,
                     f"{CONVERT}/7.3/0006-x.edit": "/// fake: x\nFile: lib/Makefile\nAfter: obj-y += a.o\nAdd: # x\n"})
        b.conversion(file, old, new)
        b.refused(words)
    put(b.root, {f"{CONVERT}/7.3/0006-x.edit": "/// fake: x\nFile: lib/Makefile\nAfter: obj-y += a.o\nAdd: # x\n",
                 f"{CONVERT}/7.3/0006-x/left.c": MORE_C})
    b.refused("7.3/0006-x/left.c: no .edit names this fragment")


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
            ("// Hunks: one", "// Hunk: one", f"{name}:6: not understood"),
            ("two new_call", "two new_call(", f"{name}:10: bad regular expression"),
            ("// File: kernel/fake.c\n", "", f"{name}:5: not understood"),
            ("// Applied", "// Later", "not understood"),
            ("// Hunks: struct pair 1\n", "// File: kernel/other.c\n", "kernel/fake.c: needs Hunks and Applied"),
            ("// Hunks: two 2\n", "// Hunks: two 2\n// Hunks: two 2\n",
             f"{name}:8: not understood")):
        put(b.root, {f"{CONVERT}/{name}": good})
        b.conversion(name, old, new)
        b.refused(words)


def test_bad_edits(b):
    name, good = "0002-doom.edit", HOOKS
    for old, new, words in (
            ("File: lib/Kconfig\n", "", f"{name}:3: not understood"),
            (good, "/// fake: Do nothing\n", "no File: line"),
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
    found = [(d.name, d.first + 1, d.last + 1) for d in definitions(text)]
    assert found == [("f", 4, 14), ("__g", 15, 15), ("struct s", 16, 18), ("table", 19, 20),
                     ("h", 24, 27), ("enum e", 28, 28), ("var", 30, 30), ("p", 31, 33)], found


def counted(b, old, new):
    put(b.dir, {"old.c": old, "new.c": new})
    return dict(hunks(b.dir / "old.c", b.dir / "new.c"))


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
