// SPDX-License-Identifier: GPL-2.0
// File: virt/kvm/kvm_main.c
// Hunks: kvm_age_hva_range 1
// Applied: kvm_age_hva_range \bkvm_age_lockless\(kvm\)

@@
identifier kvm;
symbol CONFIG_KVM_MMU_LOCKLESS_AGING;
@@
 kvm_age_hva_range(...)
 {
 	...
 	struct kvm *kvm = ...;
 	...
-	IS_ENABLED(CONFIG_KVM_MMU_LOCKLESS_AGING)
+	kvm_age_lockless(kvm)
 	...
 }
