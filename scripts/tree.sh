#!/usr/bin/env bash
# Make (or bring up to date) the kernel tree in build/linux:
#
#   the unpacked tarball + patches/linux (quilt, no fuzz) + our files as symlinks
#
# Into a tarball of 6.12.y, patches/linux/older/6.12.Z.patch goes first if y < Z.
#
# Nothing that has not changed is touched, so kernel builds stay incremental.
#
#   scripts/tree.sh [pristine [DIR]|adopt]
#
# pristine: the unpacked tarball alone, in DIR or build/base/linux. adopt: what is in
# the tree now is what the patches say (refresh.sh has just written them).
. "$(dirname "$0")/lib.sh"

STATE=$TREE/.pc/iommu-uapi		# what we applied, and what it gave

tarball()
{
	if [ -n "${KERNEL_TARBALL:-}" ]; then
		[ -r "$KERNEL_TARBALL" ] || die "KERNEL_TARBALL=$KERNEL_TARBALL: no such file"
		realpath "$KERNEL_TARBALL"
		return
	fi
	"$TOP/scripts/packages.sh" tree >&2
	dpkg -L linux-source-6.12 | grep -m 1 '\.tar\.xz$' ||
		die "the package linux-source-6.12 has no tarball"
}

# version DIR: the y of 6.12.y
version()
{
	sed -n 's/^SUBLEVEL = //p' "$1/Makefile"
}

# older DIR: the patches that bring it up to what the series builds on
older()
{
	local p

	grep -q '^PATCHLEVEL = 12$' "$1/Makefile" || return 0
	for p in "$PATCHES"/older/6.12.*.patch; do
		[ "$(version "$1")" -ge "$(basename "$p" .patch | cut -d. -f3)" ] || echo "$p"
	done
}

# older_sum DIR: what these say; nothing if there are none
older_sum()
{
	older "$1" | xargs -r sha256sum
}

catch_up()
{
	local p

	for p in $(older "$1"); do
		patch -d "$1" -p1 -F0 -f <"$p" >"$LOGS/patches.log" 2>&1 ||
			die "${p#"$TOP/"} does not apply to 6.12.$(version "$1") without fuzz: $(failing "$LOGS/patches.log")" "$LOGS/patches.log"
		note "$(basename "$p") on 6.12.$(version "$1")"
	done
	older_sum "$1" >"$1/.older"
}

# unpack TARBALL DIR: only when DIR does not come from this very tarball.
unpack()
{
	local tar=$1 dir=$2 id

	id="$tar $(stat -c '%s %Y' "$tar")"
	if [ "$(cat "$dir/.tarball" 2>/dev/null)" = "$id" ] &&
	   [ "$(cat "$dir/.older" 2>/dev/null)" = "$(older_sum "$dir")" ]; then
		return
	fi
	if [ -d "$dir" ]; then
		[ "$dir" != "$TREE" ] || [ -z "$(unsaved)" ] ||
			die "another kernel tarball, but $dir has edits that are in no patch: make refresh first"
		rm -rf "$dir"
	fi
	note "unpacking $(basename "$tar")"
	rm -rf "$dir.new"
	mkdir -p "$dir.new"
	must "unpacking $tar" "$LOGS/unpack.log" \
		tar -C "$dir.new" --strip-components=1 -xf "$tar"
	grep -q '^PATCHLEVEL = 12$' "$dir.new/Makefile" ||
		note "warning: $tar is not a 6.12 kernel"
	catch_up "$dir.new"
	echo "$id" >"$dir.new/.tarball"
	(cd "$dir.new" && find . -type f -printf '%P\n' | sort >.files)
	touch "$dir.new/.unpacked"
	mv "$dir.new" "$dir"
}

patch_names()
{
	grep -v -e '^#' -e '^[[:space:]]*$' "$PATCHES/series" 2>/dev/null |
		awk '{ print $1 }'
}

# The files that patches touched whose content is not what we left there.
unsaved()
{
	[ ! -s "$STATE/sums" ] ||
		(cd "$TREE" && sha256sum --quiet -c "$STATE/sums" 2>/dev/null |
			sed -n 's/: FAILED.*//p')
}

# failing LOG: the files of a patch that it does not fit, by what patch has said
failing()
{
	tr -d "'," <"$1" | awk '
		/^(patching|checking) file / { file = $3 }
		/FAILED/ { bad[file] }
		/^The next patch would (create|delete) the file / { bad[$8] }
		/^\|\+\+\+ / { file = $2; sub("^[^/]*/", "", file); bad[file] }
		END { for (file in bad) print file }' | sort | paste -sd' '
}

save_state()
{
	local p new=$STATE.new

	rm -rf "$new"
	mkdir -p "$new/patches"
	for p in $(q applied 2>/dev/null); do
		cp "$PATCHES/$p" "$new/patches/"
		echo "$p"
	done >"$new/series"
	applied_files | (cd "$TREE" && xargs -r -d '\n' sha256sum >"$new/sums" 2>/dev/null) || true
	rm -rf "$STATE"
	mv "$new" "$STATE"
}

applied_files()
{
	local p

	for p in $(q applied 2>/dev/null); do
		(cd "$TREE/.pc/$p" && find . -type f ! -name .timestamp -printf '%P\n')
	done | sort -u
}

# Pop to the last patch that has not changed, push the rest, and give files that
# end up the same their old time back.
apply_patches()
{
	local want applied common="" p i=0 lines n=0 before sum time file

	mapfile -t want < <(patch_names)
	mapfile -t applied < <(cat "$STATE/series" 2>/dev/null || true)

	while [ $n -lt ${#want[@]} ] && [ $n -lt ${#applied[@]} ] &&
	      [ "${want[$n]}" = "${applied[$n]}" ] &&
	      cmp -s "$PATCHES/${want[$n]}" "$STATE/patches/${want[$n]}"; do
		n=$((n + 1))
	done
	[ $n -lt ${#want[@]} ] || [ $n -lt ${#applied[@]} ] || return 0

	lines=$(unsaved)
	[ -z "$lines" ] ||
		die "patches changed, but these files have edits that are in no patch (make refresh, or quilt revert them): $(echo "$lines" | tr '\n' ' ')"

	before=$(applied_files | while read -r file; do
		[ -f "$TREE/$file" ] || continue
		printf '%s %s %s\n' "$(sha256sum <"$TREE/$file" | cut -c1-64)" \
			"$(stat -c %.Y "$TREE/$file")" "$file"
	done)

	# quilt refuses to pop a patch whose file has changed; -f takes the
	# backups, which is right because nothing is unsaved.
	if [ ${#applied[@]} -gt $n ]; then
		if [ $n -gt 0 ]; then
			common=${applied[$((n - 1))]}
			q pop -f -q "$common" >"$LOGS/patches.log" 2>&1 ||
				die "quilt cannot pop to $common" "$LOGS/patches.log"
		else
			q pop -f -q -a >"$LOGS/patches.log" 2>&1 ||
				die "quilt cannot pop the patches" "$LOGS/patches.log"
		fi
	fi
	for ((i = n; i < ${#want[@]}; i++)); do
		p=${want[$i]}
		[ -r "$PATCHES/$p" ] || die "patches/linux/series names $p, which is not there"
		if ! q push --fuzz=0 "$p" >"$LOGS/patches.log" 2>&1; then
			save_state
			die "patches/linux/$p does not apply to 6.12.$(version "$TREE") without fuzz: $(failing "$LOGS/patches.log")" "$LOGS/patches.log"
		fi
		note "applied $p"
	done

	printf '%s\n' "$before" | while read -r sum time file; do
		[ -f "$TREE/$file" ] || continue
		if [ "$(sha256sum <"$TREE/$file" | cut -c1-64)" = "$sum" ]; then
			touch -d "@$time" "$TREE/$file"
		fi
	done
	save_state
}

stray_patches()
{
	local p

	for p in "$PATCHES"/*.patch; do
		p=$(basename "$p")
		patch_names | grep -qxF "$p" || note "patches/linux/$p is not in patches/linux/series: not applied"
	done
}

overlay_files()
{
	local dirs="" d

	for d in $OVERLAY_DIRS; do
		[ ! -d "$TOP/$d" ] || dirs="$dirs $d"
	done
	[ -n "$dirs" ] || return 0
	# shellcheck disable=SC2086 # a list of names
	if git -C "$TOP" rev-parse --git-dir >/dev/null 2>&1; then
		(cd "$TOP" && git ls-files -co --exclude-standard -- $dirs |
			while read -r f; do [ ! -f "$f" ] || echo "$f"; done)
	else
		(cd "$TOP" && find $dirs -type f ! -name '*~' ! -name '.*.sw?')
	fi | sort -u
}

link_overlay()
{
	local f list=$TREE/.overlay new=$TREE/.overlay.new added=0 gone=0

	overlay_files >"$new"
	touch "$list"
	while read -r f; do
		if [ -L "$TREE/$f" ]; then
			rm -f "$TREE/$f"
			gone=$((gone + 1))
			(cd "$TREE" && rmdir -p --ignore-fail-on-non-empty "$(dirname "$f")")
		fi
	done < <(comm -23 "$list" "$new")
	while read -r f; do
		if [ -L "$TREE/$f" ]; then
			[ ! "$TREE/$f" -ef "$TOP/$f" ] || continue
			rm "$TREE/$f"	# of a clone that stood elsewhere
		fi
		if [ -e "$TREE/$f" ]; then
			grep -qxF "$f" "$TREE/.files" &&
				die "$f is a file of the kernel: an edit of it belongs in patches/linux, not in a file of ours"
			die "$f stands both in $TOP and in $TREE: keep one (the first, normally)"
		fi
		mkdir -p "$(dirname "$TREE/$f")"
		ln -s "$(realpath -m --relative-to="$(dirname "$TREE/$f")" "$TOP/$f")" "$TREE/$f"
		added=$((added + 1))
	done <"$new"
	mv "$new" "$list"
	[ $added$gone = 00 ] || note "our files: $added linked, $gone removed"
}

tar=$(tarball)
only_one "$BUILD/.tree.lock"

if [ "${1:-}" = pristine ]; then
	unpack "$tar" "${2:-$BUILD/base/linux}"
	exit 0
fi
if [ "${1:-}" = adopt ]; then
	save_state
	link_overlay
	exit 0
fi
unpack "$tar" "$TREE"
stray_patches
apply_patches
link_overlay
