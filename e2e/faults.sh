#!/usr/bin/env bash
# Runs with seeded faults between workers and API server. SEEDS, FIRST, SEED and LOGS come from the environment.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec node --conditions=@shard/source e2e/src/faults/main.ts
