// SPDX-License-Identifier: GPL-2.0-only
/// A page table that walkers may be in is freed at once.
//# Walkers, in software under RCU and in hardware until TLBs are flushed, may still
//# be in it. Hand it to pgtable_gather_table(), flush, then pgtable_gather_free(); or,
//# on arm64, flush, then mm_ops->free_unlinked_table().
//#
//# Functions that lead from an entry to its table are known by their names.
///
// Confidence: Moderate
// Comments: Follows a table within one function, through one variable.
// Comments: No patch: who flushes and frees instead is for the caller to say.
// Keywords: child pte_follow page_vaddr pgtable_gather
// Options: --no-includes --include-headers

virtual context
virtual org
virtual report

@found exists@
expression table, e;
identifier child =~ "(^|_)(child|pte_follow|page_vaddr|to_child_pt|to_child_sp)$";
position c;
@@

(
 table@c = <+... child(...) ...+>
|
 table@c = <+... e->child(...) ...+>
)

@unlinked exists@
expression found.table, e, e1;
identifier end = { free_page, free_pages, __free_page, __free_pages, put_page };
position found.c, p;
@@

 table@c = e1
 ... when != table = e
     when != synchronize_rcu()
 end@p(<+... table ...+>, ...)

// By an operation of the table's owner, which may have a better one.  arm64's hyp_*()
// work on EL2's own tables, which are not walked without their lock, and
// stage2_free_table_post() on tables that nobody can find any more.

@unlinked_op exists@
identifier fn !~ "^hyp_|^stage2_free_table_post$";
expression found.table, e, e1, ops;
position found.c, p;
@@

 fn(...)
 {
 ... when any
 table@c = e1
 ... when != table = e
     when != synchronize_rcu()
     when != ops->free_unlinked_table
 ops->put_page@p(table)
 ... when any
 }

@nested@
identifier child =~ "(^|_)(child|pte_follow|page_vaddr|to_child_pt|to_child_sp)$";
identifier end = { free_page, free_pages, __free_page, __free_pages, put_page };
expression e;
position p;
@@

(
 end@p(<+... child(<+... vpte_xchg(...) ...+>) ...+>, ...)
|
 end@p(<+... e->child(<+... vpte_xchg(...) ...+>) ...+>, ...)
)

@gathered@
identifier fn, gather;
identifier end = { free_page, free_pages, __free_page, __free_pages, put_page };
position p;
@@

 fn(..., struct pgtable_gather *gather, ...)
 {
 <+... end@p(...) ...+>
 }

// ----------------------------------------------------------------------------

@freed@
identifier end;
expression ops;
position p = { unlinked.p, unlinked_op.p, nested.p, gathered.p };
@@

(
 end@p(...)
|
 ops->end@p(...)
)

@depends on context@
identifier end;
expression ops;
position freed.p;
@@

(
* end@p(...)
|
* ops->end@p(...)
)

@script:python depends on org@
p << freed.p;
@@

coccilib.org.print_todo(p[0], "linked table freed at once")

@script:python depends on report@
p << freed.p;
@@

coccilib.report.print_report(p[0], "ERROR: linked table freed at once; use pgtable_gather_table() or free_unlinked_table()")
