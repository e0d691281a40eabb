#!/usr/bin/env bash
# `make test-node`: a real node (containerd, runc, kubelet, scheduler, kube-proxy and the control plane) on this machine, in
# private namespaces, with hallpass in it from its own image; then the tests beside this script.
# Needs root on Linux with cgroup v1 controllers; says why and exits 0 where it can't. The machine is left as it was:
# Debian packages are unpacked into the cache, not installed; mounts, network, sysctls and processes live in namespaces
# that the kernel clears away with their first process, whatever happens to this one.
set -euo pipefail
cd "$(dirname "$0")/../.."
cache="${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/hallpass/node"
node=node_modules/.bin/node
from=$(date +%s%N)
step() { printf '  %-46s %6.1f s\n' "$1" "$(((($(date +%s%N) - from)) / 100000000))e-1"; }
skip() { echo "test-node: skipped, $1"; echo "  0 passing"; exit 0; }

[ "$(uname -s)" = Linux ] || skip "a kubelet needs Linux"
[ "$(id -u)" = 0 ] || skip "a kubelet needs root"
controllers="cpu cpuacct cpuset memory devices freezer blkio pids"
for c in $controllers; do
  # Where cgroup v2 holds the controllers (untried: no machine like that was at hand) a v1 hierarchy can't be had.
  grep -qE ":([^:]*,)?$c(,[^:]*)?:" /proc/self/cgroup || skip "the cgroup v1 controller $c is not there"
done
isolated="--mount --propagation slave --cgroup --net --uts --ipc --pid --fork --kill-child --mount-proc"
probe='mount -t tmpfs probe /mnt && mkdir /mnt/a /mnt/b /mnt/c && mount -t overlay -o lowerdir=/usr,upperdir=/mnt/a,workdir=/mnt/b probe /mnt/c'
# shellcheck disable=SC2086
unshare $isolated sh -c "$probe" 2>/dev/null || skip "namespaces or overlay mounts are not allowed here"

# 1. Debian packages, with whatever they need that this machine lacks.
packages="containerd runc containernetworking-plugins iptables busybox-static iproute2 openssl"
tools="$cache/tools-$( (echo "$packages"; cat /var/lib/dpkg/status 2>/dev/null || true) | sha256sum | cut -c1-12)"
mkdir -p "$cache"
exec 9> "$cache/.lock"
flock 9
if [ ! -d "$tools" ]; then
  command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || skip "containerd and runc come as Debian packages, and there is no apt-get here"
  rm -rf "$cache"/tools-*; mkdir -p "$tools.new/debs/partial" "$tools.new/lists/partial"
  apt="apt-get -qq -o Dir::State::lists=$tools.new/lists -o Dir::Cache=$tools.new/cache -o Dir::Cache::archives=$tools.new/debs -o APT::Sandbox::User=root"
  $apt update
  # shellcheck disable=SC2086
  $apt --yes --download-only --no-install-recommends --reinstall install $packages >/dev/null
  for deb in "$tools.new"/debs/*.deb; do dpkg-deb --extract "$deb" "$tools.new/root"; done
  cp -a "$tools.new/root/usr" "$tools.new/usr"
  # What Debian keeps at the root is under /usr on a merged system; and a package's scripts choose the iptables flavour.
  for d in bin sbin lib; do [ ! -d "$tools.new/root/$d" ] || cp -a "$tools.new/root/$d" "$tools.new/usr/"; done
  for t in iptables ip6tables iptables-save ip6tables-save iptables-restore ip6tables-restore; do ln -sf xtables-nft-multi "$tools.new/usr/sbin/$t"; done
  rm -rf "$tools.new"/{root,debs,lists,cache}; mv "$tools.new" "$tools"
  step "Debian packages"
fi
exec 9>&-

# 2. Kubernetes, hallpass's image, and an image for the pods' sandboxes.
bin=$(test/controlplane/build.sh etcd kube-apiserver kube-controller-manager kubectl kubelet kube-scheduler kube-proxy | tail -n 1)
step "Kubernetes binaries"
$node --disable-warning=ExperimentalWarning image/build.ts
$node test/node/pause-image.ts "$tools/usr/bin/busybox" dist/pause-image.tar
step "images"

# 3. Control groups below our own, then everything else in private namespaces: init.sh is their first process.
name=hallpass-node-$$
groups() {
  local c key own mount
  for c in $controllers systemd; do
    key=$c; [ "$c" = systemd ] && key=name=systemd
    own=$(awk -F: -v k="$key" '{ n = split($2, a, ","); for (i = 1; i <= n; i++) if (a[i] == k) print $3 }' /proc/self/cgroup)
    [ -n "$own" ] || continue
    mount=$(awk -v k="$key" '$9 == "cgroup" || $10 == "cgroup" { n = split($NF, a, ","); for (i = 1; i <= n; i++) if (a[i] == k) { print $5; exit } }' /proc/self/mountinfo)
    [ -z "$mount" ] || echo "$mount${own%/}"
  done | sort -u
}
remove() { # the directories of control group $1, deepest first; busy until the kernel has reaped what was in them
  local d
  for d in $(groups); do
    for _ in $(seq 50); do
      [ -d "$d/$1" ] || break
      find "$d/$1" -depth -type d -exec rmdir {} \; 2>/dev/null || true
      [ ! -d "$d/$1" ] || sleep 0.1
    done
  done
}
for d in $(groups); do
  # Left by a run that was killed before it could clean up.
  for stale in "$d"/hallpass-node-*; do [ ! -d "$stale" ] || [ -d "/proc/${stale##*-}" ] || remove "$(basename "$stale")"; done
done
inside=
clean() { [ -z "$inside" ] || { kill -KILL "$inside" 2>/dev/null || true; wait "$inside" 2>/dev/null || true; }; remove "$name"; }
trap clean EXIT
trap 'exit 130' INT TERM HUP
own=$(groups)
for d in $own; do
  mkdir "$d/$name"
  if [ -f "$d/cpuset.cpus" ]; then
    cat "$d/cpuset.cpus" > "$d/$name/cpuset.cpus"; cat "$d/cpuset.mems" > "$d/$name/cpuset.mems"; echo 1 > "$d/$name/cgroup.clone_children"
  fi
done
(
  for d in $own; do echo "$BASHPID" > "$d/$name/cgroup.procs"; done
  # shellcheck disable=SC2086
  exec setpriv --pdeathsig KILL unshare $isolated test/node/init.sh "$tools/usr" "$bin" "$(readlink /proc/self/ns/net)"
) &
inside=$!
code=0; wait "$inside" || code=$?
inside=
step "whole run"
exit "$code"
