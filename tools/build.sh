#!/usr/bin/env bash
# Compiles all packages into their dist/ folders, and the worker into one file there: what the images hold, and what the
# process node runs. About 8 s from nothing, 0.5 s when nothing has changed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
pnpm --silent build
bundle=packages/worker/dist/bundle.js
inputs=(rolldown.config.ts pnpm-lock.yaml packages/shared/dist packages/worker/dist)
if [[ ! -f $bundle || -n $(find "${inputs[@]}" -type f -newer "$bundle" ! -name bundle.js.map -print -quit) ]]; then
  rolldown --config rolldown.config.ts --logLevel silent
fi
