#!/usr/bin/env bash
# Builds the images of manager and worker as OCI archives, without a container engine. Usage: tools/images.sh [folder]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools/build.sh
exec node tools/images/main.ts "$@"
