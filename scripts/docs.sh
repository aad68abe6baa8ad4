#!/usr/bin/env bash
# Build the pages of the kernel's documentation that we wrote or edited, with the
# kernel's own Sphinx, to build/docs; a warning about one of them is an error.
. "$(dirname "$0")/lib.sh"

"$TOP/scripts/packages.sh" tree docs
"$TOP/scripts/tree.sh"

pages=$( (our_files; touched_files) | grep '^Documentation/.*\.rst$' | sort -u)
[ -n "$pages" ] || die "no page of ours in Documentation/"
books=$(cut -d/ -f2 <<<"$pages" | sort -u)

out=$BUILD/docs
log=$LOGS/docs.log
mkdir -p "$out"
step "books: $(echo "$books" | tr '\n' ' ')"
# -E: read every page again, or nothing is said about those that have not changed.
must "building the documentation" "$log" make -C "$TREE" O="$out" \
	SPHINXDIRS="$(echo "$books" | tr '\n' ' ')" SPHINXOPTS="-E -j$JOBS" \
	PYTHON3=/usr/bin/python3 htmldocs

# What is said about our pages, and about our files that they take in.
ours=$( (echo "$pages"; our_files) | sort -u | sed 's/[.]/\\./g' | paste -sd'|')
if grep -aE "(WARNING|ERROR|warning:|error:)" "$log" | grep -aE "($ours)" >"$log.ours"; then
	cat "$log.ours" >&2
	die "the documentation builds with warnings about our pages" "$log"
fi
for p in $pages; do
	html=$out/Documentation/output/$(cut -d/ -f2- <<<"${p%.rst}").html
	[ -e "$html" ] || html=$out/Documentation/output/$(cut -d/ -f2 <<<"$p")/$(cut -d/ -f3- <<<"${p%.rst}").html
	[ -e "$html" ] || die "$p gave no HTML" "$log"
	note "$html"
done
