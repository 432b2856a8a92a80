# SPDX-License-Identifier: GPL-2.0
# The whole interface of pgtable-walk: 'make help' lists it.

SCRIPTS := scripts/pgtable-walk
TESTS := tools/testing/pgtable-walk
ANYWHERE := help apply unapply coccicheck series clean
ON_A_TREE := apply unapply coccicheck series
goals := $(or $(MAKECMDGOALS),help)

# What this file sets for itself cannot be set by others: 'make clean BUILD=/home'.
foreign := command override $(if $(findstring e,$(firstword -$(MAKEFLAGS))),environment)
$(foreach v,BUILD BASE_BUILD STOCK OURS SCRIPTS TESTS STAGE LAB HOST BENCH AGAIN ANYWHERE ON_A_TREE EVERY_BASE KNOWN_ARCHES KNOWN_BASES goals CHECKS CURDIR,\
	$(if $(filter $(foreign),$(origin $(v))),$(error $(v) cannot be set: all that is built goes below build/)))
ifeq ($(wildcard $(SCRIPTS)/apply.py),)
$(error this is not the top directory of pgtable-walk: use 'make -C')
endif

# Values are taken as they are. Recipes get them in their environment, for which make would
# expand them.
$(foreach v,ARCHES BASE FULL JOBS M MODE ONLY ROWS SCHEDULES V,$(if $(filter undefined,$(origin $(v))),,$(eval override $(v) := $$(value $(v)))))

# The demo runs on one architecture, all else on all of them, unless some are named.
EVERY_BASE := $(sort $(basename $(notdir $(wildcard $(TESTS)/lab/arch/*.mk))))
demo_arches := $(if $(filter undefined,$(origin ARCHES)),arm64,$(value ARCHES))
# All that there is to check takes longer than an hour, but for one architecture.
FULL ?= $(if $(filter 1,$(words $(ARCHES))),1)
ifeq ($(origin ARCHES),undefined)
ARCHES := $(EVERY_BASE)
endif
KNOWN_BASES := $(sort $(notdir $(patsubst %/.,%,$(wildcard \
	scripts/coccinelle/pgtable-walk/convert/[0-9]*.[0-9]*/.))))
BASE ?= 6.12
# What one base alone has is done if it is named.
KNOWN_ARCHES := $(sort $(EVERY_BASE) $(foreach base,$(filter $(BASE),$(KNOWN_BASES)),\
	$(basename $(notdir $(wildcard $(TESTS)/lab/arch/$(base)/*.mk)))))
JOBS ?= $(shell nproc)
MODE ?= report
V ?= 0

# No value below reaches a shell that is not known to be harmless there.
ifneq ($(filter-out help,$(goals)),)
digits = $(subst 0,,$(subst 1,,$(subst 2,,$(subst 3,,$(subst 4,,$(subst 5,,$(subst 6,,$(subst 7,,$(subst \
	8,,$(subst 9,,$(1)))))))))))
one_of = $(if $(filter-out $(2),$(value $(1)))$(word 2,$(value $(1))),$(error $(1)='$(value $(1))': name one of: $(2)))
number = $(if $(call digits,$(2))$(if $(2),,x),$(error $(1)='$(2)': not a number))
$(call one_of,BASE,$(KNOWN_BASES))
$(call one_of,V,0 1)
$(if $(filter file,$(origin FULL)),,$(call one_of,FULL,0 1))
$(if $(filter coccicheck,$(goals)),$(call one_of,MODE,report context org patch))
$(if $(findstring $$,$(value M)),$(error M='$(value M)': name a directory of the tree))
$(call number,JOBS,$(if $(filter file,$(origin JOBS)),$(JOBS),$(value JOBS)))
$(if $(filter undefined,$(origin SCHEDULES)),,$(call number,SCHEDULES,$(value SCHEDULES)))
override FULL := $(filter 1,$(FULL))
ifeq ($(shell python3 -c 'import sys; print(sys.version_info >= (3, 8))' 2>&1),False)
$(error Python 3.8 or newer is needed; python3 is older)
endif
endif

# KDIR is the tree of these goals, and has no meaning for what checks a copy of the base.
ifneq ($(filter $(ON_A_TREE),$(goals)),)
ifeq ($(origin KDIR)$(strip $(value KDIR)),command line)
$(error KDIR is empty: name the tree: make $(goals) KDIR=tree)
endif
endif
ifneq ($(value KDIR),)
ifeq ($(filter environment,$(origin KDIR)),)
ifneq ($(filter-out $(ON_A_TREE),$(goals)),)
$(error KDIR is for 'make apply', 'unapply', 'coccicheck' and 'series' only; '$(filter-out $(ON_A_TREE),$(goals))' works on a copy of the base)
endif
override KDIR := $(value KDIR)
export KDIR
else
ifneq ($(filter $(ON_A_TREE),$(goals)),)
$(error KDIR comes from the environment: unset it, or name the tree: make $(goals) KDIR=tree)
endif
unexport KDIR
override KDIR :=
endif
endif

# Only what builds kernels wants an architecture, a plain path and a cache.
ifneq ($(filter-out $(ANYWHERE),$(goals)),)
ifneq ($(filter-out $(KNOWN_ARCHES),$(value ARCHES))$(if $(strip $(value ARCHES)),,x),)
$(error ARCHES='$(value ARCHES)': name one or more of: $(KNOWN_ARCHES)$(foreach base,$(filter-out $(BASE),$(KNOWN_BASES)),$(foreach \
	file,$(wildcard $(TESTS)/lab/arch/$(base)/*.mk),, or with BASE=$(base) $(basename $(notdir $(file))))))
endif
awkward := $(shell $(SCRIPTS)/check-path)
ifneq ($(awkward),)
$(error $(awkward))
endif
# The user's own ccache if there is one.
ifeq ($(origin CCACHE_DIR),undefined)
cache := $(shell dir=$$(ccache -k cache_dir 2>/dev/null) && [ -w "$$dir" ] && echo "$$dir")
ifeq ($(cache),)
export CCACHE_DIR := $(CURDIR)/build/ccache
endif
endif
endif
cache_says = echo "ccache: $${CCACHE_DIR:-$(cache)}"

# Relative, as a path may have spaces. BASE_BUILD has what the lab builds of a base.
BUILD := build
BASE_BUILD := $(BUILD)$(if $(filter-out 6.12,$(BASE)),/$(BASE))
STOCK := $(BUILD)/src/linux-$(BASE)-stock
OURS := $(BUILD)/src/linux-$(BASE)
# The shell's parent is this make: two at once do not count each other's stages.
STAGE = $(SCRIPTS)/stage $(BUILD) $$PPID
LAB = $(MAKE) --no-print-directory -j$(JOBS) -C $(TESTS)/lab BUILD=$(CURDIR)/$(BASE_BUILD) ARCHES="$(ARCHES)" \
	BASE=$(BASE) V=$(V) FULL=$(FULL)
# For programs that boot: no shell reads it, so it can do without quotes.
AGAIN_LAB = make --no-print-directory -C $(TESTS)/lab BUILD=$(CURDIR)/$(BASE_BUILD) BASE=$(BASE)
BENCH = $(TESTS)/bench/bench.py --arches "$(ARCHES)" --base $(BASE) --build $(BASE_BUILD) --lab '$(AGAIN_LAB)'
HOST = $(MAKE) --no-print-directory -C $(TESTS)/host BUILD=$(CURDIR)/$(BUILD)/host
# Not $(MAKE) in recipes of stages: 'make -n' would run those.
AGAIN = env -u MAKEFLAGS -u MFLAGS $(MAKE) --no-print-directory ARCHES="$(ARCHES)" BASE=$(BASE) JOBS=$(JOBS) \
	V=$(V) FULL=$(or $(FULL),0) $(SCHEDULES:%=SCHEDULES=%)

# What the lab knows of each architecture, its packages as well.
include $(wildcard $(TESTS)/lab/arch/*.mk $(TESTS)/lab/arch/$(BASE)/*.mk)
# COMMAND:PACKAGE: the package only where there is no such command.
PKGS_kernel = gcc:gcc make flex:flex bison:bison bc:bc libelf-dev libssl-dev cpio:cpio ccache:ccache rsync:rsync \
	$(foreach arch,$(ARCHES),$($(arch)_PACKAGES))
PKGS_cocci := spatch:coccinelle
PKGS_static = sparse:sparse patch:patch $(PKGS_cocci) $(PKGS_kernel)

.PHONY: help
help:
	@echo 'make demo          build the stock kernel and a converted one, boot both, age a guest'
	@echo 'make check         all tests; the last line counts them'
	@echo 'make check-host    the library on this machine: unit tests under ASan, UBSan and TSan'
	@echo 'make check-mutants the part of check-host that breaks each function in a few simple ways;'
	@echo '                   FULL=1: in all that mutants.py knows; ONLY=regex picks some'
	@echo 'make check-cocci   the conversions and the Coccinelle checks'
	@echo 'make check-litmus  litmus tests of memory ordering, under the memory model of the base'
	@echo 'make check-static  sparse, checkpatch, kernel-doc and check-docs'
	@echo 'make check-docs    build the pages of Documentation with Sphinx'
	@echo 'make check-kernel  KUnit, KVM selftests and stress in QEMU, debug kernel included;'
	@echo '                   ROWS="arm64/vhe/ours-debug ..." picks some boots'
	@echo 'make sabotage      break the library on this machine in known ways; each must fail a test'
	@echo 'make sabotage-kernel'
	@echo '                   the same for converted kernels, in QEMU; ONLY=regex picks some of either'
	@echo 'make bench         what aging costs, on the stock kernel and on ours, in instructions;'
	@echo '                   ONLY=regex picks some'
	@echo 'make bench-host    what the walker costs per entry, against bare loops'
	@echo 'make apply KDIR=tree'
	@echo '                   make a kernel tree one with pgtable-walk; without KDIR, a copy of the base'
	@echo 'make unapply KDIR=tree'
	@echo '                   give that tree back as it was, with the edits made since'
	@echo 'make lava URL=address'
	@echo '                   pack kernel, initramfs and LAVA jobs, which find them at that address'
	@echo 'make hardware-tests'
	@echo '                   pack the tests for a machine that runs a converted kernel'
	@echo 'make check-farm    boot the kernel of the LAVA jobs in QEMU, and run those tests on it'
	@echo 'make check-series  build each commit of the series, or what it touches'
	@echo 'make series OUT=directory'
	@echo '                   write the conversions of that tree, or of the base, as patches for git am'
	@echo 'make kernel        build a converted kernel for each architecture, as the lab boots it'
	@echo 'make selftests     build the KVM selftests of the converted tree'
	@echo 'make coccicheck KDIR=tree M=directory'
	@echo '                   run the checks for users of the library on a part of a kernel tree;'
	@echo '                   MODE=context, org or patch shows it in another way, or mends what it can'
	@echo 'make readiness     count what the checks report on the stock kernel, for the page about that'
	@echo 'make record-stock  boot the stock kernel and record which KVM selftests pass on it'
	@echo 'make clean         remove build/'
	@echo
	@echo 'Variables: ARCHES="$(KNOWN_ARCHES)" BASE="$(KNOWN_BASES)" JOBS=number of CPUs V=1'
	@echo '           FULL=1: make check takes the costliest rows too, as it does for one architecture'
	@echo '           SCHEDULES=number of random interleavings of each kind in make check-host, default 10000'
	@echo '           CCACHE_DIR=directory, default the one that you have, or build/ccache'

# The base as it is, unpacked once.
$(STOCK):
	@$(SCRIPTS)/fetch-base $(BASE) $@

# A copy of the base is converted, or brought up to what the repository says now.
.PHONY: converted
converted: | $(STOCK)
	@$(SCRIPTS)/copy-base $(STOCK) $(OURS)
	@$(SCRIPTS)/apply.py --from $(STOCK) $(OURS)

.PHONY: apply unapply
ifneq ($(KDIR),)
apply:
	@$(SCRIPTS)/apply.py -- "$$KDIR"
unapply:
	@$(SCRIPTS)/apply.py --undo -- "$$KDIR"
else
apply: converted
unapply:
	@echo "unapply: name the tree: make unapply KDIR=tree" >&2; exit 1
endif

ifneq ($(filter series,$(goals)),)
ifeq ($(value OUT),)
$(error series: name a new directory for the patches: make series OUT=directory)
endif
endif
# What git says of the author goes into the patches.
.PHONY: series
series: export OUT := $(value OUT)
series: | $(if $(KDIR),,$(STOCK))
	@$(SCRIPTS)/need $(PKGS_cocci)
	@$(SCRIPTS)/series.py --bench $(BASE_BUILD)/bench --out "$$OUT" -- "$${KDIR:-$(STOCK)}"

# Not part of check, as it takes long. Of ARCHES, the first one is built at each commit, all at three.
.PHONY: check-series
check-series: | $(STOCK)
	@$(SCRIPTS)/need $(PKGS_static)
	@$(cache_says)
	@rm -rf $(BASE_BUILD)/series/patches $(BASE_BUILD)/series/src
	@$(SCRIPTS)/series.py --bench $(BASE_BUILD)/bench --out $(BASE_BUILD)/series/patches $(STOCK)
	@$(SCRIPTS)/copy-base $(STOCK) $(BASE_BUILD)/series/src
	@$(LAB) series-commits JOBS=$(JOBS)

.PHONY: kernel selftests
kernel selftests: converted
	@$(SCRIPTS)/need $(PKGS_kernel) $(PKGS_cocci)
	@$(cache_says)
	@$(LAB) $@

.PHONY: coccicheck
coccicheck: export M := $(value M)
coccicheck: $(if $(KDIR),,converted)
	@tree="$${KDIR:-$(OURS)}"; grep -qs ^VERSION "$$tree/Makefile" || \
		{ echo "coccicheck: $$tree is no kernel source tree: name one with KDIR=" >&2; exit 1; }; \
	[ -d "$$tree/$$M" ] || { echo "coccicheck: no directory '$$M' in $$tree: name one with M=" >&2; exit 1; }
	@$(SCRIPTS)/need $(PKGS_cocci)
	@+$(SCRIPTS)/coccicheck "$${KDIR:-$(OURS)}" $(or $(MODE),report) "$$M"

# For others' machines: LAVA jobs with all that they need, and the tests alone. check-farm runs
# those in QEMU.
unexport URL
.PHONY: lava hardware-tests check-farm
farm_arches := $(foreach a,$(ARCHES),$(if $($(a)_FARM),$(a)))
$(if $(filter lava hardware-tests check-farm,$(goals)),$(foreach a,$(filter-out $(farm_arches),$(ARCHES)),\
	$(error ARCHES='$(ARCHES)': nothing is packed for $(a))))
lava hardware-tests check-farm: converted
	@$(SCRIPTS)/need $(PKGS_kernel) $(PKGS_cocci)
	@$(cache_says)
	@$(LAB) $(ARCHES:%=%/$@)
	@$(if $(filter lava,$@),$(call check_lava,lava))
lava: export URL := $(value URL)
check_lava = $(TESTS)/lab/check-lava.py --build $(BUILD) $(farm_arches:%=$(BASE_BUILD)/$(1)/%/*.yaml)

.PHONY: demo
demo: override ARCHES := $(demo_arches)
demo:
	@rm -f $(BUILD)/stages.$$PPID; $(cache_says)
	@$(STAGE) install $(SCRIPTS)/need $(PKGS_kernel) $(PKGS_cocci)
	@$(STAGE) apply $(AGAIN) converted
	@$(STAGE) kernels $(LAB) $(ARCHES:%=%/bench-kernels)
	@$(STAGE) demo $(BENCH) --demo
	@$(STAGE) --report install apply kernels demo

CHECKS := check-host check-litmus check-cocci check-static check-kernel

.PHONY: check check-docs $(CHECKS)
check:
	@rm -f $(BUILD)/stages.$$PPID; $(cache_says)
	@$(STAGE) install $(SCRIPTS)/need $(PKGS_static) && $(STAGE) apply $(AGAIN) converted && \
	for stage in $(CHECKS); do $(STAGE) $$stage $(AGAIN) $$stage; done; \
	$(STAGE) --report install apply $(CHECKS)

# No times are judged here: those of bench-host are for people.
check-host:
	@$(HOST) check objcheck SCHEDULES=$(SCHEDULES)
	@$(TESTS)/host/test_mutants.py
	@$(HOST) mutants SAMPLE=1 ONLY= JOBS=$(JOBS)

# The part of check-host that judges mutants, or with FULL=1 all mutants there are.
.PHONY: check-mutants
check-mutants:
	@$(HOST) mutants $(if $(FULL),,SAMPLE=1) JOBS=$(JOBS)

check-litmus: | $(STOCK)
	@$(TESTS)/litmus/run.py --memory-model $(STOCK)/tools/memory-model --build $(BUILD) --jobs $(JOBS)

# Tests of signals and full disks mostly wait, and leave a CPU to the checks.
cocci_goals := cocci-apply cocci-checks cocci-sabotages cocci-lists cocci-arches
.PHONY: $(cocci_goals)
check-cocci:
	@$(MAKE) --no-print-directory -j2 --keep-going --output-sync=target $(cocci_goals)
cocci-checks cocci-sabotages cocci-lists: converted
cocci-apply: | $(STOCK)
	@$(SCRIPTS)/test_apply.py --base $(STOCK) --jobs $(JOBS) $(if $(FULL),--full)
cocci-checks:
	@$(TESTS)/cocci/run.py --stock $(STOCK) --converted $(OURS) --arches "$(ARCHES)" --jobs $(JOBS)
cocci-sabotages:
	@$(TESTS)/sabotage.py cocci --only '' --tree $(OURS) --arches "$(ARCHES)" --jobs $(JOBS)
cocci-lists:
	@$(TESTS)/sabotage.py check-texts --tree $(OURS)
cocci-arches:
	@$(TESTS)/architectures.py

check-static: converted
	@$(SCRIPTS)/need $(PKGS_static)
	@$(LAB) $(foreach a,$(ARCHES),$(a)/ours-debug-config $(a)/stock-debug-config)
	@set -e; $(TESTS)/static/check-docs.py --converted $(OURS); \
	$(foreach a,$(ARCHES),$(TESTS)/static/check-static.py --arch $(a) --cross '$($(a)_CROSS)' \
		--converted $(OURS) --converted-build $(BASE_BUILD)/$(a)/ours-debug \
		--stock $(STOCK) --stock-build $(BASE_BUILD)/$(a)/stock-debug;)
	@$(TESTS)/lab/check-init.py --build $(BUILD)
	@$(TESTS)/lab/check-build-series.py --build $(BUILD)
	@$(if $(farm_arches),$(LAB) LAVA=lava-checked $(farm_arches:%=%/lava-jobs) && $(call check_lava,lava-checked))

# Of check-static, what is in seconds.
check-docs: converted
	@$(TESTS)/static/check-docs.py --converted $(OURS)

check-kernel: export ROWS := $(value ROWS)
check-kernel: converted
	@$(SCRIPTS)/need $(PKGS_kernel)
	@$(cache_says)
	@$(LAB) --keep-going --output-sync=target check

# Not part of check: each breaks the library or its user in one way, and says which test noticed.
.PHONY: sabotage
sabotage:
	@$(HOST) sabotage JOBS=$(JOBS)

# The same for converted kernels, in QEMU: minutes each. ONLY=regex picks by name, here and there.
.PHONY: sabotage-kernel
sabotage-kernel: converted
	@$(SCRIPTS)/need $(PKGS_kernel)
	@$(LAB) sabotage

# Medians of two boots of each kernel: where instructions are counted, they hardly differ.
.PHONY: bench
bench: converted
	@$(SCRIPTS)/need $(PKGS_kernel) valgrind:valgrind
	@$(cache_says)
	@$(HOST) bench-program
	@$(LAB) $(ARCHES:%=%/bench-kernels)
	@$(BENCH) --loops $(BUILD)/host/plain/bench --only '$(subst ','\'',$(value ONLY))'

.PHONY: bench-host
bench-host:
	@$(HOST) bench

.PHONY: record-stock
record-stock: | $(STOCK)
	@$(SCRIPTS)/need $(PKGS_kernel)
	@$(LAB) record-stock

.PHONY: readiness
readiness: | $(STOCK)
	@$(SCRIPTS)/need $(PKGS_cocci)
	@$(TESTS)/cocci/readiness.py --stock $(STOCK)

.PHONY: clean
clean:
	rm -rf build
