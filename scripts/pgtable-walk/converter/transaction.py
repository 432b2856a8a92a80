# SPDX-License-Identifier: GPL-2.0
"""Write files of a tree: all of them or none, also if killed at any point.

Before anything changes, JOURNAL lists what will.  Each new file is written beside
the old one as .NAME.apply-new; then the old one moves to .NAME.apply-old and the new
one takes its place.  When all have, JOURNAL is renamed to DONE, and the old files are
removed.  The next run that finds a JOURNAL goes back to the old files, and one that
finds DONE removes them.  All of this happens with the tree locked.
"""
import contextlib
import fcntl
import hashlib
import json
import os
import signal

JOURNAL = ".pgtable-walk.journal"
DONE = ".pgtable-walk.done"
SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


class Refused(Exception):
    """The tree stays as it is; the text is the line that the user reads."""


class Unfit(Refused):
    """What conversions or checks object to; a line for each."""


class Unfinished(Exception):
    """The tree could not be put back; the text says why."""


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def digest(path):
    """The hash of a file, None if there is none."""
    try:
        return sha256(path.read_bytes())
    except FileNotFoundError:
        return None


def unsafe(tree, path):
    """Why a path must not be written to, '' if it may: it has to stay in the tree."""
    parts = path.split("/")
    if not all(parts) or {".", ".."} & set(parts) or "\0" in path:
        return f"'{path}' is not a path in the tree"
    for depth in range(1, len(parts) + 1):
        if os.path.islink(tree / "/".join(parts[:depth])):
            return f"{'/'.join(parts[:depth])} is a symbolic link"
    return ""


def old_name(path):
    return path.with_name(f".{path.name}.apply-old")


def new_name(path):
    return path.with_name(f".{path.name}.apply-new")


def listen():
    """Handle the signals that the caller of this process did not choose to ignore, as
    nohup does with SIGHUP."""
    for number in set(SIGNALS):
        if signal.getsignal(number) == signal.SIG_IGN:
            SIGNALS.discard(number)
        else:
            signal.signal(number, interrupted)


def interrupted(number, _frame=None):
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    raise Refused(f"stopped by {signal.Signals(number).name}")


def lock(tree):
    """Keep others out of a tree until this process ends."""
    try:
        fcntl.flock(os.open(tree, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Refused(f"{tree}: another apply is at work there: wait for it") from None


def recover(tree, paths):
    """Finish what a killed run left behind, and say so; 'paths' may have been changed by
    a version that kept no journal."""
    with contextlib.suppress(FileNotFoundError):
        new_name(tree / JOURNAL).unlink()
    if (tree / DONE).exists():
        clean_up(tree)
        return f"{tree}: removed what a run that was killed had left"
    if (tree / JOURNAL).exists():
        roll_back(tree)
        return f"{tree}: put back what a run that was killed had changed"
    return recover_without_journal(tree, paths)


def read_journal(path):
    try:
        journal = json.loads(path.read_text())
        paths = [*journal["made"], *journal["gone"], *(p for p, (_, _) in journal["files"].items())]
        why = next(filter(None, (unsafe(path.parent, p) for p in paths)), "")
    except (ValueError, TypeError, AttributeError, KeyError):
        why = "not a journal"
    if why:
        raise Refused(f"{path}: damaged ({why}): restore the tree, and remove this file") from None
    return journal


def roll_back(tree):
    journal = read_journal(tree / JOURNAL)
    for path, (before, after) in journal["files"].items():
        dest = tree / path
        if os.path.lexists(old_name(dest)) and digest(dest) not in (None, before, after):
            raise Refused(f"{path}: edited since a run was killed that changed it; {old_name(dest).name} "
                          "is what it was before: move your file away and run again")
    for path, (before, after) in journal["files"].items():
        dest = tree / path
        if os.path.lexists(old_name(dest)):
            os.rename(old_name(dest), dest)
        elif before is None and digest(dest) == after:
            dest.unlink(missing_ok=True)
        new_name(dest).unlink(missing_ok=True)
    remove_empty(tree, journal["made"])
    (tree / JOURNAL).unlink()


def clean_up(tree):
    journal = read_journal(tree / DONE)
    for path in journal["files"]:
        old_name(tree / path).unlink(missing_ok=True)
    remove_empty(tree, journal["gone"])
    (tree / DONE).unlink()


def recover_without_journal(tree, paths):
    """Versions before the journal renamed the files one by one, then removed the old ones."""
    paths = sorted(set(paths))
    strays = [tree / p for p in paths if os.path.lexists(old_name(tree / p))]
    fresh = [new_name(tree / p) for p in paths if os.path.lexists(new_name(tree / p))]
    if fresh:
        for dest in strays:
            if dest.exists() and dest.stat().st_mtime > old_name(dest).stat().st_ctime:
                raise Refused(f"{dest}: edited since a run was killed that changed it; {old_name(dest).name} "
                              "is what it was before: move your file away and run again")
    # If no new file is left, only one whose place is empty is known to belong there.
    back = [dest for dest in strays if fresh or not os.path.lexists(dest)]
    for dest in back:
        os.rename(old_name(dest), dest)
    for path in fresh:
        path.unlink()
    return f"{tree}: finished what a run that was killed had left" if back or fresh else None


def remove_empty(tree, directories):
    for directory in sorted(directories, reverse=True):
        with contextlib.suppress(OSError):
            (tree / directory).rmdir()


class Transaction:
    """Writes files of a tree: all, or on any error or signal none."""

    def __init__(self, tree):
        self.tree = tree

    def missing_directories(self, writes):
        missing = {str(d) for path, data in writes.items() if data is not None
                   for d in (self.tree / path).relative_to(self.tree).parents
                   if not (self.tree / d).exists()}
        return sorted(missing)

    def refuse_changed(self, path, read, place):
        """Refuse to replace a file that was saved, removed or made since the caller read it."""
        if digest(place) != read[path]:
            raise Refused(f"{path}: changed while apply was at work: run again")

    def commit(self, writes, modes, gone, read):
        """writes: {path: data, None to delete}; modes: of files that are new; gone:
        directories that are removed if they are empty then; read: {path: the digest of what
        the data was made from}."""
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)     # until the end of the process
        files = {path: (read[path], None if data is None else sha256(data))
                 for path, data in sorted(writes.items())}
        for path in files:
            self.refuse_changed(path, read, self.tree / path)
            for name in (old_name(self.tree / path), new_name(self.tree / path)):
                if os.path.lexists(name):
                    raise Refused(f"{name}: in the way: move it away")
        journal = self.tree / JOURNAL
        record = {"files": files, "made": self.missing_directories(writes), "gone": list(gone)}
        try:
            self.write(new_name(journal), journal, json.dumps(record, indent=1).encode(), 0o644)
            os.rename(new_name(journal), journal)
            for directory in record["made"]:
                made = self.tree / directory
                made.mkdir()
                like(made, made.parent, None)
            for path, data in sorted(writes.items()):
                if pending := signal.sigpending() & SIGNALS:
                    interrupted(min(pending))
                if data is not None:
                    dest = self.tree / path
                    self.write(new_name(dest), dest, data, modes.get(path, 0o644))
            for path, data in sorted(writes.items()):
                self.swap(path, data is not None, read)
            os.rename(journal, self.tree / DONE)
        except BaseException:
            self.take_back()
            raise
        with contextlib.suppress(OSError):      # the next run does it then
            clean_up(self.tree)

    def take_back(self):
        try:
            new_name(self.tree / JOURNAL).unlink(missing_ok=True)
            if (self.tree / JOURNAL).exists():
                roll_back(self.tree)
        except OSError as error:
            raise Unfinished(f"{error.filename}: {error.strerror}") from error
        except Refused as error:
            raise Unfinished(str(error)) from error

    def write(self, temporary, dest, data, mode):
        with open(temporary, "xb") as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        if dest.exists():
            like(temporary, dest, dest.stat().st_mode & 0o7777)
        else:
            like(temporary, dest.parent, mode)

    def swap(self, path, written, read):
        """What is checked is what was moved away, so that no save can come in between."""
        dest = self.tree / path
        if os.path.lexists(dest):
            os.rename(dest, old_name(dest))
            self.refuse_changed(path, read, old_name(dest))
        else:
            self.refuse_changed(path, read, dest)
        if written:
            os.rename(new_name(dest), dest)


def like(path, model, mode):
    """Give a new file or directory the owner of its model, and a mode."""
    if os.geteuid() == 0:
        with contextlib.suppress(PermissionError):
            os.chown(path, model.stat().st_uid, model.stat().st_gid)
    if mode is not None:
        os.chmod(path, mode)
