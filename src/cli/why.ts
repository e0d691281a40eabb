// why: how a grant or an agent stands, as a tree: each gate, each reason, and who could change it.

import type { ParsedGrant } from '../api/grant.ts';
import { agentGrants } from '../api/grant.ts';
import type { ParsedIdentity } from '../api/identity.ts';
import { keyOf } from '../kube/object.ts';
import { type Cluster, type ClusterOptions, withCluster } from './cluster.ts';
import { grantRows, reach } from './described.ts';
import { branches, explained } from './explained.ts';
import { EXIT, type ExitCode } from './failure.ts';
import { drawn, type Tree } from './layout.ts';
import { type Form, show } from './output.ts';
import { findTarget, targetName } from './target.ts';
import type { Terminal } from './terminal.ts';

/** Tells how what was named stands. */
export async function why(
  where: ClusterOptions,
  terminal: Terminal,
  o: { target: string; form: Form },
): Promise<ExitCode> {
  const named = targetName(o.target);
  return withCluster(where, async (cluster) => {
    const target = await findTarget(cluster, named, true);
    const told = target.kind === 'AgentGrant' ? aboutGrant(target.object) : await aboutIdentity(cluster, target.object);
    show(terminal, o.form, told.value, () => drawn(told.tree, terminal.width));
    return EXIT.yes;
  });
}

function aboutGrant(grant: ParsedGrant): { value: object; tree: Tree } {
  const { status, metadata } = grant;
  const explanation = explained(grant);
  const until = status.phase === 'Active' ? `, until ${status.expiresAt}` : '';
  const asked = grantRows(grant).filter(([label]) => label !== 'phase' && label !== 'because');
  return {
    value: {
      kind: 'AgentGrant',
      namespace: metadata.namespace,
      name: metadata.name,
      expiresAt: status.expiresAt,
      ...explanation,
    },
    tree: {
      text: `AgentGrant ${keyOf(metadata)}: ${explanation.phase}${until}`,
      children: [
        { text: 'what is asked for', children: asked.map(([label, text]) => leaf(`${label}: ${text}`)) },
        ...branches(explanation),
      ],
    },
  };
}

async function aboutIdentity(cluster: Cluster, identity: ParsedIdentity): Promise<{ value: object; tree: Tree }> {
  const { metadata, spec, status, invalid } = identity;
  const grants = (await cluster.list(agentGrants, metadata.namespace))
    .filter((grant) => grant.spec?.agent === metadata.name)
    .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  const ready = status.conditions?.find(({ type }) => type === 'Ready');
  const standing = status.standingAccess ?? [];
  const radius = status.blastRadius;
  return {
    value: {
      kind: 'AgentIdentity',
      namespace: metadata.namespace,
      name: metadata.name,
      ready: ready?.status === 'True',
      message: invalid ?? ready?.message,
      blastRadius: radius,
      standingAccess: standing,
      grants: grants.map((grant) => ({
        name: grant.metadata.name,
        expiresAt: grant.status.expiresAt,
        ...explained(grant),
      })),
    },
    tree: {
      text: `AgentIdentity ${keyOf(metadata)}: ${ready?.status === 'True' ? 'ready' : 'not ready'}`,
      children: [
        ...(spec ? [leaf(`purpose: ${spec.purpose}`), leaf(`owner: ${spec.owner.kind} ${spec.owner.name}`)] : []),
        ...(ready?.status === 'True' ? [] : [leaf(invalid ?? ready?.message ?? 'hallpass has not looked at it yet')]),
        leaf(
          radius
            ? `holds now: ${radius.rules} rules in ${reach(radius)}, of which ${radius.mutatingRules} may change something and ${radius.sensitiveRules} are refused where no exception is made`
            : 'holds now: nothing by grants',
        ),
        ...(standing.length === 0
          ? []
          : [
              {
                text: 'beside its grants it has rights by bindings that hallpass did not make',
                children: standing.map(({ binding, namespace, name, role, subject }) =>
                  leaf(`${binding} ${namespace ? `${namespace}/` : ''}${name} gives ${role} to ${subject}`),
                ),
              },
            ]),
        ...grants.map((grant) => {
          const explanation = explained(grant);
          const failing = { ...explanation, gates: explanation.gates.filter(({ outcome }) => outcome === 'Failed') };
          const until = grant.status.phase === 'Active' ? `, until ${grant.status.expiresAt}` : '';
          return {
            text: `AgentGrant ${grant.metadata.name}: ${explanation.phase}${until}`,
            children: branches(failing),
          };
        }),
      ],
    },
  };
}

function leaf(text: string): Tree {
  return { text, children: [] };
}
