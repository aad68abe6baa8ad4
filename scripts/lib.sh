# shellcheck shell=bash disable=SC2034 # used by those who source it
# Shared by every script here: where things are, what is said, how a step is run.
#
# A script sources it, names its steps with step "what happens now", and runs
# anything long with logged LOGFILE command..., so that the terminal shows one
# line per step and the whole output stands in the log.

set -euo pipefail

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BUILD=${BUILD:-$TOP/build}
case $BUILD in /*) ;; *) BUILD=$TOP/$BUILD ;; esac

TREE=$BUILD/linux			# the patched kernel tree
OUT=$BUILD/out				# one O= directory per kernel
LOGS=$BUILD/log
CACHE=$BUILD/cache			# downloads and stamps

PATCHES=$TOP/patches/linux
OVERLAY_DIRS="drivers include Documentation tools lib"

JOBS=${JOBS:-$(nproc)}
ACCEL=${ACCEL:-tcg}
QEMU_X86_64=${QEMU_X86_64:-qemu-system-x86_64}
QEMU_ARM64=${QEMU_ARM64:-qemu-system-aarch64}
QEMU_VTD=${QEMU_VTD:-$BUILD/qemu/qemu-system-x86_64}	# see scripts/qemu.sh

# The kernel's scripts call python3: use Debian's, which has the packages that
# we install, whatever else is first in the caller's PATH.
PATH=$TOP/scripts/bin:/usr/bin:/bin:/usr/sbin:/sbin:$PATH

# Objects are shared between the patched, the pristine and the series' trees,
# and between clones: paths below CCACHE_BASEDIR are hashed relative to the
# directory of the compilation.
export CCACHE_BASEDIR=${CCACHE_BASEDIR:-$BUILD}
export CCACHE_NOHASHDIR=1
# Most compilations are the first of their kind: a miss must cost little (no
# second run of the preprocessor, no compression).
export CCACHE_DEPEND=1 CCACHE_NOCOMPRESS=1
export CCACHE_SLOPPINESS=time_macros,locale
export CCACHE_MAXSIZE=${CCACHE_MAXSIZE:-10G}

# What would make two builds of one source differ.
export KBUILD_BUILD_TIMESTAMP='Thu Jan  1 00:00:00 UTC 1970'
export KBUILD_BUILD_USER=iommu KBUILD_BUILD_HOST=uapi
export LC_ALL=C.UTF-8
export DEBIAN_FRONTEND=noninteractive

STATIC=$BUILD/static			# what the static checks write

mkdir -p "$LOGS" "$CACHE"

# START and the step numbers are handed down, so that a script called by another
# goes on counting.
export START=${START:-$(date +%s)}

elapsed()
{
	local s=$(($(date +%s) - START))

	printf '%dm%02ds' $((s / 60)) $((s % 60))
}

say()
{
	printf '%s\n' "$*"
}

# steps N: this run has N steps; step TITLE: the next one begins.
STEP=0
STEPS=0
steps()
{
	STEPS=$1
}

step()
{
	STEP=$((STEP + 1))
	if [ "$STEPS" -gt 0 ]; then
		printf '[%d/%d %6s] %s\n' "$STEP" "$STEPS" "$(elapsed)" "$*"
	else
		printf '[%6s] %s\n' "$(elapsed)" "$*"
	fi
}

note()
{
	printf '    %s\n' "$*"
}

# die MESSAGE [LOG]: the one way to give up.
die()
{
	printf 'error: %s\n' "$1" >&2
	if [ $# -gt 1 ]; then
		printf '       log: %s\n' "$2" >&2
	fi
	[ -z "${NOT_UPDATED:-}" ] ||
		printf '       apt-get update had failed, log: %s\n' "$NOT_UPDATED" >&2
	exit 1
}

# logged LOG COMMAND...: all output goes to LOG; once a minute a line says that
# it goes on and what it does. The command's status is returned.
logged()
{
	local log=$1 pid rc=0

	shift
	mkdir -p "$(dirname "$log")"
	printf '+ %s\n' "$*" >"$log"
	"$@" >>"$log" 2>&1 </dev/null &
	pid=$!
	# A command in the background does not hear of an interrupt.
	trap 'kill $pid 2>/dev/null; trap - INT TERM; kill -INT $$' INT TERM
	while ! timeout 60 tail --pid=$pid -s 0.1 -f /dev/null; do
		printf '    %s ... %s\n' "$(elapsed)" \
			"$(tail -n 1 "${TICK:-$log}" | tr -d '\r' | cut -c1-90)" >&2
	done
	wait $pid || rc=$?
	trap - INT TERM
	return $rc
}

# only_one FILE: hold FILE's lock until this script ends, so that two runs at the
# same time do not write into one directory.
only_one()
{
	mkdir -p "$(dirname "$1")"
	exec 9>"$1"
	if ! flock -n 9; then
		note "waiting for another run in $(dirname "$1")"
		flock 9
	fi
}

# Our QEMU with VT-d is built without KVM.
accel_of_vtd()
{
	[ "${HW:-}-$ACCEL-$QEMU_VTD" = "vtd-kvm-$BUILD/qemu/qemu-system-x86_64" ] || return 0
	note "HW=vtd: its QEMU is built without KVM and emulates, whatever ACCEL says"
	ACCEL=tcg
}

# must WHAT LOG COMMAND...: like logged, but a failure ends the script with the
# lines that say why.
must()
{
	local what=$1 log=$2

	shift 2
	if ! logged "$log" "$@"; then
		grep -E '(error|Error|ERROR|\*\*\*|^E:|undefined reference)' "$log" |
			head -n 15 >&2 || true
		tail -n 5 "$log" >&2
		die "$what failed" "$log"
	fi
}

# q ARGUMENT...: quilt in the tree, with our patches. quilt remembers where they
# were and believes that more than what it is told.
q()
{
	[ ! -e "$TREE/.pc/.version" ] || echo "$PATCHES" >"$TREE/.pc/.quilt_patches"
	(cd "$TREE" && QUILT_PATCHES=$PATCHES QUILT_PC=.pc QUILT_DIFF_OPTS=-p \
		quilt --quiltrc - "$@")
}

# result PASSED FAILED SKIPPED NAME: one line of a summary. Scripts that check
# something print these, and what is wrong as lines that begin with "!".
result()
{
	printf '%d %d %d %s\n' "$1" "$2" "$3" "$4"
}

# ok NAME, bad NAME [FILE-WITH-WHY]
ok()
{
	result 1 0 0 "$1"
}

bad()
{
	result 0 1 0 "$1"
	printf '! %s\n' "$1"
	[ $# -lt 2 ] || head -n 12 "$2" | sed 's/^/!   /'
	[ $# -lt 2 ] || printf '!   log: %s\n' "$2"
}

# Files of ours and the kernel's own files that our patches touch.
our_files()
{
	(cd "$TREE" && cat .overlay)
}

touched_files()
{
	sed -n 's|^+++ b/\([^\t ]*\).*|\1|p; s|^--- a/\([^\t ]*\).*|\1|p' "$PATCHES"/*.patch | sort -u
}

# elsewhere ARCH: where the drivers are that ARCH does not have
elsewhere()
{
	case $1 in
	arm64) echo drivers/iommu/intel/ ;;
	*) echo drivers/iommu/arm/ ;;
	esac
}

# originals DIR TARBALL [FILE...]: put the kernel's files that the patches touch, and
# FILEs, into DIR as they are in TARBALL.
originals()
{
	local dir=$1 tar=$2 files base=$BUILD/base/linux

	shift 2
	files=$({
		sed -n 's|^--- a/\([^\t ]*\).*|\1|p' "$PATCHES"/*.patch \
			"$PATCHES"/older/*.patch
		printf '%s\n' "$@"
	} | sed '/^$/d' | sort -u)
	mkdir -p "$dir"
	if [ "$(cut -d' ' -f1 "$base/.tarball" 2>/dev/null)" = "$tar" ]; then
		(cd "$base" && xargs -d '\n' cp --parents -t "$dir") <<<"$files"
	else
		awk '{ print "*/" $0 }' <<<"$files" | tar -C "$dir" --strip-components=1 \
			--wildcards --no-wildcards-match-slash -T - -xf "$tar"
	fi
}

# checkpatch FILE-OR-MAIL [NAME...]: run in the tree, without the types that
# checks/checkpatch-ignore names for it or for any of the NAMEs.
checkpatch()
{
	local what=$1 types="" pattern list name

	while read -r pattern list; do
		case $pattern in '' | '#'*) continue ;; esac
		for name in "$@"; do
			# shellcheck disable=SC2254 # a pattern
			case $name in $pattern) types=$types,$list ;; esac
		done
	done <"$TOP/checks/checkpatch-ignore"
	set -- --strict --show-types --no-summary --terse ${types:+--ignore "${types#,}"}
	case $what in *.patch) ;; *) set -- "$@" --file ;; esac
	(cd "$TREE" && scripts/checkpatch.pl "$@" "$what")
}

codename()
{
	sed -n 's/^VERSION_CODENAME=//p' /etc/os-release
}

# apt_update LOG [OPTION...]: apt-get update. A repository of the machine's own that does
# not answer is not our business, but may be why something cannot be had later.
apt_update()
{
	local log=$1

	shift
	logged "$log" apt-get "$@" update --error-on=any || NOT_UPDATED=$log
}

# suite TYPE NAME [alone]: another suite (bookworm-backports, sid) of the Debian mirror
# that this machine already uses, TYPE deb or deb-src. Sets APT_OPTIONS: with them
# apt-get and apt-cache know it in addition to what the machine has configured, or
# alone. Its lists are ours, below CACHE: the system's configuration stays as it is.
suite()
{
	local type=$1 name=$2 only=${3:-} dir=$CACHE/apt-$1-$2 release uri key list

	release=$(codename)
	# The machine's sources may call its release by codename, or stable.
	# shellcheck disable=SC2016 # apt-get's own expansion
	uri=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(CODENAME) $(COMPONENT)' |
		awk -v r="$release" '$NF == "main" && ($2 == r || $3 == r) { print $1; exit }')
	[ -n "$uri" ] || die "apt's configuration names no mirror for Debian $release"
	key=/usr/share/keyrings/debian-archive-keyring.gpg
	[ -r $key ] && key="[signed-by=$key] " || key=

	mkdir -p "$dir/lists/partial" "$dir/archives/partial" "$dir/sources.d"
	rm -f "$dir"/sources.d/*
	if [ "$only" = alone ]; then
		: >"$dir/sources.list"
	else
		cat /etc/apt/sources.list >"$dir/sources.list" 2>/dev/null || true
		for list in /etc/apt/sources.list.d/*; do
			[ ! -r "$list" ] || ln -s "$list" "$dir/sources.d/"
		done
	fi
	printf '%s %s%s %s main\n' "$type" "$key" "$uri" "$name" >>"$dir/sources.list"
	APT_OPTIONS=(-o "Dir::Etc::sourcelist=$dir/sources.list"
		     -o "Dir::Etc::sourceparts=$dir/sources.d"
		     -o "Dir::State::lists=$dir/lists"
		     -o "Dir::Cache=$dir" -o "Dir::Cache::archives=$dir/archives"
		     -o Acquire::Languages=none -o Acquire::Retries=3)
	apt_update "$LOGS/apt-update-$name.log" "${APT_OPTIONS[@]}"
}

# backports: suite() for the backports of this machine's release.
backports()
{
	BACKPORTS=$(codename)-backports
	suite deb "$BACKPORTS"
}

# hash of the given files' names and contents
content_hash()
{
	sha256sum "$@" 2>/dev/null | sha256sum | cut -c1-16
}

# arch ARCH: what the kernel's and the compiler's names for ARCH are.
arch()
{
	case $1 in
	x86_64)
		KARCH=x86
		CROSS=
		IMAGE=arch/x86/boot/bzImage
		CROSS32=i686-linux-gnu-
		KARCH32=x86
		;;
	arm64)
		KARCH=arm64
		CROSS=aarch64-linux-gnu-
		IMAGE=arch/arm64/boot/Image
		CROSS32=arm-linux-gnueabihf-
		KARCH32=arm
		;;
	*)
		die "ARCH=$1 is not known: x86_64 or arm64"
		;;
	esac
	export KARCH CROSS IMAGE CROSS32 KARCH32
}

# kmake ARCH O-DIR [make arguments]: make in the kernel tree given by KTREE.
kmake()
{
	local a=$1 o=$2

	shift 2
	arch "$a"
	make -C "${KTREE:-$TREE}" O="$o" ARCH="$KARCH" CROSS_COMPILE="$CROSS" \
		CC="ccache ${CROSS}gcc" HOSTCC="ccache gcc" -j"$JOBS" "$@"
}
