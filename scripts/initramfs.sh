#!/usr/bin/env bash
# Pack the guest's root: busybox, scripts/guest-init, the installed kselftests.
#
#   scripts/initramfs.sh ARCH
#
# Result: build/out/ARCH-initramfs.cpio.gz, rewritten only if something changed.
. "$(dirname "$0")/lib.sh"

ARCH=$1
arch "$ARCH"
root=$OUT/$ARCH-initramfs
image=$root.cpio.gz
tests=$OUT/$ARCH-kselftest

# busybox of a foreign architecture: from this machine's own apt sources, with
# lists and state of its own, so that the system's apt stays as it is.
foreign_busybox()
{
	local deb=$1 dir=$CACHE/apt-$1 opts

	[ ! -x "$dir/busybox" ] || return 0
	mkdir -p "$dir/lists/partial" "$dir/archives/partial"
	: >"$dir/status"
	opts=(-o "APT::Architecture=$deb" -o "APT::Architectures::=$deb"
	      -o "Dir::State::lists=$dir/lists" -o "Dir::State::status=$dir/status"
	      -o "Dir::Cache=$dir" -o "Dir::Cache::archives=$dir/archives"
	      -o Acquire::Retries=3 -o Acquire::Languages=none)
	apt_update "$LOGS/apt-update-$deb.log" "${opts[@]}"
	(cd "$dir" && must "downloading busybox-static:$deb" "$LOGS/busybox-$deb.log" \
		apt-get "${opts[@]}" download "busybox-static:$deb")
	dpkg-deb --fsys-tarfile "$dir"/busybox-static_*.deb |
		tar -C "$dir" --strip-components=2 -xf - ./bin/busybox ||
		die "no /bin/busybox in the package busybox-static:$deb" "$LOGS/busybox-$deb.log"
}

case $ARCH in
x86_64)	busybox=/bin/busybox ;;
arm64)	foreign_busybox arm64; busybox=$CACHE/apt-arm64/busybox ;;
esac

only_one "$image.lock"
mkdir -p "$root/bin"
cp -u "$busybox" "$root/bin/busybox"
install -C -m 755 "$TOP/scripts/guest-init" "$root/init"
rsync -a --delete "$tests/64/" "$root/kselftest64/"
rsync -a --delete "$tests/32/" "$root/kselftest32/"
# The 32-bit run is for our programs: iommufd's tests are 64-bit only.
sed -i '/:iommufd/d' "$root/kselftest32/kselftest-list.txt"
[ -s "$root/kselftest32/kselftest-list.txt" ] ||
	die "there are no 32-bit test programs of $ARCH" "$LOGS/kselftest-$ARCH-32.log"

sum=$(cd "$root" && find . -type f -exec sha256sum {} + | sort | sha256sum)
if [ "$(cat "$image.sum" 2>/dev/null)" != "$sum" ] || [ ! -e "$image" ]; then
	(cd "$root" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0 | gzip -1) >"$image.new"
	mv "$image.new" "$image"
	echo "$sum" >"$image.sum"
fi
