# SPDX-License-Identifier: GPL-2.0
# Hardware that is known to set accessed bits, so that MGLRU walks page tables; and none,
# where only rmap walks and their neighbours are left.
riscv_CROSS        := riscv64-linux-gnu-
riscv_PACKAGES     := riscv64-linux-gnu-gcc:gcc-riscv64-linux-gnu libc6-dev-riscv64-cross \
	qemu-system-riscv64:qemu-system-misc opensbi dtc:device-tree-compiler
riscv_IMAGE        := arch/riscv/boot/Image
riscv_MACHINES     := svadu virt $(if $(FULL),module)
riscv_virt_QEMU    := qemu-system-riscv64 -M virt -cpu rv64,h=true
riscv_virt_PLANS   := rmap
riscv_svadu_DTB    := $(BUILD)/riscv/svadu.dtb
# QEMU 7.2 sets the accessed bits of any table, but says so in no device tree.
riscv_svadu_MAKE_DTB = $(LAB)/riscv-dtb.sh $@ svadu $(riscv_virt_QEMU) $(BOARD)
riscv_svadu_QEMU   := $(riscv_virt_QEMU) -dtb $(riscv_svadu_DTB)
riscv_svadu_RUNS   := lockless_aging_mglru lockless_aging_mglru_huge lockless_aging_reclaim
riscv_module_QEMU  := $(riscv_svadu_QEMU)
riscv_module_DTB   := $(riscv_svadu_DTB)
riscv_module_KERNEL := module
riscv_module_PLANS := module
riscv_module_LOADS := gather_kunit pgtable_walk_kunit kvm gstage_kunit
riscv_module_RUNS  := lockless_aging_mglru lockless_aging_mglru_huge lockless_aging_reclaim
riscv_module_KUNIT := pgtable_walk_basics pgtable_walk_gather mmu_notifier_age pgtable_walk_gstage_widths
# Stock 7.3's kvm_age_gfn() warns when it is queried about a large folio.
riscv_FIGURELESS   := 7.3
riscv_LOOPS        := arch/riscv/kvm/gstage_age.o gstage_age
riscv_LEAF         := 23.5 40.75
riscv_CMDLINE      := console=ttyS0 earlycon=sbi
# No board that LAVA 2023.01 knows has the hypervisor extension: unit tests run on this one, and
# all else skips.
riscv_FARM         := hifive-unleashed-a00
riscv_FARM_DTB     := sifive/hifive-unleashed-a00.dtb
# With OpenSBI 1.1, one boot of 80 resets when Linux starts the second hart, if the build
# machine's CPUs are busy; stock's do.
riscv_RUN          := --lost-once
# It wants an atomic bool that needs no lock, which gcc 12 does not have here.
riscv_UNBUILT_7.3  := memslot_perf_test
riscv_KUNIT        := pgtable_walk_gstage_widths
