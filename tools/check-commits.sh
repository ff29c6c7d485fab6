#!/usr/bin/env bash
# Subjects of commits: `area: what`, at most 72 characters. Usage: tools/check-commits.sh [range]   (origin/main..HEAD)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
failed=0
while IFS= read -r line; do
  subject=${line#* }
  if [ "${#subject}" -gt 72 ]; then
    printf '%s: %d characters, at most 72\n' "$line" "${#subject}"
    failed=1
  fi
  if ! [[ $subject =~ ^[a-z0-9][a-z0-9\ ,/-]*:\ .+ ]]; then
    printf '%s: not of the form `area: what`\n' "$line"
    failed=1
  fi
done < <(git log --no-merges --format='%h %s' "${1:-origin/main..HEAD}")
exit "$failed"
