// Where resourceNames do not do what people think, as a warning: RBAC goes by the name in the request, which not every verb has.
// Source: kubernetes.io/docs/reference/access-authn-authz/rbac/#referring-to-resources.

import type { GrantSpec } from '../api/grant.ts';
import { type Finding, finding } from './finding.ts';
import { once } from './once.ts';

/** What whoever asks should know of the names in these permissions. */
export const nameWarnings = once((permissions: GrantSpec['permissions']): Finding[] =>
  permissions.flatMap(({ resourceNames, resources, verbs }, index): Finding[] => {
    if (!resourceNames?.length) return [];
    const at = `spec.permissions[${index}]`;
    // A subresource is created of an object that has its name: pods/exec, serviceaccounts/token.
    const whole = resources.filter((resource) => !resource.includes('/'));
    const nameless = verbs.filter((verb) => verb === 'create' || verb === 'deletecollection');
    const selecting = verbs.filter((verb) => verb === 'list' || verb === 'watch');
    const findings: Finding[] = [];
    if (whole.length > 0 && nameless.length > 0) {
      findings.push(
        finding({
          reason: 'NameHasNoEffect',
          what: `${at} gives no ${nameless.join(', ')} of ${whole.join(', ')}: the API server does not know a name when it is asked for that`,
          remedy: `put ${nameless.join(', ')} into a permission without resourceNames`,
          by: ['Requester'],
        }),
      );
    }
    if (whole.length > 0 && selecting.length > 0) {
      findings.push(
        finding({
          reason: 'NameHasNoEffect',
          what: `${at} gives ${selecting.join(', ')} of ${whole.join(', ')} only to requests for one name: kubectl get ${whole[0]} --field-selector metadata.name=${resourceNames[0]}`,
          remedy: `for all, put ${selecting.join(', ')} into a permission without resourceNames`,
          by: ['Requester'],
        }),
      );
    }
    return findings;
  }),
);
