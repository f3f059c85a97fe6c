#!/bin/sh
# Builds every fuzz target with AddressSanitizer and UndefinedBehaviorSanitizer and runs each for RUNS inputs.
#   run.sh RUNS [BUILD_DIR] [TARGET...]      (needs clang-14 and libclang-rt-14-dev)
# The corpus grows in BUILD_DIR/corpus; a failing input is kept as BUILD_DIR/crash-TARGET-*, and the exit code is not 0.
set -eu
runs=${1:?usage: run.sh RUNS [BUILD_DIR] [TARGET...]}
here=$(cd "$(dirname "$0")" && pwd)
build=${2:-${TMPDIR:-/tmp}/recon-fuzz}
shift; [ $# -gt 0 ] && shift
targets=${*:-mrc star particles npy cs pickle safetensors json_config}

mkdir -p "$build/project"
cat > "$build/project/CMakeLists.txt" <<EOF
cmake_minimum_required(VERSION 3.25)
project(recon_fuzz LANGUAGES CXX)
set(RECON_FUZZ ON)
add_subdirectory($here fuzz)
EOF
cmake -S "$build/project" -B "$build/build" -DCMAKE_CXX_COMPILER="${CXX:-clang++-14}" -DCMAKE_BUILD_TYPE=None -DCMAKE_UNITY_BUILD=ON > "$build/cmake.log"
cmake --build "$build/build" -j "${JOBS:-1}" > "$build/build.log" || { cat "$build/build.log"; exit 1; }
"$build/build/fuzz/write_seeds" "$build/corpus"

failed=0
for target in $targets; do
  case $target in
    mrc) longest=1400 ;;   # a header and a few pixels
    npy) longest=600 ;;
    safetensors) longest=1000 ;;
    *) longest=800 ;;
  esac
  log="$build/$target.log"
  if "$build/build/fuzz/fuzz_$target" -runs="$runs" -rss_limit_mb=512 -timeout=5 -max_len=$longest -seed=1 \
      -dict="$here/$target.dict" -artifact_prefix="$build/crash-$target-" -print_final_stats=1 \
      "$build/corpus/$target" > "$log" 2>&1; then
    echo "$target: ok, $(grep -E '^stat::(number_of_executed_units|average_exec_per_sec|peak_rss_mb)' "$log" | awk '{printf "%s %s  ", $1, $2}')"
  else
    echo "$target: FAILED, see $log"; tail -40 "$log"; failed=1
  fi
done
exit $failed
