#!/usr/bin/env bash
# Do the patches apply to the other versions of the package linux-source-6.12 that this
# machine's apt offers, without fuzz? Is a patch that does not apply named, with its
# file? scripts/tree.sh answers, on the files that the patches touch.
#
# Prints results (lib.sh: result), one for each version.
. "$(dirname "$0")/lib.sh"

package=linux-source-6.12
debs=$CACHE/linux-source		# a directory for each version
work=$BUILD/versions

# download VERSION LOG
download()
{
	local dir=$debs/$1

	[ ! -d "$dir" ] || return 0
	rm -rf "$dir.new"
	mkdir -p "$dir.new"
	(cd "$dir.new" && logged "$2" apt-get -o Acquire::Retries=3 download "$package=$1") &&
		mv "$dir.new" "$dir"
}

# small VERSION: put the files of that version into $work/linux
small()
{
	local tar=$work/source.tar.xz

	rm -rf "$work"
	mkdir -p "$work"
	if [ "$1" = "$have" ]; then
		tar=$(dpkg -L $package | grep -m 1 '\.tar\.xz$')
	else
		dpkg-deb --fsys-tarfile "$debs/$1"/*.deb |
			tar -xOf - --wildcards "*/$package.tar.xz" >"$tar" ||
			rm -rf "${debs:?}/$1"
	fi
	# What a version does not have is for tree.sh to say.
	originals "$work/linux" "$tar" Makefile || true
}

# tree LOG: what make tree says to these files as its tarball
tree()
{
	tar -C "$work" -cf "$work/small.tar" linux
	rm -rf "$work/build"
	BUILD=$work/build KERNEL_TARBALL=$work/small.tar "$TOP/scripts/tree.sh" >"$1" 2>&1
}

"$TOP/scripts/packages.sh" tree >&2
only_one "$work.lock"
have=$(dpkg-query -W -f '${Version}' $package)
apt_update "$LOGS/apt-update.log"
versions=$(apt-cache madison $package | awk -F ' *[|] *' -v have="$have" \
	'/Packages$/ && $2 != have { print $2 }' | sort -uV)
if [ -z "$versions" ]; then
	note "apt offers no version but the one in use, $have: that one" >&2
	versions=$have
fi

for v in $versions; do
	step "$package $v" >&2
	log=$LOGS/versions-$v.log
	if [ "$v" != "$have" ] && ! download "$v" "$log"; then
		bad "downloading $package $v" "$log"
		continue
	fi
	small "$v" 2>"$log" || true
	if tree "$log"; then
		ok "the patches apply to $package $v"
	else
		bad "the patches apply to $package $v" "$log"
	fi
done

# The last one, less what the first patch is about
patch=$(grep -m 1 '\.patch$' "$PATCHES/series")
file=$(sed -n 's|^--- a/\([^\t ]*\).*|\1|p' "$PATCHES/$patch" | head -n 1)
[ -e "$work/linux/$file" ] || exit 0
echo "not what the patch expects" >"$work/linux/$file"
log=$LOGS/versions-broken.log
if ! tree "$log" && grep -q "^error: patches/linux/$patch does not apply to .* without fuzz: $file\$" "$log"; then
	ok "a patch that does not apply is named, with its file"
else
	bad "a patch that does not apply is named, with its file" "$log"
fi
