#!/usr/bin/env bash
# make check; with the argument full, make check-full; with static, versions or
# selfcheck, that part alone (make static, make check-versions, make check-self).
#
# Every part adds lines "PASSED FAILED SKIPPED NAME" to build/log/check/summary;
# the last line printed is their sum. A part that cannot be built counts as one
# failure and the rest goes on.
# shellcheck disable=SC2317 # part calls what it is given
. "$(dirname "$0")/lib.sh"

mode=${1:-}
dir=$LOGS/check${mode:+-$mode}
# Another one has its summary there, and its guests; those of full are the same.
only_one "${dir%-full}.lock"
rm -rf "$dir"
mkdir -p "$dir"
summary=$dir/summary
: >"$summary"

# What has failed by name, said again at the end
failed=$dir/failed
: >"$failed"

# part NAME COMMAND...: one step of the run, with its time.
part()
{
	local name=$1 begin

	shift
	step "$name"
	begin=$(date +%s)
	if ! "$@"; then
		printf '0 1 0 %s\n' "$name" >>"$summary"
		note "FAILED: $name"
		echo "$name" >>"$failed"
	fi
	printf '%5d s  %s\n' $(($(date +%s) - begin)) "$name" >>"$dir/times"
}

# keep NAME: what the job of a guest has found, by its directory in the log.
keep()
{
	[ -s "$LOGS/guest-$1/summary" ] || return 1
	cat "$LOGS/guest-$1/summary" >>"$summary"
	sed "s/^/$1: /" "$LOGS/guest-$1/failures" | head -n 20 >>"$failed"
}

# guest ARCH VARIANT LIMIT [NAME=VALUE]: the suites of one guest.
guest()
{
	local name=$1

	[ "$1-${HW:-}" != x86_64-vtd ] || name=$1-vtd
	[ "$2" = normal ] || name=$name-$2
	rm -f "$LOGS/guest-$name-check/summary"
	LIMIT=$3 "$TOP/scripts/guest.sh" "$1" "$2" check ${4:+"$4"} || true
	# An emulator that dies by a signal says nothing about the kernel. Debian's does so,
	# rarely, when a guest opens PCI devices (patches/qemu/0027); the one with VT-d is
	# ours, and repaired.
	if [ "${HW:-}" != vtd ] &&
	   grep -qs 'ended with status 13[49]' "$LOGS/guest-$name-check/summary"; then
		note "the emulator has crashed: once more"
		printf '0 0 1 guest on %s whose emulator crashed, run once more\n' "$name" >>"$summary"
		LIMIT=$3 "$TOP/scripts/guest.sh" "$1" "$2" check ${4:+"$4"} || true
	fi
	keep "$name-check"
}

# The same with a VT-d
guest_vtd()
{
	HW=vtd guest x86_64 "$@"
}

# An SMMUv3 that cannot nest: nothing is offered, all else works.
one_stage()
{
	local s

	for s in 1 2; do
		rm -f "$LOGS/guest-arm64-test/summary"
		SMMU_STAGE=$s LIMIT=300 "$TOP/scripts/guest.sh" arm64 normal test \
			test=iommu_uapi_smmuv3 \
			args=-V,no_consent,-f,smmuv3_lack,-f,plain,-t,dma_api || true
		keep arm64-test || return 1
	done
}

# A VT-d that cannot nest, likewise. It has one stage: the first, which iommufd takes
# for its domains as well, or the second.
one_stage_vtd()
{
	local stage

	for stage in x-flts=on x-flts=off; do
		rm -f "$LOGS/guest-x86_64-vtd-test/summary"
		HW=vtd VTD=x-nested=off,$stage LIMIT=300 "$TOP/scripts/guest.sh" x86_64 normal test \
			test=iommu_uapi_vtd args=-V,iommufd,-f,vtd_unit,-f,plain || true
		keep x86_64-vtd-test || return 1
	done
}

# Mock hardware that is told at load what it lacks: each feature, and all
lacking()
{
	local lack

	for lack in 1 2 4 8 16 31; do
		rm -f "$LOGS/guest-x86_64-test/summary"
		# The third one is of the other style of bind.
		APPEND="iommu_uapi_mock.lack=$lack iommu_uapi_mock.style=$((lack == 4))" \
			LIMIT=300 "$TOP/scripts/guest.sh" x86_64 normal test \
			test=iommu_uapi args=-f,loaded || true
		keep x86_64-test || return 1
	done
}

# A VT-d of 256 domain ids, of which one guest must not take all
few_ids_vtd()
{
	rm -f "$LOGS/guest-x86_64-vtd-test/summary"
	HW=vtd VTD=x-nested=on,x-pri=on,x-domain-id-bits=8 LIMIT=300 \
		"$TOP/scripts/guest.sh" x86_64 normal test \
		test=iommu_uapi_vtd args=-t,domain_ids || true
	keep x86_64-vtd-test
}

# A slot that is switched off: the device does not come back in the same guest. Not on
# the debug kernel: of 6.12's pciehp alone lockdep says that it takes two of its locks
# in both orders, whatever the device is.
unplug_vtd()
{
	local bits

	for bits in 64 32; do
		rm -f "$LOGS/guest-x86_64-vtd-test/summary"
		HW=vtd LIMIT=300 "$TOP/scripts/guest.sh" x86_64 normal test \
			test=iommu_uapi_vtd_unplug "bits=$bits" || true
		keep x86_64-vtd-test || return 1
	done
}

# The page of make run, which compares what it prints with what it expects
demonstration()
{
	local a=$1 hw=$2 log=$dir/demo-$1-$2

	ARCH=$a HW=$hw "$TOP/scripts/run.sh" >"$log" 2>&1 || {
		tail -n 20 "$log"
		return 1
	}
	printf '1 0 0 demonstration on %s, %s\n' "$a" "$hw" >>"$summary"
}

# QEMU's tests of what the VT-d tests rely on
qtests()
{
	local p f s name

	"$TOP/scripts/qemu.sh" test >"$dir/qtests" || return 1
	while read -r p f s name; do
		note "$(printf '%4d passed %3d failed %3d skipped  %s' "$p" "$f" "$s" "$name")"
	done <"$dir/qtests"
	cat "$dir/qtests" >>"$summary"
	! grep -q ' [1-9][0-9]* [0-9]* QEMU' "$dir/qtests" || echo "QEMU's tests: see $LOGS/*-test.log" >>"$failed"
}

# counted SCRIPT: one that prints results (lib.sh: result)
counted()
{
	local p f s name out=$dir/$1.out

	"$TOP/scripts/$1.sh" >"$out" || {
		cat "$out"
		return 1
	}
	grep '^!' "$out" | tee -a "$failed" || true
	grep -E '^[0-9]+ ' "$out" | while read -r p f s name; do
		note "$(printf '%4d passed %3d failed %3d skipped  %s' "$p" "$f" "$s" "$name")"
	done
	grep -E '^[0-9]+ ' "$out" >>"$summary"
}

finish()
{
	say
	say "time per step:"
	cat "$dir/times"
	say "total $(elapsed); summary: $summary"
	if [ -s "$failed" ]; then
		say
		say "what has failed:"
		cut -c -300 "$failed" | head -n 40
	fi
	say
	"$TOP/scripts/total.sh" "$summary"
}

# What cannot be without the rest failing too.
prepare()
{
	"$TOP/scripts/packages.sh" tree x86_64 arm64 static series
	"$TOP/scripts/tree.sh"
}

programs()
{
	"$TOP/scripts/selftests.sh" "$1" && "$TOP/scripts/initramfs.sh" "$1"
}

kernel=$TOP/scripts/kernel.sh

check()
{
	steps 24
	step "packages and kernel tree"
	prepare
	part "QEMU with nested translation on VT-d" "$TOP/scripts/qemu.sh"
	part "QEMU's own tests of VT-d" qtests
	part "x86_64 kernel" "$kernel" x86_64 normal
	part "x86_64 test programs, 64 and 32 bit" programs x86_64
	part "x86_64 demonstration" demonstration x86_64 mock
	part "x86_64 demonstration: VT-d" demonstration x86_64 vtd
	part "x86_64 guest: all tests but VT-d's" guest x86_64 normal 900 not=iommu_uapi_vtd
	part "x86_64 guest: hardware that lacks features" lacking
	part "x86_64 guest: VT-d" guest_vtd normal 600 own=iommu_uapi_vtd
	part "x86_64 guest: VT-d with one stage" one_stage_vtd
	part "x86_64 guest: VT-d with few domain ids" few_ids_vtd
	part "x86_64 guest: VT-d, slot switched off" unplug_vtd
	part "x86_64 debug kernel" "$kernel" x86_64 debug
	part "x86_64 debug guest: all tests but VT-d's" guest x86_64 debug 2400 not=iommu_uapi_vtd
	part "x86_64 debug guest: VT-d" guest_vtd debug 1200 own=iommu_uapi_vtd
	part "arm64 kernel" "$kernel" arm64 normal
	part "arm64 test programs, 64 and 32 bit" programs arm64
	part "arm64 demonstration: SMMUv3" demonstration arm64 smmuv3
	part "arm64 guest: all tests" guest arm64 normal 1200
	part "arm64 guest: SMMUv3 with one stage" one_stage
	part "arm64 debug kernel" "$kernel" arm64 debug
	part "arm64 debug guest: SMMUv3" guest arm64 debug 1500 own=iommu_uapi_smmuv3
	part "static checks" counted static
	finish
}

check_static()
{
	steps 4
	step "packages and kernel tree"
	prepare
	# One of the checks is of the headers that these get.
	part "x86_64 test programs" "$TOP/scripts/selftests.sh" x86_64
	part "arm64 test programs" "$TOP/scripts/selftests.sh" arm64
	part "static checks" counted static
	finish
}

# iommufd's own tests, the same programs, on the unpatched kernel and on ours.
compare()
{
	local a=$1 v name rc=0

	# One that does not end, or complains, is no result; the unpatched kernel's
	# complaints are not ours.
	for v in base normal; do
		name=$a-$v
		[ "$v" = base ] || name=$a
		rm -rf "$LOGS/guest-$name-iommufd"
		LIMIT=900 "$TOP/scripts/guest.sh" "$a" "$v" iommufd || [ "$v" = base ] || rc=1
	done
	results "$LOGS/guest-$a-base-iommufd/results" >"$dir/iommufd-$a-base"
	results "$LOGS/guest-$a-iommufd/results" >"$dir/iommufd-$a"
	note "iommufd's own tests, unpatched kernel: $(count <"$dir/iommufd-$a-base")"
	note "iommufd's own tests, patched kernel:   $(count <"$dir/iommufd-$a")"
	[ -s "$dir/iommufd-$a" ] || return 1
	! grep -q 'not ok' "$dir/iommufd-$a" || return 1
	diff "$dir/iommufd-$a-base" "$dir/iommufd-$a" || return 1
	[ "$rc" = 0 ] || return 1
	printf '1 0 0 iommufd on %s: same result of each test as unpatched\n' "$a" >>"$summary"
}

# compare_plain ARCH PROGRAM TEST-ARGUMENTS: users of the emulated IOMMU that know
# nothing of guest tables: type1, type1v2, iommufd. A skipped test compares nothing.
# What else the unpatched kernel complains of is not ours.
compare_plain()
{
	local a=$1 program=$2 args=$3 v name list rc=0

	for v in base normal off; do
		name=$a${HW:+-$HW}
		[ "$v" = normal ] || name=$name-$v
		list=$dir/plain-$a-$v
		rm -rf "$LOGS/guest-$name-test"
		LIMIT=300 "$TOP/scripts/guest.sh" "$a" "$v" test \
			"test=$program" "args=$args" || [ "$v" = base ] || rc=1
		results "$LOGS/guest-$name-test/results" >"$list"
		note "plain users, $a $v kernel: $(count <"$list")"
		[ -s "$list" ] || rc=1
		! grep -E 'not ok|# SKIP' "$list" || rc=1
		diff "$dir/plain-$a-base" "$list" || rc=1
	done
	[ "$rc" = 0 ] || return 1
	printf '2 0 0 plain users on %s: same result as unpatched, also with the feature off\n' "$a" >>"$summary"
}

results()
{
	tr -d '\r' <"$1" | grep -E '^(# )*(not )?ok [0-9]+' || true
}

# Tests, not the programs that they are in
count()
{
	awk '/selftests: / { next } /not ok/ { f++; next } /SKIP/ { s++; next } { p++ }
		END { printf "%d passed, %d failed, %d skipped\n", p, f, s }'
}

off_guest()
{
	rm -f "$LOGS/guest-$1-off-iommufd/summary"
	"$kernel" "$1" off || return 1
	LIMIT=900 "$TOP/scripts/guest.sh" "$1" off iommufd || true
	keep "$1-off-iommufd"
}

series()
{
	"$TOP/scripts/series.sh" check >"$dir/series.out" || { cat "$dir/series.out"; return 1; }
	grep -E '^[0-9]+ [0-9]+ [0-9]+ ' "$dir/series.out" >>"$summary"
}

# Debian packages of the tree that the series was applied to, by the kernel's own target
# and with modules
deb()
{
	local o=$BUILD/series/out tmp=$dir/deb package module

	"$TOP/scripts/packages.sh" deb || return 1
	rm -rf "$o"/*.deb "$tmp"
	"$kernel" x86_64 series-modules bindeb-pkg || return 1
	for package in "$o"/linux-image-*.deb "$o"/linux-libc-dev_*.deb; do
		dpkg-deb -x "$package" "$tmp" || return 1
	done
	grep -qx CONFIG_IOMMU_UAPI=y "$tmp"/boot/config-* || return 1
	[ -s "$(find "$tmp/boot" -name 'vmlinuz-*')" ] || return 1
	for module in vfio_iommu_type1 vfio_iommu_nesting vfio-pci; do
		[ -s "$(find "$tmp/lib/modules" -name "$module.ko")" ] || return 1
	done
	grep -q '^struct iommu_nesting_info {' "$tmp/usr/include/linux/iommu.h" || return 1
	note "$(cd "$o" && echo ./*.deb)"
	printf '1 0 0 Debian packages with bindeb-pkg\n' >>"$summary"
}

# What it prints says enough: how far it is, and which break was not noticed.
breaks()
{
	local rc=0

	ARCH=$1 "$TOP/scripts/breaks.sh" results | tee "$dir/breaks.out" || rc=$?
	grep -E '^[0-9]+ [0-9]+ [0-9]+ ' "$dir/breaks.out" >>"$summary" || return 1
	[ "$rc" = 0 ] || note "some breaks were not noticed"
}

docs()
{
	"$TOP/scripts/docs.sh" && printf '1 0 0 documentation builds without warnings\n' >>"$summary"
}

check_full()
{
	steps 24
	step "packages and kernel tree"
	prepare
	"$TOP/scripts/packages.sh" docs
	"$TOP/scripts/tree.sh" pristine
	for a in x86_64 arm64; do
		part "$a kernel" "$kernel" $a normal
		part "$a test programs" programs $a
		part "$a unpatched kernel" "$kernel" $a base
		part "$a: iommufd's tests on both" compare $a
		part "$a: kernel with the feature off" off_guest $a
	done
	part "arm64: plain users of the SMMUv3 on both" compare_plain arm64 iommu_uapi_smmuv3 \
		-f,plain,-t,dma_api
	part "QEMU with nested translation on VT-d" "$TOP/scripts/qemu.sh"
	# One of the tests on iommufd's nested domains is about an error that the series repairs.
	HW=vtd part "x86_64: plain users of VT-d on both" compare_plain x86_64 iommu_uapi_vtd \
		-T,ats,-f,plain,-f,iommufd_nested
	part "arm64 debug kernel" "$kernel" arm64 debug
	part "arm64 debug guest: all tests" guest arm64 debug 3000
	for a in x86_64 arm64; do
		part "$a breaks: the tests notice deliberate errors" breaks $a
	done
	HW=vtd part "VT-d breaks: the tests notice deliberate errors" breaks x86_64
	part "the series, step by step" series
	part "the patches on other versions of the package" counted versions
	part "Debian packages of the patched kernel" deb
	part "documentation" docs
	part "what goes wrong says so, and make refresh" counted selfcheck
	finish
}

# One of these alone
check_one()
{
	steps 2
	step "packages and kernel tree"
	prepare
	part "$1" counted "$1"
	finish
}

# Nothing more is read of this file, which somebody may have edited meanwhile.
case $mode in
full) check_full; exit ;;
static) check_static; exit ;;
versions | selfcheck) check_one "$mode"; exit ;;
*) check; exit ;;
esac
