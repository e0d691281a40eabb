// Attacks on credentials: getting, prolonging or borrowing an agent's identity.

import { expect } from 'chai';
import { z } from 'zod';
import type { Call } from './caller.ts';
import { passesGuards, refusedByGuard, remove, succeed, type Twins } from './cluster.ts';
import * as made from './objects.ts';

const podSchema = z.object({ metadata: z.object({ uid: z.string() }) });

export function tokens(twins: () => Twins): void {
  const token = (spec: object): Call => ({
    method: 'POST',
    path: `${made.account.path}/hallpass-bot/token`,
    body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec },
  });
  /** As a kubelet asks for its pod, in each cluster with that cluster's pod. */
  const forPod = async (cluster: Twins['guarded'], spec: object) => {
    const pod = await succeed(cluster.callers.root, { method: 'GET', path: `${made.api}/pods/agent` });
    const { uid } = podSchema.parse(pod).metadata;
    const boundObjectRef = { apiVersion: 'v1', kind: 'Pod', name: 'agent', uid };
    return cluster.callers.kubelet.call(token({ boundObjectRef, ...spec }));
  };
  const onlyKubelets = { by: 'hallpass-tokens', says: /given only to their pods, by the kubelet/ };

  it('are not given to people, whatever rights they have', async () => {
    await refusedByGuard(twins(), 'editor', token({ expirationSeconds: 600 }), onlyKubelets);
    await refusedByGuard(twins(), 'owner', token({ audiences: ['vault'] }), onlyKubelets);
    await refusedByGuard(twins(), 'root', token({ expirationSeconds: 86_400 }), onlyKubelets);
  });

  it('are given to the kubelet of the pod', async () => {
    expect((await forPod(twins().guarded, { expirationSeconds: 600 })).code).to.equal(201);
    expect((await forPod(twins().guarded, { expirationSeconds: 3600 })).code).to.equal(201);
  });

  it('are never those that the API server stretches to a year', async () => {
    expect((await forPod(twins().bare, { expirationSeconds: 3607 })).code).to.equal(201);
    const refused = await forPod(twins().guarded, { expirationSeconds: 3607 });
    expect(refused.message).to.match(/'hallpass-tokens'.*stretches to a year/);
  });

  it('live an hour at most, except those for a mesh or a cloud', async () => {
    expect((await forPod(twins().bare, { expirationSeconds: 7200 })).code).to.equal(201);
    const refused = await forPod(twins().guarded, { expirationSeconds: 7200 });
    expect(refused.message).to.match(/'hallpass-tokens'.*3600 seconds at most/);
    const mesh = await forPod(twins().guarded, { audiences: ['istio-ca'], expirationSeconds: 43_200 });
    expect(mesh.code, mesh.message).to.equal(201);
  });

  it('of other ServiceAccounts are not touched', async () => {
    const own = { ...token({ expirationSeconds: 86_400 }), path: `${made.account.path}/default/token` };
    await passesGuards(twins(), 'editor', own);
  });
}

export function secrets(twins: () => Twins): void {
  const reason = { by: 'hallpass-token-secrets', says: /never expires, so there is none for an agent/ };

  it('with a token of an agent are not made', async () => {
    await refusedByGuard(twins(), 'editor', made.tokenSecret('forever', 'hallpass-bot'), reason);
    await refusedByGuard(twins(), 'root', made.tokenSecret('forever', 'hallpass-to-come'), reason);
    await passesGuards(twins(), 'editor', made.tokenSecret('theirs', 'default'));
  });

  it('are not turned into one by an update, even on their way out', async () => {
    const name = { metadata: { annotations: { 'kubernetes.io/service-account.name': 'hallpass-bot' } } };
    const path = `${made.api}/secrets/turning`;
    const turn = { method: 'PATCH', path, body: name } as const;
    for (const { callers } of Object.values(twins())) {
      await succeed(callers.editor, made.tokenSecret('turning', 'default'));
      await succeed(callers.editor, { ...turn, body: { metadata: { finalizers: ['example.com/hold'] } } });
    }
    await refusedByGuard(twins(), 'editor', turn, reason);
    for (const { callers } of Object.values(twins())) await remove(callers.editor, path);
    await refusedByGuard(twins(), 'editor', turn, reason);
    await succeed(twins().guarded.callers.editor, { ...turn, body: { metadata: { finalizers: null } } });
  });
}

export function impersonation(twins: () => Twins): void {
  const reason = { by: 'hallpass-impersonation', says: /impersonating an agent is refused/ };
  const headers = { 'Impersonate-User': 'system:serviceaccount:team:hallpass-bot' };
  const configMap = {
    method: 'POST',
    path: `${made.api}/configmaps`,
    body: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'written' } },
  } as const;

  it('of an agent writes nothing, though the built-in role edit allows it', async () => {
    await refusedByGuard(twins(), 'editor', { ...configMap, headers }, reason);
    await refusedByGuard(twins(), 'root', { ...configMap, headers }, reason);
  });

  it('is no matter for the agent itself, with its own token', async () => {
    await passesGuards(twins(), 'agent', configMap);
  });

  it('of others is not touched', async () => {
    const other = { 'Impersonate-User': 'owner' };
    await passesGuards(twins(), 'root', { ...configMap, headers: other });
  });
}
