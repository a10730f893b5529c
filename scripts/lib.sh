# shellcheck shell=bash
# What the other scripts share. Sourced, never run: it leaves the caller in the top folder.

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$top" || exit 1
# shellcheck disable=SC2034  # the callers use it
venv=.venv
# Debian keeps nginx where only root looks for it
PATH=$PATH:/usr/sbin

say() { printf '%s\n' "$*" >&2; }

die() {
  say "$@"
  exit 1
}

# install_packages PACKAGE...: by apt-get as root; anybody else is told what to install
install_packages() {
  if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    die "needed and not here: $*. On Debian or Ubuntu: sudo apt-get install $*"
  fi
  say "installing system packages: $*"
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update -qq && apt-get install -qq -y --no-install-recommends "$@"; } >/dev/null </dev/null ||
    die "apt-get could not install $*"
}

is_new_enough() {
  command -v "$1" >/dev/null && "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

# find_python: prints the interpreter to build on; $PYTHON chooses another
find_python() {
  local candidate
  if [ -n "${PYTHON:-}" ]; then
    is_new_enough "$PYTHON" || die "PYTHON=$PYTHON is not a Python of 3.11 or newer"
    printf '%s\n' "$PYTHON"
    return
  fi
  for candidate in python3 python3.12 python3.11 python3.13; do
    if is_new_enough "$candidate"; then
      printf '%s\n' "$candidate"
      return
    fi
  done
  die "Python 3.11 or newer is needed and is not here. On Debian 12 or Ubuntu 24.04 and later:" \
    "sudo apt-get install python3 python3-venv; elsewhere name it: PYTHON=... make ..."
}
