#!/usr/bin/env bash
# Usage: bench.sh [all|http|rpc|memory] [OPTION]...   (--help names the options)
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

scripts/setup.sh bench nginx wrk
exec "$venv/bin/python" -m bench.run "$@"
