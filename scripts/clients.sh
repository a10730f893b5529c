#!/usr/bin/env bash
# Puts the JavaScript clients that tests/clients runs into tests/clients/js/node_modules; npm is there already.
# Quick when nothing has changed.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

folder=tests/clients/js
stamp=$folder/node_modules/.batchway
wanted=$({ node --version && cat "$folder/package.json"; } | sha256sum)
[ "$(cat "$stamp" 2>/dev/null || true)" != "$wanted" ] || exit 0

say "installing JavaScript clients into $folder/node_modules"
# In the folder: npm reads its .npmrc there
(cd "$folder" && npm install --loglevel=error --no-audit --no-fund --ignore-scripts) || die "npm could not install the clients"
printf '%s\n' "$wanted" >"$stamp"
