// SPDX-License-Identifier: GPL-2.0-only
/// A volatile page-table entry is read again instead of used from the snapshot.
//# What was a table when it was looked at may be a leaf, or empty, when it is read
//# again: the walk then uses guest memory, or address 0, as a page table. Read an
//# entry once; kind, child and new value must come from that snapshot.
//#
//# Functions that lead from an entry to its table are known by their names. Those of
//# x86 may take a plain *sptep: its shadow MMU is alone with entries that are tables.
///
// Confidence: High
// Comments: The patch replaces the second of two reads, if the first is in another variable.
// Keywords: child pte_follow page_vaddr vpte_read
// Options: --no-includes --include-headers

virtual patch
virtual context
virtual org
virtual report

// The child is taken from a read that was not checked.

@descent@
identifier child =~ "(^|_)(child|pte_follow|page_vaddr|to_child_pt|to_child_sp)$";
identifier read = { ptep_get, pmdp_get, pudp_get, READ_ONCE, vpte_read };
identifier own =~ "(^|_)(child|pte_follow|page_vaddr)$";
expression entry, e;
position p;
@@

(
 child@p(<+... read(entry) ...+>, ...)
|
 e->child@p(<+... read(entry) ...+>)
|
 own@p(*entry, ...)
|
 e->child@p(*entry)
)

// Two snapshots of one entry, and nothing in between that could have changed it.

@twice exists@
identifier entry;
expression e;
identifier change =~ "cmpxchg|xchg|^vpte_(update|freeze|unfreeze|link_table)$";
position p1, p2;
@@

 vpte_read@p1(entry)
 ... when != entry = e
     when != entry++
     when != &entry
     when != change(entry, ...)
 vpte_read@p2(entry)

// Not one read in a loop.

@script:python@
p1 << twice.p1;
p2 << twice.p2;
@@

if (p1[0].line, p1[0].column) == (p2[0].line, p2[0].column):
	cocci.include_match(False)

// ----------------------------------------------------------------------------

@depends on patch exists@
identifier entry, pte;
expression e;
type T;
position twice.p1, twice.p2;
@@

(
 pte = vpte_read@p1(entry);
|
 T pte = vpte_read@p1(entry);
)
 ... when != pte = e
     when != &pte
(
 pte = vpte_read@p2(entry)
|
- vpte_read@p2(entry)
+ pte
)

// ----------------------------------------------------------------------------

@depends on context@
identifier child;
expression e;
position descent.p;
@@

(
* child@p(...)
|
* e->child@p(...)
)

@depends on context@
expression entry;
position twice.p1, twice.p2;
@@

* vpte_read@p1(entry)
 ...
* vpte_read@p2(entry)

@script:python depends on org@
p << descent.p;
@@

coccilib.org.print_todo(p[0], "table taken from a second read of the entry")

@script:python depends on org@
p1 << twice.p1;
p2 << twice.p2;
@@

cocci.print_main("entry read again", p2)
cocci.print_secs("first read", p1)

@script:python depends on report@
p << descent.p;
@@

coccilib.report.print_report(p[0], "ERROR: table taken from a second read of the entry; use the snapshot that was classified")

@script:python depends on report@
p1 << twice.p1;
p2 << twice.p2;
@@

coccilib.report.print_report(p2[0], "ERROR: entry read again, first on line %s; use one snapshot" % p1[0].line)
