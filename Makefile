# The front door. The work is done by the scripts in scripts/, one per noun.
#
# Variables: ARCH=x86_64|arm64 (run, test, shell, kernel, check-breaks), HW=mock|smmuv3|vtd
# (run, shell, check-breaks), BREAK=expression (check-breaks), ACCEL=tcg|kvm,
# BUILD=directory for everything built, JOBS=parallel compilations,
# KERNEL_TARBALL=another 6.12.y instead of the Debian package's.

ARCH ?= x86_64
export ARCH HW ACCEL BUILD JOBS KERNEL_TARBALL PATCH BREAK

.PHONY: help
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST) | \
		awk -F '\t' '{ printf "make %-14s %s\n", $$1, $$2 }'

.PHONY: run
run: ## build a small kernel, boot it in QEMU, show a guest page table translating DMA
	@scripts/run.sh

.PHONY: check
check: ## all tests on x86_64 and arm64 guests, debug kernels, static checks
	@scripts/check.sh

.PHONY: check-full
check-full: ## what does not fit check: unpatched comparison, every step of the series, more kernels
	@scripts/check.sh full

.PHONY: check-breaks
check-breaks: ## break the code on purpose, one place after the other: do the tests notice?
	@scripts/breaks.sh

.PHONY: tree
tree: ## the patched kernel tree in build/linux, our files linked in
	@scripts/tree.sh

.PHONY: refresh
refresh: ## bring edits made in build/linux back (PATCH=name for files that no patch has yet)
	@scripts/refresh.sh

.PHONY: kernel
kernel: ## build the test kernel of ARCH
	@scripts/packages.sh tree $(ARCH)
	@scripts/tree.sh
	@scripts/kernel.sh $(ARCH) $(or $(VARIANT),normal)

.PHONY: test
test: ## run one test program in a guest: make test TEST=iommu_uapi [BITS=32] [ARGS=a,b]
	@scripts/test.sh $(TEST)

.PHONY: shell
shell: ## a shell in the guest of ARCH
	@scripts/test.sh

.PHONY: static
static: ## the static checks alone
	@scripts/check.sh static

.PHONY: check-versions
check-versions: ## do the patches apply to the other versions of the package that apt offers?
	@scripts/check.sh versions

.PHONY: check-self
check-self: ## do failures say what has failed, and does make refresh bring edits back?
	@scripts/check.sh selfcheck

.PHONY: series
series: ## the mail-ready patch series, in build/series/patches
	@scripts/series.sh

.PHONY: check-series
check-series: ## prove that the series applies, is clean and that each step builds
	@scripts/series.sh check

.PHONY: docs
docs: ## our pages of the kernel's documentation as HTML
	@scripts/docs.sh

.PHONY: clean
clean: ## remove everything built (the downloaded packages stay installed)
	@scripts/clean.sh
