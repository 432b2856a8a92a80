// SPDX-License-Identifier: GPL-2.0-only
// Print file and name of every function that spatch understands.

@f@
identifier fn;
position p;
@@

 fn@p(...) { ... }

@script:python@
fn << f.fn;
p << f.p;
@@

print("%s %s" % (p[0].file, fn))
