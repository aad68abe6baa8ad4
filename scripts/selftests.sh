#!/usr/bin/env bash
# Build the kselftests of the kernel tree through the kernel's own entry, for a
# 64-bit and a 32-bit user, statically, and install them.
#
#   scripts/selftests.sh ARCH [series]	series: of the tree that series.sh steps through
#
# Result: build/out/ARCH-kselftest/64 and .../32, each with run_kselftest.sh and
# kselftest-list.txt.
. "$(dirname "$0")/lib.sh"

ARCH=$1
arch "$ARCH"
o=$OUT/$ARCH-kselftest
if [ "${2:-}" = series ]; then
	TREE=$BUILD/series/linux
	o=$BUILD/series/out/$ARCH-kselftest
fi

# install_headers BITS KARCH CROSS: what the kernel gives to user space. kbuild
# leaves alone what has not changed, but takes its time to find out.
install_headers()
{
	local bits=$1 karch=$2 cross=$3 obj=$o/obj$1 sum

	sum=$(find -L "$TREE/include/uapi" \
		"$TREE/arch/$karch/include/uapi" "$TREE/.tarball" \
		-type f -printf '%p %T@ %s\n' | sha256sum)
	[ "$(cat "$obj/.headers" 2>/dev/null)" != "$sum" ] || return 0
	must "installing the headers for the $bits-bit tests of $ARCH" \
		"$LOGS/headers-$ARCH-$bits.log" \
		make -C "$TREE" O="$obj" ARCH="$karch" CROSS_COMPILE="$cross" \
		HOSTCC="ccache gcc" -j"$JOBS" headers
	echo "$sum" >"$obj/.headers"
}

install_tests()
{
	local bits=$1 karch=$2 cross=$3 obj=$o/obj$1

	mkdir -p "$obj"
	if [ "$bits" = 32 ] && [ "$karch" = "$KARCH" ]; then
		ln -sfn ../obj64/usr "$obj/usr"
	else
		install_headers "$@"
	fi
	# Static, since the guest has no libc. In the environment, so that the
	# tests' Makefile can still add to it.
	LDFLAGS=-static must "building the $bits-bit tests of $ARCH" \
		"$LOGS/kselftest-$ARCH-$bits.log" \
		make -C "$TREE/tools/testing/selftests" TARGETS=iommu \
		FORCE_TARGETS=1 O="$obj" ARCH="$karch" CROSS_COMPILE="$cross" \
		CC="ccache ${cross}gcc" INSTALL_PATH="$o/$bits" install
}

only_one "$o/.lock"
install_tests 64 "$KARCH" "$CROSS"
install_tests 32 "$KARCH32" "$CROSS32"
