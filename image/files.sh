#!/bin/sh
# Gathers what the image holds, below FOLDER: files.sh FOLDER. Beside this file lie the program, its SBOM and the licence, and
# for GPUs in lib/ and licenses/ what of CUDA it opens.
#
# Runs where the program was compiled, so the libraries are those that it was linked with. Each belongs to a package of
# Debian's, whose licence and record come along: scanners read the records to know what is there.
set -eu
root=$1
umask 022

# Copies a file with its path, and notes its package.
take() {
    mkdir -p "$root$(dirname "$1")"
    cp --dereference "$1" "$root$1"
    note "$2"
}

note() {
    dpkg-query --status "$1" >"$root/var/lib/dpkg/status.d/$1"
    mkdir -p "$root/usr/share/doc/$1"
    cp --dereference "/usr/share/doc/$1/copyright" "$root/usr/share/doc/$1/copyright"
}

# Debian's layout: /lib and /lib64 are links.
mkdir -p "$root/usr/bin" "$root/usr/lib" "$root/usr/lib64" "$root/etc" \
    "$root/usr/share/doc/sluice" "$root/var/lib/dpkg/status.d" "$root/var/cache"
ln -s usr/lib "$root/lib"
ln -s usr/lib64 "$root/lib64"

install -m 0755 sluice "$root/usr/bin/sluice"
install -m 0644 LICENSE sluice.cdx.json "$root/usr/share/doc/sluice/"

# NVIDIA's, which are of no package.
ours=$PWD/lib
for library in "$ours"/*.so.*; do
    [ ! -e "$library" ] || install -D -m 0644 "$library" "$root/usr/lib/x86_64-linux-gnu/$(basename "$library")"
done
for license in licenses/*; do
    [ ! -e "$license" ] || install -D -m 0644 "$license" "$root/usr/share/doc/$(basename "$license")/copyright"
done

linked() {
    # Where a pattern matches nothing there is no library of NVIDIA's.
    for object in sluice "$ours"/*.so.*; do
        [ ! -e "$object" ] || LD_LIBRARY_PATH=$ours ldd "$object" | grep -o '/[^ ]*'
    done | grep -v "^$ours/" | sort -u
}

for library in $(linked); do
    take "$library" "$(dpkg --search "$library" | cut -d : -f 1)"
done
take /etc/ssl/certs/ca-certificates.crt ca-certificates

cp --dereference /etc/os-release "$root/etc/os-release"
printf 'root:x:0:0:root:/:/usr/sbin/nologin\nsluice:x:10001:10001:sluice:/:/usr/sbin/nologin\n' >"$root/etc/passwd"
printf 'root:x:0:\nsluice:x:10001:\n' >"$root/etc/group"
printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
