#!/usr/bin/env bash
# Run one test program of the kselftests in a guest, or give a shell there.
#
#   ARCH=... HW=vtd VARIANT=normal|debug BITS=64|32 ARGS=a,b scripts/test.sh [PROGRAM]
. "$(dirname "$0")/lib.sh"

ARCH=${ARCH:-x86_64}
VARIANT=${VARIANT:-normal}
test=${1:-}
case $test in *_vtd | *_vtd_*) HW=vtd ;; esac
export HW=${HW:-}

"$TOP/scripts/packages.sh" tree "$ARCH"
"$TOP/scripts/tree.sh"
"$TOP/scripts/kernel.sh" "$ARCH" "$VARIANT"
"$TOP/scripts/selftests.sh" "$ARCH"
"$TOP/scripts/initramfs.sh" "$ARCH"
[ "$HW" != vtd ] || "$TOP/scripts/qemu.sh"
if [ -z "$test" ]; then
	exec "$TOP/scripts/guest.sh" "$ARCH" "$VARIANT" shell
fi
[ -x "$OUT/$ARCH-kselftest/${BITS:-64}/iommu/$test" ] ||
	die "no test program $test; there are: $(cd "$OUT/$ARCH-kselftest/64/iommu" && find . -maxdepth 1 -type f -perm -1 -printf '%P ')"
rc=0
"$TOP/scripts/guest.sh" "$ARCH" "$VARIANT" test "test=$test" "bits=${BITS:-64}" ${ARGS:+"args=$ARGS"} || rc=$?
name=$ARCH
[ "$ARCH-$HW" != x86_64-vtd ] || name=$ARCH-vtd
[ "$VARIANT" = normal ] || name=$name-$VARIANT
say "output: $LOGS/guest-$name-test/results"
exit $rc
