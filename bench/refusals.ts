// When agents were refused after their bindings went: each asks as soon as a watch shows its own gone.
import { setTimeout as delay } from 'node:timers/promises';
import type { Client } from '../src/kube/client.ts';
import { roleBindings } from '../src/kube/kinds.ts';
import { Follower } from './follower.ts';
import { type Lab, passes } from './lab.ts';

/** An agent that may read a ConfigMap of the name of its grant, and nothing else. */
export type Asking = { agent: Client; namespace: string; name: string };

/** Follows the bindings with a label. `refused` resolves with the moment, in ms since the epoch, at which each was refused. */
export async function followRefusals({ admin }: Lab, asking: Asking[], labelSelector: string) {
  const bindings = await Follower.start(admin, roleBindings, { labelSelector, stateOf: () => 'present' });
  await bindings.until(() => bindings.count('present') >= asking.length, 'the bindings to be seen');
  return {
    async refused(): Promise<number[]> {
      const times = await Promise.all(
        asking.map(async ({ agent, namespace, name }) => {
          await bindings.until(() => bindings.goneAt.has(`${namespace}/${name}`), `binding ${name} to go`);
          while (await passes(agent, namespace, name)) await delay(5);
          return Date.now();
        }),
      );
      bindings.stop();
      return times;
    },
  };
}
