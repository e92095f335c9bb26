# The vfio-user server. Sourced by eng/bench.
# shellcheck shell=bash

# shellcheck source=eng/benches/clients.sh
. "$VFIO_ROOT/eng/benches/clients.sh"

rounds=5 mode=block serve_options='' client_options='' tests=read4,write4,pipe16,posted32 peer=''
while getopts n:t:M:s:p:o:c: option; do
  case $option in
    n) rounds=$OPTARG ;;
    t) tests=$OPTARG ;;
    M) mode=$OPTARG ;;
    s) serve_options=$OPTARG ;;
    p) peer=$OPTARG ;;
    o) client_options=$OPTARG ;;
    c) clients=$OPTARG ;;
    *) exit 2 ;;
  esac
done

build vubench rawpp

# shellcheck disable=SC2086  # several options, split into words on purpose
serve ours "$VFIO_ROOT/vfio" serve bench $serve_options --log-level none --socket-path "$work/ours.sock"
if [ -n "$peer" ]; then
  # shellcheck disable=SC2086  # the command is split into words on purpose
  serve peer $peer "$work/peer.sock"
fi

# client SERVER: one round of the client. A test's name gets the number of live regions behind it.
client() {
  # shellcheck disable=SC2086  # several options, split into words on purpose
  "$work/vubench" -c 1 -M "$mode" -n 30000 $client_options -l "$1" -t "$tests" "$work/$1.sock" |
    sed -E 's/test=([a-z0-9_]+) (.* )?live=([0-9]+)/test=\1@\3 \2live=\3/'
}

for round in $(seq "$rounds"); do
  alone floor
  "$work/rawpp" -m "$mode" -M "$mode" -n 100000 -w 10000 -s 0 -c 1 >>"$work/floor.out" 2>&1
  for name in "${names[@]}"; do
    alone "$name"
    # The first round warms up and is not counted; for connections, of which a round has 300, until code that runs once for each is compiled.
    if [ "$round" = 1 ]; then
      client "$name" >/dev/null 2>&1 || true
      case ,$tests, in
        *,connect,*) for _ in $(seq 40); do "$work/vubench" -c 1 -M "$mode" -t connect "$work/$name.sock" >/dev/null 2>&1 || true; done ;;
      esac
    fi
    client "$name" >>"$work/$name.out"
  done
done

floor=$(grep -oE '(^| )p50=[0-9.]+' "$work/floor.out" | cut -d= -f2 | sort -n | awk '{v[NR]=$1} END {print v[int((NR + 1) / 2)]}')
printf 'floor, raw ping-pong, both %s: p50 %.2f us\n' "$mode" "$(awk -v n="$floor" 'BEGIN {print n / 1000}')"
printf '%-28s %12s %12s %12s %12s %10s\n' test 'ours ops/s' 'ours p50 us' 'peer ops/s' 'peer p50 us' 'ours/peer'
for test in $(grep -ohE 'test=[a-z0-9_@]+' "$work/ours.out" | cut -d= -f2 | awk '!seen[$0]++'); do
  ours=$(median "$work/ours.out" "$test" ops_s)
  ours50=$(median "$work/ours.out" "$test" p50)
  peer_ops=0 peer50=0
  if [ -n "$peer" ]; then
    peer_ops=$(median "$work/peer.out" "$test" ops_s)
    peer50=$(median "$work/peer.out" "$test" p50)
  fi
  awk -v t="$test" -v o="$ours" -v o5="$ours50" -v p="$peer_ops" -v p5="$peer50" 'BEGIN {
    printf "%-28s %12.0f %12s %12s %12s %10s\n", t, o, o5 ? sprintf("%.1f", o5 / 1000) : "-", p ? sprintf("%.0f", p) : "-", p5 ? sprintf("%.1f", p5 / 1000) : "-", p ? sprintf("%.2f", o / p) : "-"}'
done
ours50=$(median "$work/ours.out" region_read p50)
awk -v o="$ours50" -v f="$floor" 'BEGIN {if (o && f) printf "one read at a time against the floor: %.2f\n", o / f}'
