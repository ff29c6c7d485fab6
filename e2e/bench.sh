#!/usr/bin/env bash
# Ours against plain kube-state-metrics, inside a namespace of its own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# Compiled programs are measured where the checkout can build them: what an image holds.
if [ -x tools/build.sh ]; then
  tools/build.sh
  export SHARD_CONTROLLER_PROGRAMS=dist
fi
exec node --conditions=@shard/source e2e/src/namespace/enter.ts -- node --conditions=@shard/source e2e/src/bench/main.ts "$@"
