#!/usr/bin/env bash
# Ours against plain kube-state-metrics, inside a namespace of its own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# Compiled programs are measured: what an image holds.
tools/build.sh
export SHARD_CONTROLLER_PROGRAMS=dist
exec node --conditions=@shard/source e2e/src/namespace/enter.ts -- node --conditions=@shard/source e2e/src/bench/main.ts "$@"
