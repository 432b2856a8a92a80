#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Write the conversions of a kernel tree as numbered patches that 'git am' takes.

Each conversion is a patch, with its header as the message; the new files come with the
conversions that series.list names for them.  The cover letter has the figures of the last
'make bench' of that base, if there was one, and the recipients that the tree's own
get_maintainer.pl names.  The author and the sign-off are those of git's configuration.
"""
import argparse
import fnmatch
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from converter.conversion import CONVERT_DIR, all_conversions, bases_of
from converter.main import checked_base
from converter.overlay import overlay_files
from converter.record import read_manifest, refuse_without_stock, stock_texts
from converter.stage import Stage, convert, staging
from converter.text import encode, read_text
from converter.transaction import Refused, listen

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIST = "series.list"


class Repository:
    """A git repository with those files of a tree that the series touches."""

    def __init__(self, directory):
        self.directory = directory
        directory.mkdir()
        self.git("init", "-q", "-b", "series")

    def git(self, *args):
        env = {**os.environ, "LC_ALL": "C"}
        for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
            env.pop(name, None)
        done = subprocess.run(["git", "-c", "core.autocrlf=false", "-c", "commit.gpgSign=false", *args],
                              cwd=self.directory, env=env, capture_output=True, check=False)
        if done.returncode:
            raise Refused(f"git {args[0]}: {done.stderr.decode(errors='replace').strip() or 'failed'}")
        return done.stdout.decode(errors="replace")

    def write(self, path, data, mode=0o644):
        (self.directory / path).parent.mkdir(parents=True, exist_ok=True)
        (self.directory / path).write_bytes(data)
        (self.directory / path).chmod(mode)

    def commit(self, message):
        self.git("add", "--force", "--all")
        self.git("commit", "-q", "-s", "--cleanup=whitespace", "-m", message)


def new_files(conversions, files):
    """{stem: paths} of the new files, as series.list says."""
    lines = [line.split() for line in read_text(ROOT / CONVERT_DIR / LIST).splitlines() if line.strip()
             and not line.startswith("#")]
    stems = {conv.stem[:4]: conv.stem for conv in conversions}
    patterns = [(number, pattern) for number, *patterns in lines for pattern in patterns]
    found = {}
    for path in files:
        numbers = {number for number, pattern in patterns if fnmatch.fnmatchcase(path, pattern)}
        if len(numbers) != 1 or not numbers <= stems.keys():
            raise Refused(f"{LIST}: {path}: {len(numbers)} lines name it, 1 expected"
                          if len(numbers) != 1 else f"{LIST}: {path}: there is no conversion {min(numbers)}")
        found.setdefault(stems[numbers.pop()], []).append(path)
    anywhere = {path for base in bases_of(ROOT / CONVERT_DIR) for path in overlay_files(ROOT, base)}
    if idle := [pattern for _, pattern in patterns if not fnmatch.filter(anywhere, pattern)]:
        raise Refused(f"{LIST}: no new file matches {idle[0]}")
    return found


def commit_all(repo, conversions, stage, files, say):
    """One commit for the stock files, and one for each conversion."""
    with_conversion = new_files(conversions, files)
    for path in sorted({path for conv in conversions for path in conv.paths()}):
        stage.file(path, "the series")
        repo.write(path, encode(stage.before(path)), (stage.tree / path).stat().st_mode & 0o777)
    repo.commit("stock")
    for conv in conversions:
        for path in sorted({path for path, _ in convert(conv, stage, ROOT)}):
            repo.write(path, (stage.directory / path).read_bytes(), (stage.tree / path).stat().st_mode & 0o777)
        for path in with_conversion.get(conv.stem, []):
            repo.write(path, files[path].read_bytes(), 0o755 if os.access(files[path], os.X_OK) else 0o644)
        repo.commit("\n".join(conv.message))
        say(conv.message[0])


def recipients(tree, patches):
    """What get_maintainer.pl says of the patches, of which it needs no git."""
    done = subprocess.run(["perl", "scripts/get_maintainer.pl", "--nogit", "--nogit-fallback", "--norolestats",
                           "--no-moderated", "--notree", *patches], cwd=tree, capture_output=True, check=False)
    if done.returncode:
        raise Refused(f"{tree}: get_maintainer.pl: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout.decode(errors="replace").splitlines()


def cover_text(base, bench):
    """Subject and text of the cover letter, without those who get it."""
    top = ROOT / CONVERT_DIR
    parts = [read_text(top / "cover-letter.txt").rstrip()]
    if (own := top / base / "cover-letter.txt").is_file():
        parts.append(read_text(own).rstrip())
    for table in sorted(bench.glob("*.txt")):
        parts.append(read_text(table).rstrip())
    return "\n\n".join(parts) + "\n"


def with_recipients(letter, who):
    """Notes go below the line that ends the message."""
    head, line, rest = letter.partition("\n-- \n")
    return head + "\n---\nRecipients, by scripts/get_maintainer.pl:\n" + "\n".join(who) + "\n" + line + rest


def write_series(args, say):
    tree, out = args.kdir.resolve(), args.out.resolve()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise Refused(f"{args.out}: is there already: name a new or an empty directory with OUT=")
    base = checked_base(tree, ROOT, say)
    conversions, files = all_conversions(ROOT / CONVERT_DIR)[base], overlay_files(ROOT, base)
    new_files(conversions, files)
    record = read_manifest(tree)
    refuse_without_stock(tree, record, True)
    with staging() as directory:
        repo = Repository(directory / "repo")
        for name in ("user.name", "user.email"):
            if not repo.git("config", "--default", "", "--get", name).strip():
                raise Refused(f"git does not know the author: git config --global {name} ...")
        (directory / "stage").mkdir()
        commit_all(repo, conversions, Stage(tree, directory / "stage", stock_texts(tree, record, directory)), files, say)
        patches = directory / "patches"
        repo.git("config", "branch.series.description", cover_text(base, args.bench))
        repo.git("format-patch", "-q", "--cover-letter", "--cover-from-description=subject", "--no-renames",
                 "--signature=pgtable-walk", "--zero-commit", "-o", str(patches), "HEAD~" + str(len(conversions)))
        letter, *rest = sorted(patches.iterdir())
        letter.write_text(with_recipients(read_text(letter), recipients(tree, rest)), encoding="utf-8")
        # All of it or nothing: an empty directory gives way.
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".series-", dir=out.parent) as partial:
            shutil.copytree(patches, f"{partial}/patches")
            os.rename(f"{partial}/patches", out)
    return f"{args.out}: {len(rest)} patches and a cover letter for Linux {base}: git am {args.out}/*-*.patch"


def main():
    what, _, more = __doc__.partition("\n\n")
    parser = argparse.ArgumentParser(description=what, epilog=more)
    parser.add_argument("--bench", type=pathlib.Path, required=True, metavar="DIR", help="where bench writes its tables")
    parser.add_argument("--out", type=pathlib.Path, required=True, metavar="DIR", help="a new directory")
    parser.add_argument("kdir", type=pathlib.Path, metavar="KDIR", help="the kernel source tree, converted or not")
    args = parser.parse_args()
    listen()
    try:
        print(write_series(args, lambda line: print(line, flush=True)))
    except Refused as error:
        sys.exit(f"series.py: {error}; nothing was written")
    except OSError as error:
        sys.exit(f"series.py: {error.filename or args.out}: {error.strerror}; nothing was written")


if __name__ == "__main__":
    main()
