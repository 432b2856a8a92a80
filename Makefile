# SPDX-License-Identifier: GPL-2.0
# The whole interface of pgtable-walk: 'make help' lists it.

ARCHES ?= riscv
BASE ?= 6.12
JOBS ?= $(shell nproc)
V ?= 0

BUILD := $(CURDIR)/build
STOCK := $(BUILD)/src/linux-$(BASE)-stock
OURS := $(BUILD)/src/linux-$(BASE)
SCRIPTS := scripts/pgtable-walk
TESTS := tools/testing/pgtable-walk
STAGE := $(SCRIPTS)/stage $(BUILD)
LAB := $(MAKE) --no-print-directory -C $(TESTS)/lab BUILD=$(BUILD) ARCHES="$(ARCHES)" \
	BASE=$(BASE) JOBS=$(JOBS) V=$(V)
HOST := $(MAKE) --no-print-directory -C $(TESTS)/host BUILD=$(BUILD)/host

PKGS_kernel := gcc make flex bison bc libelf-dev libssl-dev cpio ccache rsync \
	gcc-riscv64-linux-gnu qemu-system-misc opensbi
PKGS_cocci := coccinelle
PKGS_static := sparse $(PKGS_kernel)

export CCACHE_DIR ?= $(BUILD)/ccache

.PHONY: help
help:
	@echo 'make demo          convert, build and boot a kernel; age a guest with and without mmu_lock'
	@echo 'make check         all tests; the last line counts them'
	@echo 'make check-host    the library on this machine: unit tests under ASan, UBSan and TSan'
	@echo 'make check-cocci   the conversions and the Coccinelle checks'
	@echo 'make check-static  sparse, checkpatch and kernel-doc'
	@echo 'make check-kernel  KUnit, KVM selftests and stress in QEMU, debug kernel included'
	@echo 'make bench-host    what the walker costs per entry, against bare loops'
	@echo 'make apply         make a kernel tree one with pgtable-walk: KDIR=tree, default a copy of the base'
	@echo 'make record-stock  boot the stock kernel and record which KVM selftests pass on it'
	@echo 'make clean         remove build/'
	@echo
	@echo 'Variables: ARCHES="$(ARCHES)" BASE=$(BASE) KDIR= JOBS=$(JOBS) V=1'
