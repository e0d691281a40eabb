// Attacks on what a review says: who made it, whether they may, and what they decided.
import { expect } from 'chai';
import { z } from 'zod';
import { dryRun, passesGuards, refusedByGuard, succeed, type Twins, until } from './cluster.ts';
import * as made from './objects.ts';

const reviewSchema = z.object({ stamps: z.object({ reviewer: z.object({ username: z.string() }) }) });
const reviewerOf = (object: unknown) => reviewSchema.parse(object).stamps.reviewer.username;
const reviewerRole = made.binding('owner', 'hallpass-reviewer');

export function reviews(twins: () => Twins): void {
  before(async () => {
    for (const { callers } of Object.values(twins())) {
      const bind = { ...reviewerRole, body: { ...Object(reviewerRole.body), metadata: { name: 'reviewers' } } };
      await succeed(callers.root, bind);
      await until(callers.owner, dryRun(made.review('probe')), ({ code }) => code === 201);
    }
  });

  it('names whoever made it, whatever the manifest says', async () => {
    const forged = { reviewer: { username: 'the-boss', groups: ['security'] } };
    const call = made.review('forged', { stamps: forged });
    const bare = await twins().bare.callers.owner.call(dryRun(call));
    expect(reviewerOf(bare.body), 'without guards').to.equal('the-boss');
    const { body } = await passesGuards(twins(), 'owner', call);
    expect(reviewerOf(body)).to.equal('owner');
  });

  it('takes the verb approve on what it is about, not only the right to create reviews', async () => {
    const reason = {
      by: 'hallpass-reviews',
      says: /you may not review agentgrants reviewed in namespace team: .*verb approve/,
    };
    await refusedByGuard(twins(), 'insider', made.review('mine'), reason);
    const stop = made.review('stop', { decision: 'Suspend' });
    await refusedByGuard(twins(), 'insider', stop, reason);
    const agent = { kind: 'AgentIdentity', specHash: undefined, name: 'bot' };
    await refusedByGuard(twins(), 'insider', made.review('agent', { decision: 'Revoke', target: agent }), {
      by: 'hallpass-reviews',
      says: /you may not review agentidentities bot in namespace team/,
    });
  });

  it('belongs to nothing, with whose end the garbage collector would undo it', async () => {
    const owner = { apiVersion: 'v1', kind: 'ConfigMap', name: 'gone', uid: '5f0c1d3e-0000-4000-8000-000000000001' };
    const call = made.review('owned', { decision: 'Suspend', ownerReferences: [owner] });
    await refusedByGuard(twins(), 'owner', call, {
      by: 'hallpass-reviews',
      says: /metadata.ownerReferences: .*Leave them out/,
    });
  });

  it('never changes: neither its stamps nor what was decided', async () => {
    const path = `${made.ours}/agentreviews/kept`;
    for (const { callers } of Object.values(twins())) await succeed(callers.owner, made.review('kept'));
    const stamps = { reviewer: { username: 'the-boss' } };
    await refusedByGuard(
      twins(),
      'insider',
      { method: 'PATCH', path, body: { stamps } },
      {
        by: 'hallpass-reviews',
        says: /never changes: make another one/,
      },
    );
    const decision = { method: 'PATCH', path, body: { spec: { decision: 'Deny' } } } as const;
    const { message } = await twins().bare.callers.insider.call(dryRun(decision));
    expect(message, 'the schema says so, too').to.contain('never changes: make another one');
  });
}
