#!/usr/bin/env bash
# Install the Debian packages that the named groups need; say so, or say nothing
# when all are there.
#
#   scripts/packages.sh GROUP...
#
# Groups: tree x86_64 arm64 qemu static breaks series docs
#
# A group names packages, or NAME>=VERSION: where this machine's release has only an
# older one, it comes from the release's backports.
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
	qemu)	# to build the one of scripts/qemu.sh, and what that runs with
		echo build-essential ninja-build pkg-config python3-venv python3-minimal \
			libglib2.0-dev zlib1g-dev device-tree-compiler libfdt-dev \
			"meson>=1.7" "python3-pycotap>=1.3" dpkg-dev xz-utils quilt ccache
		# Its firmware, with the emulator of the release
		qemu_packages x86_64
		;;
	static)
		echo sparse coccinelle shellcheck pahole perl python3-minimal g++ \
			g++-aarch64-linux-gnu g++-i686-linux-gnu \
			g++-arm-linux-gnueabihf
		;;
	breaks)
		echo qemu-user
		;;
	series)
		echo git patch perl
		;;
	deb)	# what the kernel's bindeb-pkg needs
		group kernel
		echo debhelper dpkg-dev rsync
		;;
	docs)
		echo python3-sphinx python3-yaml graphviz python3-minimal perl
		;;
	*)
		die "packages.sh: no group $1"
		;;
	esac
}

# 9.1 is the first QEMU whose SMMUv3 translates in two stages. The emulators share a
# package, so whichever is there has to come along. QEMU_SUITE names another suite
# of this machine's own Debian mirror for a newer one.
qemu_packages()
{
	local p

	for p in x86 arm; do
		case $1-$p in
		x86_64-x86 | arm64-arm) ;;
		*) [ -n "$(dpkg-query -W "qemu-system-$p" 2>/dev/null)" ] || continue ;;
		esac
		echo "qemu-system-$p>=1:9.1"
	done
}

# missing PACKAGE...: those that are not installed, or too old
missing()
{
	local p have

	for p in "$@"; do
		have=$(dpkg-query -W -f '${db:Status-Status} ${Version}' "${p%%>=*}" 2>/dev/null)
		case $have in
		installed\ *)
			[[ $p == *">="* ]] || continue
			dpkg --compare-versions "${have#* }" ge "${p#*>=}" || echo "$p"
			;;
		*)
			echo "$p"
			;;
		esac
	done
}

# candidate PACKAGE: the version that apt would install
candidate()
{
	apt-cache policy "$1" | awk '$1 == "Candidate:" { print $2 }'
}

# Nothing to ask dpkg about if these very groups were complete a moment ago.
wanted=$(for g in "$@"; do group "$g"; done | tr ' ' '\n' | sort -u)
# shellcheck disable=SC2086 # a list of names
lacking=$(missing $wanted)
[ -n "$lacking" ] || exit 0

[ "$(id -u)" = 0 ] || die "these packages are missing and only root can install them: $(echo "$lacking" | tr '\n' ' ')"
command -v apt-get >/dev/null || die "no apt-get here: this needs Debian 12"

say "installing: $(echo "$lacking" | tr '\n' ' ')"
apt_update "$LOGS/apt-update.log"
names=()
newer=()
APT_OPTIONS=()
for p in $lacking; do
	n=${p%%>=*}
	if [ "$n" != "$p" ] && ! dpkg --compare-versions "$(candidate "$n")" ge "${p#*>=}"; then
		[ ${#APT_OPTIONS[@]} -gt 0 ] || backports
		newer+=("$n")
	else
		names+=("$n")
	fi
done

# install LOG ARGUMENT...
install()
{
	local log=$1

	shift
	must "installing packages" "$log" apt-get "${APT_OPTIONS[@]}" install -y \
		--no-install-recommends --no-remove -o Dpkg::Use-Pty=0 \
		-o Acquire::Retries=3 "$@"
}

from=()
[ -z "${QEMU_SUITE:-}" ] || from=(-t "$QEMU_SUITE")
[ ${#names[@]} -eq 0 ] || install "$LOGS/packages.log" "${from[@]}" "${names[@]}"
# What these depend on may have to be as new as they are.
[ ${#newer[@]} -eq 0 ] || install "$LOGS/packages-newer.log" -t "$BACKPORTS" "${newer[@]}"
