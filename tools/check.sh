#!/usr/bin/env bash
# Static checks. Runs all of them, then fails if one did.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
failed=0
passed=0
step() {
  local name=$1
  shift
  local output
  if output=$("$@" 2>&1); then
    passed=$((passed + 1))
    printf 'check: %-10s ok\n' "$name"
  else
    failed=$((failed + 1))
    printf 'check: %-10s FAILED (%s)\n%s\n' "$name" "$*" "$output"
  fi
}
step types pnpm --silent typecheck
step lint pnpm --silent lint
step format pnpm --silent format:check
step knip pnpm --silent knip
step rooms node tools/rooms/main.ts
step generated pnpm --silent gen --check
printf 'check: %d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ]
