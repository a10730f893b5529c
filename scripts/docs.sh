#!/usr/bin/env bash
# Builds the documentation into site/; a broken link or a page that is missing fails.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

scripts/setup.sh docs
exec "$venv/bin/mkdocs" build --strict --site-dir site "$@"
