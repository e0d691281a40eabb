// What expressions are about: the agent, the grant and signals, as declared variables. docs/expressions.md describes them for people.
//
// There is no `now`: time comes in by windows alone, which say when they change. What is in here changes only with an object that
// hallpass watches, so that every change of an answer has a cause by which the grant is decided again.

import type { Environment, Field } from '../cel/types.ts';
import { placesOf } from './access.ts';
import type { GateInput } from './gates.ts';
import { isEnforced } from './policies.ts';
import { levelOf } from './sensitivity.ts';

const texts = (meaning: string): Field => ({ type: { list: 'string' }, meaning });
const text = (meaning: string): Field => ({ type: 'string', meaning });
const labels = (of: string): Field => ({ type: { map: 'string' }, meaning: `Labels of ${of}.` });

const person = (meaning: string): Field => ({
  meaning,
  type: {
    struct: 'person',
    fields: {
      username: text('User name, as the API server authenticated it.'),
      groups: texts('Groups of the user at that time.'),
    },
  },
});

/** The variables of every expression, with their types. */
export const ENVIRONMENT: Environment = {
  agent: {
    meaning: 'The AgentIdentity that the grant is for.',
    type: {
      struct: 'agent',
      fields: {
        name: text('Its name.'),
        namespace: text('Its namespace, which is that of the grant.'),
        labels: labels('the AgentIdentity'),
        purpose: text('What it is for (spec.purpose).'),
        owner: {
          meaning: 'Who answers for it.',
          type: {
            struct: 'owner',
            fields: { kind: text('User or Group.'), name: text('Name of the user or group.') },
          },
        },
      },
    },
  },
  grant: {
    meaning: 'The AgentGrant.',
    type: {
      struct: 'grant',
      fields: {
        name: text('Its name.'),
        namespace: text('Its namespace.'),
        labels: labels('the AgentGrant'),
        ref: { ...text('Where its task is tracked (spec.task.ref).'), optional: true },
        duration: {
          type: 'duration',
          meaning:
            'How long it lasts, from its start to its end. Before it is given: how long it would, if it began now.',
        },
        creator: person('Who created it.'),
        requester: person('Who last changed its spec.'),
        permissions: {
          meaning: 'What it asks for (spec.permissions).',
          type: {
            list: {
              struct: 'permission',
              fields: {
                namespaces: texts(
                  'Namespaces in which it is to hold; the own one where none is named, every one where it is for the whole cluster.',
                ),
                apiGroups: texts('API groups; "" is the core group.'),
                resources: texts('Resources, such as pods or deployments/scale.'),
                resourceNames: texts('Names of single objects; empty: every object.'),
                verbs: texts('Verbs.'),
              },
            },
          },
        },
        namespaces: {
          meaning: 'Every namespace that it reaches into; all where it reaches the whole cluster.',
          type: {
            list: {
              struct: 'namespace',
              fields: {
                name: text('Its name.'),
                labels: labels('the Namespace'),
                dataSensitivity: text(
                  'public, internal, confidential or restricted; where it has no label, what policies say.',
                ),
              },
            },
          },
        },
      },
    },
  },
  signals: {
    meaning:
      'The AgentSignals in effect: in a policy, those that it could respond to; in a grant, all that concern it.',
    type: {
      list: {
        struct: 'signal',
        fields: {
          signal: text('Incident, ChangeFreeze, Risk or PolicyViolation.'),
          severity: text('Low, Medium, High or Critical.'),
          namespace: text('Where it was reported; hallpass-system where it is for the whole cluster.'),
          reporter: text('User name of who reported it.'),
          trusted: {
            type: 'bool',
            meaning: 'Whether the policy trusts who reported it (spec.reporters); for a grant, whether any does.',
          },
        },
      },
    },
  },
};

/** The variables for a grant, to be written as JSON, without `signals`: of these each reader has its own. Times are in seconds. */
export function variablesOf(input: Omit<GateInput, 'answered'>): object {
  const { grant, identity, access, term, namespaces, cluster } = input;
  const { metadata, spec, stamps } = grant;
  const own = metadata.namespace ?? '';
  // What holds in the whole cluster reaches every namespace.
  const all = [...(cluster?.namespaces.keys() ?? [])];
  const reached = new Set(access.flatMap(({ namespace }) => namespace ?? all));
  const known = [...reached].flatMap((name) => {
    const view = namespaces.get(name) ?? cluster?.namespaces.get(name);
    return view ? [{ name, labels: view.labels, dataSensitivity: levelOf(view, isEnforced).level }] : [];
  });
  return {
    agent: identity && {
      name: identity.metadata.name,
      namespace: identity.metadata.namespace,
      labels: identity.metadata.labels ?? {},
      purpose: identity.spec?.purpose,
      owner: identity.spec && { kind: identity.spec.owner.kind, name: identity.spec.owner.name },
    },
    grant: {
      name: metadata.name,
      namespace: own,
      labels: metadata.labels ?? {},
      ref: spec?.task.ref,
      duration: term && Math.round((term.end - term.start) / 1000),
      creator: stamps && { username: stamps.creator.username, groups: stamps.creator.groups ?? [] },
      requester: stamps && { username: stamps.requester.username, groups: stamps.requester.groups ?? [] },
      permissions: spec?.permissions.map(({ scope, namespaces, apiGroups, resources, resourceNames = [], verbs }) => ({
        namespaces: placesOf({ scope, namespaces }, own).flatMap((place) => place ?? all),
        apiGroups,
        resources,
        resourceNames,
        verbs,
      })),
      namespaces: known,
    },
  };
}
