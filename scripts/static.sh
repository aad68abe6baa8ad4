#!/usr/bin/env bash
# The static checks of our files and patches. Prints results (lib.sh: result).
#
#   scripts/static.sh [CHECK...]	without arguments: all
#
# CHECK: scripts style doc cocci headers off build-x86_64 build-arm64 series
# make static prepares what they need and adds the results up (scripts/check.sh).
. "$(dirname "$0")/lib.sh"

[ -s "$TREE/.overlay" ] || die "no kernel tree in $TREE: make tree"
mkdir -p "$STATIC"
ORIGINALS=$STATIC/originals		# the kernel's files that the patches edit, unpatched
checks=${*:-scripts style doc cocci headers series off build-x86_64 build-arm64}

our_sources()
{
	our_files | grep -E '\.[ch]$' || true
}

# verdict NAME LOG: the check is good if its log is empty.
verdict()
{
	if [ -s "$2" ]; then
		bad "$1" "$2"
	else
		ok "$1"
	fi
}

# no_new NAME LOG COMMAND...: COMMAND, about the kernel's sources that the patches edit,
# says nothing ("FILE:LINE: ...") that it does not say about them unpatched.
no_new()
{
	local name=$1 log=$2 files

	shift 2
	mapfile -t files < <(cd "$ORIGINALS" && find drivers include -name '*.[ch]')
	[ ${#files[@]} -gt 0 ] || die "no edited sources in $ORIGINALS"
	(cd "$TREE" && "$@" "${files[@]}") 2>&1 | sed 's/:[0-9]*:/:/' | sort >"$log.new" || true
	(cd "$ORIGINALS" && "$@" "${files[@]}") 2>&1 | sed 's/:[0-9]*:/:/' | sort >"$log.old" || true
	comm -23 "$log.new" "$log.old" >"$log.added"
	verdict "no new message of $name ($(wc -l <"$log.new") in all, $(wc -l <"$log.old") unpatched)" "$log.added"
}

check_scripts()
{
	(cd "$TOP" && shellcheck -x -P SCRIPTDIR scripts/*.sh .ci/run) >"$STATIC/shellcheck.log" 2>&1 || true
	verdict "shellcheck" "$STATIC/shellcheck.log"
	(cd "$TOP" && shellcheck -s dash scripts/guest-init scripts/bin/*) >"$STATIC/shellcheck-guest.log" 2>&1 || true
	verdict "shellcheck of the guest's init" "$STATIC/shellcheck-guest.log"
	LIST=$TOP/checks/breaks SRC=$TREE python3 "$TOP/scripts/breaks.py" fit \
		>"$STATIC/breaks.log" 2>&1 || true
	verdict "the deliberate errors of checks/breaks fit the code" "$STATIC/breaks.log"
	LIST=$TOP/checks/breaks python3 "$TOP/scripts/breaks.py" unnamed \
		"$TOP/tools/testing/selftests/iommu" >"$STATIC/unnamed.log" 2>&1 || true
	verdict "each test of ours is to notice one of them" "$STATIC/unnamed.log"
}

# checkpatch of every file of ours, one result each; the patches, as they are
# mailed, are checked with the series.
check_style()
{
	local f log n=0

	for f in $(our_files | grep -E '\.(c|h|rst|S)$|Kconfig|Makefile'); do
		log=$STATIC/checkpatch-$(tr / - <<<"$f").log
		checkpatch "$f" >"$log" 2>&1 || true
		if [ -s "$log" ]; then
			bad "checkpatch $f" "$log"
		else
			n=$((n + 1))
		fi
	done
	[ $n = 0 ] || result $n 0 0 "checkpatch --strict: files of ours"
}

check_doc()
{
	local log=$STATIC/kernel-doc.log

	# shellcheck disable=SC2046 # a list of names
	(cd "$TREE" && scripts/kernel-doc -Werror -Wall -none $(our_sources | grep -v selftests)) >"$log" 2>&1 &&
		: >"$log"
	verdict "kernel-doc, warnings as errors" "$log"
	no_new "kernel-doc about edited files" "$STATIC/kernel-doc-edited.log" \
		"$TREE/scripts/kernel-doc" -Wall -none
}

# The kernel's own semantic patches on copies of our files in one directory (a
# link would hide them from spatch), then our own on the files and on a sample of
# what it must find.
check_cocci()
{
	local dir=$STATIC/cocci f log n

	rm -rf "$dir"
	mkdir -p "$dir"
	for f in $(our_sources | grep -E '^(drivers|include)/'); do
		mkdir -p "$dir/$(dirname "$f")"
		cp -L "$TREE/$f" "$dir/$f"
	done
	log=$STATIC/coccicheck.log
	logged "$log" coccicheck "$dir" || true
	grep -aE "^$dir|coccicheck failed|Fatal error" "$log" |
		sed "s|^$dir/||" | sort -u >"$log.found" || true
	# It must have looked at something.
	grep -q spatch "$log" || echo "coccicheck did not run" >>"$log.found"
	n=$(grep -c '^skipped: ' "$log") || true
	[ "$n" = 0 ] || result 0 0 "$n" "coccicheck: semantic patches that need an OCaml compiler"
	verdict "coccicheck with the kernel's semantic patches" "$log.found"

	log=$STATIC/own-cocci.log
	# shellcheck disable=SC2046
	own_cocci $(our_sources | grep '^drivers/' | grep -v -e kunit -e '[-_]test\.c$' |
		sed "s|^|$dir/|") >"$log"
	verdict "our semantic patch: one copy step, no dropped invalidation" "$log"
	no_new "our semantic patch about edited files" "$STATIC/own-cocci-edited.log" own_cocci

	grep -n '/\* BAD' "$TOP/checks/iommu-uapi-bad.c" | cut -d: -f1 | sort -u >"$STATIC/bad.want"
	own_cocci "$TOP/checks/iommu-uapi-bad.c" | cut -d: -f2 | sort -u >"$STATIC/bad.got"
	diff "$STATIC/bad.want" "$STATIC/bad.got" >"$STATIC/bad.diff" || true
	verdict "our semantic patch finds what it must in checks/iommu-uapi-bad.c" "$STATIC/bad.diff"
}

# The kernel's own script, for each of its semantic patches.
coccicheck()
{
	local f

	export srctree=$TREE KBUILD_EXTMOD=$1 MODE=report J=$JOBS
	export LINUXINCLUDE="-I$TREE/arch/x86/include -I$TREE/include -I$TREE/include/uapi"
	find "$TREE/scripts/coccinelle" -name '*.cocci' | sort | while read -r f; do
		if grep -q 'script:ocaml\|initialize:ocaml' "$f" && ! command -v ocamlopt; then
			echo "skipped: $f"
			continue
		fi
		COCCI=$f "$TREE/scripts/coccicheck"
	done
}

own_cocci()
{
	[ $# -gt 0 ] || return 0
	spatch --very-quiet --no-show-diff -D report --no-includes \
		--cocci-file "$TOP/checks/iommu-uapi.cocci" "$@" 2>"$STATIC/spatch.err" |
		sort -u
	grep -v '^$' "$STATIC/spatch.err" | grep -iE 'error|exception' | sed 's|^|spatch:0: |' || true
}

# The touched directories with everything on that the kernel can build there
# (allmodconfig), with gcc's W=1 and with sparse. What is said about a file that
# the series adds or edits is compared with what is said about it in the unpatched
# tree, line numbers aside; that tree's objects are only built for those files.
DIRS="drivers/iommu/ drivers/vfio/"

allmod()
{
	local a=$1 tree=$2 o=$3 log=$4

	shift 4
	mkdir -p "$o"
	export KTREE=$tree
	KCONFIG_ALLCONFIG=$TOP/configs/allmod.config \
		must "allmodconfig for $a" "$log.config" kmake "$a" "$o" allmodconfig
	must "preparing allmodconfig for $a" "$log.prepare" kmake "$a" "$o" prepare
	# A file that is not compiled says nothing: compile all (ccache keeps
	# what was said, too).
	rm -rf "$o/drivers/iommu" "$o/drivers/vfio"
	logged "$log" kmake "$a" "$o" -k W=1 C=2 \
		CF='-D__CHECK_ENDIAN__' "$@"
}

# Messages with the line numbers taken out, relative to the tree, which may be that
# of another clone: ccache repeats what the compiler has said there.
messages()
{
	sed -E "s/\x1b\[[0-9;]*[mK]//g; s#^(/[^: ]*/build/(base/)?|(\.\./)+)linux/##; s/:[0-9]+(:[0-9]+)?:/:/g" "$1" |
		grep -aE '(warning|error): ' | sort -u || true
}

# What the series adds or edits, each followed by what a message has after it
touched()
{
	{ our_files; touched_files; } | sort -u | sed 's/$/:/'
}

# unchecked ARCH LOG: files of ours that are for this architecture but were not built
unchecked()
{
	comm -23 <(our_files | grep '^drivers/.*\.c$' | grep -v "^$(elsewhere "$1")" | sort) \
		<(sed -nE 's#^ *CHECK +(\[M\] +)?.*(drivers/.*\.c)$#\2#p' "$2" | sort -u)
}

check_build()
{
	local a=$1 base=$BUILD/base/linux
	local o=$STATIC/out/$a log=$STATIC/build-$a.log files targets

	# shellcheck disable=SC2086
	if ! allmod "$a" "$TREE" "$o" "$log" $DIRS; then
		grep -aE 'error:|\*\*\*' "$log" >"$log.errors" || true
		bad "allmodconfig build of the touched directories, $a" "$log.errors"
	else
		ok "allmodconfig build of the touched directories, $a"
	fi
	unchecked "$a" "$log" >"$log.unchecked"
	verdict "sparse has seen every driver file of ours, $a" "$log.unchecked"
	{ messages "$log" | grep -F -f <(touched); messages "$log" | grep -E "^(${DIRS// /|})"; } |
		sort -u >"$log.new" || true
	files=$(sed -nE 's/^([^: ]+\.[ch]):.*/\1/p' "$log.new" | sort -u)
	: >"$log.old"
	if [ -n "$files" ]; then
		"$TOP/scripts/tree.sh" pristine
		targets=$(for f in $files; do
			[ ! -e "$base/$f" ] || case $f in *.c) echo "${f%.c}.o" ;; esac
		done)
		# A header's message comes with any file that includes it.
		case $files in *.h*) targets=$DIRS ;; esac
		if [ -n "$targets" ]; then
			# shellcheck disable=SC2086
			allmod "$a" "$base" "$BUILD/base/static/out/$a" "$STATIC/base-$a.log" $targets || true
			messages "$STATIC/base-$a.log" >"$log.old"
		fi
	fi
	comm -23 "$log.new" "$log.old" >"$log.added"
	verdict "no new message of W=1 and sparse, $a ($(wc -l <"$log.new") in all, $(wc -l <"$log.old") unpatched)" "$log.added"
}

check_off()
{
	local a

	for a in x86_64 arm64; do
		if "$TOP/scripts/kernel.sh" $a off "$DIRS" >"$STATIC/off-$a.log" 2>&1; then
			ok "touched directories with CONFIG_IOMMU_UAPI off, $a"
		else
			bad "touched directories with CONFIG_IOMMU_UAPI off, $a" "$STATIC/off-$a.log"
		fi
	done
}

only_one "$STATIC/.lock"
case " $checks " in
*" doc "* | *" cocci "*)
	"$TOP/scripts/tree.sh" pristine >&2
	rm -rf "$ORIGINALS"
	originals "$ORIGINALS" "$(cut -d' ' -f1 "$BUILD/base/linux/.tarball")"
	;;
esac
for c in $checks; do
	step "static check: $c" >&2
	case $c in
	headers) "$TOP/scripts/headers.sh" ;;
	series) "$TOP/scripts/series.sh" results ;;
	build-*) check_build "${c#build-}" ;;
	*) "check_$c" ;;
	esac
done
