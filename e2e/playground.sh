#!/usr/bin/env bash
# Starts (up) or ends (down) the playground cluster.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ "${1:-}" = down ] || tools/build.sh
export SHARD_CONTROLLER_PROGRAMS=dist
exec node --conditions=@shard/source e2e/src/playground/main.ts "$@"
