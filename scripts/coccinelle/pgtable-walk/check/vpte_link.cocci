// SPDX-License-Identifier: GPL-2.0-only
/// A page table becomes visible to walkers without release order.
//# Software and hardware that find a new table must find it initialised. A plain
//# store, WRITE_ONCE() and set_pte() do not order that; vpte_link_table(),
//# smp_store_release(), a cmpxchg, or smp_wmb() before the store do.
//#
//# Meant for secondary MMUs (virt/kvm, arch/*/kvm): early boot code that maps
//# things while it is alone needs no order and is reported all the same.
///
// Confidence: Moderate
// Comments: Follows a table within one function, through one variable.
// Keywords: link_table vpte_unfreeze pgtable_root_publish set_pte set_pmd set_pud set_p4d WRITE_ONCE(* smp_store_mb __pa( virt_to_ page_to_
// Options: --no-includes --include-headers

virtual patch
virtual context
virtual org
virtual report

// A table that was allocated in this function is stored in an entry.

@alloc exists@
expression table, e;
identifier f = {
	kvm_mmu_memory_cache_alloc, mmu_memory_cache_alloc, get_zeroed_page,
	__get_free_page, __get_free_pages, alloc_page, alloc_pages, alloc_pages_exact,
	kmem_cache_alloc, kmem_cache_zalloc, zalloc_page, zalloc_pages_exact
};
position a;
@@

(
 table@a = <+... f(...) ...+>
|
 table@a = <+... e->f(...) ...+>
)

@direct exists@
expression alloc.table, ptep, e, e1;
identifier set = { set_pte, set_pmd, set_pud, set_p4d, kvm_set_pte };
identifier store = { WRITE_ONCE, smp_store_mb };
identifier barrier = { smp_wmb, smp_mb };
identifier conv = { __pa, virt_to_phys, virt_to_pfn, page_to_phys, page_to_pfn };
position alloc.a, p;
@@

 table@a = e1
 ... when != table = e
     when != barrier()
(
 set@p(ptep, <+... table ...+>)
|
 store@p(*ptep, <+... conv(<+... table ...+>) ...+>)
|
 *ptep@p = <+... conv(<+... table ...+>) ...+>
)

@through exists@
expression alloc.table, ptep, e, e1;
identifier pte;
type T;
identifier set = { set_pte, set_pmd, set_pud, set_p4d, kvm_set_pte };
identifier store = { WRITE_ONCE, smp_store_mb };
identifier barrier = { smp_wmb, smp_mb };
position alloc.a, p;
@@

 table@a = e1
 ... when != table = e
     when != barrier()
(
 pte = <+... table ...+>;
|
 T pte = <+... table ...+>;
)
 ... when != pte = e
     when != barrier()
(
 set@p(ptep, <+... pte ...+>)
|
 store@p(*ptep, <+... pte ...+>)
|
 *ptep@p = pte
)

// A function that publishes does not do so with release order.

@publisher exists@
identifier fn =~ "^(vpte_unfreeze|pgtable_root_publish|(.*_)?link_table)$";
identifier release = {
	smp_store_release, vpte_link_table, vpte_try_cmpxchg, vpte_xchg,
	cmpxchg, cmpxchg64, cmpxchg_release, try_cmpxchg, try_cmpxchg_release,
	xchg, xchg_release, rcu_assign_pointer
};
position p;
@@

 fn@p(...)
 {
 ... when != release(...)
 }

@stored@
identifier set;
expression ptep, pte;
position p = { direct.p, through.p };
@@

(
 *ptep@p = pte
|
 set@p(ptep, pte)
)

// ----------------------------------------------------------------------------

@depends on patch@
identifier set, store;
expression ptep, pte;
position stored.p;
@@

(
- *ptep@p = pte
+ smp_store_release(ptep, pte)
|
- store@p(*ptep, pte)
+ smp_store_release(ptep, pte)
|
- set@p(ptep, pte)
+ smp_store_release(ptep, pte)
)

@depends on patch@
identifier publisher.fn;
identifier set = { set_pte, set_pmd, set_pud, set_p4d, kvm_set_pte };
identifier store = { WRITE_ONCE, smp_store_mb };
expression ptep, pte;
@@

 fn(...)
 {
 <...
(
- *ptep = pte
+ smp_store_release(ptep, pte)
|
- store(*ptep, pte)
+ smp_store_release(ptep, pte)
|
- store(ptep, pte)
+ smp_store_release(&ptep, pte)
|
- set(ptep, pte)
+ smp_store_release(ptep, pte)
)
 ...>
 }

// ----------------------------------------------------------------------------

@depends on context@
identifier set;
expression ptep, pte;
position stored.p;
@@

(
* *ptep@p = pte
|
* set@p(ptep, pte)
)

@depends on context@
identifier publisher.fn;
position publisher.p;
@@

* fn@p(...)
 {
 ...
 }

// ----------------------------------------------------------------------------

@script:python depends on org@
p << stored.p;
@@

coccilib.org.print_todo(p[0], "new table linked without release order")

@script:python depends on org@
p << publisher.p;
fn << publisher.fn;
@@

coccilib.org.print_todo(p[0], "%s() publishes without release order" % fn)

// ----------------------------------------------------------------------------

@script:python depends on report@
p << stored.p;
@@

coccilib.report.print_report(p[0], "ERROR: new table linked without release order; use vpte_link_table()")

@script:python depends on report@
p << publisher.p;
fn << publisher.fn;
@@

coccilib.report.print_report(p[0], "ERROR: %s() publishes without release order; use smp_store_release()" % fn)
