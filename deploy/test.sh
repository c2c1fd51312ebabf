#!/usr/bin/env bash
# Every check of this repository, from a fresh machine with git and Rust: format, lints, and all tests, those of the
# workspace itself (layers, tidy tree) and those with real processes among them.
#
#   deploy/test.sh [--quick]      --quick leaves out the tests that start real processes
#
# Ends with the plain line "N passed, N failed, N skipped"; exit code 0 only if nothing failed.
#
# For a test that starts processes: CARNET_BIN_DIR holds the release programs `carnet` and `carnetd`, and
# CARNET_PLANTED_BIN_DIR the `carnetd` with planted faults compiled in. A test that cannot run on this machine prints
# "CARNET-SKIP: <test>: <reason>", appends the same line to the file CARNET_SKIP_FILE, and returns; it is then counted as
# skipped, not as passed.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

quick=0
for argument in "$@"; do
  case "$argument" in
    --quick) quick=1 ;;
    *)
      echo "test.sh: unknown argument $argument; there is --quick" >&2
      exit 2
      ;;
  esac
done

. deploy/setup.sh
groups=(build test)
[ "$quick" = 1 ] || groups+=(cluster monitoring bench)
carnet_setup "${groups[@]}" || exit 1
. deploy/env.sh # After setup: ccache may be there only now.
. deploy/build.sh

scratch=$(mktemp -d "$CARNET_CACHE/test.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
export CARNET_SKIP_FILE="$scratch/skipped"
: >"$CARNET_SKIP_FILE"
# What scenarios with real processes counted: `cargo xtask figures --from` makes the README's figures of it.
export CARNET_FIGURES_FILE="$CARNET_CACHE/figures.tsv"
: >"$CARNET_FIGURES_FILE"

passed=0
failed=0
skipped=0
reasons=()
times=()

# phase NAME COMMAND…: runs it, says how long it took.
phase() {
  local name=$1 started=$SECONDS status=0
  shift
  echo "==> $name" >&2
  "$@" || status=$?
  times+=("$(printf '%5d s  %s' $((SECONDS - started)) "$name")")
  return "$status"
}

# check NAME COMMAND…: a phase that counts as one test.
check() {
  if need "$@"; then passed=$((passed + 1)); fi
}

# need NAME COMMAND…: a phase that proves nothing when it works, and is one failure when it does not.
need() {
  phase "$@" && return 0
  failed=$((failed + 1))
  reasons+=("$1")
  return 1
}

run_tests() {
  cargo nextest run --locked --release --workspace --profile "$1" 2>&1 | tee "$scratch/nextest.log"
}

# Reads nextest's summary: "N[/TOTAL] tests run: P passed (…), F failed, …, S skipped".
count_tests() {
  local summary total good left_out unable
  summary=$(grep -E '^ *Summary \[' "$scratch/nextest.log" 2>/dev/null | tail -n 1)
  if [ -z "$summary" ]; then
    failed=$((failed + 1))
    reasons+=("tests did not run to their end")
    return
  fi
  total=$(sed -E 's/.*\] +([0-9]+\/)?([0-9]+) tests? run:.*/\2/' <<<"$summary")
  good=$(sed -nE 's/.*run: ([0-9]+) passed.*/\1/p' <<<"$summary")
  left_out=$(sed -nE 's/.* ([0-9]+) skipped.*/\1/p' <<<"$summary")
  unable=$(sort -u "$CARNET_SKIP_FILE" | grep -c '^CARNET-SKIP: ')
  passed=$((passed + ${good:-0} - unable))
  failed=$((failed + total - ${good:-0}))
  skipped=$((${left_out:-0} + unable))
  if [ "${total:-0}" -ne "${good:-0}" ]; then
    reasons+=("$((total - good)) of $total tests, listed above")
  fi
}

profile=ci
[ "$quick" = 0 ] || profile=quick
carnet_expect_build "25 to 40 minutes, tests included,"

check "format (cargo fmt --check)" cargo fmt --all --check
check "lints (cargo clippy -D warnings)" cargo clippy --locked --release --workspace --all-targets -- -D warnings
if [ "$quick" = 0 ]; then
  export CARNET_PLANTED_BIN_DIR="$scratch/planted" CARNET_BIN_DIR="$scratch/bin"
  need "programs with planted faults" carnet_build_programs "$CARNET_PLANTED_BIN_DIR" --features carnetd/planted
  need "programs (carnet, carnetd)" carnet_build_programs "$CARNET_BIN_DIR"
fi
if need "compile the tests" cargo nextest run --locked --release --workspace --no-run; then
  phase "run the tests" run_tests "$profile"
  count_tests
fi

echo
echo "time by phase:"
printf '  %s\n' "${times[@]}"
if [ "$quick" = 1 ] && [ "$skipped" -gt 0 ]; then
  echo "skipped: tests with real processes (--quick)"
fi
[ "$quick" = 1 ] || echo "figures of the scenarios: $CARNET_FIGURES_FILE"
sort -u "$CARNET_SKIP_FILE" | sed 's/^CARNET-SKIP: /skipped: /'
for reason in ${reasons[@]+"${reasons[@]}"}; do
  echo "FAILED: $reason"
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
