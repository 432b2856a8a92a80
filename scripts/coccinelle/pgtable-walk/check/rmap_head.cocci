// SPDX-License-Identifier: GPL-2.0-only
/// An x86 rmap head is read or written other than by its helpers.
//# Lockless aging uses a bit of the head as the lock of its list. A raw read of the
//# head takes that bit for part of an address, and a raw store drops a lock that
//# another CPU holds.
//#
//# The helpers are those beside KVM_RMAP_LOCKED, kvm_rmap_*(). Heads are known by their type,
//# where it can be seen, and by the names rmap, rmap_head and parent_ptes.
///
// Confidence: High
// Comments: The patch replaces reads. A store needs the lock of the head.
// Keywords: rmap parent_ptes
// Options: --no-includes --include-headers

virtual patch
virtual context
virtual org
virtual report

@helper@
identifier fn =~ "^_*kvm_rmap_(get|take|age|empty|(un)?lock(_.*)?)$";
expression e;
position p;
@@

 fn(...)
 {
 <+... e->val@p ...+>
 }

@raw@
struct kvm_rmap_head *head;
struct kvm_rmap_head it;
identifier name =~ "^(rmap|rmap_head|parent_ptes)$";
identifier member =~ "^(rmap|rmap_head|parent_ptes)$";
expression e;
position p != helper.p;
@@

(
 head->val@p
|
 it.val@p
|
 name->val@p
|
 e->member->val@p
|
 e->member.val@p
)

// ----------------------------------------------------------------------------

@depends on patch@
expression e, head;
position raw.p;
@@

(
 WRITE_ONCE(<+... \(head->val@p\|head.val@p\) ...+>, e)
|
 \(head->val@p\|head.val@p\) = e
|
 &\(head->val@p\|head.val@p\)
|
- READ_ONCE(head->val@p)
+ kvm_rmap_get(head)
|
- READ_ONCE(head.val@p)
+ kvm_rmap_get(&head)
|
- head->val@p
+ kvm_rmap_get(head)
|
- head.val@p
+ kvm_rmap_get(&head)
)

// ----------------------------------------------------------------------------

@depends on context@
expression e;
position raw.p;
@@

(
* e->val@p
|
* e.val@p
)

// ----------------------------------------------------------------------------

@script:python depends on org@
p << raw.p;
@@

coccilib.org.print_todo(p[0], "rmap head accessed without a helper")

@script:python depends on report@
p << raw.p;
@@

coccilib.report.print_report(p[0], "ERROR: rmap head accessed without a helper; see kvm_rmap_lock()")
