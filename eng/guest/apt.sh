# Debian packages of another release, downloaded through a private apt state: no root, nothing of the host changes.
# Signatures and checksums are verified by apt itself. Sourced after eng/lib.sh.
# shellcheck shell=bash

APT_STATE=$VFIO_CACHE/apt

# The mirrors of this system's own apt, in the order of its sources (one-line and deb822 alike), whether their lists are here or not.
apt_mirrors() {
  apt-get update --print-uris 2>/dev/null | sed -nE "s,^'([^']*[^/])/*/dists/.*,\1,p" |
    awk '!/security/ && !seen[$0]++'
}

# apt_private ARGS...: apt-get on the private state.
apt_private() { apt-get -q -c "$APT_STATE/apt.conf" "$@"; }

# apt_prepare: writes the private state and fetches the package lists, unless that was done within the hour.
apt_prepare() {
  [ -z "$(find "$APT_STATE/prepared" -mmin -60 2>/dev/null)" ] || return 0
  command -v apt-get >/dev/null 2>&1 || die "apt-get is lacking: the guest's parts come from Debian packages"
  local keyring=/usr/share/keyrings/debian-archive-keyring.gpg mirror log=$APT_STATE/update.log
  [ -r "$keyring" ] || die "$keyring is lacking (package debian-archive-keyring)"
  mkdir -p "$APT_STATE"/etc/{apt.conf.d,preferences.d,sources.list.d,trusted.gpg.d} \
    "$APT_STATE"/state/lists/partial "$APT_STATE"/cache/archives/partial "$APT_STATE"/log
  : >"$APT_STATE/state/status"
  cat >"$APT_STATE/apt.conf" <<CONF
Dir "$APT_STATE";
Dir::Etc "$APT_STATE/etc";
Dir::Etc::sourcelist "$APT_STATE/etc/sources.list";
Dir::Etc::sourceparts "$APT_STATE/etc/sources.list.d";
Dir::Etc::main "$APT_STATE/etc/none";
Dir::Etc::parts "$APT_STATE/etc/apt.conf.d";
Dir::Etc::preferences "$APT_STATE/etc/preferences";
Dir::Etc::preferencesparts "$APT_STATE/etc/preferences.d";
Dir::State "$APT_STATE/state";
Dir::State::status "$APT_STATE/state/status";
Dir::Cache "$APT_STATE/cache";
Dir::Log "$APT_STATE/log";
APT::Architecture "amd64";
APT::Architectures { "amd64"; };
APT::Install-Recommends "false";
APT::Install-Suggests "false";
APT::Get::Assume-Yes "true";
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
#clear DPkg::Post-Invoke;
#clear APT::Update::Post-Invoke;
CONF
  for mirror in $(apt_mirrors); do
    printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$mirror" trixie "$keyring" "$mirror" trixie-backports \
      >"$APT_STATE/etc/sources.list"
    if apt_private update >"$log" 2>&1 && ! grep -q '^[EW]: .*\(Failed to fetch\|not have a Release\)' "$log"; then
      : >"$APT_STATE/prepared"
      return 0
    fi
  done
  [ ! -e "$log" ] || tail -n 20 "$log" >&2
  die "none of the mirrors of this system's apt serves Debian trixie and trixie-backports"
}

# fetch_packages SUITE FOLDER PACKAGE...: downloads exactly these packages and unpacks them below FOLDER.
fetch_packages() {
  local suite=$1 folder=$2 debs deb
  shift 2
  debs=$(mktemp -d "$APT_STATE/download.XXXXXX")
  if ! (cd "$debs" && apt_private -t "$suite" download "$@" >log 2>&1); then
    tail -n 20 "$debs/log" >&2
    rm -rf "$debs"
    die "could not download $*"
  fi
  mkdir -p "$folder"
  for deb in "$debs"/*.deb; do
    dpkg-deb -x "$deb" "$folder"
    basename "$deb" >>"$folder/packages.txt"
  done
  rm -rf "$debs"
}

# fetch_closure SUITE FOLDER PACKAGE...: the same with everything these packages depend on (the C library included).
fetch_closure() {
  local suite=$1 folder=$2 debs deb
  shift 2
  debs=$(mktemp -d "$APT_STATE/download.XXXXXX")
  mkdir -p "$debs/partial"
  if ! apt_private -t "$suite" -o "Dir::Cache::archives=$debs" --download-only install "$@" >"$debs/log" 2>&1; then
    tail -n 20 "$debs/log" >&2
    rm -rf "$debs"
    die "could not download $* and what it depends on"
  fi
  mkdir -p "$folder"
  for deb in "$debs"/*.deb; do
    dpkg-deb -x "$deb" "$folder"
    basename "$deb" >>"$folder/packages.txt"
  done
  rm -rf "$debs"
}

# package_of SUITE META PATTERN: the package that a metapackage (linux-image-amd64, linux-source) stands for today.
package_of() {
  local names name
  names=$(apt_private -t "$1" --print-uris install "$2" 2>/dev/null | sed -n "s/^'[^']*' \([^_ ]*\)_[^ ]* .*/\1/p")
  for name in $names; do
    if [[ $name =~ $3 ]]; then
      printf '%s\n' "$name"
      return 0
    fi
  done
  die "$2 of $1 leads to no package like $3"
}
