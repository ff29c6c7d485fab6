#!/usr/bin/env bash
# Prepares everything that the Makefile's targets need, and nothing outside this checkout and the cache folder:
#   1. Node and pnpm, pinned in tools/package-lock.json, into tools/node_modules
#   2. the workspace's dependencies, pinned in pnpm-lock.yaml, into node_modules
#   3. etcd, Kubernetes, kwok, nats-server, kube-state-metrics and Helm, pinned in tools/*/go.mod, built with Go into the cache
# Each step is skipped when its pin has not changed. Usage: tools/setup.sh [node|all]
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

say() { printf '%s\n' "tools: $*" >&2; }
fail() { printf '%s\n' "tools: $*" >&2; exit 1; }

need() { # command, minimum major.minor, version text, how to get it
  command -v "$1" >/dev/null 2>&1 || fail "$1 is missing: $4"
  local have=$3
  [ "$(printf '%s\n%s\n' "$2" "$have" | sort -V | head -n 1)" = "$2" ] ||
    fail "$1 $have is too old, $2 or newer is needed: $4"
}

need node 20 "$(node --version 2>/dev/null | tr -d v)" "install Node.js 20 or newer (nodejs.org or your package manager)"
command -v npm >/dev/null 2>&1 || fail "npm is missing: it comes with Node.js 20 or newer"

stamp() { cat "$@" | sha256sum | cut -c1-16; }

pinned=$(stamp tools/package-lock.json)
if [ "$(cat tools/node_modules/.pin 2>/dev/null)" != "$pinned" ] || ! tools/node_modules/.bin/node --version >/dev/null 2>&1; then
  say "installing the pinned Node and pnpm into tools/node_modules (about 100 MB, checked against tools/package-lock.json)"
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error --prefix tools >&2 ||
    fail "npm could not install tools/package-lock.json: is the npm registry reachable? (npm config get registry)"
  tools/node_modules/.bin/node --version >/dev/null 2>&1 ||
    fail "the pinned Node does not run here: it is packaged for Linux on x64 and arm64, this is $(uname -s) on $(uname -m)"
  printf '%s' "$pinned" > tools/node_modules/.pin
fi
export PATH="$root/tools/node_modules/.bin:$PATH"

pinned=$(stamp pnpm-lock.yaml pnpm-workspace.yaml package.json {packages/*,helm,e2e}/package.json)
if [ "$(cat node_modules/.pin 2>/dev/null)" != "$pinned" ]; then
  say "installing the workspace's dependencies (checked against pnpm-lock.yaml)"
  CI=true pnpm install --frozen-lockfile --reporter=append-only --loglevel=warn >&2 ||
    fail "pnpm could not install pnpm-lock.yaml: is the npm registry reachable? (npm config get registry)"
  printf '%s' "$pinned" > node_modules/.pin
fi

[ "${1:-all}" = node ] || node tools/build-binaries.ts
