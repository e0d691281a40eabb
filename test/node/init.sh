#!/usr/bin/env bash
# The first process of the node's private namespaces: mounts, network, the daemons, then the tests. When it ends the kernel
# ends every other process and drops every mount. Run by run.sh, never by hand: a kubelet changes the sysctls and the
# packet filter of the network it runs in.
set -euo pipefail
tools=$1 bin=$2 outside=$3
[ $$ = 1 ] && [ "$(readlink /proc/self/ns/net)" != "$outside" ] || { echo "init.sh: not in namespaces of its own" >&2; exit 1; }
checkout=$PWD
home=/run/hallpass
address=10.200.0.10
from=$(date +%s%N)
step() { printf '  %-46s %6.1f s\n' "$1" "$(((($(date +%s%N) - from)) / 100000000))e-1"; }

# Mounts. The unpacked tools lie over /usr; what daemons write to /etc, /var and /run stays in memory.
mount -t overlay -o "lowerdir=$tools:/usr" tools /usr
mount -t tmpfs -o mode=755 run /run
mkdir -p $home/{pki,log,cni,sysctl,etc,etc.work,var,var.work} /run/lock
for d in etc var; do mount -t overlay -o "lowerdir=/$d,upperdir=$home/$d,workdir=$home/$d.work" $d /$d; done
# An overlay can't hold containers' overlays.
for d in /var/lib/containerd /var/lib/kubelet; do mkdir -p $d; mount -t tmpfs -o mode=755 state $d; done
export PATH="$bin:/usr/sbin:/usr/bin:/sbin:/bin"
hostname node
# Our own control groups as the root of each hierarchy, which the cgroup namespace makes of them.
umount -R /sys/fs/cgroup
mount -t sysfs sysfs /sys
mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
for c in cpu cpuacct cpuset memory devices freezer blkio pids; do
  joined=$(awk -F: -v k=$c '{ n = split($2, a, ","); for (i = 1; i <= n; i++) if (a[i] == k) print $2 }' /proc/self/cgroup)
  mkdir -p "/sys/fs/cgroup/$joined"
  mountpoint -q "/sys/fs/cgroup/$joined" || mount -t cgroup -o "$joined" cgroup "/sys/fs/cgroup/$joined"
  [ "$joined" = $c ] || ln -s "$joined" /sys/fs/cgroup/$c
done
mkdir /sys/fs/cgroup/systemd
mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
# The kubelet insists on three sysctls that are the whole machine's: it gets files to write instead.
for setting in vm/overcommit_memory=1 kernel/panic=10 kernel/panic_on_oops=1; do
  file=$home/sysctl/${setting//\//.}
  echo "${setting##*=}" > "$file"
  mount --bind "$file" "/proc/sys/${setting%%=*}"
done

# Network: loopback, and a pair of virtual interfaces one of which has the node's address. No way out.
ip link set lo up
ip link add node0 type veth peer name node1
ip address add $address/24 dev node0
ip link set node0 up
ip link set node1 up
ip route add default via 10.200.0.1 dev node0

# Keys and configuration.
cd $home/pki
key() { openssl ecparam -genkey -name prime256v1 -noout -out "$1"; }
key ca.key; key sa.key
openssl req -x509 -new -key ca.key -out ca.crt -subj /CN=hallpass-test-node -days 2
certificate() {
  key "$1.key"
  openssl req -new -key "$1.key" -subj "$2" -out "$1.csr"
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out "$1.crt" 2>/dev/null \
    -extfile <(echo "subjectAltName=DNS:localhost,DNS:kubernetes.default.svc,IP:127.0.0.1,IP:10.0.0.1,IP:$address")
  cat > "$1.kubeconfig" <<Y
apiVersion: v1
kind: Config
clusters: [{name: node, cluster: {server: "https://127.0.0.1:6443", certificate-authority: $home/pki/ca.crt}}]
users: [{name: user, user: {client-certificate: $home/pki/$1.crt, client-key: $home/pki/$1.key}}]
contexts: [{name: context, context: {cluster: node, user: user}}]
current-context: context
Y
}
certificate admin /O=system:masters/CN=admin
certificate apiserver /CN=kube-apiserver
certificate controllers /CN=system:kube-controller-manager
certificate scheduler /CN=system:kube-scheduler
certificate proxy /CN=system:kube-proxy
certificate kubelet /O=system:nodes/CN=system:node:node
cd "$checkout"
cat > $home/containerd.toml <<Y
version = 2
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs"]
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:1"
  restrict_oom_score_adj = true # works without CAP_SYS_RESOURCE too
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$home/cni"
Y
cat > $home/cni/10-bridge.conflist <<Y
{"cniVersion": "0.4.0", "name": "bridge", "plugins": [{"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
  "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.244.0.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
Y
cat > $home/kubelet.yaml <<Y
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
failSwapOn: false
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
volumePluginDir: $home/volume-plugins
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: $home/pki/ca.crt}}
authorization: {mode: Webhook}
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 100Mi, nodefs.available: "1%", imagefs.available: "1%", nodefs.inodesFree: "1%"}
Y
step "namespaces, keys"

# Daemons. One that ends before the node is ready ends the run, with the end of every log.
declare -A daemons=()
start() { local name=$1; shift; "$@" > "$home/log/$name.log" 2>&1 & daemons[$name]=$!; }
failed() {
  echo "test-node: $1" >&2
  for log in $home/log/*.log; do echo "--- $(basename "$log")" >&2; tail -n 15 "$log" >&2; done
  exit 1
}
until_true() { # what, seconds, command
  local what=$1 tries=$(($2 * 10)) name; shift 2
  until "$@" >/dev/null 2>&1; do
    for name in "${!daemons[@]}"; do kill -0 "${daemons[$name]}" 2>/dev/null || failed "$name ended while waiting for $what"; done
    [ $((tries -= 1)) -gt 0 ] || failed "no $what"
    sleep 0.1
  done
  step "$what"
}
export KUBECONFIG=$home/pki/admin.kubeconfig
pki=$home/pki
start containerd containerd --config $home/containerd.toml
start etcd etcd --data-dir $home/etcd-data --unsafe-no-fsync --listen-client-urls http://127.0.0.1:2379 \
  --advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:0
start kube-apiserver kube-apiserver --etcd-servers http://127.0.0.1:2379 --secure-port 6443 --advertise-address $address \
  --tls-cert-file $pki/apiserver.crt --tls-private-key-file $pki/apiserver.key --client-ca-file $pki/ca.crt \
  --service-account-key-file $pki/sa.key --service-account-signing-key-file $pki/sa.key \
  --service-account-issuer https://kubernetes.default.svc --service-cluster-ip-range 10.0.0.0/24 \
  --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction \
  --kubelet-client-certificate $pki/admin.crt --kubelet-client-key $pki/admin.key \
  --kubelet-certificate-authority $pki/ca.crt --kubelet-preferred-address-types InternalIP
until_true "containerd" 20 ctr version
for image in hallpass pause; do ctr --namespace k8s.io images import "dist/$image-image.tar" >/dev/null; done
step "images imported"
until_true "API server" 60 kubectl get --raw /readyz
start kube-controller-manager kube-controller-manager --kubeconfig $pki/controllers.kubeconfig --leader-elect=false --secure-port 0 \
  --service-account-private-key-file $pki/sa.key --root-ca-file $pki/ca.crt --use-service-account-credentials '--controllers=*,-nodeipam'
start kube-scheduler kube-scheduler --kubeconfig $pki/scheduler.kubeconfig --leader-elect=false --secure-port 0
start kube-proxy kube-proxy --kubeconfig $pki/proxy.kubeconfig --proxy-mode iptables --hostname-override node \
  --conntrack-max-per-core 0 --conntrack-tcp-timeout-established 0 --conntrack-tcp-timeout-close-wait 0
start kubelet kubelet --config $home/kubelet.yaml --kubeconfig $pki/kubelet.kubeconfig --hostname-override node --node-ip $address \
  --tls-cert-file $pki/kubelet.crt --tls-private-key-file $pki/kubelet.key
until_true "node Ready" 60 kubectl wait --for=condition=Ready node/node --timeout=1s

code=0
node_modules/.bin/node node_modules/mocha/bin/mocha.js 'test/node/**/*.test.ts' || code=$?
[ $code = 0 ] || {
  echo "--- what the cluster says"
  kubectl get pods --all-namespaces --output wide
  kubectl get agentidentities,agentgrants --all-namespaces --output yaml
  kubectl get events --all-namespaces --sort-by .metadata.creationTimestamp | tail -n 30
  kubectl logs --namespace hallpass-system --selector app.kubernetes.io/name=hallpass --prefix --tail 60
} >&2 || true
exit $code
