#!/usr/bin/env bash
# Coverage-guided fuzzing of every decoder and of `apply`.
#
#   jepsen-like-tests/fuzz/fuzz.sh SECONDS [SEED [TARGET…]]
#
# So many seconds for each target, all of them without names. What reached new code is minimised and kept in
# jepsen-like-tests/hostile/corpora, which the tests run; an input that broke something is left beside the program, named in
# the line of its target, and the exit code is 1. A line a target on stdout: what was executed, and what covered.
# It has a target directory of its own, so that no program which is tested has counters in it.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/../.."
[ $# -ge 1 ] || {
  sed -n '2,10s/^# \{0,1\}//p' "$here/fuzz.sh" >&2
  exit 2
}
seconds=$1 seed=${2:-7}
shift $(($# < 2 ? $# : 2))

. deploy/env.sh
out="${CARNET_FUZZ_DIR:-$CARNET_CACHE/fuzz}"
mkdir -p "$out"
# Programs that are built already may be named. The one with counters is built in a target directory of its own, the other,
# which hands the corpora over, in that of the workspace.
if [ -z "${CARNET_FUZZER:-}" ]; then
  CARGO_TARGET_DIR="$out/target" RUSTC_WRAPPER="$here/rustc.sh" \
    cargo build --locked --release --manifest-path "$here/Cargo.toml" >&2
  CARNET_FUZZER="$out/target/release/carnet-fuzz"
fi
if [ -z "${CARNET_HOSTILE:-}" ]; then
  cargo build --locked --release --package carnet-hostile >&2
  CARNET_HOSTILE="$CARGO_TARGET_DIR/release/carnet-hostile"
fi

targets=("$@")
[ $# -gt 0 ] || mapfile -t targets < <("$CARNET_HOSTILE" corpus targets)
broke=0
for target in "${targets[@]}"; do
  export CARNET_FUZZ=$target
  name=${target// /-}
  found="$out/$name" small="$out/$name.small" log="$out/$name.log"
  rm -rf "$small"
  "$CARNET_HOSTILE" corpus unpack "$target" "$found" >&2
  mkdir -p "$small"
  status=0
  "$CARNET_FUZZER" "$found" -seed="$seed" -max_total_time="$seconds" -max_len=16384 -len_control=0 -timeout=10 \
    -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$out/$name-" >"$log" 2>&1 || status=$?
  number() { sed -n "s/^stat::$1: *//p" "$log" | tail -n 1; }
  covered=$(sed -nE 's/.* cov: ([0-9]+) ft: ([0-9]+).*/\1 edges, \2 features/p' "$log" | tail -n 1)
  if [ "$status" != 0 ]; then
    broke=1
    echo "$target: BROKE: $(sed -n 's/.*Test unit written to //p' "$log" | tail -n 1)"
    continue
  fi
  # Merged from the smallest up: what the tests are given covers what everything did.
  "$CARNET_FUZZER" -merge=1 -max_len=4096 "$small" "$found" >>"$log" 2>&1
  kept=$("$CARNET_HOSTILE" corpus pack "$target" "$small")
  echo "$target: $(number number_of_executed_units) executions, ${covered:-nothing covered}; $kept"
done
exit "$broke"
