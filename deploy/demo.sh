#!/usr/bin/env bash
# The main job, end to end, with real processes on this machine: three countries of three nodes each.
#
#   deploy/demo.sh [--once] [--keep] [--json] [--port N]      (passed on to `carnet demo`)
#
# Exit code 0 only if every line of the story held.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. deploy/setup.sh
carnet_setup build
. deploy/env.sh # After setup: ccache may be there only now.
. deploy/build.sh

carnet_expect_build "15 to 25 minutes"
programs=$(mktemp -d "$CARNET_CACHE/demo.XXXXXX")
trap 'rm -rf "$programs"' EXIT
started=$SECONDS
carnet_build_programs "$programs" >&2
echo "build: done in $((SECONDS - started)) s" >&2

# Not `exec`: the copy of the programs goes when the demo has ended. Whatever would end this script ends the demo, which
# ends its nodes and removes its data; then this script ends.
"$programs/carnet" demo --bin-dir "$programs" --models deploy/humanoid_models.csv "$@" &
demo=$!
trap 'kill -TERM "$demo" 2>/dev/null' INT TERM HUP
status=0
wait "$demo" || status=$?
while kill -0 "$demo" 2>/dev/null; do wait "$demo" || status=$?; done
exit "$status"
