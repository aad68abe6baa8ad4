#!/usr/bin/env bash
# What goes wrong ends with one message, with a log that has more, and with a status that
# is not 0. And make refresh brings the edit of a kernel file back into its patch, in a
# copy of this checkout. Prints results (lib.sh: result).
. "$(dirname "$0")/lib.sh"

work=$BUILD/selfcheck

# verdict NAME LOG: what is wrong, if anything, stands in LOG.why
verdict()
{
	if [ -s "$2.why" ]; then
		cat "$2" >>"$2.why"
		bad "$1" "$2.why"
	else
		ok "$1"
	fi
}

# refused NAME MESSAGE LOG COMMAND...: the command fails with one message, which the
# regular expression fits, and the logs that it names are there, LOG among them (-: it
# names none). All that it builds goes to $work/build.
refused()
{
	local name=$1 message=$2 want=$3 out logs f

	step "$name" >&2
	shift 3
	out=$LOGS/selfcheck-${name//[^a-z]/-}.log
	: >"$out.why"
	! BUILD=$work/build "$@" >"$out" 2>&1 </dev/null ||
		echo "it did not fail" >>"$out.why"
	grep -E '^(error: | *! )' "$out" >"$work/said" || true
	[ "$(wc -l <"$work/said")" = 1 ] && grep -qE "$message" "$work/said" ||
		echo "not one message, and this: $message" >>"$out.why"
	logs=$(sed -n 's/.*logs\{0,1\}: //p' "$out" | tr -d ,)
	[[ $'\n/'${logs:--} == *"/$want"* ]] || echo "it names no log $want" >>"$out.why"
	for f in $logs; do
		[ -e "$f" ] || echo "there is no $f" >>"$out.why"
	done
	verdict "$name" "$out"
}

# edited TOP FILE: make refresh in TOP, of an edit of FILE; then a new tree
edited()
{
	"$1/scripts/tree.sh" &&
		echo "/* an edit */" >>"$BUILD/linux/$2" &&
		"$1/scripts/refresh.sh" &&
		rm -rf "$BUILD" &&
		"$1/scripts/tree.sh" &&
		tail -n 1 "$BUILD/linux/$2" | grep -Fx "/* an edit */"
}

# An edit goes to the patch that touches its file, to nothing else, and a tree made of
# the patches has it.
refresh()
{
	local name="make refresh brings an edit of a kernel file back into its patch"
	local top=$work/top out=$LOGS/selfcheck-refresh.log file patch changed

	step "$name" >&2
	# A file that one patch touches
	file=$(sed -n 's|^--- a/\([^\t ]*\.c\).*|\1|p' "$PATCHES"/*.patch |
		sort | uniq -u | head -n 1)
	patch=$(grep -lF -e "--- a/$file" "$PATCHES"/*.patch)
	originals "$work/linux" "$(cut -d' ' -f1 "$TREE/.tarball")" Makefile
	tar -C "$work" -cf "$work/small.tar" linux
	rsync -a --exclude=/.git --exclude=/build --exclude="/${BUILD#"$TOP"/}" "$TOP/" "$top/"
	git -C "$top" init -q
	git -C "$top" add -A
	: >"$out.why"
	(BUILD=$work/copy KERNEL_TARBALL=$work/small.tar
	 export BUILD KERNEL_TARBALL
	 edited "$top" "$file") >"$out" 2>&1 || echo "the edit did not come back" >>"$out.why"
	changed=$(git -C "$top" diff --name-only)
	[ "$changed" = "patches/linux/${patch##*/}" ] ||
		echo "instead of ${patch##*/} changed: $changed" >>"$out.why"
	verdict "$name" "$out"
}

"$TOP/scripts/packages.sh" tree x86_64 arm64 qemu >&2
only_one "$work.lock"
rm -rf "$work"
mkdir -p "$work/build/out/x86_64/arch/x86/boot" "$work/build/out/arm64/arch/arm64/boot"

# No network: this is all that apt knows of the machine's configuration.
cat >"$work/apt.conf" <<'END'
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Acquire::http::Proxy "http://127.0.0.1:9";
Acquire::https::Proxy "http://127.0.0.1:9";
Acquire::Retries::Delay "false";
END
refused "a download that fails" "downloading busybox-static:arm64 failed" busybox-arm64.log \
	env APT_CONFIG="$work/apt.conf" "$TOP/scripts/initramfs.sh" arm64
refused "a download of source that fails" "no source package qemu" apt-update- \
	env -u QEMU_SOURCE -u QEMU_VTD APT_CONFIG="$work/apt.conf" "$TOP/scripts/qemu.sh"

# Kernels that are none: one emulator refuses it, the other one runs it for ever.
for f in out/x86_64/arch/x86/boot/bzImage out/arm64/arch/arm64/boot/Image initrd; do
	head -c 1M /dev/zero >"$work/build/$f"
done
guest=(env -u HW -u APPEND ACCEL=tcg INITRD="$work/build/initrd" LIMIT=5
       "$TOP/scripts/guest.sh")
refused "a program that is not there" "no no-such-qemu here" - \
	env QEMU_X86_64=no-such-qemu "${guest[@]}" x86_64 normal test test=x
refused "a kernel that does not boot" "ended with status 1: qemu: " console \
	"${guest[@]}" x86_64 normal test test=x
refused "a guest that hangs" "the guest did not finish within 5 s" console \
	"${guest[@]}" arm64 normal test test=x
refresh
