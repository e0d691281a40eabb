// The receipt of a request: what it records, and its name.

import type { GrantSpec, GrantStamps } from '../api/grant.ts';
import { SYSTEM_NAMESPACE } from '../api/names.ts';
import { SUMMARY_LIMIT } from '../api/receipt.ts';
import { receiptName, restrictionsDigest } from '../api/request.ts';
import { printable, printableUser } from '../text.ts';
import type { GrantKey, Rule } from './grant-objects.ts';

/** Rules and where they hold; without a namespace, the whole cluster. */
type Given = { namespace?: string | undefined; rules: Rule[] };

/** The receipt as it is created, before the first right exists. Times are RFC 3339. */
export function renderReceipt(o: {
  grant: GrantKey;
  spec: GrantSpec;
  specHash: string;
  stamps: GrantStamps;
  agentUid: string;
  access: Given[];
  startTime: string;
  expiresAt: string;
  /** Id of the decision by which it is given. */
  decision: string | undefined;
}) {
  const { creator, requester } = o.stamps;
  return {
    metadata: { name: receiptName(o.grant, o.specHash), namespace: SYSTEM_NAMESPACE },
    spec: {
      grant: { namespace: o.grant.namespace, name: o.grant.name, uid: o.grant.uid },
      specHash: o.specHash,
      agent: { name: o.spec.agent, uid: o.agentUid },
      // Without their groups: the record says who, and up to 1,024 groups would make it large.
      creator: { username: shown(creator.username), uid: creator.uid },
      requester: { username: shown(requester.username), uid: requester.uid },
      task: o.spec.task,
      decision: o.decision,
      access: o.access.map(({ namespace, rules }) => ({
        namespace,
        rules: rules.map(({ verbs, apiGroups, resources, resourceNames }) => ({
          verbs,
          apiGroups,
          resources,
          resourceNames,
        })),
      })),
      restrictions: restrictionsDigest(o.spec),
      summary: summaryOf(o.access),
      endsWith: o.spec.validity.endsWith,
      startTime: o.startTime,
      expiresAt: o.expiresAt,
    },
  };
}

/** A user name comes from whoever vouches for users, who may let them choose it, and a column prints it. */
function shown(username: string): string {
  return printableUser(username, 1024);
}

/** What is given, in a line for people: `get,list pods,deployments.apps in demo,demo-other; delete pods named web in demo`. */
function summaryOf(access: Given[]): string {
  const places = new Map<string, string[]>();
  for (const { namespace, rules } of access) {
    for (const rule of rules) {
      const what = ruleInWords(rule);
      places.set(what, [...(places.get(what) ?? []), namespace ?? 'the whole cluster']);
    }
  }
  const parts = [...places].map(([what, namespaces]) => `${what} in ${[...new Set(namespaces)].join(',')}`);
  return printable(parts.join('; '), SUMMARY_LIMIT);
}

/** A resource of another group than the core's is written as kubectl takes it: deployments.apps, deployments.apps/scale. */
function ruleInWords({ verbs, apiGroups = [], resources = [], resourceNames = [] }: Rule): string {
  const all = resources.flatMap((resource) => {
    const [name, ...sub] = resource.split('/');
    return apiGroups.map((group) => [group === '' ? name : `${name}.${group}`, ...sub].join('/'));
  });
  const names = resourceNames.length > 0 ? ` named ${resourceNames.join(',')}` : '';
  return `${verbs.join(',')} ${all.join(',')}${names}`;
}
