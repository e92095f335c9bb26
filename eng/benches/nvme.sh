# The NVMe controller. Sourced by eng/bench.
# shellcheck shell=bash

# shellcheck source=eng/benches/clients.sh
. "$VFIO_ROOT/eng/benches/clients.sh"

rounds=5 mode=polled depths=1,8,32,128 bytes=4096 writes='' backend=memory:512M doorbells=posted halt='' peer=''
while getopts n:m:D:H:q:b:wN:p:c: option; do
  case $option in
    n) rounds=$OPTARG ;;
    m) mode=$OPTARG ;;
    D) doorbells=$OPTARG ;;
    H) halt=$OPTARG ;;
    q) depths=$OPTARG ;;
    b) bytes=$OPTARG ;;
    w) writes=-w ;;
    N) backend=$OPTARG ;;
    p) peer=$OPTARG ;;
    c) clients=$OPTARG ;;
    *) exit 2 ;;
  esac
done

build vunvme
if [ -n "$halt" ]; then
  parameter=/sys/module/haltpoll/parameters/guest_halt_poll_ns
  if [ ! -w $parameter ]; then
    echo "eng/bench: -H is for virtual machines whose kernel has the cpuidle governor haltpoll, and for root: $parameter cannot be written" >&2
    exit 2
  fi
  halted=$(cat $parameter)
  trap 'echo "$halted" >$parameter; cleanup' EXIT
  echo "$halt" >$parameter
fi
floor='' # of a client that sleeps: one command at a time, two messages and an interrupt
if [ "$mode$doorbells" = sleepingposted ] && [[ ,$depths, == *,1,* ]]; then
  gcc -O2 -I"$clients" -o "$work/rawirq" "$VFIO_ROOT/eng/benches/rawirq.c"
  floor=$work/floor.out
fi
case $mode in
  polled) setting=poll=on how='-D mmap -I poll' ;;
  adaptive) setting=poll=adaptive how='-D mmap -I poll' ;;
  sleeping) setting=poll=off how="-D $doorbells -I irq" ;;
  *)
    echo "eng/bench: -m is polled, adaptive or sleeping, not '$mode'" >&2
    exit 2
    ;;
esac

serve ours "$VFIO_ROOT/vfio" serve nvme --set "$setting" --set "backend=$backend" --log-level none --client-memory trusted --socket-path "$work/ours.sock"

# drive SERVER OPTION...: one run of the client.
drive() {
  # shellcheck disable=SC2086  # several options, split into words on purpose
  "$work/vunvme" -c 1 $how -l "$1" "${@:2}" "$work/$1.sock" 2>"$work/$1.err" || {
    echo "eng/bench: the client of $1 failed:" >&2
    cat "$work/$1.err" >&2
    exit 1
  }
}

if [ -n "$peer" ]; then
  # shellcheck disable=SC2086  # the command is split into words on purpose
  serve peer $peer "$work/peer.sock"
fi

for name in "${names[@]}"; do
  alone "$name"
  drive "$name" -w -q 32 -b 131072 -t 3 >/dev/null
done
for round in $(seq "$rounds"); do
  if [ -n "$floor" ]; then
    alone none
    "$work/rawirq" -s 0 -c 1 -b "$bytes" -t 1 >>"$floor"
  fi
  for depth in ${depths//,/ }; do
    for name in "${names[@]}"; do
      alone "$name"
      drive "$name" $writes -q "$depth" -b "$bytes" -t 1 | sed "s/test=nvme_io/test=depth@$depth/" >>"$work/$name.out"
    done
  done
done

printf '%-12s %12s %8s %8s %8s %12s %8s %8s %8s %10s\n' 'in flight' 'ours IOPS' p50 p99 p99.9 'peer IOPS' p50 p99 p99.9 'ours/peer'
for depth in ${depths//,/ }; do
  figures=()
  for name in ours peer; do
    for figure in ops_s p50 p99 p999; do
      figures+=("$(if [ -n "$peer" ] || [ "$name" = ours ]; then median "$work/$name.out" "depth@$depth" "$figure"; else echo 0; fi)")
    done
  done
  echo "$depth ${figures[*]}" | awk '{
    printf "%-12d %12.0f %8.1f %8.1f %8.1f %12.0f %8.1f %8.1f %8.1f %10s\n", $1, $2, $3 / 1000, $4 / 1000, $5 / 1000, $6, $7 / 1000, $8 / 1000, $9 / 1000, $6 ? sprintf("%.2f", $2 / $6) : "-"}'
done

if [ -n "$floor" ]; then
  awk -v ours="$(median "$work/ours.out" depth@1 ops_s)" -v floor="$(median "$floor" rawirq ops_s)" -v p50="$(median "$floor" rawirq p50)" 'BEGIN {
    printf "floor, two messages and an interrupt: %.0f/s, p50 %.1f us; one command at a time against it: %.2f\n", floor, p50 / 1000, ours / floor}'
fi
