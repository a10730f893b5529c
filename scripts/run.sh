#!/usr/bin/env bash
# Starts the gateway with a small upstream behind it and prints a curl that sends a batch. Ctrl-C stops all of it.
# BATCHWAY_PORT, BATCHWAY_ADMIN_PORT and UPSTREAM_PORT choose other ports than 9080, 9180 and 1980.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

scripts/setup.sh
mkdir -p run/data
[ -e run/config.yaml ] || cp examples/config.yaml run/config.yaml
exec "$venv/bin/python" scripts/run.py "$@"
