// SPDX-License-Identifier: GPL-2.0
/// LoongArch: KVM: Age guest memory without mmu_lock
///
/// Age guest memory, unmap and write-protect by the shared walker, and drop
/// the private one, which stores plainly, and reads each entry up to three
/// times. RCU keeps the root and the tables from being freed under a walk, and
/// all code that writes to entries expects V to be cleared meanwhile. So don't
/// take mmu_lock to query or clear the accessed state.
///
/// Tables are freed after unlink, TLB flush and a grace period. The root is
/// published for walkers in one word, and retired before the VM's tables are
/// torn down: when a process exits, ->release() of the notifier does so while
/// rmap walks of other processes may query the age of its pages, and so may
/// the end of the VM. One of them gets the root, waits for a grace period and
/// frees all of it; the other one returns. Then no table is left to be
/// unlinked, and mmu_lock is not needed to free them.
///
/// These bugs of the old code go with it:
///
///  - A test for young pages looks at the first page of a range only.
///  - ->release() tears tables down without mmu_lock, while aging walks them
///    with it.
///  - The end of a memslot drops mmu_lock before it flushes TLBs. An unmap in
///    between finds nothing mapped and flushes nothing, so its pages are freed
///    while vCPUs may still write to them.
///  - Memslots may lie beyond what page tables reach, where these have fewer
///    address bits than the CPU. The old code then walks past the end of the
///    root table; the shared walker would leave such memory mapped. So limit
///    guest memory to what the host's own page tables, which are of the same
///    form, map for a process.
// File: arch/loongarch/include/asm/kvm_host.h
// Hunks: - 1
// Hunks: struct kvm_arch 2
// Applied: - linux/pgtable_root\.h
// Applied: struct kvm_arch \bpgtable_root root\b
// Applied: struct kvm_arch !\b(invalid_ptes|pte_shifts|root_level)\b
// File: arch/loongarch/include/asm/kvm_mmu.h
// Hunks: struct kvm_ptw_ctx 1
// Hunks: kvm_set_pte 1
// Hunks: kvm_need_flush 1
// Hunks: kvm_pgtable_offset 1
// Hunks: kvm_pgtable_addr_end 1
// Hunks: kvm_pte_present 1
// Hunks: kvm_pte_none 1
// Hunks: kvm_ptw_enter 1
// Hunks: kvm_ptw_exit 1
// Applied: - !\b(kvm_ptw_(enter|exit)|kvm_set_pte|kvm_pte_none|kvm_pte_present)\b
// File: arch/loongarch/kvm/vm.c
// Hunks: kvm_arch_init_vm 1
// Hunks: kvm_arch_destroy_vm 1
// Applied: kvm_arch_init_vm !\bint i;
// Applied: kvm_arch_destroy_vm \bgpa_pt_free\b
// File: arch/loongarch/kvm/mmu.c
// Hunks: - 1
// Hunks: kvm_ptw_prepare 1
// Hunks: kvm_mkold_pte 1
// Hunks: kvm_mkclean_pte 1
// Hunks: kvm_flush_pte 1
// Hunks: kvm_ptw_leaf 1
// Hunks: kvm_ptw_dir 1
// Hunks: kvm_ptw_top 1
// Hunks: kvm_flush_range 1
// Hunks: kvm_mkclean_gpa_pt 1
// Hunks: kvm_arch_mmu_enable_log_dirty_pt_masked 2
// Hunks: kvm_arch_commit_memory_region 1
// Hunks: kvm_arch_flush_shadow_all 1
// Hunks: kvm_arch_flush_shadow_memslot 1
// Hunks: kvm_unmap_gfn_range 1
// Hunks: kvm_age_gfn 1
// Hunks: kvm_test_age_gfn 1
// Applied: - !\b(kvm_ptw_\w+|kvm_set_pte|kvm_pte_none|kvm_pte_present|kvm_(test_)?age_gfn)\b
// Applied: - \bgpa_pt_unmap\b

@@
@@
 #include <linux/perf_event.h>
+#include <linux/pgtable_root.h>

@@
typedef kvm_pte_t;
@@
 struct kvm_arch {
 	...
 	kvm_pte_t *pgd;
+	struct pgtable_root root;
 	unsigned long gpa_size;
-	unsigned long invalid_ptes[MAX_PGTABLE_LEVELS];
-	unsigned int  pte_shifts[MAX_PGTABLE_LEVELS];
-	unsigned int  root_level;
 	...
 };

@@
@@
-struct kvm_ptw_ctx { ... };

@@
identifier f = {
	kvm_set_pte, kvm_need_flush, kvm_pgtable_offset, kvm_pgtable_addr_end, kvm_pte_present,
	kvm_pte_none, kvm_ptw_enter, kvm_ptw_exit
};
type T;
@@
-static inline T f(...) { ... }

@@
identifier f = {
	kvm_ptw_prepare, kvm_mkold_pte, kvm_mkclean_pte, kvm_flush_pte, kvm_ptw_leaf,
	kvm_ptw_dir, kvm_ptw_top, kvm_flush_range, kvm_mkclean_gpa_pt, kvm_age_gfn,
	kvm_test_age_gfn
};
type T;
@@
-T f(...) { ... }

@@
@@
-#include "gpa_pt_entry.h"
+#include "gpa_pt_walk.h"

@@
identifier kvm, base, ctx, first, last;
symbol kvm_mkclean_pte;
@@
 kvm_arch_mmu_enable_log_dirty_pt_masked(struct kvm *kvm, ...)
 {
-	kvm_ptw_ctx ctx;
 	...
-	ctx.ops = kvm_mkclean_pte;
-	ctx.flag = _KVM_HAS_PGMASK;
-	ctx.mask = mask;
-	ctx.gfn = base;
-	kvm_ptw_prepare(kvm, &ctx);
-
-	kvm_ptw_top(kvm->arch.pgd, first << PAGE_SHIFT, last << PAGE_SHIFT, &ctx);
+	gpa_pt_wrprotect(kvm, gfn_to_gpa(first), gfn_to_gpa(last), mask >> __ffs(mask));
 }

@@
identifier kvm, new, needs_flush;
@@
 kvm_arch_commit_memory_region(struct kvm *kvm, ...)
 {
 	<...
-	needs_flush = kvm_mkclean_gpa_pt(kvm, new->base_gfn, new->base_gfn + new->npages);
+	needs_flush = gpa_pt_wrprotect(kvm, gfn_to_gpa(new->base_gfn),
+				       gfn_to_gpa(new->base_gfn + new->npages), ~0UL);
 	...>
 }

@@
identifier kvm;
@@
 kvm_arch_flush_shadow_all(struct kvm *kvm)
 {
-	kvm_flush_range(...);
+	gpa_pt_free(kvm);
 }

@@
identifier kvm;
expression first, last;
@@
 kvm_arch_flush_shadow_memslot(struct kvm *kvm, ...)
 {
-	kvm_flush_range(kvm, first, last, 1);
+	gpa_pt_drop(kvm, gfn_to_gpa(first), gfn_to_gpa(last));
 }

@@
identifier kvm, range, ctx;
symbol kvm_flush_pte;
@@
 kvm_unmap_gfn_range(struct kvm *kvm, struct kvm_gfn_range *range)
 {
-	kvm_ptw_ctx ctx;
-
-	ctx.flag = 0;
-	ctx.ops = kvm_flush_pte;
-	kvm_ptw_prepare(kvm, &ctx);
-	INIT_LIST_HEAD(&ctx.list);
-
-	return kvm_ptw_top(kvm->arch.pgd, range->start << PAGE_SHIFT, range->end << PAGE_SHIFT, &ctx);
+	return gpa_pt_unmap(kvm, gfn_to_gpa(range->start), gfn_to_gpa(range->end));
 }

@@
identifier i;
@@
 kvm_arch_init_vm(...)
 {
-	int i;
-
 	...
 }

@@
identifier kvm;
@@
 kvm_arch_destroy_vm(struct kvm *kvm)
 {
 	...
-	free_page((unsigned long)kvm->arch.pgd);
-	kvm->arch.pgd = NULL;
+	gpa_pt_free(kvm);
 	...
 }
