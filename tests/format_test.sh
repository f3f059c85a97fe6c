#!/bin/bash
# Every .h, .cpp, .cu and .cuh that git tracks or would track is formatted as .clang-format says.
#   tests/format_test.sh         check; exit 77 (skipped) where clang-format 14 is absent
#   tests/format_test.sh --fix   rewrite the files instead
# Version 14 only: other versions of clang-format break lines at other places.
set -euo pipefail
cd "$(dirname "$0")/.."

formatter=""
for candidate in clang-format-14 clang-format; do
  if command -v "$candidate" >/dev/null && "$candidate" --version | grep -q 'version 14\.'; then
    formatter=$candidate
    break
  fi
done
if [[ -z "$formatter" ]]; then
  echo "format: skipped, no clang-format 14 here (.ci/setup tests installs it)"
  exit 77
fi

patterns=('*.h' '*.cpp' '*.cu' '*.cuh')
if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
  mapfile -d '' listed < <(git ls-files -z --cached --others --exclude-standard -- "${patterns[@]}" | sort -zu)
else  # an unpacked archive
  mapfile -d '' listed < <(find . -path ./build -prune -o -type f \
    \( -name '*.h' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' \) -print0 | sort -z)
fi
files=()
for file in "${listed[@]}"; do
  [[ -f "$file" ]] && files+=("$file")  # a tracked file may be deleted in the working tree
done
if ((${#files[@]} == 0)); then
  echo "format: no source file found below $PWD" >&2
  exit 1
fi

if [[ "${1:-}" == --fix ]]; then
  "$formatter" -i "${files[@]}"
  echo "format: ${#files[@]} files rewritten"
elif "$formatter" --dry-run -Werror --ferror-limit=5 "${files[@]}"; then
  echo "format: ${#files[@]} files as .clang-format says"
else
  echo "format: run tests/format_test.sh --fix" >&2
  exit 1
fi
