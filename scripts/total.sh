#!/usr/bin/env bash
# Add up summaries (lib.sh: result) to the one closing line.
#
#   scripts/total.sh FILE...
. "$(dirname "$0")/lib.sh"

awk '/^[0-9]+ [0-9]+ [0-9]+ / { p += $1; f += $2; s += $3 }
	END {
		printf "%d passed, %d failed, %d skipped\n", p, f, s
		exit f > 0 || p == 0
	}' "$@"
