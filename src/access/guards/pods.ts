// Guards of pods: the label hallpass.dev/agent gives a pod the agent's ServiceAccount and a short-lived token, and
// nothing else does.
import { LABELS } from '../../api/names.ts';
import { hasLabel, labelOf } from './expressions.ts';
import { type Guard, mutating, type ResourceRule, validating } from './policy.ts';
import { isOwnAudience, STRETCHED_TOKEN_SECONDS } from './tokens.ts';

/** Where every Kubernetes SDK looks for token, CA and namespace. */
const MOUNT_PATH = '/var/run/secrets/kubernetes.io/serviceaccount';
const VOLUME = 'hallpass-token';
/** The shortest life that the API server gives a token, in seconds; the kubelet renews it in time. */
const TOKEN_SECONDS = 600;

/** The pod's token, the CA and the namespace, as the default volume has them. */
const volume = `{
  "name": dyn("${VOLUME}"),
  "projected": dyn({"defaultMode": dyn(420), "sources": dyn([
    dyn({"serviceAccountToken": dyn({"path": dyn("token"), "expirationSeconds": dyn(${TOKEN_SECONDS})})}),
    dyn({"configMap": dyn({"name": dyn("kube-root-ca.crt"), "items": dyn([{"key": "ca.crt", "path": "ca.crt"}])})}),
    dyn({"downwardAPI": dyn({"items": dyn([{"path": dyn("namespace"), "fieldRef": dyn({"apiVersion": "v1", "fieldPath": "metadata.namespace"})}])})})
  ])})
}`;

const label = (object: string) => labelOf(object, LABELS.agent);
const labelled = (object: string) => hasLabel(object, LABELS.agent);
const labelledForGrant = (object: string) => hasLabel(object, LABELS.grant);
const account = (object: string) => `${object}.spec.?serviceAccountName.orValue("")`;

const isDefaultVolume = (v: string) =>
  `${v}.name.startsWith("kube-api-access-") && has(${v}.projected) && has(${v}.projected.sources) && ${v}.projected.sources.exists(s, has(s.serviceAccountToken))`;

/** Mounts replace whatever a container has at the same path: the default volume of ServiceAccount admission, mostly. */
const mounts = (containers: string) =>
  `object.spec.?${containers}.orValue([]).map(c, Object.spec.${containers}{name: c.name, volumeMounts: [Object.spec.${containers}.volumeMounts{name: "${VOLUME}", mountPath: "${MOUNT_PATH}", readOnly: true}]})`;

/**
 * ServiceAccount admission runs before and has given the pod the account `default` and a token that is stretched to a
 * year; both go. Lists of sources are atomic, which ApplyConfiguration refuses to write: hence one patch of each type.
 */
const token = mutating({
  name: 'hallpass-pods',
  resources: [{ apiGroup: '', version: 'v1', operations: ['CREATE'], resources: ['pods'] }],
  when: {
    labelled: labelled('object'),
    // Any other account is somebody's intent: the validating policy refuses it instead.
    'no-other-account': `${account('object')} in ["", "default", "hallpass-" + ${label('object')}]`,
  },
  variables: {
    names: 'object.spec.?volumes.orValue([]).map(v, v.name)',
    defaults: `object.spec.?volumes.orValue([]).filter(v, ${isDefaultVolume('v')}).map(v, v.name)`,
  },
  mutations: [
    {
      patchType: 'JSONPatch',
      // Volumes go in the order they have in the list, so each removal moves the later ones up by one.
      expression: `[
  JSONPatch{op: "add", path: "/spec/serviceAccountName", value: "hallpass-" + ${label('object')}},
  JSONPatch{op: "add", path: "/spec/serviceAccount", value: "hallpass-" + ${label('object')}},
  JSONPatch{op: "add", path: "/spec/automountServiceAccountToken", value: false}
] + (has(object.spec.volumes) ? [] : [JSONPatch{op: "add", path: "/spec/volumes", value: []}])
  + variables.defaults.transformList(i, name, JSONPatch{op: "remove", path: "/spec/volumes/" + string(variables.names.indexOf(name) - i)})
  + ("${VOLUME}" in variables.names ? [] : [JSONPatch{op: "add", path: "/spec/volumes/-", value: ${volume}}])`,
    },
    {
      patchType: 'ApplyConfiguration',
      expression: `Object{spec: Object.spec{containers: ${mounts('containers')}}}`,
    },
    {
      patchType: 'ApplyConfiguration',
      expression: `has(object.spec.initContainers) ? Object{spec: Object.spec{initContainers: ${mounts('initContainers')}}} : Object{}`,
    },
  ],
});

/** Whatever may change a pod's metadata or what runs in it. */
const everyWrite: ResourceRule = {
  apiGroup: '',
  version: 'v1',
  operations: ['CREATE', 'UPDATE'],
  resources: ['pods', 'pods/ephemeralcontainers', 'pods/resize', 'pods/status'],
};

const notCreated = 'request.operation != "CREATE"';
const ours = `v.name == "${VOLUME}" && v.projected.sources.all(s, !has(s.serviceAccountToken) || (s.serviceAccountToken.?audience.orValue("") == "" && s.serviceAccountToken.?expirationSeconds.orValue(${STRETCHED_TOKEN_SECONDS}) == ${TOKEN_SECONDS}))`;
const foreign = `v.projected.sources.all(s, !has(s.serviceAccountToken) || (!${isOwnAudience('s.serviceAccountToken.?audience.orValue("")')} && s.serviceAccountToken.?expirationSeconds.orValue(3600) != ${STRETCHED_TOKEN_SECONDS}))`;

const pods = validating({
  name: 'hallpass-pods',
  resources: [everyWrite],
  when: {
    'of-an-agent': `${labelled('object')} || ${account('object')}.startsWith("hallpass-") || (oldObject != null && (${labelled('oldObject')} || ${account('oldObject')}.startsWith("hallpass-")))`,
  },
  rules: [
    {
      holds: `${notCreated} || (${labelled('object')} && ${account('object')} == "hallpass-" + ${label('object')})`,
      message: `the label ${LABELS.agent}: <identity> and serviceAccountName: hallpass-<identity> go together or not at all. Set the label and leave serviceAccountName out: admission sets it`,
      says: `"the label ${LABELS.agent} (" + (${labelled('object')} ? ${label('object')} : "absent") + ") and serviceAccountName (" + ${account('object')} + ") must agree: set the label to the name of the AgentIdentity and leave serviceAccountName out (admission sets hallpass-<identity>), or use neither"`,
    },
    {
      holds: `${notCreated} || object.spec.?volumes.orValue([]).exists(v, v.name == "${VOLUME}" && has(v.projected))`,
      message: `a pod of an agent gets its token in the volume ${VOLUME}. The MutatingAdmissionPolicy hallpass-pods sets it and did not run: a cluster admin restores it with kubectl apply -k deploy/guards`,
    },
    {
      holds: `${notCreated} || object.spec.?volumes.orValue([]).all(v, !has(v.projected) || !has(v.projected.sources) || (${ours}) || (${foreign}))`,
      message: `a pod of an agent has one token for the API server, that of the volume ${VOLUME} with ${TOKEN_SECONDS} seconds, which admission adds. Remove the other projected serviceAccountToken volumes that have no audience, or an audience of the API server or of hallpass; tokens for a mesh or a cloud may stay`,
    },
    {
      holds: `${notCreated} || object.spec.?volumes.orValue([]).all(v, !has(v.projected) || !has(v.projected.sources) || v.projected.sources.all(s, !has(s.podCertificate) || !s.podCertificate.signerName.startsWith("kubernetes.io/")))`,
      message:
        'a certificate by a signer of Kubernetes would be a second credential for the API server, and no token of it could be told apart. Remove the podCertificate source, or name the signer of a mesh',
    },
    {
      holds: `request.operation == "CREATE" || ${label('object')} == ${label('oldObject')} && ${labelled('object')} == ${labelled('oldObject')}`,
      message: `the label ${LABELS.agent} says who a pod is and never changes while it lives. Delete the pod and create it anew with the other label`,
    },
    {
      holds: 'request.?subResource.orValue("") != "ephemeralcontainers"',
      message:
        "a debug container would see the agent's token, so pods of agents take none. Use kubectl debug --copy-to with the label hallpass.dev/agent removed, or ask for the logs",
    },
  ],
});

/** Its Job would adopt such a pod, and not end before it: ten years later, if its grace period is as long. */
const adoptedPods = validating({
  name: 'hallpass-adopted-pods',
  resources: [everyWrite],
  when: { 'of-a-grant': labelledForGrant('object') },
  rules: [
    {
      holds: `oldObject != null && ${labelledForGrant('oldObject')} && ${labelOf('object', LABELS.grant)} == ${labelOf('oldObject', LABELS.grant)}`,
      message: `the label ${LABELS.grant} is hallpass's, and no pod carries it: the dead-man Job of that grant would wait for the pod before it ends the access. Remove the label`,
    },
  ],
});

export const podGuards: readonly Guard[] = [token, pods, adoptedPods];
