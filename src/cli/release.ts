// `hallpass release`: for when no hallpass runs any more. Takes our finalizer off every identity and grant, so that they and
// their namespaces can be deleted, and says what access that leaves behind and how to end it.

import { isOwnedBy } from '../access/drift.ts';
import { agentGrants } from '../api/grant.ts';
import { agentIdentities } from '../api/identity.ts';
import { FINALIZER, grantUidOfBinding, grantUidOfObject, LABELS, LEASE_NAME, SYSTEM_NAMESPACE } from '../api/names.ts';
import { type Client, isForbidden, isNotFound } from '../kube/client.ts';
import type { ServerClock } from '../kube/clock.ts';
import {
  clusterRoleBindings,
  type Job,
  jobs,
  leases,
  type RoleBinding,
  roleBindings,
  type Service,
  services,
} from '../kube/kinds.ts';
import { type KubeObject, keyOf, type Resource, resourceName } from '../kube/object.ts';
import { messageOf, printable } from '../text.ts';
import { table } from './table.ts';

/** A lease that was renewed within this time, in milliseconds, is a living replica's: they renew every second. */
const ALIVE = 15_000;

const NEEDED =
  'This takes the verbs list, patch and release on agentgrants.hallpass.dev and agentidentities.hallpass.dev, and get on ' +
  `leases in ${SYSTEM_NAMESPACE}. Cluster admins hold them: have one run it`;

const UID_NAME = 'hallpass-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}';
const manifest = (kind: string, metadata: string) =>
  `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"${kind}","metadata":{${metadata}}}`;

/**
 * Deletes every binding that has a grant's name, by that name: a label can have been taken off. It takes whole lines of plain
 * words only, since others choose the names of their bindings; the namespace of what is in none shows as <none>.
 */
export const END_ALL = [
  'kubectl get rolebindings,clusterrolebindings -A --no-headers -o custom-columns=KIND:.kind,NAMESPACE:.metadata.namespace,NAME:.metadata.name',
  `sed -nE -e 's|^RoleBinding +([a-z0-9-]+) +(${UID_NAME}) *$|${manifest('RoleBinding', '"namespace":"\\1","name":"\\2"')}|p' -e 's|^ClusterRoleBinding +<none> +(${UID_NAME}) *$|${manifest('ClusterRoleBinding', '"name":"\\1"')}|p'`,
  'kubectl delete --wait=false -f -',
].join(' | ');

/**
 * Releases, with the rights of whoever runs it: the verb `release` on identities and grants. `dryRun` changes nothing, `force`
 * doesn't mind a replica that runs. `width`: of the terminal, in characters. Throws while a replica runs; returns whether
 * everything was released, having said what was not.
 */
export async function release(o: {
  client: Client;
  clock: ServerClock;
  dryRun: boolean;
  force: boolean;
  print: (line: string) => void;
  width?: number;
}): Promise<boolean> {
  const { client, dryRun, print } = o;
  const holder = await runningReplica(client, o.clock);
  if (holder !== undefined && !o.force && !dryRun) {
    throw new Error(
      `hallpass runs: replica ${holder} holds Lease ${SYSTEM_NAMESPACE}/${LEASE_NAME} and renewed it in the last ${ALIVE / 1000} s. ` +
        'While it runs, delete grants, identities or namespaces and it lets them go; release is for when none runs. ' +
        'Stop it first, or use --force',
    );
  }
  const failed = [...(await releaseKind(o, agentGrants)), ...(await releaseKind(o, agentIdentities))];
  for (const line of failed) print(`Not released: ${line}`);
  if (failed.length > 0) print(NEEDED);
  await report(o);
  return failed.length === 0;
}

/** Releases every object of a kind and says how many. Returns which were not, and why. */
async function releaseKind<T extends KubeObject>(
  { client, dryRun, print }: { client: Client; dryRun: boolean; print: (line: string) => void },
  resource: Resource<T>,
): Promise<string[]> {
  const held = (await listed(client, resource)).filter(({ metadata }) => metadata.finalizers?.includes(FINALIZER));
  const failed: string[] = [];
  if (!dryRun) for (const object of held) failed.push(...(await letGo(client, resource, object)));
  const kind = resourceName(resource);
  print(`${dryRun ? 'Would release' : 'Released'}: ${held.length - failed.length} ${kind}`);
  return failed;
}

/** Who leads now, by the Lease; undefined when nobody does. */
async function runningReplica(client: Client, clock: ServerClock): Promise<string | undefined> {
  try {
    const { spec } = await client.get(leases, { namespace: SYSTEM_NAMESPACE, name: LEASE_NAME });
    const renewed = Date.parse(spec?.renewTime ?? '');
    if (!spec?.holderIdentity || Number.isNaN(renewed)) return undefined;
    return clock.now().getTime() - renewed < ALIVE ? printable(spec.holderIdentity, 128) : undefined;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw explained(error);
  }
}

/** Every object of a kind; none when the kind itself is gone. */
async function listed<T extends KubeObject>(
  client: Client,
  resource: Resource<T>,
  labelSelector?: string,
): Promise<T[]> {
  try {
    return (await client.list(resource, { labelSelector })).items;
  } catch (error) {
    if (isNotFound(error)) return [];
    throw explained(error);
  }
}

/** A refusal with what it takes not to be refused. */
function explained(error: unknown): unknown {
  return error instanceof Error && isForbidden(error) ? new Error(`${error.message}. ${NEEDED}`) : error;
}

/** Takes the finalizer off one object. Returns why it didn't, if so: one that can't be released keeps no other. */
async function letGo<T extends KubeObject>(client: Client, resource: Resource<T>, { metadata }: T): Promise<string[]> {
  const { uid, resourceVersion, finalizers = [] } = metadata;
  const patch = { metadata: { uid, resourceVersion, finalizers: finalizers.filter((each) => each !== FINALIZER) } };
  try {
    await client.patch(resource, metadata, patch, { type: 'merge' });
    return [];
  } catch (error) {
    if (isNotFound(error)) return [];
    return [`${resource.kind} ${keyOf(metadata)}: ${printable(messageOf(error))}`];
  }
}

/** What access is left, when it ends by itself, and how to end it now. */
async function report({ client, print, width }: { client: Client; print: (line: string) => void; width?: number }) {
  const all = [...(await listed(client, roleBindings)), ...(await listed(client, clusterRoleBindings))];
  const bindings = all.filter((binding) => binding.subjects?.length && grantUidOfBinding(binding) !== undefined);
  if (bindings.length === 0) {
    print('No access is left behind.');
    return;
  }
  const byKey = <T extends KubeObject>(objects: T[]) => new Map(objects.map((each) => [keyOf(each.metadata), each]));
  const running = byKey(await listed(client, jobs, LABELS.grant));
  const joints = byKey(await listed(client, services, LABELS.grant));
  print('');
  print(
    `${bindings.length} binding${bindings.length === 1 ? ' still gives' : 's still give'} access, each until its dead-man Job ends it:`,
  );
  const rows = bindings.map((binding) => {
    const { namespace = SYSTEM_NAMESPACE, name } = binding.metadata;
    const key = keyOf({ namespace, name });
    return rowOf(binding, running.get(key), joints.get(key));
  });
  for (const line of table(['NAMESPACE', 'AGENT', 'GRANT', 'ENDS'], rows.sort(byText), width)) print(`  ${line}`);
  print('To end all of it now:');
  print(`  ${END_ALL}`);
  print('And what then gives no access any more:');
  print(`  kubectl delete roles,clusterroles,jobs,services -A -l ${LABELS.grant}`);
  print(`  kubectl delete serviceaccounts -A -l ${LABELS.identityUid}`);
}

function rowOf(binding: RoleBinding, job: Job | undefined, service: Service | undefined): string[] {
  const { metadata, subjects } = binding;
  const [agent] = subjects ?? [];
  const { [LABELS.grantNamespace]: namespace = '', [LABELS.grantName]: name = '' } = metadata.labels ?? {};
  const who = agent ? `${agent.namespace ?? ''}/${agent.name.replace(/^hallpass-/, '')}` : '';
  // Whoever took its label off may have put others on.
  const grant = grantUidOfObject(metadata) === undefined ? `? (${metadata.name})` : `${namespace}/${name}`;
  const end = job && isOwnedBy(binding, { job, service }) ? endOf(job) : endOf(undefined);
  return [metadata.namespace ?? 'the whole cluster', who, grant, end].map((text) => printable(text));
}

/** When the Job takes the binding down. One that is missing, suspended or not started counts no time. */
function endOf(job: Job | undefined): string {
  const start = Date.parse(job?.status?.startTime ?? '');
  const seconds = job?.spec.activeDeadlineSeconds;
  if (Number.isNaN(start) || seconds === undefined || job?.spec.suspend) return 'never by itself';
  return new Date(start + seconds * 1000).toISOString().replace('.000Z', 'Z');
}

function byText(a: string[], b: string[]): number {
  return a.join('\0') < b.join('\0') ? -1 : 1;
}
