// can: whether an agent may do something now, by which grant; and if not, what would make it possible.

import { isTerminal } from '../api/conditions.ts';
import { agentGrants, type ParsedGrant, parseGrant } from '../api/grant.ts';
import { agentIdentities, type ParsedIdentity } from '../api/identity.ts';
import { GRANTABLE_ROLE } from '../api/names.ts';
import { agentPolicies } from '../api/policy.ts';
import { isForbidden, unlessGone } from '../kube/client.ts';
import { clusterRoles, namespaces as namespaceKind } from '../kube/kinds.ts';
import { requestedAccess } from '../policy/access.ts';
import { type Known, propose } from '../policy/proposed.ts';
import { rulesAllow } from '../policy/rules.ts';
import { type Cluster, type ClusterOptions, withCluster } from './cluster.ts';
import { findResource } from './discovery.ts';
import { branch, branches, explained, standing } from './explained.ts';
import { EXIT, type ExitCode } from './failure.ts';
import { drawn, type Tree } from './layout.ts';
import { type Form, show } from './output.ts';
import type { Terminal } from './terminal.ts';

/** The term that a grant is imagined with which nobody has asked for yet. */
const IMAGINED = '10m';

type Question = { verb: string; group: string; resource: string; name: string | undefined; namespace: string };

/** Answers whether an agent may do something, and returns the exit code for it. */
export async function can(
  where: ClusterOptions,
  terminal: Terminal,
  o: { agent: string; verb: string; resource: string; name: string | undefined; in: string | undefined; form: Form },
): Promise<ExitCode> {
  return withCluster(where, async (cluster) => {
    const identity = await cluster.find(agentIdentities, o.agent);
    const { group, resource } = await findResource(cluster, o.resource);
    const asked: Question = { verb: o.verb, group, resource, name: o.name, namespace: o.in ?? cluster.namespace };
    const grants = (await cluster.list(agentGrants, cluster.namespace)).filter(
      (grant) => grant.spec?.agent === o.agent,
    );
    const allowing = grants.filter((grant) => gives(grant, asked));
    const by = allowing.find(({ status, hash }) => status.phase === 'Active' && status.specHash === hash);
    const besides = (identity.status.standingAccess ?? []).length;
    const note =
      besides > 0
        ? `beside its grants, ${o.agent} has rights by ${besides} bindings that hallpass did not make: kubectl hallpass why -n ${cluster.namespace} agentidentity/${o.agent}`
        : undefined;
    if (by) {
      const { name } = by.metadata;
      const value = { allowed: true, grant: name, until: by.status.expiresAt, note };
      show(terminal, o.form, value, () => [`yes, by AgentGrant ${name}, until ${by.status.expiresAt}`]);
      return EXIT.yes;
    }
    const waiting = allowing.filter(({ status }) => !isTerminal(status.phase));
    const paths =
      waiting.length > 0 ? waiting.map(pathOfGrant) : [await pathOfRequest(cluster, identity, grants, asked)];
    const value = { allowed: false, note, possible: paths.map(({ value }) => value) };
    show(terminal, o.form, value, () =>
      drawn(
        {
          text: `no: ${o.agent} may not ${sentence(asked)} by any grant now`,
          children: [...paths.map(({ tree }) => tree), ...(note === undefined ? [] : [leaf(note)])],
        },
        terminal.width,
      ),
    );
    return EXIT.no;
  });
}

/** Whether a grant would give it, whatever its phase. */
function gives(
  { metadata, spec }: ParsedGrant,
  { verb, group, resource: combined, name, namespace }: Question,
): boolean {
  const [resource = '', subresource] = combined.split('/');
  return requestedAccess(spec?.permissions ?? [], metadata.namespace ?? '').some(
    (entry) =>
      (entry.namespace === undefined || entry.namespace === namespace) &&
      rulesAllow(entry.rules, { verb, apiGroup: group, resource, subresource, name }),
  );
}

/** How a grant that would give it stands. */
function pathOfGrant(grant: ParsedGrant): { value: object; tree: Tree } {
  const explanation = explained(grant);
  const gates = explanation.gates.filter(({ outcome }) => outcome === 'Failed');
  return {
    value: { grant: grant.metadata.name, ...explanation },
    tree: {
      text: `AgentGrant ${grant.metadata.name} would give it, and is ${explanation.phase}`,
      children: branches({ ...explanation, gates }),
    },
  };
}

/** What would be said of a grant for just that, and how to ask for one. */
async function pathOfRequest(cluster: Cluster, identity: ParsedIdentity, grants: ParsedGrant[], asked: Question) {
  const { namespace } = cluster;
  const agent = identity.metadata.name;
  const { verb, group, resource, name } = asked;
  const permission = {
    ...(asked.namespace === namespace ? {} : { namespaces: [asked.namespace] }),
    apiGroups: [group],
    resources: [resource],
    ...(name === undefined ? {} : { resourceNames: [name] }),
    verbs: [verb],
  };
  const grant = parseGrant({
    metadata: { namespace, name: 'new-grant' },
    spec: { agent, task: { description: 'asked' }, permissions: [permission], validity: { duration: IMAGINED } },
  });
  const activeGrants = grants.filter(({ status }) => status.phase === 'Active' || status.phase === 'Suspended').length;
  const { verdict, assumed } = propose(grant, { ...(await knownOf(cluster, asked.namespace)), identity, activeGrants });
  const stands = verdict.phase === 'Active' ? [] : verdict.reasons;
  const target = asked.namespace === namespace ? '' : ` --in ${asked.namespace}`;
  const object = name === undefined ? '' : ` ${name}`;
  const command = `kubectl hallpass request -n ${namespace} --agent ${agent} --allow '${verb} ${resourceOf(asked)}${object}'${target} --for ${IMAGINED} --task TASK`;
  const reasons = stands.map(standing);
  return {
    value: { command, reasons, assumed },
    tree: {
      text: `no grant asks for it; ${stands.length > 0 ? 'one that does would have to pass' : 'one that does would pass as far as can be seen'}: ${command}`,
      children: [
        ...reasons.map(branch).map(({ text, children }) => ({ text: `✗ ${text}`, children })),
        ...assumed.map((text) => leaf(`? ${text}`)),
        leaf('? whoever asks must hold it themselves'),
      ],
    },
  };
}

/** What a person may read of what decides about a grant: what they may not is not known. */
async function knownOf(cluster: Cluster, target: string): Promise<Omit<Known, 'identity' | 'activeGrants'>> {
  const { client, namespace } = cluster;
  const [policies, role, ...found] = await Promise.all([
    readable(client.list(agentPolicies)),
    readable(unlessGone(client.get(clusterRoles, { name: GRANTABLE_ROLE }))),
    ...[...new Set([namespace, target])].map((name) => readable(unlessGone(client.get(namespaceKind, { name })))),
  ]);
  const known = found.flatMap((each) => (each ? [[each.metadata.name, each.metadata] as const] : []));
  return {
    now: cluster.clock.now().getTime(),
    policies: policies?.items,
    ceiling: role?.rules,
    namespaces: new Map(known.map(([name, { labels, annotations }]) => [name, { labels, annotations }])),
  };
}

async function readable<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (isForbidden(error)) return undefined;
    throw error;
  }
}

function sentence(asked: Question): string {
  const { verb, name, namespace } = asked;
  return `${verb} ${resourceOf(asked)}${name === undefined ? '' : ` ${name}`} in namespace ${namespace}`;
}

/** As a person writes it: with its group, where that is not the core group. */
function resourceOf({ group, resource }: Question): string {
  const [name, subresource] = resource.split('/');
  return `${name}${group === '' ? '' : `.${group}`}${subresource === undefined ? '' : `/${subresource}`}`;
}

function leaf(text: string): Tree {
  return { text, children: [] };
}
