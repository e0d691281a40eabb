// What could not be made is tried again, less and less often, and known to be refused until then.

import { expect } from 'chai';
import { AccessRefusedError, DeadManRefusedError, ForeignObjectError } from '../../../src/controllers/refusable.ts';
import { Refusals } from '../../../src/controllers/refusals.ts';
import { ApiError } from '../../../src/kube/client.ts';
import { grant, NOON } from '../policy/snapshots.ts';

const QUOTA = new DeadManRefusedError('exceeded quota', 'raise it', ['team-a']);
const KEY = 'team-a/incident';

/** Refusals on a clock that the test moves, where `outcome` is what trying would come to. */
function watched() {
  const state: { now: number; outcome: Error | undefined; tried: number[] } = { now: NOON, outcome: QUOTA, tried: [] };
  const refusals = new Refusals({
    now: () => state.now,
    tryMaking: async () => {
      state.tried.push((state.now - NOON) / 1000);
      if (state.outcome) throw state.outcome;
    },
  });
  return { state, refusals };
}

describe('a refusal to make what gives access', () => {
  it('stands without being tried again until its time has come, which is later each time, up to 2 minutes', async () => {
    const { state, refusals } = watched();
    refusals.note(grant(), QUOTA);
    for (; state.now < NOON + 600_000; state.now += 1_000) {
      expect((await refusals.standing(grant()))?.reason).to.equal('DeadManRefused');
    }
    expect(state.tried).to.deep.equal([15, 45, 105, 225, 345, 465, 585]);
  });

  it('of a Role or RoleBinding is tried again soon, since the API server may just not have seen a raised ceiling yet', async () => {
    const { state, refusals } = watched();
    state.outcome = new AccessRefusedError('attempting to grant RBAC permissions not currently held', 'wait');
    refusals.note(grant(), state.outcome);
    for (; state.now < NOON + 60_000; state.now += 1_000) {
      expect((await refusals.standing(grant()))?.reason).to.equal('AccessRefused');
    }
    expect(state.tried).to.deep.equal([1, 3, 7, 15, 31]);
  });

  it('is over when a trial passes, and comes no sooner again should making be refused all the same', async () => {
    const { state, refusals } = watched();
    refusals.note(grant(), QUOTA);
    state.outcome = undefined;
    state.now += 15_000;
    expect(await refusals.standing(grant())).to.equal(undefined);
    state.now += 30_000;
    expect(await refusals.standing(grant())).to.equal(undefined);
    expect(state.tried).to.deep.equal([15]);
    expect(refusals.note(grant(), QUOTA)?.retryAt).to.equal(state.now + 30_000);
    refusals.forget(KEY);
    expect(refusals.note(grant(), QUOTA)?.retryAt).to.equal(state.now + 15_000);
  });

  it('is tried at once where only the status tells of it, as after a restart', async () => {
    const { state, refusals } = watched();
    expect(await refusals.standing(grant()), 'of a grant that was never refused').to.equal(undefined);
    const reasons = [{ reason: 'DeadManRefused', message: 'exceeded quota; raise it', remedy: 'raise it' }];
    const before = grant({ status: { phase: 'Suspended', specHash: grant().hash, reasons } });
    expect((await refusals.standing(before))?.retryAt).to.equal(NOON + 15_000);
    expect(state.tried).to.deep.equal([0]);
  });

  it('of a dead man that a grant did not wait for is known from its warnings after a restart, and tried at once', async () => {
    const { state, refusals } = watched();
    const warnings = [{ reason: 'DeadManLacking', message: 'exceeded quota; raise it', remedy: 'raise it' }];
    const before = grant({ status: { phase: 'Active', specHash: grant().hash, warnings } });
    expect(refusals.mayStand(before)).to.equal(true);
    const stands = { reason: 'DeadManRefused', what: 'exceeded quota', remedy: 'raise it', namespaces: ['team-a'] };
    expect(await refusals.standing(before)).to.deep.equal({ ...stands, retryAt: NOON + 15_000 });
    expect(state.tried).to.deep.equal([0]);
    refusals.forget(KEY);
    state.outcome = new ApiError({ status: 500, reason: 'InternalError', message: 'a broken webhook' });
    expect(await refusals.standing(before), 'where it may be lacking is not known then').to.deep.equal({
      reason: 'DeadManRefused',
      what: 'exceeded quota',
      remedy: 'raise it',
      retryAt: NOON + 15_000,
    });
  });

  it('is what the status says where the first trial after a restart fails for another reason', async () => {
    const { state, refusals } = watched();
    state.outcome = new ApiError({ status: 500, reason: 'InternalError', message: 'a broken webhook' });
    const reasons = [{ reason: 'DeadManRefused', message: 'exceeded quota; raise it', remedy: 'raise it' }];
    const before = grant({ status: { phase: 'Suspended', specHash: grant().hash, reasons } });
    const stands = { reason: 'DeadManRefused', what: 'exceeded quota', remedy: 'raise it', retryAt: NOON + 15_000 };
    expect(await refusals.standing(before)).to.deep.equal(stands);
  });

  it('of one spec is none of the next', async () => {
    const { state, refusals } = watched();
    refusals.note(grant(), QUOTA);
    expect(await refusals.standing(grant({ spec: { validity: { duration: '2h' } } }))).to.equal(undefined);
    expect(state.tried).to.deep.equal([]);
  });

  it('stands where a trial fails for another reason, and gives way to the gates where the namespace is no longer enabled', async () => {
    const { state, refusals } = watched();
    refusals.note(grant(), new ForeignObjectError('somebody made it', 'delete it'));
    state.now += 15_000;
    state.outcome = new ApiError({ status: 500, reason: 'InternalError', message: 'down' });
    const stands = {
      reason: 'ForeignObject',
      what: 'somebody made it',
      remedy: 'delete it',
      retryAt: state.now + 30_000,
    };
    expect(await refusals.standing(grant())).to.deep.equal(stands);
    state.now += 30_000;
    state.outcome = new ApiError({ status: 403, reason: 'Forbidden', message: 'cannot create resource' });
    expect(await refusals.standing(grant())).to.equal(undefined);
  });
});
