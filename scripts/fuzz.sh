#!/usr/bin/env bash
# Usage: fuzz.sh [ARGUMENT OF LIBFUZZER]...
# Runs every fuzz/fuzz_*.py for FUZZ_SECONDS (60) each. What it learns, and any input that fails, stays in run/fuzz/.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

scripts/setup.sh fuzz

shopt -s nullglob
targets=(fuzz/fuzz_*.py)
[ ${#targets[@]} -gt 0 ] || die "there is no fuzz/fuzz_*.py to run"

failed=()
for target in "${targets[@]}"; do
  name=$(basename "$target" .py)
  learnt=run/fuzz/$name
  mkdir -p "$learnt"
  corpora=("$learnt")
  [ ! -d "fuzz/corpus/$name" ] || corpora+=("fuzz/corpus/$name")
  printf '\n== %s\n' "$name"
  "$venv/bin/python" "$target" -max_total_time="${FUZZ_SECONDS:-60}" -timeout=10 -print_final_stats=1 \
    -artifact_prefix="run/fuzz/$name-" "$@" "${corpora[@]}" || failed+=("$name")
done

[ ${#failed[@]} -eq 0 ] || die "failed: ${failed[*]}; the inputs are in run/fuzz/"
