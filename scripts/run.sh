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
# Nothing of an earlier run is this one's page.
rm -rf "$dir"
LIMIT=${LIMIT:-300} "$TOP/scripts/guest.sh" "$ARCH" normal demo "hw=$HW" >"$LOGS/demo.log" 2>&1 || true
# The page itself, without the marks around it.
sed -n '/^@@ begin demo/,/^@@ end demo/{/^@@/!p}' "$dir/results" 2>/dev/null | tr -d '\r' || true
status=$(sed -n 's/^@@ end demo //p' "$dir/results" 2>/dev/null) || true
if [ "$status" != 0 ] || [ -s "$dir/complaints" ]; then
	grep '!' "$LOGS/demo.log" >&2 || tail -n 3 "$LOGS/demo.log" >&2
	die "the demonstration did not come out as it must" "$dir/console"
fi
say "done in $(elapsed); logs: $dir"
exit 0
