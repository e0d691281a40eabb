// hallpass killed at every step where access is given without a dead man: while it is issued, while it gets its Job at last, and
// while it is withdrawn. What is given before and after is right, and nothing is forgotten.
import { expect } from 'chai';
import { isTerminal } from '../../src/api/conditions.ts';
import { agentPolicies } from '../../src/api/policy.ts';
import { allowJobs, forbidJobs } from '../integration/endings/no-jobs.ts';
import { useKilled } from './killed.ts';
import { HOME, OTHER, type Setting, soon } from './setting.ts';
import { byDeadline, type Case, cases, type Step } from './steps.ts';

/** The first Job that is refused is news, on which it is decided to do without. */
const issue: Step[] = [
  { said: 'the receipt is created', step: 'POST agentreceipts', passes: [false, false] },
  { said: 'the Job is refused', step: 'POST jobs', passes: [false, false] },
  { said: 'the Job is refused again', step: 'POST jobs', nth: 2, passes: [false, false] },
  { said: 'the Role is created', step: 'POST roles', passes: [false, false] },
  { said: 'the RoleBinding is created', step: 'POST rolebindings', passes: [false, false] },
  { said: 'the status announces the access', step: 'PUT agentgrants/status', passes: [false, false] },
  { said: 'the agent is bound', step: 'PUT rolebindings', passes: [false, true] },
  { said: 'the status says Active', step: 'PUT agentgrants/status', nth: 2, passes: [true, true] },
];
/** The access is there all the time. */
const arming: Step[] = [
  { said: 'the Job is tried', step: 'POST jobs', passes: [true, true] },
  { said: 'the Job is made', step: 'POST jobs', nth: 2, passes: [true, true] },
  { said: 'the RoleBinding gets its owner', step: 'PUT rolebindings', passes: [true, true] },
  { said: 'the status says that there is a Job', step: 'PUT agentgrants/status', passes: [true, true] },
];
/** Where one is required again, what has none loses its access before one is made. */
const required: Step[] = [
  { said: 'the Job is made', step: 'POST jobs', nth: 2, passes: [false, false] },
  { said: 'the RoleBinding is created anew', step: 'POST rolebindings', passes: [false, false] },
  { said: 'the agent is bound again', step: 'PUT rolebindings', passes: [false, true] },
];
const withdrawal = byDeadline.filter(({ step, namespace }) => step !== 'DELETE jobs' && namespace !== OTHER);

describe('hallpass killed by SIGKILL where it gives access without a dead man', function () {
  this.timeout(120_000);
  const policySays = ({ admin }: Setting, word: string) =>
    admin.patch(agentPolicies, { name: 'default' }, { spec: { deadMan: word } }, { type: 'merge' });

  const killed = useKilled(async (before) => {
    await policySays(before, 'BestEffort');
    await forbidJobs(before, HOME);
  });
  const { setting, phase, receiptsOf, expectAccessAtDeath, leavesEveryInvariant } = killed;
  const deadMan = (name: string) =>
    setting()
      .find(name)
      ?.status.conditions?.find(({ type }) => type === 'DeadMan');
  const isLacking = (name: string) => phase(name) === 'Active' && deadMan(name)?.reason === 'DeadManLacking';

  /** Kills the process once it has come to all these places, notes what the agent may do meanwhile, and starts another. */
  async function killedAt(stopped: Case[], begin?: () => Promise<unknown>): Promise<void> {
    await killed.killAt(stopped, begin);
    await killed.noteAccess(stopped);
    await killed.restart();
  }

  describe('while it issues', () => {
    const lasting = cases('lasting', issue);
    /** Whose end comes while no hallpass runs, which nothing but hallpass ends. */
    const short = cases('short', issue);

    before(async () => {
      await killedAt([...lasting, ...short], () =>
        Promise.all([
          ...lasting.map(({ name }) => setting().grant(name, { duration: '1h' })),
          ...short.map(({ name }) => setting().grant(name, { duration: '5s' })),
        ]),
      );
      await setting().until('every interrupted grant to be Active or over', () => {
        return lasting.every(({ name }) => isLacking(name)) && short.every(({ name }) => isTerminal(phase(name)));
      });
    });

    for (const stopped of lasting) {
      it(`${stopped.title}: the access is given without a Job, under one receipt`, async () => {
        const { name } = stopped;
        expectAccessAtDeath(stopped);
        await setting().accessIs(true, name);
        const [receipt, ...more] = receiptsOf(name);
        expect(more).to.deep.equal([]);
        expect(setting().find(name)?.status.expiresAt).to.equal(receipt?.spec?.expiresAt);
      });
    }

    for (const stopped of short) {
      it(`${stopped.title}, with a short time: the access is gone for good`, async () => {
        expectAccessAtDeath(stopped);
        await setting().accessIs(false, stopped.name);
        expect(phase(stopped.name)).to.equal('Expired');
      });
    }

    leavesEveryInvariant();
  });

  describe('while it withdraws', () => {
    const lapsing = cases('lapsing', withdrawal);

    before(async () => {
      const notAfter = soon();
      await Promise.all(lapsing.map(({ name }) => setting().grant(name, { notAfter })));
      await setting().until('every grant to be Active', () => lapsing.every(({ name }) => isLacking(name)));
      await killedAt(lapsing);
      await setting().until('every interrupted grant to be over', () => {
        return (
          lapsing.every(({ name }) => killed.areClosed(name)) && lapsing.every(({ name }) => isTerminal(phase(name)))
        );
      });
    });

    for (const stopped of lapsing) {
      it(`${stopped.title}: the access goes, and is recorded as expired`, async () => {
        expectAccessAtDeath(stopped);
        await setting().accessIs(false, stopped.name);
        expect(receiptsOf(stopped.name).map(({ status }) => status.outcome)).to.deep.equal(['Expired']);
      });
    }

    leavesEveryInvariant();
  });

  describe('while a Job is made at last', () => {
    const armed = cases('armed', arming);

    before(async () => {
      await Promise.all(armed.map(({ name }) => setting().grant(name, { duration: '1h' })));
      await setting().until('every grant to be Active', () => armed.every(({ name }) => isLacking(name)));
      // Tried again only 15 s after the Jobs were refused.
      await allowJobs({ playground: setting().controlPlane }, HOME);
      await killedAt(armed);
      await setting().until('every grant to have its Job', () => armed.every(({ name }) => setting().isSettled(name)));
    });

    for (const stopped of armed) {
      it(`${stopped.title}: the access stays, and the Job owns it`, async () => {
        const { name } = stopped;
        expectAccessAtDeath(stopped);
        await setting().accessIs(true, name);
        const ref = { namespace: HOME, name: `hallpass-${setting().find(name)?.metadata.uid}` };
        const owners = setting()
          .caches.bindings.get(ref)
          ?.metadata.ownerReferences?.map(({ uid }) => uid);
        expect(owners).to.deep.equal([setting().caches.jobs.get(ref)?.metadata.uid]);
        expect(setting().find(name)?.status.warnings).to.equal(undefined);
      });
    }

    leavesEveryInvariant();
  });

  describe('while a Job is made that is required from now on', () => {
    const tightened = cases('tightened', required);

    before(async () => {
      await forbidJobs(setting(), HOME);
      await Promise.all(tightened.map(({ name }) => setting().grant(name, { duration: '1h' })));
      await setting().until('every grant to be Active', () => tightened.every(({ name }) => isLacking(name)));
      await killedAt(tightened, async () => {
        await killed.kill();
        await policySays(setting(), 'Required');
        await allowJobs({ playground: setting().controlPlane }, HOME);
        await killed.restart();
      });
      await setting().until('every grant to have its Job', () =>
        tightened.every(({ name }) => setting().isSettled(name)),
      );
    });

    for (const stopped of tightened) {
      it(`${stopped.title}: nothing is given without one, and all is once it is there`, async () => {
        expectAccessAtDeath(stopped);
        await setting().accessIs(true, stopped.name);
      });
    }

    leavesEveryInvariant();
  });
});
