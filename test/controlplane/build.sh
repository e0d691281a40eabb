#!/usr/bin/env bash
# Builds the real control plane (etcd, kube-apiserver, kube-controller-manager, kubectl) from the Go modules pinned
# beside this script, once, into a cache outside the checkout. Prints the directory of the binaries on its last line.
#
#   build.sh [PROGRAM...]    PROGRAM: etcd kube-apiserver kube-controller-manager kubectl (the default four),
#                            kubelet kube-scheduler kube-proxy (for test/node)
set -euo pipefail
cd "$(dirname "$0")"
version=$(awk '{ sub(/^require /, "") } $1 == "k8s.io/kubernetes" && $2 ~ /^v/ { print $2; exit }' go.mod)
IFS=. read -r major minor _ <<< "${version#v}"
sha256() { if command -v sha256sum >/dev/null; then sha256sum; else shasum -a 256; fi; }
bin="${XDG_CACHE_HOME:-${HOME:?}/.cache}/hallpass/controlplane/$version-$(cat go.mod go.sum | sha256 | cut -c1-12)"
mkdir -p "$bin"

# One build at a time: two side by side on two cores are no faster. Where there is no flock they still don't disturb each
# other, since each program is renamed into place.
exec 9>"$bin/.lock"
if command -v flock >/dev/null; then
  flock --nonblock 9 || { echo "waiting for another build of the control plane" >&2; flock 9; }
fi

# What a build on two cores takes with nothing cached.
times="etcd 1 min, kube-apiserver 7, kube-controller-manager 2, kubectl 1"

build() {
  local program=$1 package=k8s.io/kubernetes/cmd/$1 from=$SECONDS new="$bin/.$1.$$"
  [ "$program" != etcd ] || package=go.etcd.io/etcd/server/v3
  [ ! -x "$bin/$program" ] || return 0
  command -v go >/dev/null || { echo "$program has to be built, and go is missing: install Go, or set KUBEBUILDER_ASSETS" >&2; return 1; }
  echo "building $program $version into the cache (once; on two cores $times)" >&2
  ( while sleep 15 && kill -0 $$ 2>/dev/null; do echo "  ... $program, $((SECONDS - from)) s" >&2; done ) 9>&- &
  local ticker=$! code=0
  # Without the version variables the API server calls itself v0.0.0-master, and features gated on versions go wrong.
  local x=k8s.io/component-base/version
  CGO_ENABLED=0 GOWORK=off GOFLAGS=-buildvcs=false go build -trimpath \
    -ldflags "-s -w -X $x.gitVersion=$version -X $x.gitMajor=$major -X $x.gitMinor=$minor" \
    -o "$new" "$package" 9>&- || code=$?
  kill "$ticker" 2>/dev/null || true
  wait "$ticker" 2>/dev/null || true
  [ "$code" = 0 ] || { rm -f "$new"; return "$code"; }
  mv "$new" "$bin/$program"
  echo "  built $program in $((SECONDS - from)) s" >&2
}

[ $# -gt 0 ] || set -- etcd kube-apiserver kube-controller-manager kubectl
for program in "$@"; do build "$program"; done
echo "$bin"
