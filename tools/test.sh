#!/usr/bin/env bash
# Everything: the last line is `N passed, N failed(, N skipped)`, the one before it `N flaky`.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools/setup.sh || { printf '0 flaky\n0 passed, 1 failed\n'; exit 1; }
exec tools/node_modules/.bin/node tools/test-run/main.ts
