#!/bin/bash -eu
# Every target of tests/fuzz with its corpus and dictionary. OpenSSL and zlib are linked
# statically: the programs run where neither is installed.
sources=$(find csrc/core csrc/engine csrc/load -name '*.c')
mkdir -p "$WORK/objects"
for source in $sources tests/fuzz/fake_sockets.c; do
    # shellcheck disable=SC2086
    $CC $CFLAGS -std=c11 -DWSC_DIRECT_MIN=16 -Icsrc/include -Itests/c -D_GNU_SOURCE= \
        -c "$source" -o "$WORK/objects/$(echo "${source%.c}" | tr / _).o"
done
mv "$WORK/objects/tests_fuzz_fake_sockets.o" "$WORK/fake_sockets.o"
rm -f "$WORK/libwsc.a"
ar rcs "$WORK/libwsc.a" "$WORK"/objects/*.o
for target in tests/fuzz/fuzz_*.c; do
    name=$(basename "$target" .c)
    kernel=
    [ "$name" = fuzz_engine ] && kernel=$WORK/fake_sockets.o
    # shellcheck disable=SC2086
    $CC $CFLAGS -std=c11 -Icsrc/include -Itests/c -D_GNU_SOURCE= \
        -c "$target" -o "$WORK/$name.o"
    # shellcheck disable=SC2086
    $CXX $CXXFLAGS $LIB_FUZZING_ENGINE "$WORK/$name.o" $kernel "$WORK/libwsc.a" \
        -Wl,-Bstatic -lssl -lcrypto -lz -Wl,-Bdynamic -lm -lpthread -ldl -o "$OUT/$name"
    corpus=tests/fuzz/corpus/${name#fuzz_}
    [ -d "$corpus" ] && (cd "$corpus" && zip -q -r "$OUT/${name}_seed_corpus.zip" .)
    dict=tests/fuzz/${name#fuzz_}.dict
    [ ! -e "$dict" ] || cp "$dict" "$OUT/$name.dict"
done
