#!/bin/sh
# Tests under a kernel that has what they need, netem:
# tests/vm/run.sh FOLDER PYTHON [pytest args]
#
# Debian's kernel boots in qemu, with this machine's files (read-only) as its own: the same
# python, extension and OpenSSL run there. FOLDER keeps the kernel. ./dev vm calls this.
set -eu
cd "$(dirname "$0")/../.."
repo=$PWD
folder=$1 python=$2
shift 2
[ $# -gt 0 ] || set -- tests/python/asyncio/test_network_faults.py -k asyncio-auto
die() { echo "vm: $*" >&2; exit 1; }

case $(uname -m) in
    x86_64) flavour=amd64 qemu=qemu-system-x86_64 console=ttyS0 machine=pc ;;
    aarch64) flavour=arm64 qemu=qemu-system-aarch64 console=ttyAMA0 machine=virt ;;
    *) die "no kernel is known for $(uname -m)" ;;
esac

# ---- the kernel ----------------------------------------------------------------------

mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
if [ ! -e "$folder/kernel/.complete" ]; then
    rm -rf "$folder/kernel"
    mkdir "$folder/kernel"
    package=$(apt-cache depends "linux-image-$flavour" |
        sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
    [ -n "$package" ] || die "apt has no linux-image-$flavour; try apt-get update"
    echo "vm: downloading $package"
    (cd "$folder/kernel" && apt-get -qq download "$package" 2>/dev/null)
    dpkg-deb -x "$folder"/kernel/*.deb "$folder/kernel"
    rm "$folder"/kernel/*.deb
    : >"$folder/kernel/.complete"
fi
version=$(basename "$folder"/kernel/lib/modules/*)

# ---- what it runs --------------------------------------------------------------------

# quoted WORDS...: for another shell.
quoted() {
    for word in "$@"; do
        printf "'%s' " "$(printf '%s' "$word" | sed "s/'/'\\\\''/g")"
    done
}

root=$folder/root
rm -rf "$root"
mkdir -p "$root/bin" "$root/host" "$root/proc" "$root/lib/modules/$version"
cp "$(command -v busybox)" "$root/bin/busybox"
for part in drivers/virtio fs/9p fs/fscache fs/netfs net/9p net/sched; do
    from=$folder/kernel/lib/modules/$version/kernel/$part
    to=$root/lib/modules/$version/kernel/$part
    [ ! -d "$from" ] || { mkdir -p "${to%/*}" && cp -r "$from" "$to"; }
done
cp "$folder/kernel/lib/modules/$version"/modules.order \
    "$folder/kernel/lib/modules/$version"/modules.builtin "$root/lib/modules/$version/"
busybox depmod -b "$root" "$version"

cat >"$root/run" <<RUN
cd $(quoted "$repo")
export PATH=$(quoted "$PATH") HOME=/tmp TMPDIR=/tmp
export PYTHONPATH=$(quoted "$repo") PYTHONDONTWRITEBYTECODE=1
exec $(quoted "$python" -m pytest -q --color=no -p no:cacheprovider -o timeout=300 "$@")
RUN
cat >"$root/init" <<'INIT'
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox --install -s /bin
for module in virtio_pci virtio_mmio 9pnet_virtio 9p sch_netem; do
    modprobe $module 2>/dev/null
done
mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=524288,cache=loose host /host
mount -t proc proc /host/proc
mount -t sysfs sys /host/sys
mount -t devtmpfs dev /host/dev
mkdir -p /host/dev/shm
mount -t tmpfs tmp /host/tmp
mount -t tmpfs shm /host/dev/shm
cp /run /host/tmp/run
ip link set lo up
uname -srv
chroot /host /bin/sh /tmp/run
status=$?
echo "vm: exit status $status"
poweroff -f
INIT
chmod +x "$root/init"
(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$folder/initrd"

# ---- run it --------------------------------------------------------------------------

# An emulated processor takes some 20 times as long, but works everywhere: inside of other
# virtual machines /dev/kvm may be there and hang.
accelerator=${VM_ACCEL:-tcg}
[ "$accelerator" = kvm ] && processor=host || processor=max
echo "vm: Linux $version on $qemu ($accelerator)"
timeout "${VM_TIMEOUT:-900}" "$qemu" -M "$machine" -accel "$accelerator" \
    -cpu "$processor" -m 2048 -smp 2 -nodefaults -no-reboot -display none \
    -serial stdio -nic none \
    -kernel "$folder/kernel/boot/vmlinuz-$version" -initrd "$folder/initrd" \
    -append "console=$console quiet panic=-1" \
    -virtfs local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap \
    </dev/null >"$folder/log" 2>&1 || true
tr -d '\r' <"$folder/log" | sed -n '/^Linux /,$p'
grep -a -q '^vm: exit status 0' "$folder/log" || die "failed; all it said: $folder/log"
