#!/bin/sh
# OpenSSL 3 and zlib, with headers, in the images of manylinux and musllinux.
set -eu
if command -v apk >/dev/null; then
    apk add --no-cache openssl-dev zlib-dev
else
    dnf -y install epel-release
    dnf -y install openssl3-devel zlib-devel
fi
