#!/bin/sh
# Runs tests/system/gateway_vsock.py where a kernel carries vsock between programs: in a guest of QEMU (TCG) with Debian's
# kernel, which reads this machine's files and writes none of them. By hand, as root: about a minute, and a download.
# usage: tools/vsock_guest.sh [BUILD]   (BUILD: a folder with caisson in it, `build` unless told)
set -eu
cd "$(dirname "$0")/.."
top=$PWD
build=$(realpath "${1:-build}")
if [ ! -x "$build/caisson" ]; then
    echo "vsock_guest: $build/caisson is missing; ./up builds it" >&2
    exit 69
fi
for program in qemu-system-x86_64 busybox cpio; do
    if ! command -v "$program" >/dev/null; then
        echo "vsock_guest: $program is missing: apt-get install qemu-system-x86 busybox-static cpio" >&2
        exit 69
    fi
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"

package=$(apt-cache depends linux-image-amd64 | awk '/Depends:/ { print $2; exit }')
(cd "$work" && apt-get download -q "$package" && dpkg-deb -x ./*.deb kernel && mkdir -p guest/bin guest/modules guest/root)
release=$(ls "$work/kernel/lib/modules")
modules="virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci netfs fscache 9pnet 9pnet_virtio 9p \
vsock vmw_vsock_virtio_transport_common vsock_loopback"
for module in $modules; do
    find "$work/kernel/lib/modules" -name "$module.ko" -exec cp {} "$work/guest/modules" \;
done
cp "$(command -v busybox)" "$work/guest/bin/busybox"
cat >"$work/guest/init" <<END
#!/bin/busybox sh
for module in $modules; do /bin/busybox insmod /modules/\$module.ko; done
/bin/busybox mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose host /root
/bin/busybox mount -t devtmpfs dev /root/dev
/bin/busybox mount -t proc proc /root/proc
/bin/busybox mount -t sysfs sys /root/sys
/bin/busybox mount -t tmpfs tmpfs /root/run
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/run TMPDIR=/run
/bin/busybox chroot /root /usr/bin/python3 -B $top/tests/system/gateway_vsock.py $build/caisson
echo "guest: status \$?"
/bin/busybox poweroff -f
END
chmod 755 "$work/guest/init"
(cd "$work/guest" && find . | cpio --quiet -o -H newc | gzip -1) >"$work/initrd"

# Without AVX: it is emulated so slowly that a chamber would be taken for one that hangs.
timeout 300 qemu-system-x86_64 -accel tcg -cpu max,-avx2,-avx,-fma,-f16c,-vaes -smp 2 -m 2048 -net none -nographic \
    -no-reboot -kernel "$work/kernel/boot/vmlinuz-$release" -initrd "$work/initrd" \
    -append "console=ttyS0 panic=-1 secretmem.enable=1 quiet" \
    -virtfs local,path=/,security_model=none,readonly=on,mount_tag=host,multidevs=remap </dev/null |
    tr -d '\r' | tee "$work/said" | grep -a -e vsock -e '^guest:'
grep -a -q '^guest: status 0' "$work/said"
