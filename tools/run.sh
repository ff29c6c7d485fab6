#!/usr/bin/env bash
# Runs a command with the pinned tools on PATH, after making sure that they are there.
# Usage: tools/run.sh [--node-only] command [argument …]
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
what=all
if [ "${1:-}" = --node-only ]; then what=node; shift; fi
"$root/tools/setup.sh" "$what"
export PATH="$root/node_modules/.bin:$root/tools/node_modules/.bin:$PATH"
export SHARD_CONTROLLER_BIN_DIR="${SHARD_CONTROLLER_BIN_DIR:-$root/.cache/bin}"
cd "$root"
exec "$@"
