// SPDX-License-Identifier: GPL-2.0-only
/// A volatile page-table entry is accessed without the helpers.
//# Other CPUs change such an entry at any time, so a plain store undoes their changes,
//# and a plain read may be done twice by the compiler. In callbacks of
//# struct pgtable_walk_ops, and where a function uses the helpers on an entry, all
//# accesses to that entry must use vpte_read(), vpte_xchg(), vpte_update() etc.
//#
//# An architecture's own wrappers are known by their names: *_vpte(), *_entry_kind(),
//# *_link_table(), *_xchg_pte(), *_update_pte(). ptep_get() reads once and is fine.
//#
//# arm64's visitors of page tables, of any name, must not store to ctx->ptep; those of
//# tables that were not linked yet are called unlinked_*(); stage2_free_table_post() and
//# destroy_part_walker(), which run after all walkers, and three for EL2's own tables are
//# known.
//# x86's SPTEs are stored to by the functions behind mmu_spte_*() and tdp_iter.h only.
///
// Confidence: High
// Comments: The patch replaces reads. A store needs a decision: vpte_xchg(), vpte_update() or vpte_try_cmpxchg().
// Keywords: vpte_ visit_ctx _entry_kind _link_table _xchg_pte _update_pte pgtable_walk_ops spte
// Options: --no-includes --include-headers

virtual patch
virtual context
virtual org
virtual report

@visitor@
identifier fn !~ "^(hyp_map_walker_try_leaf|hyp_map_walker|hyp_unmap_walker|stage2_free_table_post|destroy_part_walker|unlinked_.*)$";
identifier ctx;
expression e, E;
identifier set = { WRITE_ONCE, smp_store_release, smp_store_mb, kvm_clear_pte, kvm_set_pte };
position p;
@@

 fn(..., const struct kvm_pgtable_visit_ctx *ctx, ...)
 {
 <+...
(
 set@p(<+... ctx->ptep ...+>, ...)
|
 *\(ctx->ptep\&E@p\) = e
)
 ...+>
 }

@visitor_variable exists@
identifier fn !~ "^(hyp_map_walker_try_leaf|hyp_map_walker|hyp_unmap_walker|stage2_free_table_post|destroy_part_walker|unlinked_.*)$";
identifier ctx, copy;
type T;
@@

 fn(..., const struct kvm_pgtable_visit_ctx *ctx, ...)
 {
 ... when any
(
 copy = ctx->ptep;
|
 T copy = ctx->ptep;
)
 ... when any
 }

@visitor_through@
identifier visitor_variable.fn, visitor_variable.copy;
expression e;
identifier set = { WRITE_ONCE, smp_store_release, smp_store_mb, kvm_clear_pte, kvm_set_pte };
position p;
@@

 fn(...)
 {
 <+...
(
 set@p(<+... copy ...+>, ...)
|
 *copy@p = e
)
 ...+>
 }

// x86: functions that may store plainly, and functions that may call these.

@spte@
identifier fn !~ "^(__set_spte|__update_clear_spte_(fast|slow)|__kvm_tdp_mmu_write_spte|get_mmio_spte)$";
identifier sptep =~ "sptep$";
identifier member =~ "^sptep$";
expression E;
expression e, value;
position p;
@@

 fn(...)
 {
 <+...
(
 WRITE_ONCE@p(*sptep, value)
|
 WRITE_ONCE@p(*e->member, value)
|
 WRITE_ONCE@p(*rcu_dereference(sptep), value)
|
 WRITE_ONCE@p(*rcu_dereference(e->member), value)
|
 *sptep@p = value
|
 *\(e->member\&E@p\) = value
|
 *\(rcu_dereference(...)\&E@p\) = value
)
 ...+>
 }

@spte_through@
identifier fn !~ "^(mmu_spte_(set|update(_no_track)?|clear_track_bits|clear_no_track)|kvm_tdp_mmu_write_spte|tdp_mmu_clear_spte_bits|tdp_mmu_(set|zap)_spte_atomic)$";
identifier set = { __set_spte, __update_clear_spte_fast, __kvm_tdp_mmu_write_spte };
position p;
@@

 fn(...)
 {
 <+...
 set@p(...)
 ...+>
 }

@ops@
identifier o, cb;
identifier member = { leaf, table_post };
@@

 struct pgtable_walk_ops o = { ..., .member = cb, ... };

@callback@
identifier ops.cb;
identifier ptep;
expression pte;
identifier set = { set_pte, set_pte_at, WRITE_ONCE };
position p;
@@

 cb(..., vpte_t *ptep, ...)
 {
 <+...
(
 *ptep@p
|
 set@p(<+... ptep ...+>, pte)
)
 ...+>
 }

@helper exists@
identifier fn, ptep;
identifier use =~ "^vpte_(read|try_cmpxchg|xchg|update|freeze|unfreeze|link_table)$|_(vpte|entry_kind|link_table|xchg_pte|update_pte)$";
@@

 fn(...)
 {
 <+... use(ptep, ...) ...+>
 }

@mixed@
identifier helper.fn, helper.ptep;
expression pte, mm;
identifier set = { set_pte, set_pmd, set_pud, set_p4d };
position p;
@@

 fn(...)
 {
 <+...
(
 *ptep@p
|
 set@p(ptep, pte)
|
 set_pte_at@p(mm, ..., ptep, pte)
)
 ...+>
 }

@helper_indexed exists@
identifier fn;
expression table, i;
identifier use =~ "^vpte_(read|try_cmpxchg|xchg|update|freeze|unfreeze|link_table)$|_(vpte|entry_kind|link_table|xchg_pte|update_pte)$";
@@

 fn(...)
 {
 <+... use(&table[i], ...) ...+>
 }

@mixed_indexed@
identifier helper_indexed.fn;
expression helper_indexed.table, helper_indexed.i;
expression pte;
identifier set = { set_pte, set_pmd, set_pud, set_p4d };
identifier once = { READ_ONCE, WRITE_ONCE };
position p;
@@

 fn(...)
 {
 <+...
(
 table@p[i] = pte
|
 once@p(table[i], ...)
|
 set@p(&table[i], pte)
)
 ...+>
 }

@plain@
expression e, i;
identifier set;
position p = { callback.p, visitor.p, visitor_through.p, spte.p, spte_through.p, mixed.p, mixed_indexed.p };
@@

(
 *e@p
|
 e@p[i]
|
 set@p(...)
)

// ----------------------------------------------------------------------------

@depends on patch@
identifier ptep;
expression table, i;
position plain.p;
@@

(
- READ_ONCE(*ptep@p)
+ vpte_read(ptep)
|
- READ_ONCE@p(table[i])
+ vpte_read(&table[i])
)

// ----------------------------------------------------------------------------

@depends on context@
expression e, i;
identifier set;
position plain.p;
@@

(
* *e@p
|
* e@p[i]
|
* set@p(...)
)

// ----------------------------------------------------------------------------

@script:python depends on org@
p << plain.p;
@@

coccilib.org.print_todo(p[0], "volatile entry accessed without a helper")

@script:python depends on report@
p << plain.p;
@@

coccilib.report.print_report(p[0], "ERROR: volatile entry accessed without a helper; see pgtable_walk_pte.h")
