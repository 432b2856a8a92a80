# SPDX-License-Identifier: GPL-2.0
"""Running commands, spatch above all, so that a signal ends them too."""
import concurrent.futures
import os
import re
import signal
import subprocess
import tempfile

from .conversion import CONVERT_DIR, shown
from .transaction import SIGNALS, Refused

SPATCH = ("spatch", "--very-quiet", "--no-includes", "--include-headers",
          "--timeout", "300", "--in-place")

RUNNING = set()


def run(command, **kwargs):
    """Run a command to its end; a signal kills it too.  Returns (status, output)."""
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          **kwargs) as child:
        RUNNING.add(child)
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            output, _ = child.communicate()
        except BaseException:
            child.kill()
            raise
        finally:
            RUNNING.discard(child)
    return child.returncode, output.decode(errors="replace")


def in_parallel(function, items):
    """The results of a function that runs commands; an exception kills these, too."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        futures = [pool.submit(function, item) for item in items]
        try:
            return [future.result() for future in futures]
        except BaseException:
            for future in futures:
                future.cancel()
            for child in set(RUNNING):
                child.kill()
            raise


def run_spatch(cocci, options, staged, path, root):
    """Run one semantic patch on a staged file."""
    tmp = staged.parent
    env = {**os.environ, "HOME": str(tmp), "TMPDIR": str(tmp), "LC_ALL": "C"}
    status, text = run([*SPATCH, *options, "--sp-file", cocci, staged], cwd=root / CONVERT_DIR, env=env)
    if status or re.search(r"Fatal error|EXN", text):
        full(tmp)
        where = keep_log(root, f"spatch-{cocci.stem}-{path.replace('/', '_')}.log", text)
        raise Refused(f"{path}: {shown(cocci)}: spatch failed (exit {status}, '{first_line(text)}')"
                      f"{where}")


def first_line(text):
    return next((line for line in text.split("\n") if line.strip()), "no message").strip()


def keep_log(root, name, text):
    """': see FILE', or nothing if the repository cannot be written to."""
    log = root / "build/log" / name
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(text)
    except OSError:
        return ""
    return f": see {log}"


def full(directory):
    """Name the directory for temporary files if it is full: programs do not."""
    room = os.statvfs(directory)
    if room.f_bavail * room.f_frsize < 1 << 16 or (room.f_files and not room.f_favail):
        raise Refused(f"{tempfile.gettempdir()}: no space left for temporary files: make room, or set "
                      "TMPDIR to another directory")
