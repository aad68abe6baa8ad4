#!/usr/bin/env bash
# Build the QEMU that emulates nested translation on VT-d: the Debian source package
# and patches/qemu on top. Prints nothing when it is there already.
#
#   scripts/qemu.sh [tree|test]
#
# Result: build/qemu/qemu-system-x86_64, built once for each combination of source
# and patches. tree: build/qemu/src as a git tree with one commit for each patch, to
# work on the patches (git format-patch writes them back). test: run QEMU's own tests
# of its intel-iommu and those of the test device, which use the IOMMU without any
# kernel, and print the results (lib.sh: result).
# QEMU_SOURCE=directory takes the source from there. QEMU_VTD=program, in the
# environment, is used as it is by whoever needs this QEMU: nothing is built then.
. "$(dirname "$0")/lib.sh"

Q=$BUILD/qemu
QPATCHES=$TOP/patches/qemu
# The version that the patches are made for, and the oldest one to try them on
WANT=1:10.2.2+ds-1
LEAST=1:10.2
QTESTS="tests/qtest/intel-iommu-test tests/qtest/pcie-dma-testdev-test"

patch_names()
{
	grep -v -e '^#' -e '^[[:space:]]*$' "$QPATCHES/series"
}

# versions: what the lists that APT_OPTIONS name have, the wanted one first, then
# upwards
versions()
{
	apt-cache "${APT_OPTIONS[@]}" showsrc qemu 2>/dev/null |
		sed -n 's/^Version: //p' | sort -uV |
		while read -r v; do
			[ "$v" != "$WANT" ] || echo "0 $v"
			! dpkg --compare-versions "$v" ge "$LEAST" || echo "1 $v"
		done | sort -s -k1,1 | awk '!seen[$2]++ { print $2 }'
}

# The source package's tarball, from the first suite that has one that will do
download()
{
	local s v dir=$CACHE/qemu-source log=$LOGS/qemu-download.log

	find "$dir" -name 'qemu_*.orig.tar.xz' 2>/dev/null | grep -m 1 . && return
	mkdir -p "$dir"
	rm -f "$log"
	for s in sid testing; do
		suite deb-src $s alone
		for v in $(versions); do
			[ "$v" = "$WANT" ] || note "qemu $WANT is gone, trying $v of $s" >&2
			(cd "$dir" && logged "$log" apt-get "${APT_OPTIONS[@]}" \
				-o APT::Sandbox::User=root source --download-only "qemu=$v") || continue
			find "$dir" -name 'qemu_*.orig.tar.xz' | grep -m 1 . && return
		done
	done
	[ -e "$log" ] || log=
	die "no source package qemu $LEAST or later can be had: QEMU_SOURCE=directory names one" \
		${log:+"$log"}
}

# Put the source into $Q/src
unpack()
{
	rm -rf "$Q/src"
	mkdir -p "$Q/src"
	if [ -n "${QEMU_SOURCE:-}" ]; then
		must "copying $QEMU_SOURCE" "$LOGS/qemu-unpack.log" \
			rsync -a --exclude=/.git --exclude=/build "$QEMU_SOURCE/" "$Q/src/"
	else
		must "unpacking $1" "$LOGS/qemu-unpack.log" \
			tar -C "$Q/src" --strip-components=1 --no-same-owner -xf "$1"
	fi
}

apply()
{
	local p

	for p in $(patch_names); do
		(cd "$Q/src" && patch -s -p1 --fuzz=0 --no-backup-if-mismatch) \
			<"$QPATCHES/$p" >"$LOGS/qemu-patch.log" 2>&1 ||
			die "patches/qemu/$p does not apply without fuzz: $(sed -n 's/.*file \([^ ]*\).*/\1/p' "$LOGS/qemu-patch.log" | head -n 1)" \
				"$LOGS/qemu-patch.log"
	done
}

configure()
{
	local tools=$Q/tools

	# The source package lacks the firmware that the build unpacks where it finds
	# bzip2: let it find all but that.
	rm -rf "$tools"
	mkdir -p "$tools" "$Q/build"
	find /usr/bin -maxdepth 1 -xtype f -exec cp -s -t "$tools" {} +
	rm "$tools/bzip2"
	(
		cd "$Q/build" || exit
		must "configuring qemu" "$LOGS/qemu-configure.log" \
			env PATH="$tools" ../src/configure \
			--python=/usr/bin/python3 --cc="ccache gcc" \
			--target-list=x86_64-softmmu --without-default-features \
			--enable-tcg --enable-fdt=system --disable-docs --disable-install-blobs \
			--without-default-devices --with-devices-x86_64=uapi
	)
}

# git_tree: each patch a commit
git_tree()
{
	local p

	git -C "$Q/src" init -q
	# A bare machine does not say who commits.
	for p in name email; do
		git -C "$Q/src" config "user.$p" >/dev/null ||
			git -C "$Q/src" config "user.$p" nobody
	done
	git -C "$Q/src" add -A -f
	git -C "$Q/src" commit -q -m "pristine"
	git -C "$Q/src" tag base
	for p in $(patch_names); do
		git -C "$Q/src" am -q "$QPATCHES/$p" || die "git am $p failed in $Q/src"
	done
}

# qtests: as built together with the emulator. They take the architecture from its
# name, and have no place for arguments.
qtests()
{
	local t log

	mkdir -p "$Q/qtest"
	printf '#!/bin/sh\nexec "%s" -L /usr/share/seabios -L /usr/share/qemu "$@"\n' \
		"$Q/qemu-system-x86_64" >"$Q/qtest/qemu-system-x86_64"
	chmod +x "$Q/qtest/qemu-system-x86_64"
	for t in $QTESTS; do
		log=$LOGS/$(basename "$t").log
		QTEST_QEMU_BINARY=$Q/qtest/qemu-system-x86_64 \
			timeout 120 "$Q/build/$t" --tap -k >"$log" 2>&1 ||
			echo "not ok 0 $t ended with status $?" >>"$log"
		awk '/^ok / && !/# SKIP/ { n++ } END { exit !n }' "$log" ||
			echo "not ok 0 $t: no test has passed" >>"$log"
		result "$(grep '^ok ' "$log" | grep -vc '# SKIP')" "$(grep -c '^not ok ' "$log")" \
			"$(grep -c '^ok .*# SKIP' "$log")" "QEMU's $(basename "$t")"
	done
}

if [ "${1:-}" = test ]; then
	[ -x "$Q/build/${QTESTS##* }" ] || die "QEMU_VTD=$QEMU_VTD: not built here, and no tests"
	qtests
	exit 0
fi
if [ "${1:-}" != tree ] && [ "$QEMU_VTD" != "$Q/qemu-system-x86_64" ]; then
	[ -x "$(command -v "$QEMU_VTD")" ] || die "QEMU_VTD=$QEMU_VTD: no program"
	exit 0
fi
[ -r "$QPATCHES/series" ] || die "no patches/qemu/series"
only_one "$Q/.lock"
if [ -n "${QEMU_SOURCE:-}" ]; then
	[ -r "$QEMU_SOURCE/VERSION" ] || die "QEMU_SOURCE=$QEMU_SOURCE: no source of QEMU"
	from="$(realpath "$QEMU_SOURCE") $(cat "$QEMU_SOURCE/VERSION")"
else
	from=package
fi
id="$from $(cd "$QPATCHES" && content_hash series ./*.patch "$TOP/scripts/qemu.sh")"
if [ "${1:-}" != tree ] && [ "$(cat "$Q/.built" 2>/dev/null)" = "$id" ] &&
   [ -x "$Q/qemu-system-x86_64" ]; then
	exit 0
fi
"$TOP/scripts/packages.sh" qemu
tar=
[ -n "${QEMU_SOURCE:-}" ] || tar=$(download)
unpack "$tar"
if [ "${1:-}" = tree ]; then
	git_tree
	exit 0
fi
note "building $(basename "${tar:-$QEMU_SOURCE}") with $(patch_names | wc -l) patches"
apply
rm -rf "$Q/build" "$Q/.built"
configure
# shellcheck disable=SC2086 # two of them
must "building qemu" "$LOGS/qemu-build.log" \
	ninja -C "$Q/build" -j"$JOBS" qemu-system-x86_64 $QTESTS
cp "$Q/build/qemu-system-x86_64" "$Q/qemu-system-x86_64"
echo "$id" >"$Q/.built"
