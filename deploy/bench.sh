#!/usr/bin/env bash
# Registrations a second beside etcd, on this machine, in this run: three nodes of each, the same bytes, the same loader,
# every write synced by a majority. Singly and in bulk (1,000 under one signature).
#
#   deploy/bench.sh [SECONDS] [ROUNDS]      seconds of one round (5), rounds of each system (5)
#
# Rates of a shared machine mean nothing alone: the figure is the median of the ratios of neighbouring rounds. The syncs
# of both systems are counted by strace in a round of their own, because counting slows both down. The rows are kept as JSON
# in bench-results of the cache.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
seconds=${1:-5}
rounds=${2:-5}

. deploy/setup.sh
carnet_setup build bench
. deploy/env.sh
. deploy/build.sh
carnet_expect_build "15 to 25 minutes"

scratch=$(mktemp -d "$CARNET_CACHE/bench.XXXXXX")
trap 'kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$scratch"' EXIT
carnet_build_programs "$scratch/bin" >&2
PATH="$scratch/bin:$PATH"

# Ports that nobody listens on, below those that the kernel gives to outgoing connections.
used() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
free_base() {
  local base n plane
  for _ in {1..50}; do
    base=$((14000 + RANDOM % 100 * 40))
    for n in 1 2 3; do
      for plane in 1 2 3 4 5 6; do ! used $((base + n * 10 + plane)) || continue 3; done
    done
    echo "$base"
    return
  done
  echo "bench.sh: no free range of ports between 14000 and 18000" >&2
  return 1
}
base=$(free_base)

pki=$scratch/86
carnet pki init --prefix 86 --node 1=127.0.0.1 --node 2=127.0.0.1 --node 3=127.0.0.1 \
  --client admin/ops/root --client registrar/hq/anna --client manufacturer/0001/bot "$pki" >/dev/null
clients= admins= members=() etcds= ours=() theirs=()
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
  ours+=($!)
  clients+="${clients:+,}127.0.0.1:$((base + n * 10 + 2))"
  admins+="${admins:+,}127.0.0.1:$((base + n * 10 + 3))"
  members+=(--member "$n=127.0.0.1:$((base + n * 10 + 1)),127.0.0.1:$((base + n * 10 + 2))")
  etcds+="${etcds:+,}e$n=http://127.0.0.1:$((base + n * 10 + 6))"
done
for n in 1 2 3; do
  etcd --name "e$n" --data-dir "$scratch/etcd-$n" --initial-cluster "$etcds" --initial-cluster-state new \
    --listen-peer-urls "http://127.0.0.1:$((base + n * 10 + 6))" \
    --initial-advertise-peer-urls "http://127.0.0.1:$((base + n * 10 + 6))" \
    --listen-client-urls "http://127.0.0.1:$((base + n * 10 + 5))" \
    --advertise-client-urls "http://127.0.0.1:$((base + n * 10 + 5))" >"$scratch/etcd-$n.log" 2>&1 &
  theirs+=($!)
done

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
as registrar-hq-anna enterprise add 0001 --name "Bench Robotics" --maker-scheme name --maker-country CN \
  --maker-id "BENCH ROBOTICS" --role manufacturer >/dev/null
as registrar-hq-anna key add "$pki/clients/manufacturer-0001-bot.actor.pub" --role manufacturer --enterprise 860001 >/dev/null
as registrar-hq-anna model approve 860001100001 --name Bench --certificate TA-BENCH --production-from 2000-01-01 \
  --production-to 2100-01-01 >/dev/null

# The leader of etcd first: the loader writes to it, as ours does to ours.
peers=
for n in 1 2 3; do
  at="127.0.0.1:$((base + n * 10 + 5))"
  if ETCDCTL_API=3 etcdctl --endpoints "$at" endpoint status -w fields 2>/dev/null | awk '/"MemberID"/{m=$3} /"Leader"/{l=$3} END{exit m!=l}'; then
    peers="$at${peers:+,$peers}"
  else
    peers="${peers:+$peers,}$at"
  fi
done
joined() { local IFS=,; echo "$*"; }
load() {
  as manufacturer-0001-bot bench register --model 860001100001 --peer etcd --peer-endpoints "$peers" \
    --cpu-of "$(joined "${ours[@]}")" --peer-cpu-of "$(joined "${theirs[@]}")" "$@"
}

echo "etcd $(etcd --version | head -n 1 | sed 's/.*: //'), 3 nodes each, 512-byte records, $(nproc) cores"
# A row of the table: printed, and kept as it is.
results=$CARNET_CACHE/bench-results/$(date -u +%Y%m%dT%H%M%SZ)
mkdir -p "$results"
row() {
  local name=$1 what=$2
  shift 2
  echo "== $what"
  load "$@" | tee "$results/$name.json"
}
row singly-1 "singly, 1 client: latency" --clients 1 --seconds "$seconds" --rounds "$rounds"
for count in 64 256; do
  row "singly-$count" "singly, $count clients" --clients "$count" --seconds "$seconds" --rounds "$rounds"
done
row bulk-64 "in bulk, 1,000 under one signature, 64 clients (etcd: transactions of 100 puts; etcd_singly: single puts)" \
  --clients 64 --batch 1000 --peer-single-clients 64 --seconds "$seconds" --rounds "$rounds"
echo "kept in $results"

if command -v strace >/dev/null 2>&1; then
  echo "== syncs while 64 clients write singly for 3 s each (slowed down by counting)"
  count() {
    local name=$1
    shift
    timeout -s INT 8 strace -qq -f -c -e trace=fsync,fdatasync $(printf -- '-p %s ' "$@") -o "$scratch/$name.strace" || true
  }
  count ours "${ours[@]}" &
  count theirs "${theirs[@]}" &
  load --clients 64 --seconds 3 --rounds 1 || true
  wait -n || true
  wait -n || true
  for name in ours theirs; do
    echo "$name: $(awk '$NF ~ /sync/{n += $4} END{print n + 0}' "$scratch/$name.strace" 2>/dev/null) syncs"
  done
else
  echo "syncs are not counted: strace is not installed"
fi
