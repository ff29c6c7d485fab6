#!/usr/bin/env bash
# The e2e suite, inside a namespace of its own. Arguments go to vitest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec node --conditions=@shard/source e2e/src/namespace/enter.ts -- vitest run --project e2e "$@"
