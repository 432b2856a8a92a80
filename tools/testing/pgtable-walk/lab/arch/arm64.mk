# SPDX-License-Identifier: GPL-2.0
# VHE and the access flag set by hardware; nVHE, the hypervisor's half of KVM at EL2,
# and the flag set by a fault; with FULL=1 another granule. KVM is never a module there.
arm64_CROSS        := aarch64-linux-gnu-
arm64_PACKAGES     := aarch64-linux-gnu-gcc:gcc-aarch64-linux-gnu libc6-dev-arm64-cross \
	qemu-system-aarch64:qemu-system-arm
arm64_TESTS_6.12 := aarch64
arm64_IMAGE        := arch/arm64/boot/Image
arm64_MACHINES     := vhe nvhe $(if $(FULL),64k)
arm64_vhe_QEMU     := qemu-system-aarch64 -M virt,virtualization=on,gic-version=3 -cpu max
arm64_nvhe_QEMU    := qemu-system-aarch64 -M virt,virtualization=on,gic-version=3 -cpu cortex-a72
arm64_64k_QEMU     := $(arm64_vhe_QEMU)
arm64_64k_KERNEL   := 64k
arm64_64k_KUNIT    := pgtable_walk_stage2_own lru_gen_age
arm64_vhe_RUNS     := lockless_aging_mglru lockless_aging_mglru_huge lockless_aging_reclaim
arm64_LOOPS        := arch/arm64/kvm/stage2_age.o stage2_age
arm64_LEAF         := 19.25 41
arm64_CMDLINE      := console=ttyAMA0
arm64_FARM         := rk3399-rock-pi-4b
arm64_FARM_DTB     := rockchip/rk3399-rock-pi-4b.dtb
arm64_KUNIT        := pgtable_walk_stage2_own pgtable_walk_stage2_entries \
	$(if $(filter 6.12,$(BASE)),pgtable_walk_stage2_teardown)
