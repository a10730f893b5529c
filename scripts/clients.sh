#!/usr/bin/env bash
# Puts the JavaScript clients that tests/clients runs into tests/clients/js/node_modules, npm is there already, and
# a client of APISIX's Admin API, which wants other versions than ours, into .venv-apisix-client.
# Quick when nothing has changed.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

javascript() {
  local folder=tests/clients/js
  local stamp=$folder/node_modules/.batchway wanted
  wanted=$({ node --version && cat "$folder/package.json"; } | sha256sum)
  [ "$(cat "$stamp" 2>/dev/null || true)" != "$wanted" ] || return 0
  say "installing JavaScript clients into $folder/node_modules"
  # In the folder: npm reads its .npmrc there
  (cd "$folder" && npm install --loglevel=error --no-audit --no-fund --ignore-scripts) || die "npm could not install the clients"
  printf '%s\n' "$wanted" >"$stamp"
}

apisix_client() {
  local folder=.venv-apisix-client pins=requirements/apisix-client.txt
  local stamp=$folder/.batchway wanted
  wanted=$({ "$venv/bin/python" --version && cat "$pins"; } | sha256sum)
  [ "$(cat "$stamp" 2>/dev/null || true)" != "$wanted" ] || return 0
  say "installing apisix-client into $folder"
  "$venv/bin/python" -m venv --clear "$folder"
  "$folder/bin/python" -m pip install --quiet --disable-pip-version-check -r "$pins" || die "pip could not install apisix-client"
  printf '%s\n' "$wanted" >"$stamp"
}

javascript
apisix_client
