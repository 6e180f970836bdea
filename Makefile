# The C core and its tests, without Python. Every goal builds into build/<flavour>.
#
#   make lib          libwsc.a and the shared object, into build/release
#   make install      these, the headers, wsc.pc and a CMake package, below
#                     DESTDIR/PREFIX, /usr/local; LIBDIR=lib64 in the place of lib
#   make test         gcc, warnings as errors, every test with every SIMD version
#   make kqueue       the engine's tests over kqueue, which is emulated (part of test)
#   make musl         the tests with musl, as in Alpine: needs musl-tools and cargo
#   make macos        compile for macOS and FreeBSD; skipped without python -m ziglang
#   make asan         gcc, AddressSanitizer and UBSan (SIMD versions: mask and utf8 only)
#   make intsan       clang, UBSan with unsigned overflow reported in the core
#   make valgrind     the plain test programs, with leaks as errors
#   make fuzz         clang's libFuzzer, FUZZ_SECONDS=60 in all, FUZZ=name for one target
#   make replay       the stored corpora through the fuzz targets (gcc, ASan, no libFuzzer)
#   make coverage     lines and branches per file; 95 % of the lines must be executed
#   make bench        benchmarks/c/bench_*.c, then python -m benchmarks.run $(BENCH_ARGS)
#   make format  format-check  tidy  layers  simd-neon  simd-avx512  clean
#
# T=name runs only the test programs whose name contains it: make asan T=frame

MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:

CC      = gcc
CLANG   = clang
PYTHON ?= python3
FLAVOUR ?= plain
B       := build/$(FLAVOUR)

WARNINGS = -Wall -Wextra -Werror -Wconversion -Wsign-conversion -Wshadow \
           -Wstrict-prototypes -Wmissing-prototypes -Wcast-align -Wcast-qual -Wundef \
           -Wvla -Wwrite-strings -Wformat=2 -Wswitch-enum
ASAN     = -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

# Exhaustive or timed, minutes long under valgrind: run there only when named by T.
VALGRIND_SKIP = test_engine_tls_peer test_engine_tls_post_handshake test_utf8 test_mask \
                test_deflate test_deflate_hostile test_handshake test_http_head \
                test_assembler_deflate

# What each flavour adds: its compiler, for all code, for the core only.
FLAGS_plain    = -O2 -g
FLAGS_asan     = -O2 -g $(ASAN)
CC_intsan      = $(CLANG)
FLAGS_intsan   = -O2 -g
CORE_intsan    = -fsanitize=undefined,unsigned-integer-overflow -fno-sanitize-recover=all
LINK_intsan    = -fsanitize=undefined
FLAGS_coverage = -O2 -g
CORE_coverage  = -O0 --coverage
LINK_coverage  = --coverage
CC_fuzz        = $(CLANG)
FLAGS_fuzz     = -O1 -g $(ASAN) -DWSC_DIRECT_MIN=16 # so that short inputs do
CORE_fuzz      = -fsanitize=fuzzer-no-link
FLAGS_bench    = -O3 -g -DNDEBUG
CC_neon        = aarch64-linux-gnu-gcc
FLAGS_neon     = -O2 -g
# The engine as under macOS and FreeBSD, but for the kernel.
FLAGS_kqueue   = -O2 -g $(ASAN) -DWSC_POLLER_KQUEUE=1 -Itests/c/kqueue
# Archive and shared object are of the same objects. Warnings of other compilers are no
# reason not to build.
FLAGS_release  = -O3 -g -DNDEBUG -fPIC -fvisibility=hidden -DWSC_SHARED -Wno-error
CC_musl        = musl-gcc
FLAGS_musl     = -O2 -g -isystem build/libraries-musl/include
LINK_musl      = -Lbuild/libraries-musl/lib
FLAGS_avx512   = -O2 -g -DWSC_SIMD_EMULATE_AVX512

COMPILER = $(or $(CC_$(FLAVOUR)),$(CC))
COMPILE  = $(COMPILER) -std=c11 $(WARNINGS) $(FLAGS_$(FLAVOUR)) -Icsrc/include -Itests/c \
           $(CPPFLAGS) $(CFLAGS) -MMD -MP
LIBS     = $(if $(wildcard csrc/engine/*.c),-lssl) -lcrypto -lz -lm -lpthread
LINK     = $(COMPILER) $(FLAGS_$(FLAVOUR)) $(LINK_$(FLAVOUR)) $(LDFLAGS)

CORE    := $(sort $(wildcard csrc/core/*.c csrc/core/simd/*.c csrc/engine/*.c csrc/load/*.c))
SUPPORT := $(filter-out tests/c/test_%.c,$(sort $(wildcard tests/c/*.c)))
TESTS   := $(sort $(wildcard tests/c/test_*$(T)*.c))
FUZZERS := $(sort $(wildcard tests/fuzz/fuzz_*$(FUZZ)*.c))
BENCHES := $(sort $(wildcard benchmarks/c/bench_*.c))
CHECKED := $(sort $(shell find csrc tests/c tests/fuzz tests/checks benchmarks examples \
             -name '*.[ch]' 2>/dev/null))

CORE_O    = $(CORE:%.c=$(B)/%.o)
SUPPORT_O = $(SUPPORT:%.c=$(B)/%.o)
TEST_PROGRAMS   = $(TESTS:%.c=$(B)/%)
FUZZ_PROGRAMS   = $(FUZZERS:%.c=$(B)/%)
REPLAY_PROGRAMS = $(FUZZERS:%.c=$(B)/%_replay)
BENCH_PROGRAMS  = $(BENCHES:%.c=$(B)/%)

.PHONY: test kqueue musl macos asan intsan valgrind fuzz replay coverage bench format format-check tidy \
        layers simd-neon simd-avx512 clean lib install programs run-tests run-fuzz run-replay run-bench
.SECONDARY:

test:
	@$(MAKE) -s -j2 FLAVOUR=plain programs build/plain/tests/checks/simd_names
	@tests/checks/run_c.sh plain "$$(build/plain/tests/checks/simd_names)" "$(T)"
	@$(if $(filter $(T)%,engine),$(MAKE) -s kqueue)
kqueue:
	@$(MAKE) -s -j2 FLAVOUR=kqueue T=engine programs
	@tests/checks/run_c.sh kqueue "" engine
musl: KERNEL = build/libraries-musl/kernel
musl:
	@mkdir -p $(KERNEL)
	@# Which musl-gcc doesn't know, and OpenSSL includes.
	@ln -sfn /usr/include/linux /usr/include/asm-generic \
	    /usr/include/$$($(CC) -dumpmachine)/asm $(KERNEL)
	@CC="musl-gcc -isystem $(CURDIR)/$(KERNEL)" \
	    tests/checks/libraries.sh build/libraries-musl no-shared no-async
	@$(MAKE) -s -j2 FLAVOUR=musl programs
	@tests/checks/run_c.sh musl "" "$(T)"
asan:
	@$(MAKE) -s -j2 FLAVOUR=asan programs build/asan/tests/checks/simd_names
	@ONCE=yes tests/checks/run_c.sh asan "$$(build/asan/tests/checks/simd_names)" "$(T)"
intsan:
	@$(MAKE) -s -j2 FLAVOUR=intsan programs
	@tests/checks/run_c.sh intsan "" "$(T)"
valgrind:
	@$(MAKE) -s -j2 FLAVOUR=plain programs
	@RUN="valgrind -q --error-exitcode=99 --leak-check=full --num-callers=20" \
	    SKIP="$(if $(T),,$(VALGRIND_SKIP))" tests/checks/run_c.sh plain "" "$(T)"
coverage:
	@rm -rf build/coverage
	@$(MAKE) -s -j2 FLAVOUR=coverage programs build/coverage/tests/checks/simd_names
	@ONCE=yes TEST_SECONDS=900 tests/checks/run_c.sh coverage \
	    "$$(build/coverage/tests/checks/simd_names)" "$(T)" || failed=yes; \
	    $(PYTHON) tests/checks/gcov_summary.py build/coverage csrc/core csrc/engine csrc/load \
	    $(if $(T),,--fail-under 95) && test -z "$$failed"

# ---- programs of one flavour ----------------------------------------------------------

programs: $(TEST_PROGRAMS)

$(B)/csrc/%.o: csrc/%.c Makefile
	@mkdir -p $(@D)
	$(COMPILE) $(CORE_$(FLAVOUR)) -c $< -o $@
$(B)/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(COMPILE) -D_GNU_SOURCE= -c $< -o $@
$(B)/libwsc.a: $(CORE_O)
	@rm -f $@
	$(AR) rcs $@ $^
$(B)/libsupport.a: $(SUPPORT_O)
	@rm -f $@
	$(AR) rcs $@ $^
$(B)/tests/c/test_%: $(B)/tests/c/test_%.o $(B)/libsupport.a $(B)/libwsc.a
	$(LINK) $^ $(LIBS) -o $@
$(B)/tests/checks/%: $(B)/tests/checks/%.o $(B)/libwsc.a
	$(LINK) $^ $(LIBS) -o $@
$(B)/tests/fuzz/%_replay: $(B)/tests/fuzz/%.o $(B)/tests/fuzz/replay.o $(B)/libwsc.a
	$(LINK) $^ $(LIBS) -o $@
$(B)/tests/fuzz/fuzz_%: $(B)/tests/fuzz/fuzz_%.o $(B)/libwsc.a
	$(LINK) -fsanitize=fuzzer $^ $(LIBS) -o $@
# The kernel of this target.
$(B)/tests/fuzz/fuzz_engine $(B)/tests/fuzz/fuzz_engine_replay: $(B)/tests/fuzz/fake_sockets.o
$(B)/benchmarks/c/%: $(B)/benchmarks/c/%.o $(B)/libwsc.a
	$(LINK) $^ $(LIBS) -o $@

-include $(shell find $(B) -name '*.d' 2>/dev/null)

# ---- the library -----------------------------------------------------------------------

PREFIX ?= /usr/local
LIBDIR ?= lib
HEADERS = $(sort $(wildcard csrc/include/wsc/*.h))
VERSION = $(shell sed -n 's/^.define WSC_VERSION  *"\(.*\)"/\1/p' csrc/include/wsc/version.h)
SERIES  = $(basename $(VERSION))

ifeq ($(shell uname -s),Darwin)
SHARED      = libwsc.$(VERSION).dylib
SONAME      = libwsc.$(SERIES).dylib
NAME        = libwsc.dylib
LINK_SHARED = -dynamiclib -install_name @rpath/$(SONAME)
else
SHARED      = libwsc.so.$(VERSION)
SONAME      = libwsc.so.$(SERIES)
NAME        = libwsc.so
LINK_SHARED = -shared -Wl,-soname,$(SONAME) -Wl,-Bsymbolic-functions -Wl,-z,defs
endif

lib:
	@$(MAKE) -s -j2 FLAVOUR=release build/release/libwsc.a build/release/$(SHARED)
$(B)/$(SHARED): $(CORE_O)
	$(LINK) $(LINK_SHARED) $^ $(LIBS) -o $@

INTO = $(DESTDIR)$(PREFIX)
# From LIBDIR back to PREFIX.
UP   = $(subst $() ,/,$(patsubst %,..,$(subst /, ,$(LIBDIR))))
FILL = sed $(foreach name,PREFIX LIBDIR UP VERSION SERIES SHARED SONAME,\
           -e 's|@$(name)@|$($(name))|g')
install: lib
	install -d $(INTO)/include/wsc $(INTO)/$(LIBDIR)/pkgconfig $(INTO)/$(LIBDIR)/cmake/wsc
	install -m 644 $(HEADERS) $(INTO)/include/wsc
	install -m 644 build/release/libwsc.a $(INTO)/$(LIBDIR)
	install -m 755 build/release/$(SHARED) $(INTO)/$(LIBDIR)
	ln -sf $(SHARED) $(INTO)/$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(INTO)/$(LIBDIR)/$(NAME)
	$(FILL) csrc/package/wsc.pc.in >$(INTO)/$(LIBDIR)/pkgconfig/wsc.pc
	for name in wscConfig wscConfigVersion; do \
	    $(FILL) csrc/package/$$name.cmake.in >$(INTO)/$(LIBDIR)/cmake/wsc/$$name.cmake; \
	done

# ---- fuzzing, benchmarks ---------------------------------------------------------------

FUZZ_SECONDS ?= 60
fuzz:
	@$(MAKE) -s -j2 FLAVOUR=fuzz run-fuzz
run-fuzz: $(FUZZ_PROGRAMS)
	@test -n "$(FUZZ_PROGRAMS)" || { echo "no fuzz target named $(FUZZ)"; exit 1; }
	@mkdir -p build/findings
	@share=$$(( $(FUZZ_SECONDS) / $(words $(FUZZ_PROGRAMS)) )); \
	for program in $(FUZZ_PROGRAMS); do \
	    name=$${program##*/fuzz_}; kept=tests/fuzz/corpus/$$name; new=build/corpus/$$name; \
	    mkdir -p $$kept $$new; \
	    echo "fuzz $$name: $$share s"; \
	    dict=tests/fuzz/$$name.dict; [ -e $$dict ] && dict=-dict=$$dict || dict=; \
	    $$program $$dict -max_total_time=$$share -rss_limit_mb=1024 -timeout=10 -print_final_stats=1 \
	        -artifact_prefix=build/findings/$$name- $$new $$kept 2>$$new.log || \
	        { tail -n 40 $$new.log; exit 1; }; \
	    grep -E 'number_of_executed_units|DONE' $$new.log; \
	done
replay:
	@$(MAKE) -s -j2 FLAVOUR=asan run-replay
run-replay: $(REPLAY_PROGRAMS)
	@for program in $(REPLAY_PROGRAMS); do \
	    name=$${program##*/fuzz_}; name=$${name%_replay}; \
	    timeout 300 $$program tests/fuzz/corpus/$$name || exit 1; \
	done
bench:
	@$(MAKE) -s -j2 FLAVOUR=bench run-bench
run-bench: $(BENCH_PROGRAMS)
	@for program in $(BENCH_PROGRAMS); do echo "== $${program##*/}"; $$program || exit 1; done
	@$(PYTHON) -m benchmarks.run $(BENCH_ARGS)

# ---- sources ---------------------------------------------------------------------------

format:
	clang-format -i $(CHECKED)
format-check:
	@clang-format --dry-run --Werror $(CHECKED)
tidy:
	@mkdir -p build
	@printf '%s\n' $(CORE) | xargs -P 2 -n 4 \
	    sh -c 'clang-tidy --quiet "$$@" -- -std=c11 -Icsrc/include 2>build/tidy-$$$$.log || \
	        { cat build/tidy-$$$$.log; exit 1; }' tidy
layers:
	@$(PYTHON) tests/checks/layers.py
# For editors: how each C file is compiled.
compile_commands.json: tests/checks/compile_commands.py
	@$(PYTHON) $<

# Other machines' SIMD: arm64 under qemu (gcc-aarch64-linux-gnu, qemu-user, and libssl-dev
# and zlib1g-dev for arm64), AVX-512 in hardware or by SIMDe (libsimde-dev).
simd-neon:
	@$(MAKE) -s -j2 FLAVOUR=neon programs
	@RUN="qemu-aarch64 -L /usr/aarch64-linux-gnu" \
	    tests/checks/run_c.sh neon "scalar neon" "$(T)"
simd-avx512:
	@flavour=avx512; ! grep -q avx512bw /proc/cpuinfo || flavour=plain; \
	$(MAKE) -s -j2 FLAVOUR=$$flavour programs && \
	tests/checks/run_c.sh $$flavour avx512 "$(T)"

# Objects only: zig has the headers of these systems, but for OpenSSL's and zlib's.
ZIG     ?= $(PYTHON) -m ziglang
FOREIGN  = aarch64-macos x86_64-macos x86_64-freebsd
macos:
	@$(ZIG) version >/dev/null 2>&1 || { echo "macos: skipped, no $(ZIG)"; exit 0; }; \
	set -e; mkdir -p build/foreign/openssl; \
	for header in $$($(CC) -M -Icsrc/include $(CORE) | tr ' ' '\n' | \
	        grep -E '/(openssl/\w+|zlib|zconf)\.h$$' | sort -u); do \
	    case $$header in */openssl/*) cp $$header build/foreign/openssl ;; \
	        *) cp $$header build/foreign ;; esac; \
	done; \
	for target in $(FOREIGN); do \
	    for source in $(CORE); do \
	        $(ZIG) cc -target $$target -std=c11 $(WARNINGS) -Icsrc/include \
	            -Ibuild/foreign -c $$source -o build/foreign/object.o; \
	    done; \
	    echo "macos: $(words $(CORE)) files compiled for $$target"; \
	done

clean:
	rm -rf build
