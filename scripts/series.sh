#!/usr/bin/env bash
# The mail-ready series, made from the same files and patches as the tree.
#
#   scripts/series.sh [results|check]
#
# series/plan says which files and patches make which step; series/STEP.msg is
# the step's message (a step that is one patch may use the patch's own header);
# series/cover.msg is the cover letter. Result: build/series/patches.
#
# results: print the result of checkpatch on each patch (lib.sh: result).
# check: also apply them to the pristine source with git am, and build the
# touched directories at every step.
. "$(dirname "$0")/lib.sh"

mode=${1:-make}
S=$BUILD/series
work=$S/work				# the small tree in which the steps are made
mails=$S/patches
plan=$TOP/series/plan
mkdir -p "$S"

# ------------------------------------------------------------- reading the plan

# "STEP KIND ITEM" lines, globs expanded. KIND is file, patch, part (a file less
# the lines that match the regular expression after it) or rest (that file, whole).
read_plan()
{
	local step="" kind item rest f

	while read -r kind item rest; do
		case $kind in
		'' | '#'*) ;;
		step)
			step=$item
			;;
		patch)
			[ -e "$PATCHES/$item" ] || die "series/plan: step $step: no patch $item"
			echo "$step patch $item"
			;;
		file)
			for f in $item; do
				[ -f "$f" ] || die "series/plan: step $step: no file $f"
				echo "$step file $f"
			done
			;;
		part | rest)
			[ -f "$item" ] || die "series/plan: step $step: no file $item"
			echo "$step $kind $item $rest"
			;;
		*)
			die "series/plan: '$kind' is not step, file, patch, part or rest"
			;;
		esac
	done <"$plan"
}

# Every file and patch of ours stands in exactly one step.
check_plan()
{
	local have want

	have=$(awk '$2 != "part" { print $3 }' "$S/plan" | sort)
	want=$( (cd "$TREE" && cat .overlay; grep -v -e '^#' -e '^$' "$PATCHES/series") | sort)
	[ -z "$(uniq -d <<<"$have")" ] ||
		die "series/plan: in more than one step: $(uniq -d <<<"$have" | tr '\n' ' ')"
	[ "$have" = "$want" ] ||
		die "series/plan: in no step, or gone: $(comm -3 <(echo "$have") <(echo "$want") | tr -d '\t' | tr '\n' ' ')"
}

# message STEP: its own file, or the header of its only patch.
message()
{
	local patches

	if [ -e "$TOP/series/$1.msg" ]; then
		cat "$TOP/series/$1.msg"
		return
	fi
	patches=$(awk -v s="$1" '$1 == s && $2 == "patch" { print $3 }' "$S/plan")
	[ "$(grep -c . <<<"$patches")" = 1 ] ||
		die "step $1 has no message: write series/$1.msg"
	sed -n '/^---/q;/^diff /q;/^\(From\|Date\|Index\):/d;s/^Subject: //;p' "$PATCHES/$patches"
}

# ------------------------------------------------------------- making the steps

author()
{
	sed -n 's/^+M:[[:space:]]*//p' "$PATCHES"/*.patch | head -n 1
}

g()
{
	git -C "$work" -c commit.gpgsign=false -c core.autocrlf=false "$@"
}

make_series()
{
	local a step kind item rest tar

	rm -rf "$work" "$mails"
	tar=$(cut -d' ' -f1 "$TREE/.tarball")
	originals "$work" "$tar" || die "the patches touch files that are not in $tar"

	a=$(author)
	[ -n "$a" ] || a="$(git -C "$TOP" config user.name) <$(git -C "$TOP" config user.email)>"
	export GIT_AUTHOR_NAME="${a% <*}" GIT_AUTHOR_EMAIL
	GIT_AUTHOR_EMAIL=${a#*<}
	GIT_AUTHOR_EMAIL=${GIT_AUTHOR_EMAIL%>*}
	export GIT_COMMITTER_NAME="$GIT_AUTHOR_NAME" GIT_COMMITTER_EMAIL="$GIT_AUTHOR_EMAIL"
	# The same input gives the same mails.
	export GIT_AUTHOR_DATE GIT_COMMITTER_DATE
	GIT_AUTHOR_DATE=$(git -C "$TOP" log -1 --format=%aD 2>/dev/null || date -R)
	GIT_COMMITTER_DATE=$GIT_AUTHOR_DATE

	g init -q -b series
	g add -A -f
	g commit -q -m "the files that the series touches, pristine"
	g tag base

	for step in $(awk '{ print $1 }' "$S/plan" | uniq); do
		while read -r _ kind item rest; do
			case $kind in
			patch)
				(cd "$work" && patch -s -p1 --fuzz=0 --no-backup-if-mismatch) <"$PATCHES/$item" >"$LOGS/series.log" 2>&1 ||
					die "step $step: $item does not apply without fuzz at its place in the plan" "$LOGS/series.log"
				;;
			file | rest)
				mkdir -p "$(dirname "$work/$item")"
				cp "$TOP/$item" "$work/$item"
				;;
			part)
				mkdir -p "$(dirname "$work/$item")"
				# Less the blank line that would end it
				grep -vE "$rest" "$TOP/$item" | sed '${/^$/d}' >"$work/$item"
				;;
			esac
		done < <(awk -v s="$step" '$1 == s' "$S/plan")
		g add -A -f
		message "$step" >"$S/message"
		g commit -q -s -F "$S/message"
	done

	# What the series makes must be what the tree has.
	(cd "$work" && git ls-files) | while read -r f; do
		cmp -s "$work/$f" "$TREE/$f" ||
			die "after the series, $f is not what $TREE has (make refresh?)"
	done

	g config branch.series.description "$(cat "$TOP/series/cover.msg")"
	g format-patch -q --cover-letter --cover-from-description=subject \
		--subject-prefix="PATCH 6.12" -o "$mails" base
}

# -------------------------------------------------------------------- checking

check_style()
{
	local m log

	for m in "$mails"/*[1-9]*.patch; do
		log=$LOGS/checkpatch-$(basename "$m").log
		# shellcheck disable=SC2046 # the files that it touches
		if checkpatch "$m" $(sed -n 's|^+++ b/||p' "$m") >"$log" 2>&1; then
			ok "checkpatch $(basename "$m")"
		else
			bad "checkpatch $(basename "$m")" "$log"
		fi
	done
}

# git am, patch by patch, on the whole pristine source: its work tree is the
# unpacked tarball, of which git knows only the files that matter.
check_steps()
{
	local m tree=$S/linux git log

	"$TOP/scripts/tree.sh" pristine "$tree"
	git="git --git-dir=$work/.git --work-tree=$tree"
	$git checkout -q -f -B check series 2>/dev/null || true
	$git checkout -q -f -B check base
	(cd "$tree" && find . -newer .unpacked -type f ! -name .tarball ! -name .files) >"$S/newer"
	steps "$(find "$mails" -name '*[1-9]*.patch' | wc -l)"
	# As README says it: all but the cover letter
	for m in "$mails"/*[1-9]*.patch; do
		step "$(basename "$m")" >&2
		log=$LOGS/series-am.log
		if (cd "$tree" && patch --dry-run -p1 --fuzz=0) <"$m" >"$log" 2>&1 &&
		   (cd "$tree" && GIT_COMMITTER_NAME=x GIT_COMMITTER_EMAIL=x $git am -q "$m") >>"$log" 2>&1; then
			ok "applies: $(basename "$m")"
		else
			bad "applies: $(basename "$m")" "$log"
			$git am --abort 2>/dev/null || true
			return
		fi
		for a in ${SERIES_ARCHS:-x86_64 arm64}; do
			log=$LOGS/series-$a.log
			if "$TOP/scripts/kernel.sh" "$a" series "drivers/iommu/ drivers/vfio/" >"$log" 2>&1; then
				ok "builds ($a): $(basename "$m")"
			else
				bad "builds ($a): $(basename "$m")" "$log"
			fi
			grep -q '^+++ b/tools/testing/selftests/' "$m" || continue
			if "$TOP/scripts/selftests.sh" "$a" series >"$log" 2>&1; then
				ok "test programs build ($a): $(basename "$m")"
			else
				bad "test programs build ($a): $(basename "$m")" "$log"
			fi
		done
	done
}

"$TOP/scripts/packages.sh" tree series >&2
"$TOP/scripts/tree.sh" >&2
only_one "$S/.lock"
[ -r "$plan" ] || die "no series/plan"
cd "$TOP"
read_plan >"$S/plan" || exit 1
check_plan
make_series

case $mode in
make)
	say "$(find "$mails" -name '*.patch' | wc -l) mails in $mails:"
	(cd "$mails" && ls)
	;;
results)
	check_style
	;;
check)
	"$TOP/scripts/packages.sh" x86_64 arm64 >&2
	{
		check_style
		check_steps
	} | tee "$S/summary"
	"$TOP/scripts/total.sh" "$S/summary"
	;;
esac
