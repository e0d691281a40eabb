// Who attacks and who is attacked: people with credentials and rights of their own, on the stage that other tests share.
import type { ParsedGrant } from '../../../src/api/grant.ts';
import { usePolicies } from '../endings/policies.ts';
import type { Stage } from '../endings/stage.ts';
import { type Answer, type Caller, caller } from '../guards/caller.ts';

const rbac = '/apis/rbac.authorization.k8s.io/v1';
export const ours = '/apis/hallpass.dev/v1alpha1';

type Subject = { kind: 'User' | 'Group'; name: string } | { kind: 'ServiceAccount'; name: string; namespace: string };
type Ref = { namespace: string; name: string };

/** What the attacks of one file have in common. The policies that they made go after each. */
export function people(stage: () => Stage) {
  const policies = usePolicies(stage);
  let count = 0;
  const post = (path: string, body: object) => stage().admin.createRaw(path, body);
  const roleRef = (kind: string, name: string) => ({ apiGroup: 'rbac.authorization.k8s.io', kind, name });
  const subjectOf = (subject: Subject) =>
    subject.kind === 'ServiceAccount' ? subject : { apiGroup: 'rbac.authorization.k8s.io', ...subject };

  const found = {
    async person(user: string, groups: string[] = []): Promise<Caller> {
      return caller(await stage().playground.credentialsFor({ user, groups }));
    },
    /** Binds a ClusterRole in a namespace. */
    async bind(namespace: string, subject: Subject | string, role: string): Promise<void> {
      const who: Subject = typeof subject === 'string' ? { kind: 'User', name: subject } : subject;
      count += 1;
      const metadata = { name: `attack-${count}` };
      const body = { metadata, roleRef: roleRef('ClusterRole', role), subjects: [subjectOf(who)] };
      await post(`${rbac}/namespaces/${namespace}/rolebindings`, body);
    },
    /** Gives a user single rights everywhere: such as no built-in role has. */
    async allow(user: string, ...rules: object[]): Promise<void> {
      count += 1;
      const metadata = { name: `attack-${count}` };
      await post(`${rbac}/clusterroles`, { metadata, rules });
      const subjects = [subjectOf({ kind: 'User', name: user })];
      await post(`${rbac}/clusterrolebindings`, { metadata, roleRef: roleRef('ClusterRole', metadata.name), subjects });
    },
    /** A policy for one namespace. */
    policy: (namespace: string, spec: object) => policies(namespace, namespace, spec),
    /** Makes a review of a grant; who was let in a moment ago is kept waiting for that. */
    async review(by: Caller, of: ParsedGrant, decision: string): Promise<string> {
      count += 1;
      const { name, uid, generation, namespace = '' } = of.metadata;
      const body = {
        apiVersion: 'hallpass.dev/v1alpha1',
        kind: 'AgentReview',
        metadata: { name: `attack-${count}` },
        spec: {
          target: { kind: 'AgentGrant', name, uid, generation, specHash: of.hash },
          decision,
          comment: 'looks fine',
        },
      };
      await found.once(() => by.call({ method: 'POST', path: `${ours}/namespaces/${namespace}/agentreviews`, body }));
      return body.metadata.name;
    },
    /** Repeats a call until it succeeds: rights that were given a moment ago take a moment. */
    once: (call: () => Promise<Answer>): Promise<Answer> => stage().poll(call, ({ code }) => code >= 200 && code < 300),
    /** Waits until a grant's status mentions something. */
    async says(ref: Ref, text: string): Promise<ParsedGrant> {
      const grant = await stage().until(stage().seen.grants, ref, (now) => !!now?.status.message?.includes(text));
      if (!grant) throw new Error('the grant is gone');
      return grant;
    },
  };
  return found;
}
