#!/usr/bin/env bash
# Usage: setup.sh [EXTRA [COMMAND]...]
# Puts batchway, editable, with the packages of that extra (dev, bench, fuzz, docs) and of the pinned versions
# into .venv, and the system packages that have those commands, and their names, on the machine.
# Quick when nothing has changed. PYTHON chooses the interpreter.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

extra=${1:-}
commands=("${@:2}")
constraints=requirements/constraints.txt
describe='import sys; print(sys.base_prefix, *sys.version_info[:3])'

# What .venv was made with; nothing if it has to be made. Another interpreter asked for by name replaces it.
interpreter=$("$venv/bin/python" -c "$describe" 2>/dev/null || true)
if [ -n "${PYTHON:-}" ] && [ "$interpreter" != "$("$PYTHON" -c "$describe" 2>/dev/null)" ]; then
  interpreter=
fi
missing=()
if [ -z "$interpreter" ]; then
  python=$(find_python)
  "$python" -c 'import ensurepip' 2>/dev/null ||
    missing+=("$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')")
fi
for command in ${commands[@]+"${commands[@]}"}; do
  command -v "$command" >/dev/null || missing+=("$command")
done
[ ${#missing[@]} -eq 0 ] || install_packages "${missing[@]}"

if [ -z "$interpreter" ]; then
  say "making $venv with $("$python" --version)"
  rm -rf "$venv"
  "$python" -m venv "$venv"
  interpreter=$("$venv/bin/python" -c "$describe")
fi

stamp=$venv/.batchway-${extra:-base}
wanted=$({ printf '%s\n' "$interpreter" "$top" && cat pyproject.toml "$constraints"; } | sha256sum)
[ "$(cat "$stamp" 2>/dev/null || true)" != "$wanted" ] || exit 0

say "installing batchway${extra:+ with what $extra needs} into $venv"
# The build's own packages are pinned too: older pips read the first of these for that, newer ones the second
export PIP_CONSTRAINT=$top/$constraints PIP_BUILD_CONSTRAINT=$top/$constraints
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --editable ".${extra:+[$extra]}"
printf '%s\n' "$wanted" >"$stamp"
