#!/usr/bin/env bash
# Builds the real control plane (etcd, kube-apiserver, kube-controller-manager, kubectl) from the Go modules pinned
# beside this script, once, into a cache outside the checkout. Prints the directory of the binaries on its last line.
#
#   build.sh [PROGRAM...]    PROGRAM: etcd kube-apiserver kube-controller-manager kubectl (the default four),
#                            kubelet kube-scheduler kube-proxy (for test/node)
set -euo pipefail
cd "$(dirname "$0")"
version=v1.37.2
pins=$(cat go.mod go.sum | sha256sum | cut -c1-12)
bin="${XDG_CACHE_HOME:-${HOME:?}/.cache}/hallpass/controlplane/$version-$pins"
mkdir -p "$bin"

# One build at a time: two side by side on two cores are no faster, and both would write the same files.
exec 9>"$bin/.lock"
flock 9

build() {
  local program=$1 package=k8s.io/kubernetes/cmd/$1 from=$SECONDS
  [ "$program" = etcd ] && package=go.etcd.io/etcd/server/v3
  [ -x "$bin/$program" ] && return
  echo "building $program $version (cold, on two cores: etcd 1 min, kube-apiserver 7, kube-controller-manager 2, kubectl 1; then cached)" >&2
  ( while sleep 15; do echo "  ... $program, $((SECONDS - from)) s" >&2; done ) 9>&- &
  local ticker=$!
  # Without the version variables the API server calls itself v0.0.0-master, and features gated on versions go wrong.
  CGO_ENABLED=0 GOFLAGS=-buildvcs=false go build -trimpath \
    -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$version -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=37" \
    -o "$bin/.$program.new" "$package" 9>&- || { kill "$ticker"; return 1; }
  kill "$ticker"
  mv "$bin/.$program.new" "$bin/$program"
  echo "  built $program in $((SECONDS - from)) s" >&2
}

[ $# -gt 0 ] || set -- etcd kube-apiserver kube-controller-manager kubectl
for program in "$@"; do build "$program"; done
echo "$bin"
