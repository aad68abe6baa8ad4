#!/usr/bin/env bash
# Configure and build one kernel.
#
#   scripts/kernel.sh ARCH VARIANT [config|image|DIR/...]
#
# ARCH is x86_64 or arm64. VARIANT is normal, debug, off (CONFIG_IOMMU_UAPI off),
# base (the unpatched tree), series (a step of the series), series-modules (its end, in
# the form that distributions build), breaks or breaks-debug (the
# tree with deliberate errors that scripts/breaks.sh makes). The output goes to
# build/out/ARCH[-VARIANT], for the other trees to build/TREE/out/ARCH: the same
# place relative to the sources, so that ccache finds the same objects.
. "$(dirname "$0")/lib.sh"

target=$1
VARIANT=$2
what=${3:-image}

arch "$target"
KTREE=$TREE
o=$OUT/$target
case $target in
arm64)	fragments="base arm64 smmuv3 feature test selftests" ;;
*)	fragments="base $target vtd feature test selftests" ;;
esac
case $VARIANT in
normal) ;;
debug)	fragments="$fragments debug"; o=$o-debug ;;
off)	fragments="$fragments off $target-iopf"; o=$o-off ;;
base | series)
	[ "$VARIANT" = series ] || fragments="$fragments $target-iopf"
	KTREE=$BUILD/$VARIANT/linux
	o=$BUILD/$VARIANT/out/$target
	;;
series-modules)
	fragments="$fragments modules"
	KTREE=$BUILD/series/linux
	o=$BUILD/series/out/$target-modules
	;;
breaks | breaks-debug)
	[ "$VARIANT" = breaks ] || fragments="$fragments debug"
	KTREE=$BUILD/breaks/linux
	o=$BUILD/breaks/out/$target${VARIANT#breaks}
	;;
*)	die "kernel.sh: no variant $VARIANT" ;;
esac
name=$target-$VARIANT
export KTREE

# Symbols that the fragments ask for and that the tree's Kconfig files define
# must come out as asked. A symbol of ours that the tree does not have (yet, in a step
# of the series, or because it is the unpatched one) is told.
check_config()
{
	local line sym want got bad=0

	while read -r line; do
		sym=$(sed -n -e 's/^\(CONFIG_[A-Za-z0-9_]*\)=.*/\1/p' \
			-e 's/^# \(CONFIG_[A-Za-z0-9_]*\) is not set$/\1/p' <<<"$line")
		[ -n "$sym" ] || continue
		want=$line
		got=$(grep -E "^($sym=|# $sym is not set)" "$o/.config" || true)
		case $want in \#*) [ -n "$got" ] || got=$want ;; esac
		[ "$want" != "$got" ] || continue
		if [ -z "$got" ] && [[ $VARIANT == @(base|series) && $sym == CONFIG_*UAPI* ]] &&
		   ! defined "${sym#CONFIG_}"; then
			note "$sym: this tree does not have it"
			continue
		fi
		note "$name: asked for '$want', got '${got:-nothing}'"
		bad=1
	done <<<"$wanted"
	[ $bad = 0 ] || die "the configuration of $name is not what configs/ asks for" "$LOGS/config-$name.log"
}

defined()
{
	grep -rqs --include='Kconfig*' -E "^(menu)?config $1\$" "$KTREE/drivers/iommu"
}

# selftests is the fragment that the tests themselves bring, as any kernel CI
# would merge it.
files=()
for f in $fragments; do
	case $f in
	selftests) files+=("$KTREE/tools/testing/selftests/iommu/config") ;;
	*) files+=("$TOP/configs/$f.config") ;;
	esac
done
# A later fragment wins.
wanted=$(cat "${files[@]}" | awk '
	match($0, /CONFIG_[A-Za-z0-9_]+/) && (/^CONFIG_/ || /^# CONFIG_.* is not set$/) {
		sym = substr($0, RSTART, RLENGTH)
		if (!(sym in v))
			order[n++] = sym
		v[sym] = $0
	}
	END { for (i = 0; i < n; i++) print v[order[i]] }')

only_one "$o/.lock"
# Configure again only if what the configuration comes from has changed; kconfig
# takes as long to find that out as a small build.
from=$(cat "$KTREE/.tarball" "$KTREE/.pc/iommu-uapi/sums" "${files[@]}" "$0" \
	"$KTREE"/drivers/{vfio,iommu,iommu/intel,iommu/iommu-uapi,iommu/iommu-uapi/mock}/Kconfig 2>/dev/null | sha256sum || true)
if [ "$(cat "$o/.configured" 2>/dev/null)" != "$from" ] || [ ! -e "$o/.config" ]; then
	rm -f "$o/.configured"
	(
		# merge_config.sh calls plain make where it stands.
		cd "$KTREE"
		export ARCH=$KARCH CROSS_COMPILE=$CROSS
		export CC="ccache ${CROSS}gcc" HOSTCC="ccache gcc"
		must "configuring $name" "$LOGS/config-$name.log" \
			scripts/kconfig/merge_config.sh -n -Q -O "$o" "${files[@]}"
	)
	check_config
	echo "$from" >"$o/.configured"
fi
[ "$what" != config ] || exit 0

before=$(stat -c %Y "$o/$IMAGE" 2>/dev/null || echo 0)
if [ "$what" = image ]; then
	must "building kernel $name" "$LOGS/kernel-$name.log" \
		kmake "$target" "$o" "$(basename "$IMAGE")"
	[ "$(stat -c %Y "$o/$IMAGE")" = "$before" ] || note "built $o/$IMAGE"
else
	# shellcheck disable=SC2086 # one or more directories
	must "building $what of $name" "$LOGS/kernel-$name.log" \
		kmake "$target" "$o" $what
fi
