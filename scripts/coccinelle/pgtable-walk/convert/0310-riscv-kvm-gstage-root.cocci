// SPDX-License-Identifier: GPL-2.0
/// RISC-V: KVM: Retire the G-stage root through RCU
///
/// When a process exits, the notifier's ->release() tears down its VM's
/// G-stage tables. At the same time, rmap walks of other processes may query
/// the age of its pages: both only hold the notifier's SRCU for read. Today,
/// only mmu_lock keeps the two apart.
///
/// Publish a handle of the root for walkers without mmu_lock, with the table
/// and the number of levels in one word. Retire it first when the VM is torn
/// down: either ->release() or the drop of the VM's last reference gets the
/// root, waits for a grace period, and frees it; the other one returns.
/// synchronize_rcu() is safe there, while synchronize_srcu() would wait for
/// ->release() itself.
///
/// Add the header for walks outside of mmu.c, too.
// File: arch/riscv/include/asm/kvm_host.h
// Hunks: - 1
// Hunks: struct kvm_arch 1
// Applied: - linux/pgtable_root\.h
// Applied: struct kvm_arch \bgstage_root\b
// File 6.12: arch/riscv/kvm/mmu.c
// Hunks: - 1
// Hunks: kvm_riscv_gstage_alloc_pgd 1
// Hunks: kvm_riscv_gstage_free_pgd 2
// Applied: - "gstage_walk\.h"
// Applied: kvm_riscv_gstage_alloc_pgd \bgstage_publish_root\b
// Applied: kvm_riscv_gstage_free_pgd \bpgtable_root_retire\b
// File 7.3: arch/riscv/kvm/mmu.c
// Hunks: - 1
// Hunks: kvm_riscv_mmu_alloc_pgd 1
// Hunks: kvm_riscv_mmu_free_pgd 2
// Applied: - "gstage_walk\.h"
// Applied: kvm_riscv_mmu_alloc_pgd \bgstage_publish_root\b
// Applied: kvm_riscv_mmu_free_pgd \b(pgtable_root_retire|kvm_riscv_gstage_free_pgd)\b

@@
@@
 #include <linux/kvm_types.h>
+#include <linux/pgtable_root.h>

@@
@@
 struct kvm_arch {
 	...
 	phys_addr_t pgd_phys;
+	struct pgtable_root gstage_root;
 	...
 };

@@
@@
 #include <asm/pgtable.h>
+
+#include "gstage_walk.h"

@@
@@
 #include <asm/kvm_nacl.h>
+
+#include "gstage_walk.h"

@@
identifier kvm, pgd_page;
@@
 kvm_riscv_gstage_alloc_pgd(struct kvm *kvm)
 {
 	...
 	kvm->arch.pgd_phys = page_to_phys(pgd_page);
+	gstage_publish_root(kvm, gstage_pgd_levels);
 	...
 }

@@
identifier kvm;
expression levels;
@@
 kvm_riscv_mmu_alloc_pgd(struct kvm *kvm)
 {
 	...
 	kvm->arch.pgd_levels = levels;
+	gstage_publish_root(kvm, levels);
 	...
 }

@@
identifier kvm, pgd;
@@
 kvm_riscv_gstage_free_pgd(struct kvm *kvm)
 {
-	void *pgd = NULL;
+	struct pgtable_walk_tree tree = pgtable_root_retire(&kvm->arch.gstage_root);
+	void *pgd = NULL;
+
+	if (!tree.table)
+		return;
 	...
 }

@@
identifier kvm, gstage, pgd, flush;
@@
 kvm_riscv_mmu_free_pgd(struct kvm *kvm)
 {
-	struct kvm_gstage gstage;
+	struct pgtable_walk_tree tree = pgtable_root_retire(&kvm->arch.gstage_root);
+	struct kvm_gstage gstage;
 	void *pgd = NULL;
-	bool flush = false;
+	bool flush = false;
+
+	if (!tree.table)
+		return;
 	...
 }
