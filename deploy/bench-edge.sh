#!/usr/bin/env bash
# What a flood does to honest reads, on each plane: three nodes on this machine, reads at half of saturation, without the
# flood and with it in one run, who led before and after, and the memory of each node before, at its largest and after.
#
#   CARNET_BIN_DIR=DIR deploy/bench-edge.sh [SECONDS]      seconds of each of the three parts (8): under four minutes in all
#
# Times of a shared machine mean little: its load stands beside them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
seconds=${1:-8}
PATH="${CARNET_BIN_DIR:?where carnet and carnetd are}:$PATH"
scratch=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$scratch"' EXIT

used() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
free_base() {
  local base n plane
  for _ in {1..50}; do
    base=$((14000 + RANDOM % 100 * 40))
    for n in 1 2 3; do
      for plane in 1 2 3 4; do ! used $((base + n * 10 + plane)) || continue 3; done
    done
    echo "$base"
    return
  done
  echo "bench-edge.sh: no free range of ports between 14000 and 18000" >&2
  return 1
}
base=$(free_base)
pki=$scratch/86
carnet pki init --prefix 86 --node 1=127.0.0.1 --node 2=127.0.0.1 --node 3=127.0.0.1 \
  --client admin/ops/root --client registrar/hq/anna "$pki" >/dev/null
clients= admins= members=() nodes=()
ports() { local n out=; for n in 1 2 3; do out+="${out:+,}127.0.0.1:$((base + n * 10 + $1))"; done; echo "$out"; }
for n in 1 2 3; do
  cat >"$scratch/86-$n.toml" <<TOML
[node]
prefix = "86"
id = $n
data_dir = "data-$n"
pki_dir = "86"
profile = "sandbox"
[listen]
raft = "127.0.0.1:$((base + n * 10 + 1))"
client = "127.0.0.1:$((base + n * 10 + 2))"
admin = "127.0.0.1:$((base + n * 10 + 3))"
federation = "127.0.0.1:$((base + n * 10 + 4))"
TOML
  carnetd --config "$scratch/86-$n.toml" init --join 1,2,3 >/dev/null
  carnetd --config "$scratch/86-$n.toml" 2>"$scratch/86-$n.log" &
  nodes+=($!)
  members+=(--member "$n=127.0.0.1:$((base + n * 10 + 1)),127.0.0.1:$((base + n * 10 + 2))")
done
clients=$(ports 2) admins=$(ports 3)
as() {
  local who=$1
  shift
  carnet --pki "$pki" --prefix 86 --as "$who" --endpoints "$clients" --admin-endpoints "$admins" \
    --state-dir "$scratch/state" "$@"
}
patience=60
until as admin-ops-root cluster init --country CN "${members[@]}" >/dev/null 2>"$scratch/init.log"; do
  patience=$((patience - 1))
  [ "$patience" -gt 0 ] || { cat "$scratch/init.log" >&2; exit 1; }
  sleep 0.5
done
# Resident memory of each node in MiB, now or, since the last time this was asked, at most.
resident() { local node; for node in "${nodes[@]}"; do awk -v of="$1:" '$1 == of { printf "%d ", $2 / 1024 }' "/proc/$node/status"; done; }
forget_most() { local node; for node in "${nodes[@]}"; do echo 5 >"/proc/$node/clear_refs"; done; }
# The role of each node and its term.
led() { as admin-ops-root --output json cluster status | tr -d ' \n' | grep -o '"role":"[^"]*"\|"term":"[^"]*"' | tr '\n' ' '; }

echo "$(nproc) cores, load $(cut -d' ' -f1-3 /proc/loadavg), 1,280 empty connections a second at each of three ports"
# Requests that are held: one certificate begins 150, each of some 5 MiB.
before=$(resident VmRSS)
forget_most
echo "== client plane, 150 bulk requests of one certificate that are never whole"
as admin-ops-root --output json bench edge --flood "$(ports 2)" --flood-per-s 1 --held 150 --seconds "$seconds" --clients 32
echo "MiB of the nodes: before $before, at most $(resident VmHWM), after $(resident VmRSS)"
for plane in 1:raft 2:client 3:admin 4:federation; do
  for addresses in 1 1000; do
    before=$(led) memory=$(resident VmRSS)
    forget_most
    echo "== ${plane#*:} plane, flood from $addresses address(es); led: $before"
    as registrar-hq-anna --output json bench edge --flood "$(ports "${plane%%:*}")" --flood-addresses "$addresses" \
      --seconds "$seconds" --clients 32
    after=$(led)
    echo "MiB of the nodes: before $memory, at most $(resident VmHWM), after $(resident VmRSS)"
    [ "$before" = "$after" ] && echo "leader and term kept" || echo "led after: $after"
  done
done
