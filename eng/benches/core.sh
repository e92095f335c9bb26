# The core in one process. Sourced by eng/bench.
# shellcheck shell=bash

cd "$VFIO_ROOT"
export DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1 MSBUILDDISABLENODEREUSE=1
log=$(mktemp)
if ! { dotnet restore bench/Vfio.Bench --locked-mode &&
  dotnet build bench/Vfio.Bench -c Release --no-restore --nologo; } >"$log" 2>&1 </dev/null; then
  cat "$log" >&2
  rm -f "$log"
  exit 1
fi
rm -f "$log"
exec artifacts/bin/Vfio.Bench/release/Vfio.Bench "$@"
