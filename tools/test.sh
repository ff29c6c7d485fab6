#!/usr/bin/env bash
# All suites. Each runs even when one before it failed; the last line adds them up.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
passed=0
failed=0
skipped=0

"$root/tools/setup.sh" || { printf '0 passed, 1 failed\n'; exit 1; }

if output=$(tools/run.sh --node-only tools/check.sh); then :; fi
printf '%s\n' "$output"
read -r p f < <(printf '%s\n' "$output" | sed -nE 's/^check: ([0-9]+) passed, ([0-9]+) failed$/\1 \2/p')
passed=$((passed + ${p:-0}))
failed=$((failed + ${f:-1}))
printf '%s\n' "$output" | sed -nE 's/^(check: .*) FAILED .*$/\1/p' >>"$results/failures"

suite() { # name, command…: a vitest run that writes its counts
  local name=$1
  shift
  printf '\n== %s ==\n' "$name"
  "$@" --reporter=default --reporter=json --outputFile.json="$results/$name.json"
  local status=$?
  local counts
  counts=$(tools/node_modules/.bin/node -e '
    const r = JSON.parse(require("node:fs").readFileSync(process.argv[1], "utf8"));
    const broken = r.testResults.filter((f) => f.status === "failed" && f.assertionResults.every((a) => a.status !== "failed")).length;
    console.log(r.numPassedTests, r.numFailedTests + broken, r.numPendingTests + r.numTodoTests);
    const line = (text) => text.split("\n")[0].slice(0, 160);
    const failures = r.testResults.flatMap((f) => {
      const file = f.name.replace(process.cwd() + "/", "");
      const tests = f.assertionResults.filter((a) => a.status === "failed");
      if (f.status === "failed" && tests.length === 0) return [`${file}: ${line(f.message)}`];
      return tests.map((a) => `${file} > ${a.fullName}: ${line(a.failureMessages[0] ?? "")}`);
    });
    require("node:fs").appendFileSync(process.argv[2], failures.map((text) => text + "\n").join(""));
  ' "$results/$name.json" "$results/failures" 2>/dev/null) || counts='0 1 0'
  read -r p f s <<<"$counts"
  # A run that failed without a failed test (an unhandled error, a crash) is a failure all the same.
  if [ "$status" -ne 0 ] && [ "$f" -eq 0 ]; then
    f=1
    printf '%s: ended with %d, though no test failed\n' "$name" "$status" >>"$results/failures"
  fi
  passed=$((passed + p))
  failed=$((failed + f))
  skipped=$((skipped + s))
}

suite unit tools/run.sh --node-only vitest run --project unit
suite integration tools/run.sh vitest run --project integration
suite e2e tools/run.sh e2e/test.sh

line="$passed passed, $failed failed"
[ "$skipped" -eq 0 ] || line="$line, $skipped skipped"
if [ -s "$results/failures" ]; then
  printf '\nFailed:\n'
  sed 's/^/  /' "$results/failures"
fi
printf '\n%s\n' "$line"
[ "$failed" -eq 0 ]
