#!/usr/bin/env bash
# Remove everything built, unless that would lose edits.
. "$(dirname "$0")/lib.sh"

if [ -d "$TREE" ]; then
	lost=$("$TOP/scripts/refresh.sh" list)
	[ -z "$lost" ] || [ -n "${FORCE:-}" ] ||
		die "these edits in $TREE are in no patch (make refresh keeps them, FORCE=1 drops them): $(echo "$lost" | tr '\n' ' ')"
fi
rm -rf "$BUILD"
