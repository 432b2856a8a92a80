// SPDX-License-Identifier: GPL-2.0
/// KVM: x86/mmu: Write the count of shadow pages by WRITE_ONCE()
///
/// Emulated writes of guests read indirect_shadow_pages without mmu_lock, and
/// aging will as well, while others count under the lock. Mark the writes, so
/// that the compiler can't tear them and KCSAN knows of them. A count that is
/// too old only lets aging leave the rmaps of a new shadow page alone.
// File: arch/x86/kvm/mmu/mmu.c
// Hunks: account_shadowed 1
// Hunks: unaccount_shadowed 1
// Applied: account_shadowed \bWRITE_ONCE\(
// Applied: unaccount_shadowed \bWRITE_ONCE\(

@@
struct kvm *kvm;
@@
-	kvm->arch.indirect_shadow_pages++;
+	WRITE_ONCE(kvm->arch.indirect_shadow_pages, kvm->arch.indirect_shadow_pages + 1);

@@
struct kvm *kvm;
@@
-	kvm->arch.indirect_shadow_pages--;
+	WRITE_ONCE(kvm->arch.indirect_shadow_pages, kvm->arch.indirect_shadow_pages - 1);
