// SPDX-License-Identifier: GPL-2.0-only
/// A root is freed before lockless walkers are done with it, or waits for itself.
//# Between the moment when a root is hidden and its end there must be an RCU grace
//# period, which pgtable_root_retire() has. It must not be one of SRCU: the release operation of an mmu
//# notifier runs as a reader of the notifier's domain and of kvm->srcu.
//#
//# Functions that unpublish for their caller are known by their names:
//# *_unmap_root(), *_unpublish_root(); and those that also wait: *_retire_root().
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
	kfree, kvfree, vfree, kmem_cache_free, kvm_pgtable_stage2_destroy
};
identifier grace = { synchronize_rcu, synchronize_rcu_expedited };
position p;
@@

 unpublish(...)
 ... when != grace()
 end@p(...)

@waits exists@
identifier fn =~ "_retire_root$";
identifier grace = { synchronize_rcu, synchronize_rcu_expedited };
position p;
@@

 fn@p(...)
 {
 ... when any
 pgtable_root_unpublish(...)
 ... when any
 grace()
 ... when any
 }

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
position p != { waits.p, retires.p };
@@

 fn@p(...)
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
position p = { early.p, srcu.p };
@@

* end@p(...)

@depends on context@
identifier hasty.fn;
position hasty.p;
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
p << hasty.p;
fn << hasty.fn;
@@

coccilib.org.print_todo(p[0], "%s() returns without synchronize_rcu() after it unpublished" % fn)

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
p << hasty.p;
fn << hasty.fn;
@@

coccilib.report.print_report(p[0], "ERROR: %s() returns without synchronize_rcu() after it unpublished" % fn)

@script:python depends on report@
p << srcu.p;
wait << srcu.wait;
@@

coccilib.report.print_report(p[0], "ERROR: %s() where the notifier's release is a reader; use synchronize_rcu()" % wait)
