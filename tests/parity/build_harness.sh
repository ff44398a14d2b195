#!/bin/sh
# Builds harness.cpp with the kernels that the compiler's machine may run.
#
#     build_harness.sh OUTPUT COMPILER [FLAG...]
set -eu
output=$1 compiler=$2
shift 2
tests=$(cd "$(dirname "$0")" && pwd)
kernel=$tests/../../indexer/kernel
objects=$output.objects
mkdir -p "$objects"

compile() {
    source=$1
    shift
    "$compiler" -std=c++17 -O2 -g -Wall -Wextra -ffp-contract=off "$@" \
        -c "$source" -o "$objects/$(basename "$source").o"
}

for name in dispatch select encode score_portable; do compile "$kernel/$name.cpp" "$@"; done
compile "$tests/harness.cpp" "$@"
# The same flags as in CMakeLists.txt.
case $("$compiler" -dumpmachine) in
x86_64*)
    compile "$kernel/score_avx2.cpp" "$@" -mavx2
    compile "$kernel/score_vnni.cpp" "$@" -mavx512f -mavx512bw -mavx512vl -mavx512vnni \
        -Wno-uninitialized -Wno-maybe-uninitialized
    ;;
aarch64*)
    compile "$kernel/score_neon.cpp" "$@" -march=armv8.2-a+dotprod
    ;;
esac
"$compiler" "$@" "$objects"/*.o -o "$output"
