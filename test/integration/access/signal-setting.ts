// What tests of signals share: a namespace under a policy with an agent that has a grant, people who report there, and what they see.

import { agentSignals, type ParsedSignal } from '../../../src/api/signal.ts';
import { type Client, unlessGone } from '../../../src/kube/client.ts';
import { usePolicies } from '../endings/policies.ts';
import { grantManifest, type Stage, SYSTEM_NAMESPACE } from '../endings/stage.ts';

export const api = '/apis/hallpass.dev/v1alpha1';
export type Ref = { namespace: string; name: string };

/** For a `describe`; what its tests leave of policies and of signals about everything goes after each. */
export function useSignals(stage: () => Stage) {
  const policies = usePolicies(stage);
  const everywhere: string[] = [];

  afterEach(async () => {
    for (const name of everywhere.splice(0)) {
      await unlessGone(stage().admin.delete(agentSignals, { namespace: SYSTEM_NAMESPACE, name }));
    }
  });

  const reportBody = (name: string, o: { spec?: object } = {}) => ({
    apiVersion: 'hallpass.dev/v1alpha1',
    kind: 'AgentSignal',
    metadata: { name },
    spec: {
      signal: 'Incident',
      severity: 'Critical',
      message: 'the database is down',
      expiresAt: '2999-01-01T00:00:00Z',
      ...o.spec,
    },
  });

  /** Lets users report in a namespace, from now on. */
  async function reporters(namespace: string, ...users: string[]): Promise<void> {
    for (const user of users) await stage().bind(namespace, user, 'hallpass-reporter');
  }

  /** A policy for a namespace; `selects` is another where it is for another. */
  const policy = (name: string, spec: object, selects = name) => policies(name, selects, spec);

  return {
    reportBody,
    reporters,
    policy,

    /** A namespace under a policy with this spec, with an agent that has a grant, and `pia` and `mallory`, who may report. */
    async setting(name: string, spec: object, o: { grants?: string[] } = {}) {
      const namespace = await stage().namespace(name);
      await stage().identity(namespace);
      await policy(name, spec);
      await reporters(namespace, 'pia', 'mallory');
      const refs = (o.grants ?? ['task']).map((grant) => ({ namespace, name: grant }));
      for (const ref of refs) await stage().give(grantManifest(ref));
      const agent = await stage().agent(namespace);
      await agent.until(`/api/v1/namespaces/${namespace}/pods`, 200);
      return { namespace, agent, ref: { namespace, name: 'task' } };
    },

    /** Reports; who was let in a moment ago is kept waiting for that. Answers when the one that was let in was sent. */
    async report(by: Client, namespace: string, name: string, o: { spec?: object } = {}): Promise<number> {
      if (namespace === SYSTEM_NAMESPACE) everywhere.push(name);
      const path = `${api}/namespaces/${namespace}/agentsignals`;
      let sent = 0;
      await stage().poll(
        () => {
          sent = Date.now();
          return by.createRaw(path, reportBody(name, o)).then(
            () => 'reported',
            (error: Error) => error.message,
          );
        },
        (answer) => answer === 'reported',
      );
      return sent;
    },

    /** Waits until hallpass has said so of a signal. */
    async told(ref: Ref, wanted: (signal: ParsedSignal) => boolean): Promise<ParsedSignal> {
      const found = await stage().until(stage().seen.signals, ref, (now) => now !== undefined && wanted(now));
      if (!found) throw new Error(`AgentSignal ${ref.name} is gone`);
      return found;
    },

    /** Waits until a grant's status mentions something. */
    says: (ref: Ref, text: string) =>
      stage().until(stage().seen.grants, ref, (now) => now?.status.message?.includes(text) ?? false),
  };
}

export const secondsFromNow = (seconds: number) =>
  new Date(Date.now() + seconds * 1000).toISOString().replace(/\.\d+/, '');
