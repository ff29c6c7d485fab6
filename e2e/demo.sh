#!/usr/bin/env bash
# The guided run, inside a namespace of its own.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools/build.sh
export SHARD_CONTROLLER_PROGRAMS=dist
exec node --conditions=@shard/source e2e/src/namespace/enter.ts -- node --conditions=@shard/source e2e/src/demo/main.ts "$@"
