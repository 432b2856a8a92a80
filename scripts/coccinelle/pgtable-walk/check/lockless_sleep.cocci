// SPDX-License-Identifier: GPL-2.0-only
/// A lockless walk sleeps, or takes mmu_lock.
//# Lockless walks run in RCU read sections, beneath reclaim, which holds a page-table
//# lock of the process: they must not sleep, nor wait for memory. mmu_lock is what they
//# are there to do without; its holders may wait for reclaim.
//#
//# The check looks at tighten callbacks, kvm_arch_age(), the read sections in which a root is
//# looked up, and functions of the same file that these call.
///
// Confidence: Moderate
// Comments: What sleeps is known by its name; calls are followed for one step.
// Comments: No patch: a lockless walk can't do this at all.
// Keywords: pgtable_walk_ops kvm_arch_age pgtable_root_deref
// Options: --no-includes --include-headers

virtual context
virtual org
virtual report

// Where functions begin that walk, or that walks call.

@ops@
identifier o, cb;
@@

 struct pgtable_walk_ops o = { ..., .tighten = cb, ... };

@callback@
identifier ops.cb;
position f;
@@

 cb@f(...) { ... }

@hook@
identifier fn;
position f;
@@

 kvm_arch_age@f(...)
 {
 <... fn(...) ...>
 }

@section exists@
expression root;
identifier fn;
symbol false;
@@

 pgtable_root_deref(root, false)
 ... when != rcu_read_unlock()
     when any
 fn(...)

@of_hook@
identifier hook.fn;
position f;
@@

 fn@f(...) { ... }

@of_section@
identifier section.fn;
position f;
@@

 fn@f(...) { ... }

// What they must not do.

@sleeps@
identifier fn;
identifier sleep =~ "^_*(mutex_lock|down_(read|write)(_killable|_interruptible|_nested)?$|might_sleep|cond_resched|msleep|schedule$|schedule_timeout|synchronize_|wait_event|wait_for_completion|flush_work|copy_(from|to)_user$|(get|put)_user$|get_user_pages(_fast|_unlocked)?$|pin_user_pages|kvm_faultin_pfn|kvm_mmu_topup_memory_cache|kvm_(read|write)_guest|vmalloc$|vfree$|kvfree$|KVM_MMU_LOCK|kvm_mmu_lock)";
identifier lock =~ "^_*(raw_)?(spin|read|write)_(try)?lock";
identifier alloc;
expression e;
symbol mmu_lock, GFP_KERNEL, GFP_KERNEL_ACCOUNT;
position f = { callback.f, hook.f, of_hook.f, of_section.f }, p;
@@

 fn@f(...)
 {
 <+...
(
 sleep@p(...)
|
 lock@p(&e->mmu_lock, ...)
|
 alloc@p(..., <+... \(GFP_KERNEL\|GFP_KERNEL_ACCOUNT\) ...+>, ...)
)
 ...+>
 }

@after exists@
expression root, e;
identifier sleep =~ "^_*(mutex_lock|down_(read|write)(_killable|_interruptible|_nested)?$|might_sleep|cond_resched|msleep|schedule$|schedule_timeout|synchronize_|wait_event|wait_for_completion|flush_work|copy_(from|to)_user$|(get|put)_user$|get_user_pages(_fast|_unlocked)?$|pin_user_pages|kvm_faultin_pfn|kvm_mmu_topup_memory_cache|kvm_(read|write)_guest|vmalloc$|vfree$|kvfree$|KVM_MMU_LOCK|kvm_mmu_lock)";
identifier lock =~ "^_*(raw_)?(spin|read|write)_(try)?lock";
identifier alloc;
symbol false, mmu_lock, GFP_KERNEL, GFP_KERNEL_ACCOUNT;
position p;
@@

 pgtable_root_deref(root, false)
 ... when != rcu_read_unlock()
     when any
(
 sleep@p(...)
|
 lock@p(&e->mmu_lock, ...)
|
 alloc@p(..., <+... \(GFP_KERNEL\|GFP_KERNEL_ACCOUNT\) ...+>, ...)
)

@before exists@
expression root, e;
identifier sleep =~ "^_*(mutex_lock|down_(read|write)(_killable|_interruptible|_nested)?$|might_sleep|cond_resched|msleep|schedule$|schedule_timeout|synchronize_|wait_event|wait_for_completion|flush_work|copy_(from|to)_user$|(get|put)_user$|get_user_pages(_fast|_unlocked)?$|pin_user_pages|kvm_faultin_pfn|kvm_mmu_topup_memory_cache|kvm_(read|write)_guest|vmalloc$|vfree$|kvfree$|KVM_MMU_LOCK|kvm_mmu_lock)";
identifier lock =~ "^_*(raw_)?(spin|read|write)_(try)?lock";
identifier alloc;
symbol false, mmu_lock, GFP_KERNEL, GFP_KERNEL_ACCOUNT;
position p;
@@

 rcu_read_lock()
 ... when != rcu_read_unlock()
     when any
(
 sleep@p(...)
|
 lock@p(&e->mmu_lock, ...)
|
 alloc@p(..., <+... \(GFP_KERNEL\|GFP_KERNEL_ACCOUNT\) ...+>, ...)
)
 ... when != rcu_read_unlock()
     when any
 pgtable_root_deref(root, false)

// ----------------------------------------------------------------------------

@found@
identifier fn;
position p = { sleeps.p, after.p, before.p };
@@

 fn@p(...)

@depends on context@
identifier fn;
position found.p;
@@

* fn@p(...)

@script:python depends on org@
p << found.p;
fn << found.fn;
@@

coccilib.org.print_todo(p[0], "%s() in a lockless walk" % fn)

@script:python depends on report@
p << found.p;
fn << found.fn;
@@

coccilib.report.print_report(p[0], "ERROR: %s() in a lockless walk, which must not sleep nor take mmu_lock" % fn)
