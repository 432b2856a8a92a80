// SPDX-License-Identifier: GPL-2.0-only
/// A lockless walk uses what a leaf maps.
//# The leaf may be stale, and its page may have another use by now. A tighten
//# callback may only look at the bits of a leaf, and clear or tighten them: it must
//# not use its pfn or page, take a reference, or mark anything dirty.
///
// Confidence: High
// Comments: No patch: a lockless walk can't do this at all.
// Keywords: pgtable_walk_ops
// Options: --no-includes --include-headers

virtual context
virtual org
virtual report

@ops@
identifier o, cb;
@@

 struct pgtable_walk_ops o = { ..., .tighten = cb, ... };

@used@
identifier ops.cb;
identifier page =~ "(^|_)(pfn|page|pages|folio|child|phys|va|virt|kaddr)(_|$)|^(SetPage|ClearPage)";
expression e;
position p;
@@

 cb(...)
 {
 <+...
(
 page@p(...)
|
 e->child@p(...)
)
 ...+>
 }

// ----------------------------------------------------------------------------

@depends on context@
identifier page;
expression e;
position used.p;
@@

(
* page@p(...)
|
* e->child@p(...)
)

@script:python depends on org@
p << used.p;
@@

coccilib.org.print_todo(p[0], "lockless walk uses what a leaf maps")

@script:python depends on report@
p << used.p;
@@

coccilib.report.print_report(p[0], "ERROR: lockless walk uses what a leaf maps, which may be stale")
