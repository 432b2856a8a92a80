# SPDX-License-Identifier: GPL-2.0
# The whole interface of pgtable-walk: 'make help' lists it.

# The demo is about one architecture, all else about all of them, if none is named.
demo_arches := $(or $(ARCHES),arm64)
# All that there is to check takes longer than an hour, but for one architecture.
FULL ?= $(if $(filter 1,$(words $(ARCHES))),1)
ARCHES ?= arm64 riscv x86
BASE ?= 6.12
JOBS ?= $(shell nproc)
V ?= 0

BUILD := $(CURDIR)/build
STOCK := $(BUILD)/src/linux-$(BASE)-stock
OURS := $(BUILD)/src/linux-$(BASE)
SCRIPTS := scripts/pgtable-walk
TESTS := tools/testing/pgtable-walk
STAGE := $(SCRIPTS)/stage $(BUILD)
LAB = $(MAKE) --no-print-directory -j$(JOBS) -C $(TESTS)/lab BUILD=$(BUILD) ARCHES="$(ARCHES)" \
	BASE=$(BASE) V=$(V) FULL=$(FULL)
HOST := $(MAKE) --no-print-directory -C $(TESTS)/host BUILD=$(BUILD)/host

PKGS_kernel = gcc make flex bison bc libelf-dev libssl-dev cpio ccache rsync \
	$(foreach arch,$(ARCHES),$(PKGS_$(arch)))
PKGS_arm64 := gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-system-arm
PKGS_riscv := gcc-riscv64-linux-gnu libc6-dev-riscv64-cross qemu-system-misc opensbi device-tree-compiler
PKGS_x86 := libc6-dev qemu-system-x86
PKGS_cocci := coccinelle
PKGS_static = sparse $(PKGS_cocci) $(PKGS_kernel)

export CCACHE_DIR ?= $(BUILD)/ccache

.PHONY: help
help:
	@echo 'make demo          convert, build and boot a kernel; age a guest with and without mmu_lock'
	@echo 'make check         all tests; the last line counts them'
	@echo 'make check-host    the library on this machine: unit tests under ASan, UBSan and TSan'
	@echo 'make check-cocci   the conversions and the Coccinelle checks'
	@echo 'make check-static  sparse, checkpatch and kernel-doc'
	@echo 'make check-kernel  KUnit, KVM selftests and stress in QEMU, debug kernel included'
	@echo 'make sabotage      break the library on this machine in known ways; each must fail a test'
	@echo 'make sabotage-kernel'
	@echo '                   the same for converted kernels, in QEMU; ONLY=regex picks some'
	@echo 'make bench-host    what the walker costs per entry, against bare loops'
	@echo 'make apply         make a kernel tree one with pgtable-walk: KDIR=tree, default a copy of the base'
	@echo 'make record-stock  boot the stock kernel and record which KVM selftests pass on it'
	@echo 'make clean         remove build/'
	@echo
	@echo 'Variables: ARCHES="$(ARCHES)" BASE=$(BASE) KDIR= JOBS=$(JOBS) V=1'
	@echo '           FULL=1: make check takes the costliest rows too, as it does for one architecture'

# The base as it is, unpacked once.
$(STOCK):
	@$(SCRIPTS)/fetch-base $(BASE) $@

# Without KDIR a copy of the base is converted, or brought up to what the repository says now.
.PHONY: apply
ifneq ($(KDIR),)
apply:
	@$(SCRIPTS)/need $(PKGS_cocci)
	@$(SCRIPTS)/apply.py $(KDIR)
else
apply: | $(STOCK)
	@$(SCRIPTS)/need $(PKGS_cocci)
	@[ -d $(OURS) ] || { cp -a --reflink=auto $(STOCK) $(OURS).tmp && mv $(OURS).tmp $(OURS); }
	@$(SCRIPTS)/apply.py --from $(STOCK) $(OURS)
endif

.PHONY: demo
demo: ARCHES := $(demo_arches)
demo:
	@rm -f $(BUILD)/stages
	@$(STAGE) install $(SCRIPTS)/need $(PKGS_kernel) $(PKGS_cocci)
	@$(STAGE) apply $(MAKE) --no-print-directory apply KDIR=
	@$(STAGE) demo $(LAB) demo
	@$(STAGE) --report

CHECKS := check-host check-cocci check-static check-kernel

.PHONY: check $(CHECKS)
check:
	@rm -f $(BUILD)/stages
	@$(STAGE) install $(SCRIPTS)/need $(PKGS_static)
	@$(STAGE) apply $(MAKE) --no-print-directory apply KDIR=
	@for stage in $(CHECKS); do $(STAGE) $$stage $(MAKE) --no-print-directory $$stage KDIR=; done; \
	$(STAGE) --report

check-host:
	@$(HOST) check bench objcheck

# Tests of signals and full disks mostly wait, and leave a CPU to the checks.
.PHONY: cocci-apply cocci-checks
check-cocci: apply
	@$(MAKE) --no-print-directory -j2 --output-sync=target cocci-apply cocci-checks
cocci-apply:
	@$(SCRIPTS)/test_apply.py --base $(STOCK) --jobs $(JOBS)
cocci-checks:
	@$(TESTS)/cocci/run.py --stock $(STOCK) --converted $(OURS) --arches "$(ARCHES)" --jobs $(JOBS)

check-static: apply
	@$(SCRIPTS)/need $(PKGS_static)
	@$(LAB) $(foreach a,$(ARCHES),$(a)/ours-debug-config $(a)/stock-debug-config)
	@set -e; for arch in $(ARCHES); do \
		$(TESTS)/static/check-static.py --arch $$arch \
			--converted $(OURS) --converted-build $(BUILD)/$$arch/ours-debug \
			--stock $(STOCK) --stock-build $(BUILD)/$$arch/stock-debug; \
	done

check-kernel: apply
	@$(SCRIPTS)/need $(PKGS_kernel)
	@$(LAB) --keep-going --output-sync=target check

# Not part of check: each breaks the library or its user in one way, and says which test noticed.
.PHONY: sabotage
sabotage:
	@$(HOST) sabotage

# The same for converted kernels, in QEMU: minutes each. ONLY=regex picks by name.
.PHONY: sabotage-kernel
sabotage-kernel: apply
	@$(SCRIPTS)/need $(PKGS_kernel)
	@$(LAB) ONLY='$(ONLY)' sabotage

.PHONY: bench-host
bench-host:
	@$(HOST) bench

.PHONY: record-stock
record-stock: | $(STOCK)
	@$(SCRIPTS)/need $(PKGS_kernel)
	@$(LAB) record-stock

.PHONY: clean
clean:
	rm -rf $(BUILD)
