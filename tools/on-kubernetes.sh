#!/usr/bin/env bash
# Runs a command on the control plane of another Kubernetes version, built once (tools/kubernetes-versions).
# Usage: tools/on-kubernetes.sh <minor> command [argument …]
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
version=$1
shift
node tools/build-binaries.ts "$version"
bin="$root/.cache/kubernetes-$version"
export KUBE_APISERVER_BIN="$bin/kube-apiserver"
export KUBE_CONTROLLER_MANAGER_BIN="$bin/kube-controller-manager"
export KUBE_SCHEDULER_BIN="$bin/kube-scheduler"
exec "$@"
