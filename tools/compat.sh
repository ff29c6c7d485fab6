#!/usr/bin/env bash
# Runs the product on control planes of other Kubernetes versions, one after the other: the definitions and their rules,
# bad input, every golden case once, and the demo's phases without pushdown. The last lines say how each version did.
# Usage: tools/compat.sh 1.32 1.34 …   (COMPAT_OBJECTS pods in the demo; COMPAT_LOGS a folder that keeps the output)
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
[ $# -gt 0 ] || set -- $(cd tools/kubernetes-versions && ls)
logs=${COMPAT_LOGS:-$(mktemp -d)}
mkdir -p "$logs"
failed=0
summary=''

step() { # version, name, command…
  local version=$1 name=$2 result=ok
  shift 2
  printf '\n== Kubernetes %s: %s ==\n' "$version" "$name"
  "$@" 2>&1 | tee "$logs/$version-$name.log"
  if [ "${PIPESTATUS[0]}" -ne 0 ]; then
    result=FAILED
    failed=$((failed + 1))
  fi
  summary+=$(printf '%-6s %-12s %s' "$version" "$name" "$result")$'\n'
}

for version in "$@"; do
  node tools/build-binaries.ts "$version" || exit 1
  bin="$root/.cache/kubernetes-$version"
  export KUBE_APISERVER_BIN="$bin/kube-apiserver" KUBE_CONTROLLER_MANAGER_BIN="$bin/kube-controller-manager" KUBE_SCHEDULER_BIN="$bin/kube-scheduler"
  step "$version" definitions vitest run --project integration e2e/src/api e2e/src/manager-process/bad-input e2e/src/worker-process/bad-input
  step "$version" golden vitest run --project integration e2e/src/golden/golden
  step "$version" demo env DEMO_PUSHDOWN=off DEMO_OBJECTS="${COMPAT_OBJECTS:-1500}" e2e/demo.sh
done
printf '\n%s' "$summary"
printf 'logs: %s\n' "$logs"
[ "$failed" -eq 0 ]
