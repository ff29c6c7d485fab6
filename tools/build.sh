#!/usr/bin/env bash
# Compiles all packages into their dist/ folders: what the images hold, and what the process node runs. About 6 s from
# nothing, 0.1 s when nothing has changed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec pnpm --silent build
