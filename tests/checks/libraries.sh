#!/bin/sh
# libraries.sh FOLDER [OPTIONS OF CONFIGURE]: OpenSSL and zlib from their sources, compiled
# by CC, below FOLDER; what is there already stays. Needs cargo, perl and make.
set -eu
mkdir -p "$1"
prefix=$(cd "$1" && pwd)
shift
sources=$(cd "$(dirname "$0")/libraries" && pwd)
cc=${CC:-cc}
[ ! -e "$prefix/lib/libz.a" ] || exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cargo vendor -q --locked --manifest-path "$sources/Cargo.toml" "$work" >/dev/null

(
    cd "$work/openssl-src/openssl"
    # No tests and programs; and what TLS doesn't need. Settings that are root's, as
    # whoever could write where this is built would load code into every user of it.
    CC=$cc ./Configure "$@" no-tests no-apps no-docs no-legacy no-module no-engine \
        no-afalgeng no-cmp no-cms no-ts no-srp --prefix="$prefix" --libdir=lib \
        --openssldir=/etc/ssl
    make -s -j2 build_libs
    make -s install_dev
) >"$prefix/openssl.log" 2>&1 || { tail -n 20 "$prefix/openssl.log" >&2; exit 1; }

cd "$work/libz-sys/src/zlib"
for source in *.c; do
    $cc -O2 -fPIC -DHAVE_UNISTD_H=1 -DHAVE_STDARG_H=1 -c "$source"
done
cp zlib.h zconf.h "$prefix/include"
ar rcs "$prefix/lib/libz.a" ./*.o
