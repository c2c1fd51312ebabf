#!/usr/bin/env bash
# Registrations a second beside etcd and PostgreSQL, on this machine, in this run: three nodes of each, the same bytes, every write
# synced by a majority. Singly and in bulk (1,000 under one signature); look-ups beside etcd's linearizable ranges.
#
#   deploy/bench.sh [--long] [SECONDS] [ROUNDS]      seconds of one round (5), rounds of each system (5)
#
# Rates of a shared machine mean nothing alone: the figure is the median of the ratios of neighbouring rounds. Ours and etcd have one
# loader; PostgreSQL has pgbench, which signs nothing, and is left out where it is not installed or cannot be run. The syncs of ours and
# of etcd are counted by strace before anything is measured, in a round of their own, because counting slows both down: a system that
# acknowledged more than its syncs can cover gets no ratio, and this script ends with exit code 3. The rows are kept as JSON in
# bench-results of the cache.
#
# --long also registers a million robots, and says how the rate, a look-up, memory and a restart are with them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
long=
if [ "${1:-}" = --long ]; then
  long=1
  shift
fi
seconds=${1:-5}
rounds=${2:-5}

. deploy/setup.sh
carnet_setup build bench
. deploy/env.sh
. deploy/build.sh
carnet_expect_build "15 to 25 minutes"

scratch=$(mktemp -d "$CARNET_CACHE/bench.XXXXXX")
postgres=
over() {
  [ -z "$postgres" ] || carnet_postgres_down
  kill $(jobs -p) 2>/dev/null || true
  wait 2>/dev/null || true
  rm -rf "$scratch" "$postgres"
}
trap over EXIT
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
  as manufacturer-0001-bot --output json bench register --model 860001100001 --peer etcd --peer-endpoints "$peers" \
    --cpu-of "$(joined "${ours[@]}")" --peer-cpu-of "$(joined "${theirs[@]}")" "$@"
}

echo "etcd $(etcd --version | head -n 1 | sed 's/.*: //'), 3 nodes each, 512-byte records, $(nproc) cores, $(awk -F': ' '/model name/{print $2; exit}' /proc/cpuinfo)"

# Whoever waits for the answer to each write before the next has as many writes under way as there are clients, so a sync covers at
# most so many. What a majority of three synced, one of the two that synced less has synced too: these two must have done so at least
# as often as there were writes, divided by that.
clients_counted=64
if command -v strace >/dev/null 2>&1; then
  echo "== syncs while $clients_counted clients write singly for 3 s each (slowed down by counting)"
  count() {
    local name=$1
    shift
    for pid in "$@"; do
      timeout -s INT 12 strace -qq -f -c -e trace=fsync,fdatasync -p "$pid" -o "$scratch/$name.$pid.strace" &
    done
    wait
  }
  count ours "${ours[@]}" &
  counting_ours=$!
  count theirs "${theirs[@]}" &
  counting_theirs=$!
  load --clients $clients_counted --seconds 3 --rounds 1 >"$scratch/counted.json" 2>/dev/null || true
  wait $counting_ours $counting_theirs || true
  # Writes of one system, in the order in which the row names them.
  written() { awk -v of="\"$1\"" -F'"' '$0 ~ of ": \\[" {found = 1} found && $2 == "written" {print $4; exit}' "$scratch/counted.json"; }
  uncovered=
  for name in ours theirs; do
    system=carnet
    [ $name = ours ] || system=etcd
    for file in "$scratch/$name".*.strace; do awk '$NF ~ /sync$/{n += $4} END{print n + 0}' "$file"; done | sort -rn >"$scratch/$name.syncs"
    syncs=$(awk 'NR > 1 {n += $1} END {print n + 0}' "$scratch/$name.syncs")
    writes=$(written $system)
    echo "$system: $(paste -sd' ' "$scratch/$name.syncs") syncs of its nodes for ${writes:-no} writes"
    if [ -z "$writes" ] || [ $((syncs * clients_counted)) -lt "$writes" ]; then
      uncovered+=" $system"
    fi
  done
  if [ -n "$uncovered" ]; then
    echo "bench.sh: no ratios: writes were acknowledged that no syncs of a majority cover:$uncovered" >&2
    exit 3
  fi
else
  echo "syncs are not counted: strace is not installed"
fi

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

look_up() {
  as manufacturer-0001-bot --output json bench look-up --model 860001100001 --peer etcd --peer-endpoints "$peers" \
    --cpu-of "$(joined "${ours[@]}")" --peer-cpu-of "$(joined "${theirs[@]}")" "$@"
}
echo "== look-ups of the newest state, 64 clients (etcd: linearizable ranges of one key)"
look_up --clients 64 --seconds "$seconds" --rounds "$rounds" | tee "$results/look-up-64.json"

alone() {
  as manufacturer-0001-bot --output json bench register --model 860001100001 --cpu-of "$(joined "${ours[@]}")" --rounds 1 "$@" 2>/dev/null
}
# The value of a field of a row of one round.
field() { sed -n "s/.*\"$1\": *\"\{0,1\}\([0-9.]*\).*/\1/p" | head -n 1; }

beside_postgres() {
  local many=$1 number mine theirs
  echo "== singly, $many clients, beside PostgreSQL's prepared INSERTs"
  for number in $(seq "$rounds"); do
    mine=$(alone --clients "$many" --seconds "$seconds")
    theirs=$(carnet_postgres_round "$many" "$seconds" 512)
    printf '{"carnet": {"per_second": %s, "cpu_us_each": %s}, "postgres": %s}\n' \
      "$(field per_second <<<"$mine")" "$(field cpu_us_each <<<"$mine")" "$theirs"
  done | tee "$results/postgres-$many.json"
  # per_second of both stand in one line; the median of what they make.
  sed 's/[^0-9.]\{1,\}/ /g' "$results/postgres-$many.json" | awk '$3 > 0 {print $1 / $3}' | sort -n \
    | awk '{r[NR] = $1} END {if (NR) printf "ratio_to_postgres: median %.2f of %d (%.2f to %.2f)\n", (r[int((NR + 1) / 2)] + r[int((NR + 2) / 2)]) / 2, NR, r[1], r[NR]}'
}
. deploy/bench-postgres.sh
if [ "$(id -u)" = 0 ] && id postgres >/dev/null 2>&1 && command -v pgbench >/dev/null 2>&1 && command -v openssl >/dev/null 2>&1; then
  # The servers run as another user, to whom the cache is closed.
  postgres=$(mktemp -d -t carnet-bench.XXXXXX)
  chmod 755 "$postgres"
  if carnet_postgres_up "$postgres/pg" $((base + 37)); then
    for count in 64 256; do beside_postgres "$count"; done
  else
    echo "not beside PostgreSQL: its servers did not start"
  fi
else
  echo "not beside PostgreSQL: it takes root, the packages postgresql and postgresql-contrib, and openssl"
fi

memory() { for pid in "${ours[@]}"; do awk '/^(VmHWM|VmRSS)/{printf "%s %d MiB  ", $1, $2 / 1024}' "/proc/$pid/status"; done; }
if [ -n "$long" ]; then
  echo "== with a million robots, against the first ten thousands of this run"
  echo "before: bulk $(alone --clients 64 --batch 1000 --seconds "$seconds" | field per_second)/s; $(memory)"
  registered=0
  while [ "$registered" -lt 1000000 ]; do
    registered=$((registered + $(alone --clients 64 --batch 1000 --seconds 20 | field written)))
    echo "registered $registered"
  done
  echo "after: bulk $(alone --clients 64 --batch 1000 --seconds "$seconds" | field per_second)/s; $(memory)"
  look_up --clients 64 --seconds "$seconds" --rounds "$rounds" | tee "$results/look-up-million.json"
  # The last is started again: from its process to its first answer under the newest state.
  kill "${ours[2]}"
  wait "${ours[2]}" 2>/dev/null || true
  begun=$(date +%s%N)
  carnetd --config "$scratch/86-3.toml" 2>>"$scratch/86-3.log" &
  ours[2]=$!
  until carnet --pki "$pki" --prefix 86 --as manufacturer-0001-bot --endpoints "127.0.0.1:$((base + 32))" --state-dir "$scratch/state" \
    model get 860001100001 >/dev/null 2>&1; do :; done
  echo "restart: $((($(date +%s%N) - begun) / 1000000)) ms until it answers"
fi
echo "kept in $results"
