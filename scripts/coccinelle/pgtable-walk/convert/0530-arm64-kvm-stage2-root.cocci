// SPDX-License-Identifier: GPL-2.0
/// KVM: arm64: Retire the stage-2 root through RCU
///
/// When a process exits, the notifier's ->release() tears down its VM's stage
/// 2. At the same time, rmap walks of other processes may query the age of its
/// pages: both only hold the notifier's SRCU for read. Today, only mmu_lock
/// keeps the two apart: both check mmu->pgt under it.
///
/// Publish a handle of the root for walkers without mmu_lock, with the table
/// and the number of levels in one word, so that they need nothing of struct
/// kvm_pgtable. Retire it first when the VM is torn down: either ->release()
/// or the drop of the VM's last reference gets the root, and frees mmu->pgt,
/// the tables and the root after a grace period; the other one returns.
/// synchronize_rcu() is safe there, while synchronize_srcu() would wait for
/// ->release() itself.
///
/// Shadow stage 2s of nested guests are not aged, so don't publish their
/// roots. All MMUs of a VM cost one grace period.
///
/// Where EL2 owns the stage 2 of protected KVM's guests, the kernel has no
/// tables for them and publishes no root: mmu_lock protects what it has
/// instead.
///
/// A TLB flush uses the root as well: it loads VTTBR_EL2 with it, and hardware
/// may walk from there. clear_flush_young() flushes after the walk, without
/// mmu_lock if the walk had none. So flush in a read-side section, too, and
/// don't flush for a VM whose root is retired: it no longer runs.
// File: arch/arm64/include/asm/kvm_host.h
// Hunks: - 1
// Hunks: struct kvm_s2_mmu 1
// Applied: - linux/pgtable_root\.h
// Applied: struct kvm_s2_mmu \bpgtable_root\b
// File: arch/arm64/kvm/mmu.c
// Hunks: - 1
// Hunks: kvm_arch_flush_remote_tlbs 1
// Hunks: kvm_init_stage2_mmu 1
// Hunks: kvm_free_stage2_pgd 1
// Applied: - "stage2_root\.h"
// Applied: kvm_arch_flush_remote_tlbs \bstage2_flush_tlbs\b
// Applied: kvm_init_stage2_mmu \bstage2_publish_root\b
// Applied: kvm_free_stage2_pgd \bstage2_retire_root\b

@@
@@
 #include <linux/percpu.h>
+#include <linux/pgtable_root.h>

@@
@@
 struct kvm_s2_mmu {
 	...
 	struct kvm_pgtable *pgt;
+
+	/* For walkers without mmu_lock; only that of the canonical MMU is published. */
+	struct pgtable_root root;
 	...
 };

@@
@@
 #include "trace.h"
+#include "stage2_root.h"

@@
identifier kvm;
@@
 kvm_arch_flush_remote_tlbs(struct kvm *kvm)
 {
 	<...
-	kvm_call_hyp(__kvm_tlb_flush_vmid, &kvm->arch.mmu);
+	stage2_flush_tlbs(&kvm->arch.mmu);
 	...>
 }

@@
identifier kvm, mmu, type;
iterator name for_each_possible_cpu;
@@
 kvm_init_stage2_mmu(struct kvm *kvm, struct kvm_s2_mmu *mmu, unsigned long type)
 {
 	<...
-	if (kvm_is_nested_s2_mmu(kvm, mmu))
-		kvm_init_nested_s2_mmu(mmu);
+	if (kvm_is_nested_s2_mmu(kvm, mmu))
+		kvm_init_nested_s2_mmu(mmu);
+	else
+		stage2_publish_root(mmu);
 	...>
 }

@@
identifier mmu;
symbol kvm, pgt;
@@
 kvm_free_stage2_pgd(struct kvm_s2_mmu *mmu)
 {
 	...
-	struct kvm_pgtable *pgt = NULL;
+	struct kvm_pgtable *pgt = NULL;
+
+	if (!stage2_retire_root(kvm, mmu))
+		return;
 	...
 }
