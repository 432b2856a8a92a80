#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Test mutants.py on a piece of C and on what it is for, and how sabotage.py takes its list of excuses."""
import pathlib
import re
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
# pylint: disable=wrong-import-position
import mutants  # noqa: E402
import sabotage  # noqa: E402
from testlib import ROOT, Ktap  # noqa: E402

SOURCE = """\
#define NOT_LOOKED_AT(a, b) do { a = b; } while (0)
/* f(a, b); */
int declared(int a, int b);

static const struct ops ops = {
	.leaf = leaf,
};

static struct box __always_inline *swap(struct box *a, struct box *b)
{
	const u64 mask = READ | WRITE;	/* x < y */
	struct box c = {
		.p = a,
	};

	BUILD_BUG_ON(a < b);
	say("a < b; 1", "2");
	for (i = 0; i < 4; i++)
		put(a, b->p & mask);
	if (c.p)
		return a;
	else if (a->p == b && b)
		return (struct box *)b;
	put(a, b->p & mask);
	return b;
}
"""

# Operator, and the text that takes the place of the line or lines.
EXPECTED = """\
ops: delete: .leaf = leaf, ->
swap: flag: const u64 mask = READ | WRITE; /* x < y */ -> const u64 mask = READ; /* x < y */
swap: flag: const u64 mask = READ | WRITE; /* x < y */ -> const u64 mask = WRITE; /* x < y */
swap: delete: .p = a, ->
swap: delete: say("a < b; 1", "2"); -> (void)0;
swap: constant: for (i = 0; i < 4; i++) -> for (i = 1; i < 4; i++)
swap: compare: for (i = 0; i < 4; i++) -> for (i = 0; i <= 4; i++)
swap: constant: for (i = 0; i < 4; i++) -> for (i = 0; i < 5; i++)
swap: delete: put(a, b->p & mask); -> (void)0;
swap: argument: put(a, b->p & mask); -> put(b->p & mask, b->p & mask);
swap: argument: put(a, b->p & mask); -> put(a, a);
swap: flag: put(a, b->p & mask); -> put(a, b->p);
swap: compare: if (c.p) -> if (!(c.p))
swap: delete: return a; -> (void)0;
swap: compare: else if (a->p == b && b) -> else if (a->p != b && b)
swap: compare: else if (a->p == b && b) -> else if (a->p == b || b)
swap: delete: return (struct box *)b; -> (void)0;
swap: delete: put(a, b->p & mask); -> (void)0; (2)
swap: argument: put(a, b->p & mask); -> put(b->p & mask, b->p & mask); (2)
swap: argument: put(a, b->p & mask); -> put(a, a); (2)
swap: flag: put(a, b->p & mask); -> put(a, b->p); (2)
swap: delete: return b; -> return 0;
"""


def differences(got, wanted):
    return [f"not there: {line}" for line in wanted if line not in got] + \
           [f"unexpected: {line}" for line in got if line not in wanted] or \
           ([] if got == wanted else [f"in another order: {got}"])


def applied(entry, text):
    """Whether an entry changes one place, and what it says."""
    try:
        new = sabotage.broken(text, entry)
    except sabotage.Wrong as error:
        return str(error)
    return None if new != text and entry["By"] in new else "changes nothing"


def without_mutants(path):
    """Functions of a file that have none, as the left margin shows them."""
    text = path.read_text(encoding="utf-8")
    there = {entry["Function"] for entry in mutants.mutants_of("", text)}
    heads = re.findall(r"^(?!\s)[^;={}#]*?(\w+)\([^;{}]*\)\n\{\n", mutants.masked(text), re.M)
    return [f"{path.name}: {name}" for name in heads if name not in there]


def excuses(text, generated):
    with tempfile.TemporaryDirectory() as directory:
        sabotage.LISTS = pathlib.Path(directory)
        (sabotage.LISTS / "mutants.list").write_text(text, encoding="utf-8")
        return len(sabotage.excused(generated)[1])


def main():
    ktap = Ktap()
    entries = mutants.mutants_of("a.c", SOURCE)
    ktap.result("mutants: of a piece of C", differences([entry["Name"].split(": ", 1)[1].strip() for entry in entries],
                                                         EXPECTED.splitlines()))
    ktap.result("mutants: each changes one place", [f"{entry['Name']}: {problem}" for entry in entries
                                                    if (problem := applied(entry, SOURCE))])

    everything = mutants.generate(ROOT)
    names = [entry["Name"] for entry in everything]
    ktap.result("mutants: names are unique", sorted({name for name in names if names.count(name) > 1}))
    ktap.result("mutants: of every function", [problem for files in mutants.FILES for path in ROOT.glob(files)
                                               if not mutants.NOT_FILES.search(path.name)
                                               for problem in without_mutants(path)])
    chosen = mutants.sample(everything)
    kinds = [{(entry["Function"], entry["Operator"]) for entry in some if entry["Operator"] != "argument"}
             for some in (everything, chosen)]
    ktap.result("mutants: a sample has one of each kind in each function",
                ([] if kinds[0] == kinds[1] else [f"left out: {kinds[0] - kinds[1]}"]) +
                ([] if chosen == mutants.sample(everything[::-1])[::-1] else ["not always the same"]))

    one = f"Name: {entries[0]['Name']}\n"
    for title, text, wanted in (("with a reason", f"{one}Why: so\n", 0), ("without", one, 1),
                                ("twice", f"{one}Why: so\n\n{one}Why: so\n", 1),
                                ("of a mutant that is gone", "Name: a.c: f: delete: x;\nWhy: so\n", 1), ("none", "", 0)):
        found = excuses(text, entries)
        ktap.result(f"mutants: excuse {title}", [] if found == wanted else [f"{found} problems instead of {wanted}"])
    ktap.finish()


if __name__ == "__main__":
    main()
