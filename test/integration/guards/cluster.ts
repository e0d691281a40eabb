// Two clusters alike but for the guards, with the people who attack and what hallpass would have made: what is refused in
// the one and passes in the other is refused by a guard and by nothing else.

import { expect } from 'chai';
import { z } from 'zod';
import { type ControlPlane, startControlPlane } from '../../controlplane/controlplane.ts';
import { poll } from '../../harness/poll.ts';
import { type Answer, type Call, type Caller, caller } from './caller.ts';
import * as made from './objects.ts';

const people = {
  /** Cluster admin. */
  root: { user: 'root', groups: ['system:masters'] },
  /** Holds the built-in role `admin` in the namespace `team`. */
  owner: { user: 'owner', groups: ['team'] },
  /** Holds the built-in role `edit` there. */
  editor: { user: 'editor', groups: ['team'] },
  /** Holds whatever the test gives: rights that no built-in role has. */
  insider: { user: 'insider', groups: ['team'] },
  /** The node that the agent's pod runs on. */
  kubelet: { user: 'system:node:node-1', groups: ['system:nodes'] },
};

export type Who = keyof typeof people | 'operator' | 'agent';
export type Cluster = ControlPlane & { callers: Record<Who, Caller> };
/** `guarded` with everything that deploy/cluster holds, `bare` without deploy/guards. */
export type Twins = { guarded: Cluster; bare: Cluster };

const tokenSchema = z.object({ status: z.object({ token: z.string() }) });
const objectSchema = z.looseObject({
  metadata: z.looseObject({ name: z.string(), uid: z.string(), resourceVersion: z.string() }),
});

export async function startTwins(): Promise<Twins> {
  const [guarded, bare] = await Promise.all([startCluster(true), startCluster(false)]);
  return { guarded, bare };
}

/** Calls and expects success; returns the object. */
export async function succeed(by: Caller, call: Call) {
  const answer = await by.call(call);
  expect(answer.code, `${call.method} ${call.path}: ${answer.message}`).to.be.within(200, 299);
  return objectSchema.parse(answer.body);
}

/** Deletes and expects success: the answer is the object that waits for its finalizers, or a Status. */
export async function remove(by: Caller, path: string): Promise<void> {
  const answer = await by.call({ method: 'DELETE', path });
  expect(answer.code, `DELETE ${path}: ${answer.message}`).to.equal(200);
}

/** Calls until it is answered as wanted: caches and policies take effect some 100 ms after a write. */
export function until(by: Caller, call: Call, wanted: (answer: Answer) => boolean): Promise<Answer> {
  return poll(() => by.call(call), wanted, 30_000, {
    told: ({ code, message }) => `${call.method} ${call.path}: ${code} ${message}`,
  });
}

/**
 * Tries the same in both clusters: it passes where no guards are, and is refused where they are, by the guard and for the
 * reason named. Nothing is stored, unless the call says otherwise.
 */
export async function refusedByGuard(twins: Twins, who: Who, call: Call, reason: { by: string; says: RegExp }) {
  const tried = dryRun(call);
  const bare = await twins.bare.callers[who].call(tried);
  expect(bare.code, `without guards: ${bare.message}`).to.be.within(200, 299);
  const guarded = await twins.guarded.callers[who].call(tried);
  expect(guarded.message).to.contain(`'${reason.by}'`);
  expect(guarded.message).to.match(reason.says);
  expect(guarded.code, guarded.message).to.be.oneOf([403, 422]);
}

/** Tries it where the guards are, without storing it. */
export async function passesGuards(twins: Twins, who: Who, call: Call): Promise<Answer> {
  const answer = await twins.guarded.callers[who].call(dryRun(call));
  expect(answer.code, answer.message).to.be.within(200, 299);
  return answer;
}

/** The same call, of which nothing is stored. */
export function dryRun(call: Call): Call {
  // A token is never stored, and its subresource knows no dry run.
  if (call.path.endsWith('/token')) return call;
  // Options in the body of a deletion put those of the query out of force.
  if (call.method === 'DELETE' && call.body) return { ...call, body: { ...Object(call.body), dryRun: ['All'] } };
  return { ...call, path: `${call.path}${call.path.includes('?') ? '&' : '?'}dryRun=All` };
}

async function startCluster(withGuards: boolean): Promise<Cluster> {
  const controlPlane = await startControlPlane();
  try {
    return await prepare(controlPlane, withGuards);
  } catch (error) {
    await controlPlane.stop();
    throw error;
  }
}

async function prepare(controlPlane: ControlPlane, withGuards: boolean): Promise<Cluster> {
  const byCertificate = async (who: keyof typeof people) => caller(await controlPlane.credentialsFor(people[who]));
  const [root, owner, editor, insider, kubelet] = await Promise.all([
    byCertificate('root'),
    byCertificate('owner'),
    byCertificate('editor'),
    byCertificate('insider'),
    byCertificate('kubelet'),
  ]);
  const kubectl = async (...args: string[]) => {
    const { code, stderr } = await controlPlane.kubectl(args);
    expect(code, stderr).to.equal(0);
  };
  await kubectl('apply', '-k', made.deploy('cluster'));
  if (!withGuards) await kubectl('delete', '-k', made.deploy('guards'));

  await succeed(root, { method: 'POST', path: '/api/v1/namespaces', body: made.namespace('team') });
  await controlPlane.serviceAccountReady({ namespace: 'team' });
  await Promise.all([
    succeed(root, made.binding('owner', 'admin')),
    succeed(root, made.binding('editor', 'edit')),
    succeed(root, { method: 'POST', path: '/api/v1/nodes', body: made.node }),
    succeed(root, made.raisedCeiling),
    succeed(root, made.insiderRole),
    succeed(root, made.insiderBinding),
  ]);
  // Whoever is admin of a namespace may enable it. The roles are aggregated a moment after they were written.
  await until(owner, dryRun(made.enabling[0]), ({ code }) => code === 201);
  for (const call of made.enabling) await succeed(owner, call);
  const operator = await tokenCaller(controlPlane, root, '/api/v1/namespaces/hallpass-system/serviceaccounts/hallpass');
  if (withGuards) await guardsAct(root);

  // What hallpass makes for the identity `bot` and for a grant, under its own rights.
  await until(operator, dryRun(made.account), ({ code }) => code === 201);
  await succeed(operator, made.account);
  await until(operator, dryRun(made.role), ({ code }) => code === 201);
  await succeed(operator, made.role);
  const job = await succeed(operator, made.job);
  await succeed(operator, made.roleBinding(job.metadata.uid));
  await succeed(operator, made.bindingNaming([made.agentSubject], job.metadata.uid));
  await until(owner, dryRun(made.identity), ({ code }) => code === 201);
  await succeed(owner, made.identity);

  const pod = await until(root, made.agentPod, ({ code }) => code === 201);
  const { uid } = objectSchema.parse(pod.body).metadata;
  const agent = await tokenCaller(controlPlane, kubelet, made.account.path, made.account.name, {
    expirationSeconds: 600,
    boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: 'agent', uid },
  });
  return { ...controlPlane, callers: { root, owner, editor, insider, kubelet, operator, agent } };
}

async function tokenCaller(
  controlPlane: ControlPlane,
  by: Caller,
  account: string,
  name?: string,
  spec: object = {},
): Promise<Caller> {
  const path = `${account}${name ? `/${name}` : ''}/token`;
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec };
  // A node sees a pod of its own a moment after it was created.
  const answer = await until(by, { method: 'POST', path, body }, ({ code }) => code === 201);
  const { token } = tokenSchema.parse(answer.body).status;
  const { server, certificateAuthority } = controlPlane;
  return caller({ server, certificateAuthority, token: async () => token });
}

/** Waits for the guards that were stored last, of each kind: the API server takes them up some 100 ms after. */
export async function guardsAct(root: Caller): Promise<void> {
  const grant = made.grant('probe');
  const secret = made.tokenSecret('probe', 'hallpass-bot');
  const stamped = ({ code, body }: Answer) => code === 201 && JSON.stringify(body).includes('"stamps"');
  const refused = ({ message }: Answer) => message.includes("'hallpass-token-secrets'");
  await until(root, dryRun(grant), stamped);
  await until(root, dryRun(secret), refused);
}
