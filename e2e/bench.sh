#!/usr/bin/env bash
# Ours against plain kube-state-metrics, inside a namespace of its own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec node --conditions=@shard/source e2e/src/namespace/enter.ts -- node --conditions=@shard/source e2e/src/bench/main.ts "$@"
