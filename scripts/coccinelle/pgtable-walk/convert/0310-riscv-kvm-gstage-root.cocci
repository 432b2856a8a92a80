// SPDX-License-Identifier: GPL-2.0
/// RISC-V: KVM: Retire the G-stage root through RCU
///
/// When a process exits, its VM's G-stage tables are torn down by the notifier's
/// ->release(), and nothing keeps rmap walks of other processes from asking for the
/// age of its pages at that very moment: both are mere readers of the notifier's
/// SRCU. All that saves them today is mmu_lock.
///
/// Give those who come without it a handle of their own, in which table and number
/// of levels are one word. Retire it first when the VM goes: of ->release() and the VM's
/// last reference, one gets the root, waits for a grace period, and frees it; the other
/// returns. synchronize_rcu() is safe there, while synchronize_srcu() would wait for
/// ->release() itself.
///
/// The header for walks outside of mmu.c comes along.
// File: arch/riscv/include/asm/kvm_host.h
// Hunks: - 1
// Hunks: struct kvm_arch 1
// Applied: - linux/pgtable_walk\.h
// Applied: struct kvm_arch \bgstage_root\b
// File: arch/riscv/kvm/mmu.c
// Hunks: - 1
// Hunks: kvm_riscv_gstage_alloc_pgd 1
// Hunks: kvm_riscv_gstage_free_pgd 2
// Applied: - "gstage_walk\.h"
// Applied: kvm_riscv_gstage_alloc_pgd \bgstage_publish_root\b
// Applied: kvm_riscv_gstage_free_pgd \bpgtable_root_retire\b

@@
@@
 #include <linux/kvm_types.h>
+#include <linux/pgtable_walk.h>

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
identifier kvm, pgd;
@@
 kvm_riscv_gstage_free_pgd(struct kvm *kvm)
 {
-	void *pgd = NULL;
+	struct pgtable_tree tree = pgtable_root_retire(&kvm->arch.gstage_root);
+	void *pgd = NULL;
+
+	if (!tree.table)
+		return;
 	...
 }
