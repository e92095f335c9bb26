# Servers in alternation, each driven by the same neutral clients. Sourced by the benches that need it, after eng/lib.sh.
# shellcheck shell=bash

clients=$VFIO_ROOT/../shared/bench
work=$(mktemp -d)
# What runs, and by which name it is known, in the same order.
servers=()
names=()
cleanup() {
  for server in "${servers[@]}"; do kill "$server" 2>/dev/null && kill -CONT "$server" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT

# build CLIENT...: the neutral clients, and the tool.
build() {
  local client
  "$VFIO_ROOT/vfio" --version >/dev/null
  for client in "$@"; do
    if [ ! -f "$clients/$client.c" ]; then
      echo "eng/bench: $clients/$client.c is not there; name the folder of the neutral clients with -c" >&2
      exit 1
    fi
    gcc -O2 -o "$work/$client" "$clients/$client.c" -lpthread
  done
}

# serve NAME COMMAND...: starts a server on processor 0 and waits for its socket.
serve() {
  local name=$1
  shift
  taskset -c 0 "$@" >"$work/$name.log" 2>&1 &
  servers+=($!)
  names+=("$name")
  for _ in $(seq 600); do
    [ ! -S "$work/$name.sock" ] || return 0
    kill -0 $! 2>/dev/null || break
    sleep 0.1
  done
  echo "eng/bench: $name did not listen:" >&2
  cat "$work/$name.log" >&2
  exit 1
}

# alone NAME: stops the others, which may look for clients all the time; all, for the name of none.
alone() {
  local i
  for i in "${!names[@]}"; do
    if [ "${names[i]}" = "$1" ]; then kill -CONT "${servers[i]}"; else kill -STOP "${servers[i]}"; fi
  done
}

# median FILE TEST KEY: the median of one figure over the rounds.
median() {
  # Not every test has every figure.
  { grep -E "test=$2( |$)" "$1" | grep -oE "(^| )$3=[0-9.]+" || true; } | cut -d= -f2 | sort -n | awk '{v[NR]=$1} END {if (NR) print v[int((NR + 1) / 2)]; else print 0}'
}
