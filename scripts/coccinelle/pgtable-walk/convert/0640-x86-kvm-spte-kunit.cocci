// SPDX-License-Identifier: GPL-2.0
/// KVM: x86/mmu: Run the walker's unit tests on SPTEs
///
/// Test those of NPT and of EPT, with and without A/D bits, in any kernel: the
/// tests have masks of their own. They are part of kvm.o, which does not
/// export what they call. Include tests of rmap lists in mmu.c, as the
/// functions are static there. They have descriptors of their own, and so a
/// stub for the function that frees descriptors.
// File: arch/x86/kvm/mmu/mmu.c
// Hunks: - 1
// Hunks: mmu_free_pte_list_desc 1
// Applied: - kunit/static_stub\.h
// Applied: mmu_free_pte_list_desc \bKUNIT_STATIC_STUB_REDIRECT\b

@@
@@
 #include <linux/wordpart.h>
+#include <kunit/static_stub.h>

@@
identifier desc;
@@
 static void mmu_free_pte_list_desc(struct pte_list_desc *desc)
 {
+	KUNIT_STATIC_STUB_REDIRECT(mmu_free_pte_list_desc, desc);
 	kmem_cache_free(pte_list_desc_cache, desc);
 }
