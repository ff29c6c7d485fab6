#!/usr/bin/env bash
# Runs the product on control planes of other Kubernetes versions, one after the other: the CRDs and their rules, bad
# input, every golden case once, and the demo's phases without pushdown. The last lines say how each version did.
# Usage: tools/compat.sh 1.32 1.34 …   (COMPAT_STEPS="definitions golden demo", COMPAT_OBJECTS pods in the demo,
# COMPAT_LOGS a folder that keeps the output)
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
[ $# -gt 0 ] || set -- $(cd tools/kubernetes-versions && ls)
logs=${COMPAT_LOGS:-$(mktemp -d)}
mkdir -p "$logs"
failed=0
summary=''

command_of() { # step
  case $1 in
    definitions)
      command=(vitest run --project integration e2e/src/api e2e/src/manager-process/bad-input e2e/src/worker-process/bad-input)
      ;;
    golden) command=(vitest run --project integration e2e/src/golden/golden) ;;
    demo) command=(env DEMO_PUSHDOWN=off "DEMO_OBJECTS=${COMPAT_OBJECTS:-1500}" e2e/demo.sh) ;;
    *)
      printf 'no step %s: choose from definitions, golden, demo\n' "$1" >&2
      exit 2
      ;;
  esac
}

for version in "$@"; do
  for step in ${COMPAT_STEPS:-definitions golden demo}; do
    command_of "$step"
    printf '\n== Kubernetes %s: %s, load %s ==\n' "$version" "$step" "$(cut -d' ' -f1 /proc/loadavg)"
    result=ok
    tools/on-kubernetes.sh "$version" "${command[@]}" 2>&1 | tee "$logs/$version-$step.log"
    if [ "${PIPESTATUS[0]}" -ne 0 ]; then
      result=FAILED
      failed=$((failed + 1))
    fi
    summary+=$(printf '%-6s %-12s %s' "$version" "$step" "$result")$'\n'
  done
done
printf '\n%s' "$summary"
printf 'logs: %s\n' "$logs"
[ "$failed" -eq 0 ]
