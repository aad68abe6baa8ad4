#!/usr/bin/env bash
# make run: from nothing to the demonstration page.
. "$(dirname "$0")/lib.sh"

ARCH=${ARCH:-x86_64}
arch "$ARCH"
case $ARCH in
arm64)	HW=${HW:-smmuv3} ;;
*)	HW=${HW:-mock} ;;
esac

export HW
case $ARCH-$HW in
x86_64-mock | arm64-mock | arm64-smmuv3) name=$ARCH; steps 6 ;;
x86_64-vtd) name=$ARCH-vtd; steps 7 ;;
*) die "HW=$HW: there is mock everywhere, vtd on x86_64, smmuv3 on arm64" ;;
esac
accel_of_vtd
step "packages"
"$TOP/scripts/packages.sh" tree "$ARCH"
step "kernel tree"
"$TOP/scripts/tree.sh"
step "kernel for $ARCH"
"$TOP/scripts/kernel.sh" "$ARCH" normal
step "test programs"
"$TOP/scripts/selftests.sh" "$ARCH"
step "guest's root"
"$TOP/scripts/initramfs.sh" "$ARCH"
[ -x "$OUT/$ARCH-kselftest/64/iommu/iommu_uapi_demo" ] ||
	die "the tests have no program iommu_uapi_demo" "$LOGS/kselftest-$ARCH-64.log"
if [ "$HW" = vtd ]; then
	step "QEMU with nested translation on VT-d"
	"$TOP/scripts/qemu.sh"
fi
step "guest: the demonstration on $HW (QEMU, $ACCEL)"
dir=$LOGS/guest-$name-demo
log=$LOGS/demo.log
# Nothing of an earlier run is this one's page, and nothing of this one is another's.
only_one "$LOGS/demo.lock"
(only_one "$dir.lock" && rm -rf "$dir")
rc=0
LIMIT=${LIMIT:-300} "$TOP/scripts/guest.sh" "$ARCH" normal demo "hw=$HW" >"$log" 2>&1 || rc=$?
if [ ! -e "$dir/console" ]; then
	why=$(sed -n 's/^error: //p' "$log" | head -n 1)
	die "${why:-no guest was started}" "$log"
fi
# The page itself, without the marks around it and without its result.
sed -nE '/^@@ begin demo/,/^@@ end demo/{/^(@@|(not )?ok [0-9])/!p}' "$dir/results" | tr -d '\r'
if [ $rc != 0 ]; then
	sed -n 's/^ *! /    /p' "$log" >&2
	die "the demonstration did not come out as it must" "$dir/console"
fi
say "done in $(elapsed); logs: $dir"
exit 0
