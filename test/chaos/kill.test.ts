// hallpass killed at every step of issue and of lapse: before the API server has the write, and after, with the answer
// lost. One process is stopped at all of them at once, each with a grant of its own, and killed; then a fresh one starts.
import { expect } from 'chai';
import { isTerminal } from '../../src/api/conditions.ts';
import { useKilled } from './killed.ts';
import { HOME, OTHER, soon } from './setting.ts';
import { byDeadline, byDeletion, cases, issue, issueElsewhere } from './steps.ts';

const both = [HOME, OTHER];

describe('hallpass killed by SIGKILL', function () {
  this.timeout(120_000);
  const {
    setting,
    phase,
    receiptsOf,
    areClosed,
    killAt,
    restart,
    noteAccess,
    expectAccessAtDeath,
    leavesEveryInvariant,
  } = useKilled();

  describe('while it issues', () => {
    const lasting = cases('lasting', [...issue, ...issueElsewhere]);
    /** Whose end comes while no hallpass runs. */
    const short = cases('short', issue);
    const ends = new Map<string, string | undefined>();

    before(async () => {
      await killAt([...lasting, ...short], () =>
        Promise.all([
          ...lasting.map(({ name }) => setting().grant(name, { duration: '1h' }, both)),
          ...short.map(({ name }) => setting().grant(name, { duration: '8s' }, both)),
        ]),
      );
      await noteAccess([...lasting, ...short]);
      for (const { name } of [...lasting, ...short]) ends.set(name, receiptsOf(name)[0]?.spec?.expiresAt);
      await restart({ whenFree: true });
      await setting().until('every interrupted grant to be Active or over', () => {
        const done = short.every(({ name }) => isTerminal(phase(name)));
        return done && lasting.every(({ name }) => phase(name) === 'Active');
      });
    });

    for (const stopped of lasting) {
      it(`${stopped.title}: the access is given, with the end that its receipt fixed`, async () => {
        const { name } = stopped;
        expectAccessAtDeath(stopped);
        await setting().accessIs(true, name, both);
        const [receipt, ...more] = receiptsOf(name);
        expect(more).to.deep.equal([]);
        expect(setting().find(name)?.status.expiresAt).to.equal(receipt?.spec?.expiresAt);
        if (ends.get(name) !== undefined) expect(receipt?.spec?.expiresAt).to.equal(ends.get(name));
      });
    }

    for (const stopped of short) {
      it(`${stopped.title}, with the end passing before it is back: the access is gone for good`, async () => {
        const { name } = stopped;
        await setting().accessIs(false, name, both);
        expect(phase(name)).to.equal('Expired');
        const [receipt, ...more] = receiptsOf(name);
        expect(more).to.deep.equal([]);
        if (ends.get(name) !== undefined) expect(receipt?.spec?.expiresAt).to.equal(ends.get(name));
      });
    }

    leavesEveryInvariant();

    it('is no reason to announce a grant twice', () => {
      for (const { name } of [...lasting, ...short]) {
        const granted = setting()
          .caches.events.list()
          .filter(({ reason, regarding }) => reason === 'Granted' && regarding?.name === name);
        expect(granted.length + granted.filter(({ series }) => series).length, name).to.be.at.most(1);
      }
    });
  });

  describe('while it withdraws', () => {
    const lapsing = cases('lapsing', byDeadline);
    const deleted = cases('deleted', byDeletion);

    before(async () => {
      const notAfter = soon();
      await Promise.all([
        ...lapsing.map(({ name }) => setting().grant(name, { notAfter }, both)),
        ...deleted.map(({ name }) => setting().grant(name, { duration: '1h' }, both)),
      ]);
      await setting().until('every grant to be Active', () =>
        [...lapsing, ...deleted].every(({ name }) => setting().isSettled(name)),
      );
      await killAt([...lapsing, ...deleted], () => Promise.all(deleted.map(({ name }) => setting().remove(name))));
      await noteAccess([...lapsing, ...deleted]);
      await restart();
      await setting().until('every interrupted grant to be over', () => {
        const closed = [...lapsing, ...deleted].every(({ name }) => areClosed(name));
        const gone = deleted.every(({ name }) => setting().find(name) === undefined);
        return closed && gone && lapsing.every(({ name }) => isTerminal(phase(name)));
      });
    });

    for (const stopped of lapsing) {
      it(`at the deadline, ${stopped.title}: the access goes, and is recorded as expired`, async () => {
        const { name } = stopped;
        expectAccessAtDeath(stopped);
        await setting().accessIs(false, name, both);
        expect(phase(name)).to.equal('Expired');
        expect(receiptsOf(name).map(({ status }) => status.outcome)).to.deep.equal(['Expired']);
      });
    }

    for (const stopped of deleted) {
      it(`after a deletion, ${stopped.title}: the access goes, and is recorded as revoked`, async () => {
        const { name } = stopped;
        expectAccessAtDeath(stopped);
        await setting().accessIs(false, name, both);
        expect(receiptsOf(name).map(({ status }) => status.outcome)).to.deep.equal(['Revoked']);
      });
    }

    leavesEveryInvariant();
  });
});
