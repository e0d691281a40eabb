// Which resources the API server has, to find the group that a person left out, and the name that they meant.

import * as z from 'zod';
import { closest } from './closest.ts';
import type { Cluster } from './cluster.ts';
import { EXIT, Failure } from './failure.ts';

const groupList = z.object({
  groups: z.array(z.object({ name: z.string(), preferredVersion: z.object({ groupVersion: z.string() }) })),
});
const resourceList = z.object({
  resources: z.array(z.object({ name: z.string(), namespaced: z.boolean(), verbs: z.array(z.string()) })),
});

/** A resource as RBAC names it: with its subresource, such as `pods/log`, and its group. */
export type FoundResource = { group: string; resource: string };

/**
 * Finds `pods`, `pods/log`, `deployments`, `deployments.apps/scale`. With a group it is taken as it is written (`pods.` is of the core
 * group), since RBAC knows resources that no server has. Throws a Failure that names what was meant, where there is none of the name.
 */
export async function findResource(cluster: Cluster, written: string): Promise<FoundResource> {
  const explicit = withGroup(written);
  if (explicit) return explicit;
  const seen: string[] = [];
  for await (const { group, resources } of groups(cluster)) {
    if (resources.some(({ name }) => name === written)) return { group, resource: written };
    for (const { name } of resources) seen.push(name);
  }
  const meant = closest(written, seen);
  throw new Failure(
    `the cluster has no resource ${written}${meant ? `; did you mean ${meant}?` : ': kubectl api-resources lists what it has'}`,
    EXIT.usage,
  );
}

/** A resource that was written with its group; undefined for one without. */
export function withGroup(written: string): FoundResource | undefined {
  if (written === '*') return { group: '*', resource: '*' };
  const [, name, group, sub = ''] = /^([^./]+)\.([^/]*)(\/.+)?$/.exec(written) ?? [];
  return name === undefined || group === undefined ? undefined : { group, resource: `${name}${sub}` };
}

/** Group by group, the core group first, what it has. A group whose server does not answer has nothing. */
async function* groups({ client }: Cluster) {
  yield { group: '', resources: resourceList.parse(await client.getRaw('/api/v1')).resources };
  for (const { name, preferredVersion } of groupList.parse(await client.getRaw('/apis')).groups) {
    const answer = await client.getRaw(`/apis/${preferredVersion.groupVersion}`).catch(() => ({ resources: [] }));
    yield { group: name, resources: resourceList.parse(answer).resources };
  }
}
