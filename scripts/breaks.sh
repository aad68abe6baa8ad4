#!/usr/bin/env bash
# Show that the tests notice errors: build kernels with all the breaks of
# checks/breaks in them, switched on one at a time, and run the tests that should
# fail then (and pass before).
#
#   scripts/breaks.sh [results]
#
# ARCH=arm64: those of the SMMUv3's driver; HW=vtd: of VT-d's; else all others.
# BREAK=EXPRESSION: only entries whose file's name or title matches. Results:
# build/log/breaks-ARCH[-vtd]/seen, one line per entry. Ends with their sum, or with the
# argument results, for scripts/check.sh to add up, as one result (lib.sh: result).
. "$(dirname "$0")/lib.sh"

export ARCH=${ARCH:-x86_64} HW=${HW:-}
name=$ARCH
case $ARCH-$HW in
x86_64-vtd) name=$ARCH-vtd ;;
x86_64- | x86_64-mock | arm64- | arm64-smmuv3) HW= ;;
*) die "ARCH=$ARCH HW=$HW: there is mock and vtd on x86_64, smmuv3 on arm64" ;;
esac
dir=$LOGS/breaks-$name
scratch=$BUILD/breaks/linux
# A copy of list and code, so that both can be edited while this runs
export BREAK=${BREAK:-} LIST=$dir/list SRC=$dir/src
breaks="python3 $TOP/scripts/breaks.py"

"$TOP/scripts/packages.sh" tree "$ARCH"
# The test programs are asked here for the tests that they have.
if [ "$ARCH" = arm64 ]; then
	"$TOP/scripts/packages.sh" breaks
	export RUNNER=qemu-aarch64
fi
"$TOP/scripts/tree.sh"
rounds=$(LIST=$TOP/checks/breaks SRC=$TREE $breaks rounds)
[ -n "$rounds" ] || die "BREAK=$BREAK: no such deliberate error for $name in checks/breaks"
"$TOP/scripts/selftests.sh" "$ARCH"
"$TOP/scripts/initramfs.sh" "$ARCH"
[ "$HW" != vtd ] || "$TOP/scripts/qemu.sh"
only_one "$BUILD/breaks/.lock"
rm -rf "$dir"
mkdir -p "$dir/src" "$scratch"
cp -r "$TOP/checks/breaks" "$dir/list"
$breaks files >"$dir/files"
rsync -L --files-from="$dir/files" "$TREE/" "$dir/src/"
: >"$dir/seen"

# A copy of the tree that shares what does not change, our files as files.
rsync -a --delete --copy-unsafe-links --link-dest="$TREE/" \
	--exclude-from=<(sed 's|^|/|' "$dir/files"; echo /drivers/iommu/iommu-uapi/broken.c; echo /drivers/iommu/iommu-uapi/Makefile) \
	"$TREE/" "$scratch/"

put()
{
	cmp -s - "$1" <"$dir/new" || cp --remove-destination "$dir/new" "$1"
}

cat >"$dir/new" <<'END'
#include <linux/export.h>
#include <linux/moduleparam.h>
#undef MODULE_PARAM_PREFIX
#define MODULE_PARAM_PREFIX "iommu_uapi."
unsigned int iommu_uapi_broken;
EXPORT_SYMBOL_GPL(iommu_uapi_broken);
module_param_named(broken, iommu_uapi_broken, uint, 0644);
END
put "$scratch/drivers/iommu/iommu-uapi/broken.c"
(cat "$TREE/drivers/iommu/iommu-uapi/Makefile"; echo 'obj-y += broken.o') >"$dir/new"
put "$scratch/drivers/iommu/iommu-uapi/Makefile"

# guests FILE VARIANT: as many as it takes to get through the runs in FILE
guests()
{
	local list=$1 variant=$2 from=1 last rc taints failures=0
	local results=$LOGS/guest-$name-$2-breaks

	# Bad page, died, soft lockup, and warned: many warnings come only once.
	# Those of the debug kernel that are meant here come each time.
	taints=$((0x42a0))
	[ "$variant" = breaks ] || taints=$((0x40a0))
	mkdir -p "$dir/root"
	cp "$list" "$dir/root/breaks"
	(cat "$OUT/$ARCH-initramfs.cpio.gz"
	 cd "$dir/root" && echo breaks | cpio --quiet -o -H newc | gzip -1) >"$dir/initrd"
	while :; do
		rc=0
		INITRD=$dir/initrd LIMIT=3600 \
			APPEND="oops=panic ${APPEND:-}" \
			"$TOP/scripts/guest.sh" "$ARCH" "$variant" breaks \
			"from=$from" "taints=$taints" || rc=$?
		[ $rc != 124 ] || die "the guest did not finish in time" "$results/console"
		# An emulator that crashes has not noticed anything.
		if [ $rc != 0 ]; then
			failures=$((failures + 1))
			[ $failures -lt 3 ] || die "QEMU ended with status $rc" "$results/console"
			note "QEMU ended with status $rc: these once more"
			continue
		fi
		cat "$results/results" >>"$list.results"
		cat "$results/console" >>"$list.console"
		! grep -q '^@@ done' "$results/results" || return 0
		last=$(sed -n 's/^@@ run \([0-9]*\) .*/\1/p' "$results/results" | tail -n 1)
		if [ -z "$last" ]; then
			failures=$((failures + 1))
			[ $failures -lt 3 ] || die "guests do not get to their first test" "$results/console"
			continue
		fi
		# What fails before it is broken may be due to another break: once
		# more, in a fresh guest.
		if grep -q "^@@ run $last broken" "$results/results" || [ "$last" = "$from" ]; then
			from=$((last + 1))
		else
			from=$last
		fi
		[ "$from" -le "$(tail -n 1 "$list" | cut -d' ' -f1)" ] || return 0
	done
}

$breaks rounds >"$dir/rounds"
steps "$(wc -l <"$dir/rounds")"
nr=0
while read -r round kind <&3; do
	nr=$((nr + 1))
	variant=breaks
	[ "$kind" = normal ] || variant=breaks-$kind
	list=$dir/runs-$round
	$breaks runs "$round" "$OUT/$ARCH-kselftest/64/iommu" >"$list"
	step "breaks, kernel $nr: $(cut -d' ' -f1 "$list" | sort -u | wc -l) breaks"
	$breaks apply "$round" "$scratch"
	"$TOP/scripts/kernel.sh" "$ARCH" "$variant"
	guests "$list" "$variant"
	$breaks judge "$round" "$list.results" "$list.console" >>"$dir/seen"
done 3<"$dir/rounds"

awk -F '\t' '$2 != "seen" { printf "! %s: %s: %s %s\n", $2, $3, $4, $5 }' "$dir/seen"
total=$(find "$dir" -name 'runs-*' ! -name '*.*' -exec cat {} + | cut -d' ' -f1 | sort -u | wc -l)
seen=$(awk -F '\t' '$2 == "seen"' "$dir/seen" | wc -l)
result "$seen" $((total - seen)) 0 "breaks that the tests have noticed" >"$dir/summary"
if [ "${1:-}" = results ]; then
	cat "$dir/summary"
	[ "$seen" = "$total" ]
else
	"$TOP/scripts/total.sh" "$dir/summary"
fi
