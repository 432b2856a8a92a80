// SPDX-License-Identifier: GPL-2.0
/// KVM: arm64: Don't mark pages accessed upon an access fault
///
/// Where hardware does not set the access flag, the handler of the fault that
/// sets it marks the page accessed after it has dropped mmu_lock. By then the
/// page may have been unmapped, freed and reused. Nothing needs the mark: the
/// flag tells all who query the age of the page.
// File: arch/arm64/kvm/mmu.c
// Hunks: handle_access_fault 3
// Applied: handle_access_fault ^\tkvm_pgtable_stage2_mkyoung\b

@@
typedef kvm_pte_t;
identifier pte, mmu, fault_ipa;
@@
 handle_access_fault(...)
 {
-	kvm_pte_t pte;
 	struct kvm_s2_mmu *mmu;
 	...
-	pte = kvm_pgtable_stage2_mkyoung(mmu->pgt, fault_ipa);
+	kvm_pgtable_stage2_mkyoung(mmu->pgt, fault_ipa);
 	read_unlock(...);
-
-	if (kvm_pte_valid(pte))
-		kvm_set_pfn_accessed(kvm_pte_to_pfn(pte));
 }
