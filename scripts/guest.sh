#!/usr/bin/env bash
# Boot one guest with a job and judge what it did.
#
#   scripts/guest.sh ARCH VARIANT JOB [NAME=VALUE...]
#
# JOB: check [own=PREFIX] [not=PREFIX], demo [hw=mock|smmuv3], test test=PROGRAM [bits=32] [args=A,B],
# breaks, shell
# Environment: ACCEL=tcg|kvm, LIMIT=seconds, APPEND=more kernel command line,
# SMMU_STAGE=1|2|nested what the SMMUv3 can do, HW=vtd an x86_64 machine with VT-d
# (scripts/qemu.sh builds its QEMU), VTD=properties what that can do, INITRD=another
# root. What the job breaks has seen is for scripts/breaks.sh to say.
#
# Logs: build/log/guest-ARCH[-vtd][-VARIANT]-JOB/{console,results,summary}. Ends with the
# counts in summary, one line per suite: PASSED FAILED SKIPPED NAME. Of a job check, a
# suite of the tree that is for the guest and is not in there is a failure.
. "$(dirname "$0")/lib.sh"

ARCH=$1
VARIANT=$2
JOB=$3
shift 3
arch "$ARCH"
name=$ARCH
[ "$VARIANT" = normal ] || name=$ARCH-$VARIANT
kernel=$OUT/$name/$IMAGE
[ "$ARCH-${HW:-}" != x86_64-vtd ] || name=$ARCH-vtd${name#"$ARCH"}
case $VARIANT in
base) kernel=$BUILD/base/out/$ARCH/$IMAGE ;;
breaks*) kernel=$BUILD/breaks/out/$ARCH${VARIANT#breaks}/$IMAGE ;;
esac
initrd=${INITRD:-$OUT/$ARCH-initramfs.cpio.gz}
dir=$LOGS/guest-$name-$JOB
LIMIT=${LIMIT:-1200}

[ -r "$kernel" ] || die "no kernel $kernel: scripts/kernel.sh $ARCH $VARIANT builds it"
[ -r "$initrd" ] || die "no $initrd: scripts/initramfs.sh $ARCH packs it"

case $ARCH-${HW:-} in
x86_64-vtd)
	qemu=$QEMU_VTD
	# What the VT-d translates is the DMA of test devices (docs/specs in patches/qemu),
	# one of them where it can be unplugged, and, by the host's own tables, of the
	# port for the results.
	vtd=intel-iommu,intremap=on,x-scalable-mode=on,x-flts=on,x-pasid-mode=on
	vtd=$vtd,device-iotlb=on,${VTD:-x-nested=on,x-pri=on}
	machine="-machine q35 -global ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off -cpu max -L /usr/share/seabios -L /usr/share/qemu -device $vtd"
	devices="-device pcie-dma-testdev,pasid-width=16,addr=4 -device pcie-dma-testdev,pasid-width=16,addr=5
		-device pcie-root-port,id=rp,chassis=1,addr=6
		-device pcie-dma-testdev,pasid-width=16,bus=rp -device edu,dma_mask=0xffffffffffffffff,addr=7"
	serial=virtio-serial-pci,iommu_platform=on,disable-legacy=on
	console=ttyS0
	APPEND="intel_iommu=on,sm_on pcie_ports=native ${APPEND:-}"
	;;
x86_64-*)
	qemu=$QEMU_X86_64
	machine="-machine q35 -cpu max"
	devices=
	serial=virtio-serial-pci
	console=ttyS0
	;;
arm64-*)
	qemu=$QEMU_ARM64
	# Nested SMMUv3; what it translates is the DMA of two edu devices, of an
	# NVMe controller without a disk and, by the host's own tables, of the
	# port for the results. Later machines than 9.1 have both stages whatever
	# is asked for.
	machine="-machine virt-9.1,gic-version=3,iommu=smmuv3 -cpu max,pauth-impdef=on
		-global arm-smmuv3.stage=${SMMU_STAGE:-nested}"
	# What is refused for want of a stage cannot be tested with both.
	if [ "${SMMU_STAGE:-nested}" = nested ]; then
		APPEND="KSELFTEST_IOMMU_UAPI_SMMUV3_ARGS=-Vone_stage ${APPEND:-}"
		case "$*" in
		*args=*) ;;
		*test=iommu_uapi_smmuv3*) set -- "$@" args=-Vone_stage ;;
		esac
	fi
	edu=edu,dma_mask=0xffffffffffffffff
	devices="-device $edu,addr=1 -device $edu,addr=2 -device nvme,serial=uapi,addr=4"
	serial=virtio-serial-pci,iommu_platform=on,disable-legacy=on
	console=ttyAMA0
	;;
esac
command -v "$qemu" >/dev/null || die "no $qemu here: scripts/packages.sh $ARCH, or scripts/qemu.sh for HW=vtd, brings it"
accel_of_vtd
case $ACCEL in
tcg) machine="$machine -accel tcg" ;;
kvm)
	machine="${machine/-cpu max,pauth-impdef=on/-cpu host} -accel kvm"
	machine=${machine/-cpu max/-cpu host}
	;;
*) die "ACCEL=$ACCEL: tcg or kvm" ;;
esac

only_one "$dir.lock"
rm -rf "$dir"
mkdir -p "$dir"
: >"$dir/results"
append="console=$console panic=-1 oops=panic job=$JOB $* ${APPEND:-}"
# On a busy host an emulated timer may tick too late for the kernel's check of it.
[ "$ARCH" != x86_64 ] || append="$append no_timer_check"
# Unit tests are run where somebody looks at them.
case $JOB in
check | breaks) ;;
*) append="$append kunit.enable=0" ;;
esac
case "$VARIANT $*" in
debug*own=*) ;;
debug*) append="$append own=iommu_uapi" ;;
esac
# shellcheck disable=SC2206 # lists of words
cmd=($qemu $machine $devices -m 2G -smp "cpus=2,sockets=2" -nodefaults -no-user-config -display none
	-no-reboot -kernel "$kernel" -initrd "$initrd" -append "$append"
	-device "$serial"
	-chardev "file,id=results,path=$dir/results"
	-device "virtserialport,chardev=results,name=results")

if [ "$JOB" = shell ]; then
	exec "${cmd[@]}" -serial mon:stdio
fi

rc=0
TICK=$dir/results logged "$dir/console" \
	timeout --kill-after=10 "$LIMIT" "${cmd[@]}" -serial stdio -monitor none || rc=$?

[ "$JOB" != breaks ] || exit $rc

# Words that a kernel says only when something is wrong. An injected fault's
# "FAULT_INJECTION: forcing a failure" and its stack are no such thing, and what one
# scan of kmemleak suspects may be fine: the guest's section kmemleak scans twice.
complaints='(WARNING: |BUG: |BUG at|Oops|UBSAN: |Kernel panic|general protection fault|Unable to handle kernel|possible circular|possible recursive|suspicious RCU|inconsistent lock state|sleeping function|unreferenced object|INFO: task .* blocked|rcu: INFO: .*stall|soft lockup|refcount_t:|list_(add|del) corruption|scheduling while atomic|ODEBUG: (free|activate|init|assert|destroy)|DEBUG_LOCKS_WARN_ON|bad page|Bad page|segfault at|nobody cared|CMDQ (error|timeout)|CMD_SYNC timeout|EVTQ overflow|waiting until a guest.s table|cannot return to stage 2)'
# Names of tests that merely name one of the above, an SMMU that unit tests play, and
# mock hardware that refuses what it is told to refuse.
harmless='(# selftests: |ok [0-9]+ |kunit-smmu: (CM|EVTQ|waiting)|iommu-uapi-mock\.[0-9]+: cannot return)'

grep -aE "$complaints" "$dir/console" | grep -avE "$harmless" >"$dir/complaints" || true

if [ $rc -eq 124 ] || [ $rc -eq 137 ]; then
	problem="the guest did not finish within $LIMIT s"
elif [ $rc -ne 0 ]; then
	problem="$qemu ended with status $rc: $(grep -aF -e "$(basename "$qemu")" -e qemu: "$dir/console" | grep -av '^+' | tail -n 1)" || true
elif ! grep -qa '^guest: up' "$dir/console"; then
	problem="the kernel did not reach the guest's init"
elif ! grep -qa '^@@ done' "$dir/results"; then
	problem="the guest ended before its job did"
else
	problem=
fi

# must_run: what of the tree is for this guest, as the summary should have it. The 32-bit
# programs are those that can be: iommufd takes none, and an SMMUv3 is arm64's.
must_run()
{
	local own="" not=/ word p tests=$TREE/tools/testing/selftests/iommu

	for word in $append; do
		case $word in own=* | not=*) local "$word" ;; esac
	done
	find -L "$TREE/drivers/iommu" "$TREE/drivers/vfio" -name '*.c' \
		! -path "$TREE/$(elsewhere "$ARCH")*" -exec sed -n \
		'/^static struct kunit_suite /,/^}/s/.*\.name = "\(.*\)".*/kunit \1/p' {} +
	for p in "$tests"/*.c; do
		p=$(basename "$p" .c)
		! grep -qx "TEST_GEN_PROGS_EXTENDED += $p" "$tests/Makefile" || continue
		case $ARCH-$p in x86_64-*_smmuv3* | arm64-*_vtd*) continue ;; esac
		[[ $p == "$own"* && $p != "$not"* ]] || continue
		echo "kselftest $p"
		case $p in iommufd* | *_smmuv3*) ;; *) echo "kselftest-32bit $p" ;; esac
	done
	case $VARIANT in debug) printf '%s\n' lockdep kmemleak ;; esac
}

: >"$dir/skips"
tr -d '\r' <"$dir/results" | awk -v skips="$dir/skips" -f "$TOP/scripts/tap.awk" \
	>"$dir/summary" 2>"$dir/failures"
if [ -n "$problem" ]; then
	echo "0 1 0 guest ($problem)" >>"$dir/summary"
	last=$(grep -aE '^@@ begin|^#? *(# +RUN|# selftests:)' "$dir/results" | tail -n 1) || true
	echo "$problem${last:+; last seen: $last}" >>"$dir/failures"
elif [ "$JOB" = check ]; then
	must_run | grep -vxFf <(awk '{ print $4; print $4, $5 }' "$dir/summary") >"$dir/missing" || true
	if [ -s "$dir/missing" ]; then
		echo "0 $(wc -l <"$dir/missing") 0 did not run" >>"$dir/summary"
		sed 's/$/: did not run/' "$dir/missing" >>"$dir/failures"
	fi
fi
# The guest has all that our tests want, but for this one.
awk '$1 " " $2 ~ /(intel-iommu|iommu.uapi|smmu-v3-uapi)/ &&
	!/side_by_side\.dma_and_invalidation # SKIP no iommufd for 32-bit processes/' \
	"$dir/skips" >"$dir/skipped"
if [ -s "$dir/skipped" ]; then
	echo "0 1 0 skipped" >>"$dir/summary"
	sed 's/^/skipped, though it has here what it wants: /' "$dir/skipped" >>"$dir/failures"
fi
if [ -s "$dir/complaints" ]; then
	echo "0 1 0 console" >>"$dir/summary"
	{
		echo "the kernel complained ($(wc -l <"$dir/complaints") lines):"
		head -n 8 "$dir/complaints"
	} >>"$dir/failures"
fi

while read -r p f s suite; do
	note "$(printf '%-44s %4d passed %3d failed %3d skipped' "$name $suite" "$p" "$f" "$s")"
done <"$dir/summary"
if [ -s "$dir/failures" ]; then
	sed 's/^/      ! /' "$dir/failures" | head -n 40
	note "logs: $dir/console, $dir/results"
fi
awk '{ f += $2; p += $1 } END { exit f > 0 || p == 0 }' "$dir/summary"
