// SPDX-License-Identifier: GPL-2.0-only
/// What RCU readers may be in is freed after a grace period on some paths only.
//# A conditional wait does not protect an unconditional free: the other path frees what
//# readers are still in. Free where the wait is, or
//# wait always. A condition about nothing but what is freed is fine, if it says that
//# there is something to free.
///
// Confidence: Moderate
// Comments: Follows one function. Waits in functions that it calls are not seen.
// Comments: No patch: whether to wait always or to free less is for the author to say.
// Keywords: synchronize_rcu
// Options: --no-includes --include-headers

virtual context
virtual org
virtual report

// Waits on paths that return, and waits beside a free of their own, protect nothing that
// comes later.

@apart exists@
identifier grace = { synchronize_rcu, synchronize_rcu_expedited };
identifier end =~ "free|put_|destroy";
position g;
@@

(
 if (...) { ... grace@g(); ... return ...; }
|
 if (...) { ... grace@g(); ... end(...); ... }
)

@known exists@
identifier grace = { synchronize_rcu, synchronize_rcu_expedited };
identifier end =~ "^_*(free_pages?(_exact)?|put_page|kv?free|vfree|kmem_cache_free|kvm_(pgtable_)?stage2_destroy)$";
expression x;
position p;
@@

 if (\(x\|x != NULL\)) { ... grace(); ... }
 ... when any
 end@p(<+... x ...+>, ...)

@conditional exists@
identifier grace = { synchronize_rcu, synchronize_rcu_expedited };
identifier end =~ "^_*(free_pages?(_exact)?|put_page|kv?free|vfree|kmem_cache_free|kvm_(pgtable_)?stage2_destroy)$";
statement S;
position g != apart.g;
position p != known.p;
@@

(
 if (...) { ... grace@g(); ... } else S
|
 if (...) { ... grace@g(); ... }
)
 ... when != grace()
     when any
 end@p(...)

// ----------------------------------------------------------------------------

@depends on context@
identifier end;
position conditional.p;
@@

* end@p(...)

@script:python depends on org@
p << conditional.p;
@@

coccilib.org.print_todo(p[0], "freed without the grace period on some paths")

@script:python depends on report@
p << conditional.p;
g << conditional.g;
@@

coccilib.report.print_report(p[0], "ERROR: freed without the grace period of line %s if its condition is false" % g[0].line)
