// hallpass killed at every write about an identity: while it makes its ServiceAccount, and while it ends it because it was
// deleted or has expired. One process is stopped at all of them at once, each with an identity of its own, and killed.
import { expect } from 'chai';
import { isTerminal } from '../../src/api/conditions.ts';
import { agentIdentities } from '../../src/api/identity.ts';
import { serviceAccountName } from '../../src/api/names.ts';
import { unlessGone } from '../../src/kube/client.ts';
import { type ServiceAccount, serviceAccounts } from '../../src/kube/kinds.ts';
import { settled } from '../harness/invariants.ts';
import { useKilled } from './killed.ts';
import { HOME, soon } from './setting.ts';
import { type Case, cases, identityCreation, identityDeletion, identityExpiry, type Place } from './steps.ts';

describe('hallpass killed by SIGKILL while it sees to an identity', function () {
  this.timeout(120_000);
  const { setting, phase, receiptsOf, areClosed, killAt, restart } = useKilled();

  const ref = (name: string) => ({ namespace: HOME, name });
  const identityOf = (name: string) => setting().caches.identities.get(ref(name));
  const readyReason = (name: string) =>
    identityOf(name)?.status.conditions?.find(({ type, status }) => type === 'Ready' && status === 'True')?.reason;
  const isBound = (name: string) => {
    const uid = receiptsOf(name)[0]?.spec?.grant.uid;
    return setting()
      .caches.bindings.list()
      .some(({ metadata }) => metadata.name === `hallpass-${uid}`);
  };
  /** The events about an identity and about grants of that name. */
  const eventsOf = (name: string) =>
    setting()
      .caches.events.list()
      .flatMap(({ reason, regarding, series }) => {
        return regarding?.name === name ? Array.from({ length: series?.count ?? 1 }, () => reason) : [];
      });

  /** As it is stored now; undefined when there is none. */
  const accountOf = (name: string): Promise<ServiceAccount | undefined> =>
    unlessGone(setting().admin.get(serviceAccounts, { namespace: HOME, name: serviceAccountName(name) }));

  async function create(name: string, expiresAt?: string): Promise<void> {
    await setting().admin.createRaw(`/apis/hallpass.dev/v1alpha1/namespaces/${HOME}/agentidentities`, {
      apiVersion: 'hallpass.dev/v1alpha1',
      kind: 'AgentIdentity',
      metadata: ref(name),
      spec: {
        purpose: 'Is interrupted.',
        owner: { kind: 'Group', name: 'testers' },
        ...(expiresAt ? { expiresAt } : {}),
      },
    });
  }

  /** Has hallpass stopped at all these places by what `cause` does, kills it, and starts another. */
  async function killedAt(stops: Case<Place>[], cause: () => Promise<unknown>, look: () => Promise<void>) {
    await killAt(stops, cause);
    await look();
    await restart();
  }

  /** Each with a grant of the same name, which is Active. */
  async function live(stops: Case<Place>[], expiresAt?: string): Promise<void> {
    await Promise.all(stops.map(({ name }) => create(name, expiresAt)));
    await Promise.all(stops.map(({ name }) => setting().grant(name, { duration: '1h' }, [HOME], name)));
    await setting().until('every grant to be Active', () => stops.every(({ name }) => setting().isSettled(name)));
  }

  describe('that was created', () => {
    const created = cases('created', identityCreation);
    const accounts = new Map<string, string | undefined>();

    before(async () => {
      await killedAt(
        created,
        () => Promise.all(created.map(({ name }) => create(name))),
        async () => {
          for (const { name } of created) accounts.set(name, (await accountOf(name))?.metadata.uid);
        },
      );
      await setting().until('every identity to be ready', () =>
        created.every(({ name }) => readyReason(name) === 'IdentityReady'),
      );
    });

    for (const { name, title, step, moment } of created) {
      it(`${title}: it has one ServiceAccount, which its status names`, async () => {
        const account = await accountOf(name);
        const made = accounts.get(name);
        expect(made !== undefined, 'made before the kill').to.equal(
          step !== 'POST serviceaccounts' || moment === 'after',
        );
        if (made !== undefined) expect(account?.metadata.uid, 'the same after it').to.equal(made);
        expect(identityOf(name)?.status.serviceAccount).to.deep.equal({
          name: `hallpass-${name}`,
          uid: account?.metadata.uid,
        });
        expect(eventsOf(name), 'no alarm about a ServiceAccount that was lost').to.deep.equal([]);
      });
    }
  });

  /** What every end of an identity comes to, whatever its cause. */
  function endsWell(stops: Case<Place>[]): void {
    it('leaves no access, no record open, and nobody told twice', async () => {
      await settled(setting().admin);
      for (const { name } of stops) {
        expect(isBound(name), name).to.equal(false);
        expect(
          receiptsOf(name).map(({ status }) => status.outcome),
          name,
        ).to.deep.equal(['Expired']);
        expect(phase(name), name).to.equal('Expired');
        expect(eventsOf(name).filter((reason) => reason === 'Lapsed').length, name).to.be.at.most(1);
      }
    });
  }

  /** By the time that it looks after the ServiceAccount, the grant must have ended. */
  const afterGrants = ['DELETE serviceaccounts', 'PATCH agentidentities'];
  const grantsOver = (stops: Case<Place>[]) =>
    setting().until('every grant to be over', () =>
      stops.every(({ name }) => isTerminal(phase(name)) && receiptsOf(name)[0]?.status.outcome),
    );
  const grantHasEnded = ({ name }: Case<Place>) => !isBound(name) && areClosed(name);

  describe('that was deleted', () => {
    const deleted = cases('deleted', identityDeletion);
    const early: string[] = [];

    before(async () => {
      await live(deleted);
      await killedAt(
        deleted,
        () => Promise.all(deleted.map(({ name }) => setting().admin.delete(agentIdentities, ref(name)))),
        async () => {
          const late = deleted.filter(({ step }) => afterGrants.includes(step));
          early.push(...late.filter((each) => !grantHasEnded(each)).map(({ title }) => title));
        },
      );
      await setting().until('every identity to be gone', () => deleted.every(({ name }) => !identityOf(name)));
      await grantsOver(deleted);
    });

    it('had ended the grants before it turned to the ServiceAccount', () => expect(early).to.deep.equal([]));

    for (const { name, title } of deleted) {
      it(`${title}: it is gone, and its ServiceAccount with it`, async () => {
        expect(identityOf(name)).to.equal(undefined);
        expect(await accountOf(name)).to.equal(undefined);
      });
    }
    endsWell(deleted);
  });

  describe('that expired', () => {
    const expired = cases('expired', identityExpiry);
    const early: string[] = [];

    before(async () => {
      await live(expired, soon());
      await killedAt(
        expired,
        async () => {},
        async () => {
          const late = expired.filter(({ step, saying }) => afterGrants.includes(step) || saying === 'IdentityExpired');
          early.push(...late.filter((each) => !grantHasEnded(each)).map(({ title }) => title));
        },
      );
      await setting().until('every identity to be expired', () =>
        expired.every(({ name }) => readyReason(name) === 'IdentityExpired'),
      );
      await grantsOver(expired);
    });

    it('had ended the grants before it turned to the ServiceAccount', () => expect(early).to.deep.equal([]));

    for (const { name, title } of expired) {
      it(`${title}: it says so, and its ServiceAccount is gone`, async () => {
        expect(identityOf(name)?.status.serviceAccount).to.equal(undefined);
        expect(identityOf(name)?.status.activeGrants).to.equal(0);
        expect(await accountOf(name)).to.equal(undefined);
      });
    }
    endsWell(expired);
  });
});
