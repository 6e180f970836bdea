#!/bin/sh
# run_c.sh FLAVOUR "SIMD NAMES" NAME: run build/FLAVOUR/tests/c/test_*NAME*, once for each
# SIMD version (once as the CPU chooses, if none is named), two at a time. Only failures
# print their output. RUN="valgrind ..." goes in front of each program; SKIP="test_a ..."
# leaves programs out; ONCE=yes: only those about SIMD run with each version.
set -u

if [ "${1:-}" = --one ]; then
    simd=${2%%:*} program=${2#*:}
    log=$program.$simd.log
    [ "$simd" = default ] || export WSC_SIMD="$simd"
    start=$(date +%s)
    # shellcheck disable=SC2086
    timeout "${TEST_SECONDS:-300}" ${RUN:-} "$program" >"$log" 2>&1
    code=$?
    took=$(($(date +%s) - start))
    [ $took -lt 20 ] || echo "slow: ${program##*/} ($simd) took $took s"
    if [ $code -ne 0 ]; then
        echo "---- ${program##*/} ($simd): exit code $code"
        tail -n 60 "$log"
        exit 1
    fi
    exit 0
fi

flavour=$1
# shellcheck disable=SC2086
set -- "$1" "$(echo ${2:-})" "${3:-}"
jobs=
count=0
for simd in ${2:-default}; do
    for source in tests/c/test_*"${3:-}"*.c; do
        [ -e "$source" ] || continue
        name=${source##*/} name=${name%.c}
        case " ${SKIP:-} " in *" $name "*) continue ;; esac
        if [ -n "${ONCE:-}" ] && [ -n "$2" ]; then
            # The last name is the best version, what the CPU would choose.
            case $name:$simd in
                test_mask:* | test_utf8:* | *:"${2##* }") ;;
                *) continue ;;
            esac
        fi
        program=build/$flavour/${source%.c}
        jobs="$jobs $simd:$program"
        count=$((count + 1))
    done
done
[ $count -gt 0 ] || { echo "no test program named '${3:-}'"; exit 1; }

# shellcheck disable=SC2086
printf '%s\n' $jobs | xargs -P 2 -n 1 "$0" --one
code=$?
cases=0
for job in $jobs; do
    # The harness ends with "PROGRAM: N passed, N failed".
    n=$(sed -n 's/.*: \([0-9][0-9]*\) passed, [0-9]* failed$/\1/p' "${job#*:}.${job%%:*}.log" | tail -n 1)
    cases=$((cases + ${n:-0}))
done
echo "$flavour: $count runs of test programs (${2:-default}), $cases cases passed"
[ $code -eq 0 ] || { echo "$flavour: FAILED"; exit 1; }
