#!/usr/bin/env bash
# Does include/uapi/linux/iommu.h, as installed, compile alone in every dialect,
# and have one layout for all users?
#
# Prints results as lib.sh's result() does.
. "$(dirname "$0")/lib.sh"

work=$STATIC/headers
mkdir -p "$work"
header=linux/iommu.h

# Who may include it: a compiler and the headers installed for it.
users="x86_64:gcc:g++:$OUT/x86_64-kselftest/obj64/usr/include
i686:i686-linux-gnu-gcc:i686-linux-gnu-g++:$OUT/x86_64-kselftest/obj32/usr/include
aarch64:aarch64-linux-gnu-gcc:aarch64-linux-gnu-g++:$OUT/arm64-kselftest/obj64/usr/include
armhf:arm-linux-gnueabihf-gcc:arm-linux-gnueabihf-g++:$OUT/arm64-kselftest/obj32/usr/include"

# Twice, for the include guard; alone, for what it forgot to include. C90 as the
# kernel's own header test has it (usr/include/Makefile), which is not pedantic:
# the kernel's style ends an enumeration with a comma.
warn="-Wall -Wextra -Werror -Wpadded"
{
	printf '#include <%s>\n#include <%s>\n' $header $header
	echo 'int main(void) { return 0; }'
} >"$work/alone.c"
cp "$work/alone.c" "$work/alone.cc"

dialect()
{
	local what=$1

	shift
	if "$@" 2>"$work/err"; then
		ok "iommu.h as $what"
	else
		bad "iommu.h as $what" "$work/err"
	fi
}

while IFS=: read -r name cc cxx inc; do
	if [ ! -e "$inc/$header" ]; then
		bad "iommu.h for $name: scripts/selftests.sh has installed none"
		continue
	fi
	# Warnings for this header, not for those that it includes.
	mkdir -p "$work/$name/linux"
	cp "$inc/$header" "$work/$name/linux/"
	cflags="-I$work/$name -isystem $inc -fsyntax-only $warn"
	# shellcheck disable=SC2086
	{
		dialect "C90 on $name" $cc -std=c90 -nostdinc $cflags "$work/alone.c"
		dialect "C11 on $name" $cc -std=c11 -pedantic $cflags "$work/alone.c"
		dialect "C++17 on $name" $cxx -std=c++17 -pedantic $cflags "$work/alone.cc"
	}
	rm -f "$work/layout-$name".*
	$cc -g -c -isystem "$inc" -fno-eliminate-unused-debug-types \
		-o "$work/layout-$name.o" "$work/alone.c"
	pahole "$work/layout-$name.o" >"$work/layout-$name.txt"
	# Something must have been laid out: 72 bytes is the bind payload.
	grep -q 'size: 72,' "$work/layout-$name.txt" ||
		bad "iommu.h on $name: pahole shows no bind payload"
done <<<"$users"

first=
for name in x86_64 i686 aarch64 armhf; do
	[ -s "$work/layout-$name.txt" ] || continue
	if [ -z "$first" ]; then
		first=$name
		continue
	fi
	if diff -u "$work/layout-$first.txt" "$work/layout-$name.txt" >"$work/layout.diff"; then
		ok "iommu.h layout: $name like $first"
	else
		bad "iommu.h layout: $name like $first" "$work/layout.diff"
	fi
done
