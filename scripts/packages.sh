#!/usr/bin/env bash
# Install the Debian packages that the named groups need; say so, or say nothing
# when all are there.
#
#   scripts/packages.sh GROUP...
#
# Groups: tree x86_64 arm64 static series docs
. "$(dirname "$0")/lib.sh"

group()
{
	case $1 in
	tree)
		echo linux-source-6.12 xz-utils quilt patch rsync git
		;;
	kernel)
		echo build-essential bc bison flex libelf-dev libssl-dev \
			cpio kmod ccache rsync perl python3-minimal
		;;
	x86_64)
		group kernel
		echo busybox-static gcc-i686-linux-gnu libc6-dev-i386-cross
		qemu_packages x86_64
		;;
	arm64)
		group kernel
		echo gcc-aarch64-linux-gnu libc6-dev-arm64-cross \
			gcc-arm-linux-gnueabihf libc6-dev-armhf-cross
		qemu_packages arm64
		;;
	static)
		echo sparse coccinelle shellcheck pahole perl python3-minimal g++ \
			g++-aarch64-linux-gnu g++-i686-linux-gnu \
			g++-arm-linux-gnueabihf
		;;
	series)
		echo git patch perl
		;;
	docs)
		echo python3-sphinx python3-yaml graphviz python3-minimal perl
		;;
	*)
		die "packages.sh: no group $1"
		;;
	esac
}

# Where QEMU comes from. QEMU_SUITE names another suite of this machine's own
# Debian mirror (bookworm-backports, say) for a newer one.
qemu_packages()
{
	case $1 in
	x86_64) echo qemu-system-x86 ;;
	arm64) echo qemu-system-arm ;;
	esac
}

missing()
{
	local p

	for p in "$@"; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] ||
			echo "$p"
	done
}

# Nothing to ask dpkg about if these very groups were complete a moment ago.
wanted=$(for g in "$@"; do group "$g"; done | tr ' ' '\n' | sort -u)
# shellcheck disable=SC2086 # a list of names
lacking=$(missing $wanted)
[ -n "$lacking" ] || exit 0

[ "$(id -u)" = 0 ] || die "these packages are missing and only root can install them: $(echo "$lacking" | tr '\n' ' ')"
command -v apt-get >/dev/null || die "no apt-get here: this needs Debian 12"

say "installing: $(echo "$lacking" | tr '\n' ' ')"
log=$LOGS/packages.log
# A repository of the machine's own that does not answer is not our business.
logged "$LOGS/apt-update.log" apt-get update || true
suite=()
[ -z "${QEMU_SUITE:-}" ] || suite=(-t "$QEMU_SUITE")
# shellcheck disable=SC2086
must "installing packages" "$log" apt-get install -y --no-install-recommends \
	-o Dpkg::Use-Pty=0 -o Acquire::Retries=3 "${suite[@]}" $lacking
