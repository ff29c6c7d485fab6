#!/usr/bin/env bash
# The e2e suite, inside a namespace of its own. Arguments go to vitest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools/build.sh
export SHARD_CONTROLLER_PROGRAMS=dist
exec node --conditions=@shard/source e2e/src/namespace/enter.ts -- vitest run --project e2e "$@"
