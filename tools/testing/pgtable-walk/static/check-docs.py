#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Build the new and the converted pages of Documentation with Sphinx, by the tree's own rules.

Only these pages, which takes seconds: others that they refer to must be there, and each new
page must be in the index of its directory.
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
# pylint: disable=wrong-import-position
from testlib import MANIFEST, ROOT, Ktap, need_tree, recorded  # noqa: E402

# What Sphinx says of itself, or of an option that only one base has.
NOISE = re.compile(r"Using \w+ theme|WARNING: dot\(1\) not found|WARNING: unknown config value 'kerneldoc_bin'|$")


def pages(tree, what):
    """Of the record, but for indexes, whose other pages are not built."""
    return [name for name in recorded(tree, what) if name.startswith("Documentation/") and name.endswith(".rst")
            and not name.endswith("/index.rst")]


def build(tree, names, directory):
    """What Sphinx has to say about pages of a tree."""
    top = directory / "Documentation"
    for name in names:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(tree / name, directory / name)
    toctree = "".join(f"   {name[len('Documentation/'):-len('.rst')]}\n" for name in names)
    (top / "index.rst").write_text(f"Pages\n=====\n\n.. toctree::\n\n{toctree}", encoding="utf-8")
    (directory / "MAINTAINERS").symlink_to(tree / "MAINTAINERS")
    # As make htmldocs calls it. There is no further configuration of a part of the pages.
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(tree / "tools/lib/python"),
           "srctree": str(tree), "BUILDDIR": str(directory), "SPHINX_CONF": str(directory / "none")}
    done = subprocess.run(
        ["sphinx-build", "-q", "-E", "-b", "html", "-c", tree / "Documentation", "-d", directory / "doctrees",
         "-D", "version=", "-D", "release=", "-D", f"kerneldoc_srctree={tree}",
         "-D", f"kerneldoc_bin={tree / 'scripts/kernel-doc'}", top, directory / "html"],
        cwd=tree / "Documentation", env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        check=False)
    said = [line.replace(f"{directory}/", "").replace(f"{tree}/", "") for line in done.stderr.splitlines()
            if not NOISE.match(line)]
    return said or ([f"sphinx-build ended with {done.returncode}"] if done.returncode else [])


def test_sphinx(tree, names):
    with tempfile.TemporaryDirectory() as directory:
        return build(tree, names, pathlib.Path(directory))


def test_index(tree, names):
    """Each new page is in the index of its directory, each new header with comments in a page."""
    problems = []
    for name in names:
        path = tree / name
        if not re.search(rf"^ +{path.stem}$", (path.parent / "index.rst").read_text(encoding="utf-8"), re.M):
            problems.append(f"{name}: not in the index of its directory")
    text = "".join((tree / name).read_text(encoding="utf-8") for name in names)
    problems += [f"{name}: no page has its comments" for name in recorded(tree, "new")
                 if name.startswith("include/linux/") and "/**\n" in (tree / name).read_text(encoding="utf-8")
                 and f".. kernel-doc:: {name}\n" not in text]
    return problems


def test_references(tree, names):
    """Files that pages name are there."""
    return [f"{name}: there is no {path}" for name in names
            for path in re.findall(r"\b(?:Documentation|include|lib|mm|virt)/[\w./-]+\.(?:rst|[ch])\b",
                                   (tree / name).read_text(encoding="utf-8")) if not (tree / path).exists()]


def main():
    what, _, more = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(description=what, epilog=more)
    parser.add_argument("--converted", type=pathlib.Path, metavar="TREE", required=True)
    args = parser.parse_args()
    tree = args.converted.resolve()
    need_tree(tree, "--converted", [MANIFEST, "Documentation/conf.py"])
    new, converted = pages(tree, "new"), pages(tree, "converted")
    ktap = Ktap(3)
    need = subprocess.run([ROOT / "scripts/pgtable-walk/need", "sphinx-build:python3-sphinx"],
                          stderr=subprocess.PIPE, text=True, check=False)
    if need.returncode:
        ktap.line("skip", "docs.sphinx", need.stderr.strip().split("\n")[-1])
    else:
        ktap.result("docs.sphinx", test_sphinx(tree, new + converted))
    ktap.result("docs.index", test_index(tree, new))
    ktap.result("docs.references", test_references(tree, new))
    ktap.finish()


if __name__ == "__main__":
    main()
