#!/usr/bin/env bash
# Bring what was edited in build/linux back into the repository:
#
#   - an edited file of the kernel goes into the patch that touches it, the last
#     one if several do; one that no patch touches goes into PATCH=NAME, which is
#     made if there is none of that name;
#   - a new file in a directory of ours moves here, a link stays there.
#
#   scripts/refresh.sh [list]	list: only say which files
. "$(dirname "$0")/lib.sh"

STATE=$TREE/.pc/iommu-uapi
[ -e "$TREE/.unpacked" ] || exit 0

# Everything written since the tree was unpacked, less links and quilt's own.
newer()
{
	(cd "$TREE" && find . -path ./.pc -prune -o -type f -newer .unpacked \
		! -name '.overlay*' ! -name .tarball ! -name .files ! -name .unpacked \
		! -name '*.pyc' ! -name '*.orig' ! -name '*~' ! -name '.*.sw?' \
		-printf '%P\n')
}

patch_of()
{
	local p last=

	for p in $(q applied 2>/dev/null); do
		[ ! -e "$TREE/.pc/$p/$1" ] || last=$p
	done
	echo "$last"
}

saved()
{
	grep -qxF "$(cd "$TREE" && sha256sum "$1")" "$STATE/sums" 2>/dev/null
}

original()
{
	local tar

	if [ -e "$BUILD/base/linux/$1" ]; then
		cat "$BUILD/base/linux/$1"
	else
		tar=$(cut -d' ' -f1 "$TREE/.tarball")
		tar -xOf "$tar" --wildcards --no-wildcards-match-slash "*/$1"
	fi
}

edited=() loose=() fresh=()
while read -r f; do
	! saved "$f" || continue
	if [ -n "$(patch_of "$f")" ]; then
		edited+=("$f")
	elif grep -qxF "$f" "$TREE/.files"; then
		# Written, but is it different?
		original "$f" | cmp -s - "$TREE/$f" || loose+=("$f")
	elif [[ $f == Documentation/networking/netlink_spec/* ]]; then
		: # what building the documentation leaves in the tree
	elif [[ " $OVERLAY_DIRS " == *" ${f%%/*} "* ]]; then
		fresh+=("$f")
	fi
done < <(newer)

if [ "${1:-}" = list ]; then
	printf '%s\n' "${edited[@]}" "${loose[@]}" "${fresh[@]}" | sed '/^$/d'
	exit 0
fi

for f in "${fresh[@]}"; do
	[ ! -e "$TOP/$f" ] || die "$f is new in $TREE, but $TOP has one of that name"
	mkdir -p "$(dirname "$TOP/$f")"
	mv "$TREE/$f" "$TOP/$f"
	say "new file of ours: $f"
done

if [ ${#loose[@]} -gt 0 ]; then
	[ -n "${PATCH:-}" ] ||
		die "no patch touches ${loose[*]}: say which one shall, with make refresh PATCH=00NN-name.patch (a new name makes a new patch)"
	if ! q applied 2>/dev/null | grep -qxF "$PATCH"; then
		[ ! -e "$PATCHES/$PATCH" ] || die "patches/linux/$PATCH is there but not applied: name it in patches/linux/series and make tree"
		q new "$PATCH" >/dev/null
		printf 'From: %s <%s>\nSubject: %s\n\nWhy, in a few lines.\n\nSigned-off-by: %s <%s>\n\n' \
			"$(git config user.name)" "$(git config user.email)" "${PATCH%.patch}" \
			"$(git config user.name)" "$(git config user.email)" |
			q header -r >/dev/null
		say "new patch $PATCH: write its header"
	fi
	for f in "${loose[@]}"; do
		q add -P "$PATCH" "$f" >/dev/null
		original "$f" >"$TREE/.pc/$PATCH/$f"
		edited+=("$f")
	done
fi

for p in $(for f in "${edited[@]}"; do patch_of "$f"; done | sort -u); do
	q refresh -f -p ab --no-timestamps --no-index "$p" >"$LOGS/refresh.log" 2>&1 ||
		die "quilt cannot refresh $p" "$LOGS/refresh.log"
	say "refreshed patches/linux/$p"
done
[ ${#edited[@]} -gt 0 ] || say "no edit of a kernel file that is not in its patch"

"$TOP/scripts/tree.sh" adopt
