# SPDX-License-Identifier: GPL-2.0
"""The checks in scripts/coccinelle/pgtable-walk/check, run on what the conversions made."""
import os
import re
import shutil

from .spatch import first_line, full, in_parallel, keep_log, run
from .text import changes, encode, read_text
from .transaction import Refused, Unfit

CHECK_DIR = "scripts/coccinelle/pgtable-walk/check"
# A file without any of a check's keywords is none of its business.
KEYWORDS = re.compile(r"^// Keywords: (.+)$", re.M)
REPORT = re.compile(r"([^\s:]+):(\d+):\d+-\d+: ((?:ERROR|WARNING): .*)")
# What a file outside of ours must mention to be worth a look.
WRITES = re.compile(r"vpte_|pgtable_root_|_retire_root|visit_ctx|sptep|rmap_head|parent_ptes")
CHECKED = ("arch", "virt", "include", "lib", "mm")


def checked_files(stage, root, tree, new, arches):
    """Copy what the checks have to see to the stage; its paths."""
    paths = {p for p in stage.paths if p.endswith((".c", ".h")) and p.startswith(CHECKED)}
    for path in new:
        if path.endswith((".c", ".h")) and path.startswith(CHECKED) and not path.endswith("_kunit.c") and \
           not path.startswith("include/kunit"):
            (stage.directory / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(new[path], stage.directory / path)
            paths.add(path)
    for top in [f"arch/{arch}/kvm" for arch in arches] + ["virt/kvm"]:
        for found in (tree / top).rglob("*.[ch]"):
            path = str(found.relative_to(tree))
            if path not in paths and path not in new and WRITES.search(text := read_text(found)):
                (stage.directory / path).parent.mkdir(parents=True, exist_ok=True)
                (stage.directory / path).write_bytes(encode(text))
                paths.add(path)
    return sorted(paths)


def origin(path, line, stage, tree):
    """The line of the tree's own file that a line of the result comes from."""
    if path not in stage.paths:
        return line
    for begin, end, new_begin, new_end in reversed(list(changes(tree / path, stage.directory / path))):
        if line - 1 >= new_end:
            return line - new_end + end
        if line - 1 >= new_begin:
            return begin + 1
    return line


def check(stage, root, tree, new):
    """Refuse a result in which the checks find something."""
    if found := findings(stage, root, tree, new):
        raise Unfit("\n".join(f"{path}:{line}: {text} ({name})" for path, line, text, name in found))


def findings(stage, root, tree, new):
    """[(path, line in the tree's own file, text, check)]"""
    arches = {p.split("/")[1] for p in stage.paths if re.match(r"arch/\w+/kvm/", p)}
    paths = checked_files(stage, root, tree, new, arches)
    cocci = sorted((root / CHECK_DIR).glob("*.cocci"))
    env = {**os.environ, "HOME": str(stage.directory), "TMPDIR": str(stage.directory), "LC_ALL": "C"}

    texts = {path: read_text(stage.directory / path) for path in paths}

    def reports(path):
        words = KEYWORDS.search(read_text(path))
        mine = [p for p in paths if not words or any(word in texts[p] for word in words[1].split())]
        if not mine:
            return []
        status, text = run(["spatch", "--very-quiet", "-D", "report", "--no-includes", "--include-headers",
                            "--no-show-diff", "--cocci-file", path, *mine], cwd=stage.directory, env=env)
        lines = [REPORT.fullmatch(line) for line in text.splitlines() if line.strip()]
        if status or not all(lines):
            full(stage.directory)
            raise Refused(f"{path.name}: spatch failed (exit {status}, '{first_line(text)}')"
                          f"{keep_log(root, f'check-{path.stem}.log', text)}")
        return [(m[1], int(m[2]), m[3], path.name) for m in lines]

    return [(path, origin(path, line, stage, tree), text, name)
            for some in in_parallel(reports, cocci) for path, line, text, name in some]
