# SPDX-License-Identifier: GPL-2.0
"""Write simple mutants of what host/Makefile builds, as entries of a list of sabotage.py.

One change each, in every function:

  delete    a statement, or a member of an initializer
  compare   a comparison that is off by one, or inverted; && and ||
            for each other; a condition for its opposite
  constant  a number that is one too large
  flag      one operand of | or & left out
  argument  an argument that is replaced by its neighbour

BUILD_BUG_ON() stays as it is: no test that runs can miss it.
"""
import hashlib
import re

FILES = ("include/linux/pgtable_*.h", "lib/pgtable-walk/gather.c", "virt/kvm/age.c", "virt/kvm/lockless_aging.h",
         "arch/riscv/kvm/gstage_*.[ch]", "arch/riscv/kvm/guest_read.c")
NOT_FILES = re.compile(r"_kunit\.c$")

KEYWORDS = ("if", "for", "while", "switch", "return", "sizeof", "typeof")
TYPES = r"(?:struct|enum|union) \w+|unsigned(?: int| long)?|int|long|bool|void|\w+_t|u(?:8|32|64)"
DECLARATION = re.compile(rf"(?:static |const )*(?:{TYPES})\b[\s*]*(?:const )?\**\w+|(?:DEFINE|DECLARE)_\w+\(")
SWAPS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "&&": "||", "||": "&&"}
OPERAND = r"~?\w+(?:->\w+|\.\w+)*"


def masked(text):
    """The text, as long as before, with all blanked that is not to be looked at."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match[0])

    return re.sub(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\])*\"|^#(?:\\\n|[^\n])*|\bBUILD_BUG_ON\([^;]*;", blank, text,
                  flags=re.S | re.M)


def closing(code, start):
    """Where the bracket that opens there ends."""
    depth = 0
    for at in range(start, len(code)):
        depth += (code[at] in "([{") - (code[at] in ")]}")
        if not depth:
            return at + 1
    raise ValueError(f"nothing closes: {code[start:start + 40]}")


def functions(code):
    """Name, begin and end of the body of functions; of structures too, whose members may be left out."""
    for match in re.finditer(r"^(?:\{| *static const struct [^;{}]*= \{)$", code, re.M):
        start = match.end() - 1
        head = code[max(code.rfind(end, 0, match.start()) for end in ";}") + 1:match.end()]
        name = re.search(r"(\w+)\(" if match[0] == "{" else r"(\w+)(?: __\w+)*(?:\[\w*\])? =", head)
        if name:
            yield name[1], start, closing(code, start)


def statements(code, at, end):
    """Begin and end of simple statements; conditions come as (begin, end, True)."""
    while at < end:
        start = at = at + len(re.match(r"[\s{}]*", code[at:end])[0])
        if match := re.match(r"(?:else|do)\b|(?:case [^:;?]+|\w+):(?!:)", code[at:end]):
            at += match.end()
            continue
        if match := re.match(r"(if|for|while|switch|list_for_each\w*) ?\(", code[at:end]):
            at = closing(code, at + match.end() - 1)
            if match[1] in ("if", "while"):
                yield start + match.end() - 1, at, True
            continue
        while at < end and code[at] != ";":
            at = closing(code, at) if code[at] in "([{" else at + 1
        at += 1
        if at <= end and start < at - 1:
            yield start, at, False


def arguments(code, start):
    """Begin and end of each argument between the brackets that open there."""
    end, begin, at = closing(code, start) - 1, start + 1, start + 1
    while at < end:
        if code[at] == ",":
            yield begin, at
            begin = at + 1
        at = closing(code, at) if code[at] in "([{" else at + 1
    yield begin, end


def changes(code, start, end):
    """Operator, begin, end and new text of all that may be changed there."""
    body = code[start:end]

    def found(pattern):
        return ((match, start + match.start(), start + match.end()) for match in re.finditer(pattern, body))

    for begin, stop, condition in statements(code, start, end):
        text = code[begin:stop]
        if condition:
            if not re.search(r"[<=>!]=|&&|\|\||(?<![-<])[<>](?![<>])", text):
                yield "compare", begin, stop, f"(!{text})"
        elif text.startswith("return ") and code.startswith("\n}", stop):
            # Without it, a function does not build.
            if not re.match(r"return (?:0|false|NULL|PGTABLE_WALK_(?:NEXT|NONE));", text):
                yield "delete", begin, stop, "return 0;"
        elif not DECLARATION.match(text):
            yield "delete", begin, stop, "(void)0;"
    for match, begin, stop in found(r"(?m)^\t*(\.[\w.]+ = .*,)$"):
        yield "delete", begin + match.start(1) - match.start(), stop, ""
    for match, begin, stop in found(r"(?<= )(?:[<>=!]=|[<>]|&&|\|\|)(?= |$)"):
        yield "compare", begin, stop, SWAPS[match[0]]
    for match, begin, stop in found(r"\b(0x[0-9a-f]+|\d+)(U?L?L?)\b"):
        yield "constant", begin, stop, f"{int(match[1], 0) + 1}{match[2]}"
    for match, begin, stop in found(rf"({OPERAND}) \| ({OPERAND})"):
        for kept in (1, 2):
            yield "flag", begin, stop, match[kept]
    for match, begin, stop in found(rf"(?<=[\w)\]]) & (?:{OPERAND}|\([^()]*\))"):
        yield "flag", begin, stop, ""
    for match, begin, stop in found(r"\b(\w+)\("):
        places = list(arguments(code, stop - 1)) if match[1] not in KEYWORDS else []
        texts = [code[slice(*place)].strip() for place in places]
        for i, (begin, stop) in enumerate(places if len(places) > 1 else []):
            other = texts[i + 1 if i + 1 < len(texts) else i - 1]
            if other not in ("", texts[i]) and texts[i]:
                begin = stop - len(code[begin:stop].lstrip())
                yield "argument", begin, stop, other


def mutants_of(name, text):
    """Entries for a file, in the order of what they change."""
    code, entries, seen = masked(text), [], {}
    for function, start, end in functions(code):
        for operator, begin, stop, new in sorted(changes(code, start, end), key=lambda change: change[1]):
            first, last = text.rfind("\n", 0, begin) + 1, text.find("\n", stop)
            before, after = (" ".join(line.split()) for line in
                             (text[first:last], text[first:begin] + new + text[stop:last]))
            title = f"{name}: {function}: {operator}: {before} -> {after}"
            seen[title] = seen.get(title, 0) + 1
            if seen[title] > 1:
                title += f" ({seen[title]})"
            while text.count(text[first:last]) > 1:     # more lines make it the only one
                first = text.rfind("\n", 0, first - 1) + 1
            entries.append({"Name": title, "File": name, "Function": function, "Operator": operator,
                            "Replace": text[first:last], "By": text[first:begin] + new + text[stop:last]})
    return entries


def generate(root):
    """All mutants of a repository."""
    return [entry for path in sorted({path for files in FILES for path in root.glob(files)})
            if not NOT_FILES.search(path.name)
            for entry in mutants_of(str(path.relative_to(root)), path.read_text(encoding="utf-8"))]


def sample(entries):
    """One of each kind in each function, by a digest of its name, so that it stays the same one; but no argument:
    most of these don't build."""
    def digest(entry):
        return hashlib.sha256(entry["Name"].encode()).digest()

    chosen = {}
    for entry in sorted((entry for entry in entries if entry["Operator"] != "argument"), key=digest):
        chosen.setdefault((entry["File"], entry["Function"], entry["Operator"]), entry["Name"])
    return [entry for entry in entries if entry["Name"] in set(chosen.values())]
