// SPDX-License-Identifier: GPL-2.0-only
/// A page-table entry of KVM is written by code that knows of no other writers.
//# Once page tables are walked without mmu_lock, every writer of entries must expect
//# them to change: vpte_xchg(), vpte_update(), vpte_try_cmpxchg() and vpte_link_table().
//# Reported are set_pte() and its like, and stores through pointers to entries, in any
//# function. In an architecture that has not adopted the library, these are the writers
//# that there are to convert.
//#
//# Functions that store in tables which no walker can reach are exempt, by their names:
//# such as unlinked_*() and arm64's of EL2's own, or to a copy of an entry.
///
// Confidence: Moderate
// Comments: Pointers are known by the types that a function shows. Macros that make functions are not seen.
// Comments: No patch: which helper it must be depends on who else may write.
// Keywords: set_pte set_pmd set_pud set_p4d pmd_populate pud_populate p4d_populate pmd_clear pud_clear p4d_clear pte_t pmd_t crste
// Options: --no-includes --include-headers

virtual context
virtual org
virtual report

@initialize:python@
@@
import re

@known@
identifier fn =~ "^(unlinked_.*|hyp_.*|fixmap_(map|clear)_slot|destroy_part_walker|gpa_pt_split|gstage_split_leaf|stage2_free_table_post|kvm_(set|clear)_pte|kvm_pgtable_get_leaf|get_valid_guest_pte|stage2_set_prot_attr)$";
identifier set =~ "^(kvm_|kvmppc_radix_|radix__|__)?set_(pte|pmd|pud|p4d|pgd)(_at)?$|^(pmd|pud|p4d|pgd)_populate(_kernel)?$|^(pte|pmd|pud|p4d|pgd)_clear$|^kvm_clear_pte$|^(WRITE_ONCE|smp_store_mb|smp_store_release)$";
expression e, i, value;
position p;
@@

 fn(...)
 {
 <+...
(
 set@p(...)
|
 *e@p = value
|
 e@p[i] = value
)
 ...+>
 }

// Copies of entries, by what pointers to them are called.

@copy@
identifier name =~ "^(out|inserted|orig|old)(_|$)";
position p;
@@

 *name@p

@set@
identifier set =~ "^(kvm_|kvmppc_radix_|radix__|__)?set_(pte|pmd|pud|p4d|pgd)(_at)?$|^(pmd|pud|p4d|pgd)_populate(_kernel)?$|^(pte|pmd|pud|p4d|pgd)_clear$|^kvm_clear_pte$";
position p != known.p;
@@

 set@p(...)

@store@
typedef pte_t, pmd_t, pud_t, p4d_t, kvm_pte_t, tdp_ptep_t;
{pte_t *, pmd_t *, pud_t *, p4d_t *, kvm_pte_t *, tdp_ptep_t, union pte *, union crste *} entry;
expression e, i;
identifier once = { WRITE_ONCE, smp_store_mb };
position p != { known.p, copy.p };
@@

(
 once@p(*entry, e)
|
 once@p(entry[i], e)
|
 smp_store_release@p(entry, e)
|
 *entry@p = e
|
 entry@p[i] = e
)

@written@
identifier fn;
expression entry, i;
position p = { set.p, store.p };
@@

(
 fn@p(...)
|
 *entry@p
|
 entry@p[i]
)

// Not page tables of processes.

@script:python@
p << written.p;
@@

if re.search(r"(^|/)(mm/[^/]*|asm/pgtable[^/]*\.h)$", p[0].file):
	cocci.include_match(False)

// ----------------------------------------------------------------------------

@depends on context@
identifier fn;
expression entry, i;
position written.p;
@@

(
* fn@p(...)
|
* *entry@p
|
* entry@p[i]
)

@script:python depends on org@
p << written.p;
@@

coccilib.org.print_todo(p[0], "entry written without a helper")

@script:python depends on report@
p << written.p;
@@

coccilib.report.print_report(p[0], "WARNING: entry written without a helper; see pgtable_walk_pte.h")
