# SPDX-License-Identifier: GPL-2.0
"""Text of files, and what differs between two of them."""
import base64
import re
import subprocess
import zlib

from .transaction import Refused

LINES = re.compile(r"[^\n]*\n|[^\n]+")


def read_text(path):
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as f:
        return f.read()


def encode(text):
    return text.encode("utf-8", "surrogateescape")


def changes(old, new):
    """Changed line ranges (old_from, old_to, new_from, new_to), ends excluded."""
    out = subprocess.run(["diff", "-a", "-U0", old, new], capture_output=True, check=False,
                         text=True, errors="surrogateescape")
    if out.returncode > 1:
        raise Refused(f"diff: {out.stderr.strip()}")
    for m in re.finditer(r"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@", out.stdout, re.M):
        begin, count, new_begin, new_count = (int(g) if g else 1 for g in m.groups())
        begin -= count > 0
        new_begin -= new_count > 0
        yield begin, begin + count, new_begin, new_begin + new_count


def pack(text):
    return base64.b64encode(zlib.compress(encode(text), 9)).decode()


def unpack(packed):
    return zlib.decompress(base64.b64decode(packed)).decode("utf-8", "surrogateescape")


def edits(old, new, directory):
    """[[begin, end, lines]]: what to replace in the lines of one text to get the other."""
    for name, text in (("old", old), ("new", new)):
        (directory / name).write_bytes(encode(text))
    lines = LINES.findall(new)
    return [[begin, end, lines[new_begin:new_end]] for begin, end, new_begin, new_end
            in changes(directory / "old", directory / "new")]


def patched(text, patch):
    lines = LINES.findall(text)
    for begin, end, new in reversed(patch):
        lines[begin:end] = new
    return "".join(lines)
