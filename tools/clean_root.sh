#!/bin/sh
# Proves that a fresh Debian 12 machine needs nothing of ours: runs a command on a clean clone of HEAD in a new root.
# usage: tools/clean_root.sh FOLDER [--plain-chroot] COMMAND...     (root; FOLDER is made and kept, 4 GB)
#   e.g. tools/clean_root.sh /var/tmp/clean ./up --once
# The root is made by debootstrap (minbase) at the first use and entered by pivot_root in namespaces of its own, so
# that the kernel allows user namespaces as it does on a machine; --plain-chroot shows what is left without that.
set -eu
usage() {
    sed -n '2,6s/^# \{0,1\}//p' "$0"
    exit 64
}
[ $# -ge 2 ] || usage
folder=$1
shift
enter=pivot
if [ "$1" = --plain-chroot ]; then
    enter=chroot
    shift
    [ $# -ge 1 ] || usage
fi
top=$(cd "$(dirname "$0")/.." && pwd)
root=$folder/root

if [ ! -e "$folder/made" ]; then
    mkdir -p "$root"
    debootstrap --variant=minbase bookworm "$root" http://deb.debian.org/debian >"$folder/debootstrap.log"
    # A Debian machine as the installer leaves it also has its updates, and says who it is.
    cat >>"$root/etc/apt/sources.list" <<'LIST'
deb http://deb.debian.org/debian bookworm-updates main
deb http://deb.debian.org/debian-security bookworm-security main
LIST
    echo clean >"$root/etc/hostname"
    echo "127.0.0.1 localhost clean" >"$root/etc/hosts"
    touch "$folder/made"
fi
# How this machine reaches the network: its resolver, and the authorities that its administrator added.
cp /etc/resolv.conf "$root/etc/resolv.conf"
for place in /usr/local/share/ca-certificates /usr/etc; do
    [ ! -d "$place" ] || { mkdir -p "$root$place" && cp -r "$place/." "$root$place"; }
done
[ ! -x "$root/usr/sbin/update-ca-certificates" ] || chroot "$root" update-ca-certificates >/dev/null 2>&1

# The checkout, with the data the tests read beside it where this machine has it.
rm -rf "$root/src/caisson"
mkdir -p "$root/src"
git clone -q "$top" "$root/src/caisson"
if [ -d "$top/../shared" ]; then
    mkdir -p "$root/src/shared"
    mount --bind -o ro "$top/../shared" "$root/src/shared" 2>/dev/null || cp -r "$top/../shared/." "$root/src/shared"
    trap 'umount "$root/src/shared" 2>/dev/null || true' EXIT
fi

# Inside: no variable of this machine's but the terminal.
inside='cd /src/caisson && exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM="${TERM:-dumb}" "$@"'
if [ "$enter" = pivot ]; then
    set -- sh -c '
        root=$1; inside=$2; shift 2
        mount --make-rprivate /
        mount --rbind "$root" "$root"
        cd "$root"
        mount -t proc proc proc
        mount --rbind /dev dev
        mount -t sysfs sys sys
        mkdir -p .old
        pivot_root . .old
        cd /
        umount -l /.old
        exec sh -c "$inside" clean "$@"' clean "$root" "$inside" "$@"
    unshare --mount --pid --fork --kill-child "$@"
else
    # shellcheck disable=SC2016
    set -- sh -c '
        root=$1; inside=$2; shift 2
        mount --make-rprivate /
        mount -t proc proc "$root/proc"
        mount --rbind /dev "$root/dev"
        exec chroot "$root" sh -c "$inside" clean "$@"' clean "$root" "$inside" "$@"
    unshare --mount --pid --fork --kill-child "$@"
fi
