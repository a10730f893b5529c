#!/usr/bin/env bash
# Usage: test.sh [ARGUMENT OF PYTEST]...
# Sets up and runs every check, each even if the one before it failed. Exit 1 if any did.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

scripts/setup.sh dev nginx curl yq npm chromium
scripts/clients.sh

failed=()

# step NAME COMMAND...: runs it, prints what it took, remembers a failure
step() {
  local name=$1 start=$SECONDS outcome=ok
  shift
  printf '\n== %s: %s\n' "$name" "$*"
  "$@" || { outcome="FAILED ($?)" && failed+=("$name"); }
  printf '== %s: %s, %d s\n' "$name" "$outcome" $((SECONDS - start))
}

step lint "$venv/bin/ruff" check
step format "$venv/bin/ruff" format --check
step types "$venv/bin/mypy"
step "types outside src" "$venv/bin/mypy" bench examples scripts
step arrows "$venv/bin/lint-imports"
step tests "$venv/bin/python" -m pytest --cov --cov-report=term-missing:skip-covered --durations=10 --durations-min=2 "$@"

[ ${#failed[@]} -eq 0 ] || die "failed: ${failed[*]}"
