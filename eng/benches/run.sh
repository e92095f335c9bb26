# `vfio run` against the kernel's floors. Sourced by eng/bench.
# shellcheck shell=bash

rounds=3
[ "${1:-}" != -n ] || rounds=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
need gcc gcc libc6-dev && need taskset util-linux
"$VFIO_ROOT/eng/guest/setup.sh" headers
eval "$("$VFIO_ROOT/eng/guest/setup.sh" --env)"
for program in floor program; do
  gcc -O2 -Wall -Wextra -isystem "$VFIO_UAPI_HEADERS" -o "$work/$program" "$VFIO_ROOT/bench/run/$program.c"
done
for ((round = 0; round < rounds; round++)); do
  taskset -c 1 "$work/floor"
  taskset -c 1 "$VFIO_ROOT/vfio" run --device edu@06:0d.0 -- "$work/program"
done | awk '
  { times[$1, ++count[$1]] = $2 }
  function median(name, i, j, n, list, swap) {
    n = count[name]
    for (i = 1; i <= n; i++) list[i] = times[name, i]
    for (i = 2; i <= n; i++) for (j = i; j > 1 && list[j] < list[j - 1]; j--) { swap = list[j]; list[j] = list[j - 1]; list[j - 1] = swap }
    return list[int((n + 1) / 2)]
  }
  END {
    printf "ioctl     %6d ns, bare notification %6d ns, ratio %.2f\n", median("ioctl"), median("notification"), median("ioctl") / median("notification")
    printf "register  %6d ns, bare stop         %6d ns, ratio %.2f\n", median("register"), median("stop"), median("register") / median("stop")
  }'
