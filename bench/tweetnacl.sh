#!/bin/sh
# Makes a shared library of the TweetNaCl that libzmq carries, from Debian's source package of it, with gcc -O2.
# usage: bench/tweetnacl.sh LIBRARY      (then: build/bench/crypto --tweetnacl LIBRARY)
set -eu
[ $# -eq 1 ] || { echo "usage: bench/tweetnacl.sh LIBRARY" >&2; exit 64; }
case $1 in /*) library=$1 ;; *) library=$(pwd)/$1 ;; esac
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# Source entries of our own: the same places and keys as the system's, but `deb-src`.
for list in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ -f "$list" ] && sed -n 's/^deb /deb-src /p' "$list"
done > "$folder/source.list"
for list in /etc/apt/sources.list.d/*.sources; do
    [ -f "$list" ] && sed 's/^Types:.*/Types: deb-src/' "$list" > "$folder/$(basename "$list")"
done
mkdir -p "$folder/lists/partial"
apt_get() {
    apt-get -qq -o Dir::Etc::sourcelist="$folder/source.list" -o Dir::Etc::sourceparts="$folder" \
        -o Dir::State::Lists="$folder/lists" -o Dir::Cache::srcpkgcache= -o Dir::Cache::pkgcache= \
        -o APT::Sandbox::User=root "$@"
}
cd "$folder"
apt_get update
apt_get source --download-only zeromq3
tar -xf zeromq3_*.orig.tar.*
source=$(echo libzmq-*/src/tweetnacl.c)
[ -f "$source" ] || { echo "tweetnacl.sh: the source package holds no src/tweetnacl.c" >&2; exit 69; }
: > "$folder/platform.hpp" # what libzmq's configure would write; TweetNaCl needs nothing of it
gcc -O2 -fPIC -shared -w -DZMQ_USE_TWEETNACL -DZMQ_HAVE_CURVE -I"$folder" -o "$library" "$source"
