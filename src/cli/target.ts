// What a person named on the command line: a grant, or an identity.

import { agentGrants, type ParsedGrant } from '../api/grant.ts';
import { agentIdentities, type ParsedIdentity } from '../api/identity.ts';
import { unlessGone } from '../kube/client.ts';
import type { Cluster } from './cluster.ts';
import { EXIT, Failure } from './failure.ts';

export type Target = { kind: 'AgentGrant'; object: ParsedGrant } | { kind: 'AgentIdentity'; object: ParsedIdentity };

export type TargetName = { kind: Target['kind'] | undefined; name: string };

const KINDS: Record<string, Target['kind']> = {
  agentgrant: 'AgentGrant',
  agentgrants: 'AgentGrant',
  aggrant: 'AgentGrant',
  agentidentity: 'AgentIdentity',
  agentidentities: 'AgentIdentity',
  agentid: 'AgentIdentity',
};

/** Reads `NAME`, `agentgrant/NAME` or `agentidentity/NAME`, with the short names that kubectl takes, too. */
export function targetName(written: string): TargetName {
  const [kind = '', name, ...more] = written.split('/');
  if (name === undefined) return { kind: undefined, name: kind };
  const known = KINDS[kind.toLowerCase()];
  if (!known || more.length > 0 || name === '') {
    throw new Failure(
      `${written} names no grant and no identity: write NAME, agentgrant/NAME or agentidentity/NAME`,
      EXIT.usage,
    );
  }
  return { kind: known, name };
}

/** Reads what was named; a name alone is a grant's, or that of an identity where there is no such grant and `either` may be meant. */
export async function findTarget(cluster: Cluster, { kind, name }: TargetName, either: boolean): Promise<Target> {
  if (kind === 'AgentIdentity') return { kind, object: await cluster.find(agentIdentities, name) };
  if (kind === 'AgentGrant') return { kind, object: await cluster.find(agentGrants, name) };
  const { namespace } = cluster;
  try {
    return { kind: 'AgentGrant', object: await cluster.find(agentGrants, name) };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    const identity = await unlessGone(cluster.client.get(agentIdentities, { namespace, name })).catch(() => undefined);
    if (!identity) throw error;
    if (either) return { kind: 'AgentIdentity', object: identity };
    throw new Failure(
      `there is no AgentGrant ${name} in namespace ${namespace}, but an AgentIdentity; did you mean agentidentity/${name}, all its grants?`,
    );
  }
}
