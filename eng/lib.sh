# Common parts of the scripts under eng/. Sourced, not run: `. "$(dirname "$0")/lib.sh"`.
# shellcheck shell=bash

set -Eeuo pipefail
trap 'printf "error: %s:%s: failed: %s\n" "${BASH_SOURCE[0]##*/}" "$LINENO" "$BASH_COMMAND" >&2' ERR

# The checkout's root, and the folder that keeps what was downloaded or built (outside the tree, shared by checkouts).
VFIO_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VFIO_CACHE=${VFIO_CACHE:-${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/vfio.net}
export VFIO_ROOT VFIO_CACHE

note() { printf '%s\n' "$*" >&2; }

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# need COMMAND PACKAGE...: installs the Debian packages when the command is lacking; does nothing otherwise.
need() {
  local command=$1 log
  shift
  command -v "$command" >/dev/null 2>&1 && return 0
  install_packages "$@"
  hash -r
  command -v "$command" >/dev/null 2>&1 || die "$command is still lacking after the installation of $*"
}

install_packages() {
  local as_root=() log
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null 2>&1 ||
      die "these Debian packages are lacking: $*. Install them as root: apt-get install $*"
    as_root=(sudo -n)
  fi
  command -v apt-get >/dev/null 2>&1 || die "apt-get is lacking; install by other means: $*"
  note "installing $*"
  log=$(mktemp)
  # The package lists may be absent (container images) or old: ask for them only when the first try fails.
  if ! "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=120 "$@" >"$log" 2>&1; then
    if ! { "${as_root[@]}" apt-get update -o DPkg::Lock::Timeout=120 &&
      "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=120 "$@"; } >"$log" 2>&1; then
      tail -n 20 "$log" >&2
      rm -f "$log"
      die "apt-get could not install $*"
    fi
  fi
  rm -f "$log"
}
