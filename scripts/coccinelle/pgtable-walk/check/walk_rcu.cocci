// SPDX-License-Identifier: GPL-2.0-only
/// A root is looked up, or used, outside of an RCU read section.
//# A function that calls pgtable_root_deref(root, false) says that RCU alone keeps
//# the root alive. It must open the read section itself, before that call, and be
//# done with the root when it closes the section: what it found is gone then.
//# Where something else keeps the root alive, pass that as second argument.
///
// Confidence: High
// Comments: No patch: where the read section ends depends on what the root is used for.
// Keywords: pgtable_root_deref
// Options: --no-includes --include-headers

virtual context
virtual org
virtual report

@unprotected exists@
identifier fn;
expression root;
symbol false, rcu;
position p;
@@

 fn(...)
 {
 ... when != rcu_read_lock()
     when != guard(rcu)()
 pgtable_root_deref@p(root, false)
 ... when any
 }

@reopened exists@
expression root;
symbol false;
position p;
@@

 rcu_read_unlock()
 ... when != rcu_read_lock()
 pgtable_root_deref@p(root, false)

@outlived exists@
expression root, e;
identifier tree, use;
symbol false, table;
position p;
@@

 tree = pgtable_root_deref(root, false)
 ... when != tree = e
     when != tree.table = e
 rcu_read_unlock()
 ... when != tree = e
     when != tree.table = e
(
 use@p(..., &tree, ...)
|
 tree@p.table[...]
)

// ----------------------------------------------------------------------------

@depends on context@
identifier deref;
position p = { unprotected.p, reopened.p };
@@

* deref@p(...)

@depends on context@
identifier tree, use;
position outlived.p;
@@

(
* use@p(...)
|
* tree@p.table[...]
)

// ----------------------------------------------------------------------------

@script:python depends on org@
p << unprotected.p;
@@

coccilib.org.print_todo(p[0], "root looked up without rcu_read_lock()")

@script:python depends on org@
p << reopened.p;
@@

coccilib.org.print_todo(p[0], "root looked up after rcu_read_unlock()")

@script:python depends on org@
p << outlived.p;
@@

coccilib.org.print_todo(p[0], "root used after rcu_read_unlock()")

// ----------------------------------------------------------------------------

@script:python depends on report@
p << unprotected.p;
@@

coccilib.report.print_report(p[0], "ERROR: root looked up without rcu_read_lock()")

@script:python depends on report@
p << reopened.p;
@@

coccilib.report.print_report(p[0], "ERROR: root looked up after rcu_read_unlock()")

@script:python depends on report@
p << outlived.p;
@@

coccilib.report.print_report(p[0], "ERROR: root used after rcu_read_unlock()")
