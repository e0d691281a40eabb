// Every decision is on record: in the status with each gate, in the log with all that it rests on, and in the receipt by its id.
import { readFile } from 'node:fs/promises';
import { expect } from 'chai';
import { z } from 'zod';
import { agentIdentities } from '../../../src/api/identity.ts';
import { agentPolicies } from '../../../src/api/policy.ts';
import { createPolicy } from '../endings/policies.ts';
import { grantManifest, identityManifest, podsOf, useSharedStage } from '../endings/stage.ts';

const version = z.object({ name: z.string(), uid: z.string(), generation: z.number().optional() });
const line = z.object({
  message: z.literal('decision'),
  decision: z.string(),
  grant: z.string(),
  uid: z.string(),
  phase: z.string(),
  credential: z.string().optional(),
  reasons: z.array(
    z.object({
      gate: z.string().optional(),
      reason: z.string(),
      policy: z.string().optional(),
      line: z.string().optional(),
      message: z.string(),
      remedy: z.string().optional(),
      by: z.array(z.string()).optional(),
    }),
  ),
  inputs: z.object({ identity: version.optional(), policies: z.array(version) }),
});

describe('a decision about a grant', function () {
  this.timeout(60_000);
  const stage = useSharedStage();

  /** The lines of the log that record decisions about a grant, in order. */
  async function recorded(grant: string) {
    const logs = await Promise.all(stage().playground.hallpass.map(({ logFile }) => readFile(logFile, 'utf8')));
    return logs
      .flatMap((log) => log.split('\n'))
      .filter((text) => text.includes('"message":"decision"'))
      .map((text) => line.parse(JSON.parse(text)))
      .filter((record) => record.grant === grant);
  }

  it('is told gate by gate, and by the id of its record, which the receipt names too', async () => {
    const namespace = await stage().namespace('decision-told');
    const ref = { namespace, name: 'asked' };
    await stage().create(grantManifest(ref));
    const waiting = await stage().phase(ref, 'Pending', 'AgentNotFound');
    expect(waiting.status.gates).to.include({
      spec: 'Passed',
      agent: 'Failed',
      policies: 'Passed',
      authors: 'NotAsked',
    });
    expect(waiting.status.reasons?.[0]?.gate).to.equal('agent');
    await stage().admin.createRaw(
      `/apis/hallpass.dev/v1alpha1/namespaces/${namespace}/agentidentities`,
      identityManifest(namespace),
    );
    const given = await stage().phase(ref, 'Active');
    expect(new Set(Object.values(given.status.gates ?? {}))).to.deep.equal(new Set(['Passed']));
    expect(given.status.decision?.policies).to.deep.equal(['default']);
    await (await stage().agent(namespace)).until(podsOf(namespace), 200);

    const records = await recorded(`${namespace}/asked`);
    const [first] = records;
    expect(first).to.deep.include({
      uid: waiting.metadata.uid,
      phase: 'Pending',
      decision: waiting.status.decision?.id,
    });
    expect(first?.reasons[0]).to.include({ gate: 'agent', reason: 'AgentNotFound' });
    const last = records.at(-1);
    expect(last).to.include({ phase: 'Active', credential: 'Identity', decision: given.status.decision?.id });
    const identity = await stage().admin.get(agentIdentities, { namespace, name: 'triage' });
    expect(last?.inputs.identity).to.include({ uid: identity.metadata.uid, generation: identity.metadata.generation });
    expect(last?.inputs.policies.map(({ name }) => name)).to.deep.equal(['default']);
    const [receipt] = stage().receiptsOf(ref);
    expect(receipt?.spec?.decision).to.equal(last?.decision);
    expect(
      records.filter(({ phase }) => phase === 'Active'),
      'it is decided once',
    ).to.have.length(1);
    expect(given.status.reasons, 'nothing stands against it, and nothing is stored of that').to.equal(undefined);
  });

  it('names for what is refused the policy and its line, what would have to change, and who can do that', async () => {
    const namespace = await stage().namespace('decision-refused');
    const ref = { namespace, name: 'reads-secrets' };
    await stage().identity(namespace);
    const secrets = { apiGroups: [''], resources: ['secrets'], verbs: ['get'] };
    await stage().create(grantManifest(ref, { permissions: [secrets] }));
    const { status } = await stage().phase(ref, 'Pending', 'DeniedByPolicy');
    const [denied, beyond] = status.reasons ?? [];
    expect(denied).to.include({ gate: 'policies', policy: 'default' });
    const number = Number(/^spec\.deny\[(\d+)\]$/.exec(denied?.line ?? '')?.[1]);
    const policy = await stage().admin.get(agentPolicies, { name: 'default' });
    expect(policy.spec?.deny?.[number]?.resources, 'that line is what refuses it').to.deep.equal(['secrets']);
    expect(denied?.by).to.deep.equal(['Requester', 'PolicyAdmin']);
    expect(denied?.remedy)
      .to.match(/^ask for less, or have whoever maintains AgentPolicies add it to spec\.allow/)
      .and.contain(namespace);
    expect(denied?.message, 'the sentence has all of it').to.contain(`(${denied?.line}: `).and.contain(denied?.remedy);
    expect(beyond).to.include({ gate: 'ceiling', reason: 'ExceedsCeiling' });
    expect(beyond?.policy, 'no policy is the ceiling').to.equal(undefined);
    expect(beyond?.by).to.deep.equal(['Requester', 'ClusterAdmin']);
    const agent = await stage().agent(namespace);
    expect(await agent.asks(`/api/v1/namespaces/${namespace}/secrets/any`)).to.equal(403);

    const [record] = await recorded(`${namespace}/reads-secrets`);
    expect(record?.reasons, 'the log says the same').to.deep.equal(status.reasons);

    // What the remedy says helps: the line gives way to who may write policies.
    await createPolicy(stage(), namespace, namespace, { allow: [{ ...secrets, why: 'a test' }] });
    const left = await stage().until(stage().seen.grants, ref, (now) => now?.status.reasons?.length === 1);
    expect(left?.status.reasons?.[0]?.reason).to.equal('ExceedsCeiling');
  });
});
