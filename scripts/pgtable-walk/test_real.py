# SPDX-License-Identifier: GPL-2.0
"""Tests of the repository's own conversions, on the files of a pristine kernel tree that
they name."""
import itertools
import os
import re
import shutil
import subprocess

from converter.checks import findings
from converter.conversion import all_conversions, load_conversions
from converter.csource import body, definitions
from converter.main import tree_version
from converter.record import MANIFEST
from converter.stage import Stage, convert, convert_all, convert_file
from converter.text import encode, read_text
from converter.transaction import Refused
from testbench import CONVERT, HERE, put, snapshot

ROOT = HERE.parent.parent


def real_copy(b, base):
    """The files of a base that our conversions name."""
    conversions = load_conversions(ROOT / CONVERT, tree_version(base))
    shutil.rmtree(b.tree)
    for path in {"Makefile", "Kconfig"} | {p for c in conversions for p in c.paths()}:
        (b.tree / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(base / path, b.tree / path)
    b.root = ROOT
    return conversions


def remove_definition(path, name):
    text = read_text(path)
    lines = text.split("\n")
    for d in reversed([d for d in definitions(text) if d.name == name]):
        del lines[d.first:d.last + 1]
    path.write_bytes(encode("\n".join(lines)))


def real_applies(b, base, _full):
    conversions = real_copy(b, base)
    stock = b.contents()
    out = b.applied()
    assert [line.split()[0] for line in out.splitlines()[:-1]] == \
        [c.stem for c in conversions], out
    before = snapshot(b.tree)
    out = b.applied()
    assert "nothing to do" in out and len(out.splitlines()) == 1, f"converted again: {out}"
    assert before == snapshot(b.tree)
    b.applied("--undo")
    assert b.contents() == stock


def kind(text, name):
    """Of a definition: function, variable, struct, union, enum, or FNAME() of a header that is a template."""
    if " " in name:
        return name.split()[0]
    if name == "FNAME":
        return name
    return "variable" if body(text, name).partition("{")[0].rstrip().endswith("=") else "function"


def one_of_each(places, full, key):
    """All places if it is for FULL=1, else the first for each key; and a line about that."""
    some = places if full else list({key(place): place for place in reversed(places)}.values())[::-1]
    return some, [f"{len(some)} of {len(places)} places" + ("" if full else "; the others with FULL=1")]


# All else that does not fit is for users: here it costs a minute each time.
STOP_AT_FIRST = """
from converter import stage
def convert_all(conversions, staged, root, say):
    for conv in conversions:
        stage.convert(conv, staged, root)
m.convert_all = convert_all
"""


def real_refuses(b, base, full):
    """Stock without the first definition that each conversion names in each file.  Not in full:
    one of each kind; kinds that are nowhere the first are left to the next test."""
    conversions = real_copy(b, base)
    places = []
    for section in (s for conv in conversions for s in conv.sections):
        text = read_text(base / section.path)
        there = {d.name for d in definitions(text)}
        places += [(section.path, name, kind(text, name)) for name in section.hunks if name in there][:1]
    places, said = one_of_each(places, full, lambda place: place[2])
    for path, name, _ in places:
        remove_definition(b.tree / path, name)
        b.refused(path, f"{name}: ", "not in the tree", run=lambda: b.patched(STOP_AT_FIRST))
        shutil.copy2(base / path, b.tree / path)
    return said


def real_every_definition(b, base, full):
    """Each conversion, with each definition that it names missing just then.  Not in full: one
    of each kind."""
    conversions = real_copy(b, base)
    places, stage = [], Stage(b.tree, b.dir / "stage")
    for conv in conversions:
        for section in conv.sections:
            text = read_text(base / section.path)
            places += [(conv, section, name, kind(text, name)) for name in section.hunks if name != "-"]
    places, said = one_of_each(places, full, lambda place: (place[0].stem, place[3]))
    for conv in conversions:
        for _, section, name, _ in (place for place in places if place[0] is conv):
            without(b, stage, conv, section, name)
        convert(conv, stage, ROOT)
    return said


def real_messages(_b, _base, _full):
    """Conversions begin with a commit message, in lines as git shows them."""
    for conv in itertools.chain(*all_conversions(ROOT / CONVERT).values()):
        subject, empty, *text = conv.message
        assert re.match(r"[\w/-]+: \S", subject) and not empty and text, f"{conv.stem}: {conv.message[:2]}"
        assert all(len(line) <= 75 and line == line.rstrip() for line in conv.message), f"{conv.stem}: long lines"


def real_series(b, base, _full):
    """'git am' of the series on the stock files makes what apply makes of them."""
    real_copy(b, base)
    put(b.tree, {"scripts/get_maintainer.pl": read_text(base / "scripts/get_maintainer.pl")})
    env = {**{name: value for name, value in os.environ.items() if not name.startswith("GIT_")}, "HOME": str(b.dir)}

    def run(*command, **kwargs):
        return subprocess.run(command, check=True, capture_output=True, text=True, env=env, **kwargs)

    put(b.dir, {".gitconfig": "[user]\nname = A. Author\nemail = a@example.org\n"})
    before = snapshot(b.tree)
    out = b.dir / "out"
    run(HERE / "series.py", "--bench", b.dir, "--out", out, b.tree)
    assert snapshot(b.tree) == before
    patches = sorted(out.iterdir())
    assert "Recipients" in patches[0].read_text() and all(
        "\nSigned-off-by: A. Author <a@example.org>\n" in patch.read_text() for patch in patches[1:])
    shutil.copytree(b.tree, b.dir / "am")
    for command in (["init", "-q"], ["add", "--force", "."], ["commit", "-qm", "stock"], ["am", "-q", *patches[1:]]):
        run("git", *command, cwd=b.dir / "am")
    b.applied()
    made = {path: data for path, data in b.contents().items() if path != MANIFEST}
    b.tree = b.dir / "am"
    shutil.rmtree(b.tree / ".git")
    assert b.contents() == made


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
    whole = read_text(path) + text
    path.write_bytes(encode(whole))
    return next(n for n, line in reversed(list(enumerate(whole.split("\n"), 1))) if word in line)


def real_writers(b, base, _full):
    """Trees with more writers of page-table entries."""
    conversions = real_copy(b, base)
    put(b.tree, {"arch/arm64/kvm/vendor.c": VISITOR.format("file")})
    b.refused("arch/arm64/kvm/vendor.c:4: ERROR:", "vpte_plain.cocci")
    stage = Stage(b.tree, b.dir / "stage")
    convert_all(conversions, stage, ROOT, lambda line: None)
    wanted = [("arch/arm64/kvm/vendor.c", 4)]
    for path, text, word in WRITERS:
        wanted.append((path, appended(b.tree / path, text, word)))
        appended(stage.directory / path, text, word)
    # More than one check may see a store.
    found = {(path, line) for path, line, *_ in findings(stage, ROOT, b.tree, {})}
    assert sorted(found) == sorted(wanted), (sorted(found), sorted(wanted))


def without(b, stage, conv, section, name):
    copy = b.dir / "without"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(b.tree, copy)
    for path in stage.paths:
        shutil.copy2(stage.directory / path, copy / path)
    remove_definition(copy / section.path, name)
    try:
        convert_file(conv, section, Stage(copy, b.dir / "stage-without"), ROOT, False)
    except Refused as error:
        assert section.path in str(error) and f"{name}: " in str(error), f"{conv.stem}: {error}"
    else:
        raise AssertionError(f"{conv.stem}: takes {section.path} without {name}")


def tests(base, full):
    """{name: function(bench)}, the longest first."""
    return {f"{function.__name__}_{tree_version(base)}": lambda b, f=function: f(b, base, full)
            for function in (real_refuses, real_every_definition, real_series, real_applies, real_writers, real_messages)}
