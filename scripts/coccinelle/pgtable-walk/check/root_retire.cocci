// SPDX-License-Identifier: GPL-2.0-only
/// A root is freed before lockless walkers are done with it, or waits for itself.
//# There must be an RCU grace period after a root is hidden and before it is freed.
//# pgtable_root_retire() has one, and returns the table to a single caller. Only that
//# caller may free anything: for all others it returns at once, before the grace
//# period is over.
//# The grace period must not be one of SRCU: the release operation of an mmu notifier
//# runs as a reader of the notifier's domain and of kvm->srcu.
//#
//# Functions that hide a root for their caller are known by their names: *_unmap_root(),
//# *_unpublish_root(). *_retire_root() retire it, and tell whether the caller owns it.
///
// Confidence: Moderate
// Comments: Follows the root within one function.
// Keywords: pgtable_root_ _retire_root _unmap_root _unpublish_root
// Options: --no-includes --include-headers

virtual patch
virtual context
virtual org
virtual report

@early exists@
identifier unpublish =~ "^pgtable_root_unpublish$|_(unmap|unpublish)_root$";
identifier end = {
	free_page, free_pages, __free_page, __free_pages, free_pages_exact, put_page,
	kfree, kvfree, vfree, kmem_cache_free, kvm_pgtable_stage2_destroy, kvm_stage2_destroy
};
identifier grace = { synchronize_rcu, synchronize_rcu_expedited };
position p;
@@

 unpublish(...)
 ... when != grace()
 end@p(...)

@retires exists@
identifier fn =~ "_retire_root$";
position p;
@@

 fn@p(...)
 {
 <+...
 pgtable_root_retire(...)
 ...+>
 }

@hasty@
identifier fn =~ "_retire_root$";
position p != retires.p;
@@

 fn@p(...)
 {
 ...
 }

// The loser of a race frees: the result of the retirement is not checked ...

@dropped exists@
identifier retire =~ "^pgtable_root_retire$|_retire_root$";
identifier end = {
	free_page, free_pages, __free_page, __free_pages, free_pages_exact, put_page,
	kfree, kvfree, vfree, kmem_cache_free, kvm_pgtable_stage2_destroy, kvm_stage2_destroy
};
position p;
@@

 retire(...);
 ... when any
 end@p(...)

@ignored exists@
identifier end = {
	free_page, free_pages, __free_page, __free_pages, free_pages_exact, put_page,
	kfree, kvfree, vfree, kmem_cache_free, kvm_pgtable_stage2_destroy, kvm_stage2_destroy
};
identifier tree;
symbol table;
type T;
position p;
@@

(
 tree = pgtable_root_retire(...);
|
 T tree = pgtable_root_retire(...);
)
 ... when != tree.table
 end@p(...)

@ignored_bool exists@
identifier retire =~ "_retire_root$";
identifier end = {
	free_page, free_pages, __free_page, __free_pages, free_pages_exact, put_page,
	kfree, kvfree, vfree, kmem_cache_free, kvm_pgtable_stage2_destroy, kvm_stage2_destroy
};
identifier mine;
type T;
position p;
@@

(
 mine = retire(...);
|
 T mine = retire(...);
)
 ... when != mine
 end@p(...)

// ... or only for something else than the freeing.

@decided exists@
identifier retire =~ "^pgtable_root_retire$|_retire_root$";
identifier end = {
	free_page, free_pages, __free_page, __free_pages, free_pages_exact, put_page,
	kvm_pgtable_stage2_destroy, kvm_stage2_destroy
};
identifier tree;
symbol table;
statement S;
type T;
position p;
@@

(
 tree = retire(...);
|
 T tree = retire(...);
)
 ... when any
(
 if (tree.table) S
|
 if (tree) S
)
 ... when any
 end@p(...)

@decided_at_once exists@
identifier retire =~ "^pgtable_root_retire$|_retire_root$";
identifier end = {
	free_page, free_pages, __free_page, __free_pages, free_pages_exact, put_page,
	kvm_pgtable_stage2_destroy, kvm_stage2_destroy
};
symbol table;
statement S;
position p;
@@

(
 if (retire(...).table) S
|
 if (retire(...)) S
)
 ... when any
 end@p(...)

// A wrapper that does not tell its caller whether the root is its own.

@mute@
identifier fn =~ "_retire_root$";
position p;
@@

 void fn@p(...)
 {
 ...
 }

@srcu exists@
identifier unpublish =~ "^pgtable_root_(unpublish|retire)$|_(unmap|unpublish)_root$";
identifier wait = { synchronize_srcu, synchronize_srcu_expedited, mmu_notifier_synchronize };
position p;
@@

 unpublish(...)
 ... when any
 wait@p(...)

// ----------------------------------------------------------------------------

@depends on patch@
identifier wait;
position srcu.p;
@@

- wait@p(...)
+ synchronize_rcu()

// ----------------------------------------------------------------------------

@depends on context@
identifier end;
position p = { early.p, srcu.p, dropped.p, ignored.p, ignored_bool.p, decided.p, decided_at_once.p };
@@

* end@p(...)

@depends on context@
identifier fn;
position p = { hasty.p, mute.p };
@@

* fn@p(...)
 {
 ...
 }

// ----------------------------------------------------------------------------

@script:python depends on org@
p << early.p;
@@

coccilib.org.print_todo(p[0], "root freed without synchronize_rcu() after it was unpublished")

@script:python depends on org@
p << dropped.p;
@@

coccilib.org.print_todo(p[0], "freed by callers that pgtable_root_retire() did not give the root to")

@script:python depends on org@
p << ignored.p;
@@

coccilib.org.print_todo(p[0], "freed by callers that pgtable_root_retire() did not give the root to")

@script:python depends on org@
p << ignored_bool.p;
@@

coccilib.org.print_todo(p[0], "freed by callers that pgtable_root_retire() did not give the root to")

@script:python depends on org@
p << decided.p;
@@

coccilib.org.print_todo(p[0], "freed by callers that pgtable_root_retire() did not give the root to")

@script:python depends on org@
p << decided_at_once.p;
@@

coccilib.org.print_todo(p[0], "freed by callers that pgtable_root_retire() did not give the root to")

@script:python depends on org@
p << mute.p;
fn << mute.fn;
@@

coccilib.org.print_todo(p[0], "%s() does not tell its caller whose the root is" % fn)

@script:python depends on org@
p << hasty.p;
fn << hasty.fn;
@@

coccilib.org.print_todo(p[0], "%s() does not retire the root by pgtable_root_retire()" % fn)

@script:python depends on org@
p << srcu.p;
wait << srcu.wait;
@@

coccilib.org.print_todo(p[0], "%s() where the notifier's release is a reader" % wait)

// ----------------------------------------------------------------------------

@script:python depends on report@
p << early.p;
@@

coccilib.report.print_report(p[0], "ERROR: root freed without synchronize_rcu() after it was unpublished")

@script:python depends on report@
p << dropped.p;
@@

coccilib.report.print_report(p[0], "ERROR: freed by callers that pgtable_root_retire() did not give the root to")

@script:python depends on report@
p << ignored.p;
@@

coccilib.report.print_report(p[0], "ERROR: freed by callers that pgtable_root_retire() did not give the root to")

@script:python depends on report@
p << ignored_bool.p;
@@

coccilib.report.print_report(p[0], "ERROR: freed by callers that pgtable_root_retire() did not give the root to")

@script:python depends on report@
p << decided.p;
@@

coccilib.report.print_report(p[0], "ERROR: freed by callers that pgtable_root_retire() did not give the root to")

@script:python depends on report@
p << decided_at_once.p;
@@

coccilib.report.print_report(p[0], "ERROR: freed by callers that pgtable_root_retire() did not give the root to")

@script:python depends on report@
p << mute.p;
fn << mute.fn;
@@

coccilib.report.print_report(p[0], "ERROR: %s() does not tell its caller whose the root is" % fn)

@script:python depends on report@
p << hasty.p;
fn << hasty.fn;
@@

coccilib.report.print_report(p[0], "ERROR: %s() does not retire the root by pgtable_root_retire()" % fn)

@script:python depends on report@
p << srcu.p;
wait << srcu.wait;
@@

coccilib.report.print_report(p[0], "ERROR: %s() where the notifier's release is a reader; use synchronize_rcu()" % wait)
