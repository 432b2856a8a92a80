// SPDX-License-Identifier: GPL-2.0-only
/// Gathered tables are freed without a TLB flush since they were unlinked.
//# RCU keeps walkers in software off a table, and only a flush keeps those in
//# hardware off. It must come in the function that calls pgtable_gather_free(), and
//# either always or when pgtable_gather_empty() says that there is something to free.
///
// Confidence: Moderate
// Comments: Any function named *flush*, *hfence*, *tlbi* or *invalidate* passes for a flush.
// Comments: No patch: what to flush, and how, is the architecture's.
// Keywords: pgtable_gather_free
// Options: --no-includes --include-headers

virtual context
virtual org
virtual report

@asked exists@
identifier flush =~ "flush|hfence|tlbi|invalidate";
statement S;
position p;
@@

(
 if (<+... !pgtable_gather_empty(...) ...+>) { <+... flush(...) ...+> } else S
|
 if (<+... !pgtable_gather_empty(...) ...+>) { <+... flush(...) ...+> }
)
 ...
 pgtable_gather_free@p(...)

@unflushed exists@
identifier fn;
identifier flush =~ "flush|hfence|tlbi|invalidate";
position p != asked.p;
@@

 fn(...)
 {
 ... when != flush(...)
 pgtable_gather_free@p(...)
 ... when any
 }

// ----------------------------------------------------------------------------

@depends on context@
position unflushed.p;
@@

* pgtable_gather_free@p(...)

@script:python depends on org@
p << unflushed.p;
@@

coccilib.org.print_todo(p[0], "tables freed without a TLB flush")

@script:python depends on report@
p << unflushed.p;
@@

coccilib.report.print_report(p[0], "ERROR: tables freed without a TLB flush since they were unlinked")
