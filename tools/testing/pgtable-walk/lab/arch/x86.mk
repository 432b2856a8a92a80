# SPDX-License-Identifier: GPL-2.0
# The TDP MMU on 4 and 5 levels; the shadow MMU for nested paging, with huge pages; the
# shadow MMU for guests' own page tables. KVM is a module, as distributions ship it, but in
# the kernels that look for bugs. TCG has SVM only. Memory ends above 4 GiB, for firmware
# cuts off what ends below, and page_idle misses the last pages of an odd end.
x86_CROSS          :=
x86_PACKAGES       := libc6-dev qemu-system-x86_64:qemu-system-x86
x86_TESTS_6.12 := x86_64
x86_IMAGE          := arch/x86/boot/bzImage
x86_MACHINES       := npt tdp0 shadow
x86_debug_MACHINES := npt5 tdp0
x86_kcsan_MACHINES := npt tdp0
x86_npt5_QEMU      := qemu-system-x86_64 -M q35,max-ram-below-4g=1G -cpu max,+svm,+npt
x86_npt_KERNEL     := module
x86_npt_QEMU       := $(x86_npt5_QEMU),-la57
x86_tdp0_QEMU      := $(x86_npt_QEMU)
x86_tdp0_KERNEL    := module
x86_tdp0_LOADS     := kvm-amd
x86_tdp0_ARGS      := kvm.tdp_mmu=0
x86_shadow_QEMU    := $(x86_npt_QEMU)
x86_shadow_KERNEL  := module
x86_shadow_LOADS   := kvm-amd
x86_shadow_ARGS    := kvm_amd.npt=0
x86_LOOPS          := arch/x86/kvm/mmu/tdp_mmu_age.o tdp_mmu_age_tree
x86_LEAF           := 27 50.5
x86_CMDLINE        := console=ttyS0
x86_FARM           := x86
x86_FARM_BOOT      := ipxe
# With two vCPUs that fault a lot, QEMU 7.2 and 10.0 now and then have a triple fault of the
# host or lose its interrupts, on stock as well, and never with one thread for both CPUs.
# Where sanitizers look for races, and all is slower, there are two.
x86_plain_ACCEL    := -accel tcg,thread=single
x86_module_ACCEL   := $(x86_plain_ACCEL)
x86_RUN            := --lost-once
x86_npt_RUNS       := lockless_aging_mglru lockless_aging_mglru_huge lockless_aging_reclaim \
	pgtable_walk_rmaps.test_all_are_zapped
x86_npt_KUNIT      := pgtable_walk_basics pgtable_walk_gather mmu_notifier_age pgtable_walk_spte_masks
x86_npt_LOADS      := gather_kunit pgtable_walk_kunit kvm-amd
x86_farm_ACCEL     := $(x86_plain_ACCEL)
x86_KUNIT          := pgtable_walk_spte_masks
# Kernels whose secondary MMUs, if any, answer no query about many pages: mm/vmscan.o has
# the instructions of stock's.
x86_AS_STOCK       := 32bit nokvm
