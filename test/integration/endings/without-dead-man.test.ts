// Where the dead man's Job is refused and the policies do without: access is given all the same, the grant says so, hallpass ends
// it alone, and the Job is made once it is let through.
import { expect } from 'chai';
import { agentGrants, type ParsedGrant } from '../../../src/api/grant.ts';
import { agentPolicies } from '../../../src/api/policy.ts';
import { ApiError, unlessGone } from '../../../src/kube/client.ts';
import { roleBindings } from '../../../src/kube/kinds.ts';
import { violations } from '../../harness/invariants.ts';
import { allowJobs, forbidJobs, refusesJobs } from './no-jobs.ts';
import { createPolicy } from './policies.ts';
import { BY_HALLPASS, grantManifest, PROMISED, podsOf, useSharedStage } from './stage.ts';

describe('a dead man that the policies do without', function () {
  this.timeout(90_000);
  // Before the stage's own hook, which may close it.
  after(async () => {
    for (const name of ['best-effort', 'strict']) await unlessGone(stage().admin.delete(agentPolicies, { name }));
    await selectedByDefault({ matchExpressions: null });
  });
  const stage = useSharedStage();
  /** Without Jobs from the beginning, and, until the last tests, with them. */
  const namespace = 'lacking';
  const other = 'lacking-not-yet';
  const mine = [{ key: 'kubernetes.io/metadata.name', operator: 'In', values: [namespace, other] }];

  const selectedByDefault = (namespaceSelector: object) =>
    stage().admin.patch(agentPolicies, { name: 'default' }, { spec: { namespaceSelector } }, { type: 'merge' });
  const policy = (name: string, spec: object) =>
    createPolicy(stage(), name, { matchExpressions: mine }, { credentials: ['Identity'], ...spec });
  /** Created, and Active without waiting for a dead man. */
  async function givenWithout(ref: { namespace: string; name: string }, o: object = {}): Promise<ParsedGrant> {
    await stage().create(grantManifest(ref, o));
    await stage().phase(ref, 'Active');
    return stage().deadMan(ref, 'False', 'DeadManLacking');
  }
  const bindingOf = ({ metadata }: ParsedGrant, target = namespace) =>
    stage().admin.get(roleBindings, { namespace: target, name: `hallpass-${metadata.uid}` });
  const jobOf = ({ metadata }: ParsedGrant, target = namespace) =>
    stage().seen.jobs.get({ namespace: target, name: `hallpass-${metadata.uid}` });
  const warned = ({ status }: ParsedGrant) => status.warnings?.map(({ reason }) => reason);
  const eventsSay = (...reasons: string[]) =>
    stage().poll(
      () => stage().playground.admin(['get', 'events', '-n', namespace]),
      (told) => reasons.every((reason) => told.includes(reason)),
    );
  const wrongWith = async ({ metadata }: ParsedGrant) =>
    (await violations(stage().admin)).filter((each) => each.includes(metadata.name) || each.includes(metadata.uid));

  before(async () => {
    await stage().namespace(namespace);
    await stage().namespace(other, { accepts: namespace });
    await stage().identity(namespace, { namespaces: [namespace, other] });
    // It says nothing of dead men, which is that they are required.
    await selectedByDefault({ matchExpressions: [{ ...mine[0], operator: 'NotIn' }] });
    await policy('best-effort', { deadMan: 'BestEffort' });
    await forbidJobs(stage(), namespace);
  });

  it('gives access without the Job, says so, and ends it by hallpass alone', async () => {
    const ref = { namespace, name: 'alone' };
    const agent = await stage().agent(namespace);
    const given = await givenWithout(ref, { duration: '6s' });
    const end = Date.parse(given.status.expiresAt ?? '');
    await agent.until(podsOf(namespace), 200);
    const name = `${namespace}/hallpass-${given.metadata.uid}`;
    expect(await stage().objectsOf(given.metadata.uid)).to.deep.equal([`Role ${name}`, `RoleBinding ${name}`]);
    expect((await bindingOf(given)).metadata.ownerReferences ?? []).to.deep.equal([]);
    expect(warned(given)).to.deep.equal(['DeadManLacking']);
    expect(given.status.warnings?.[0]?.message).to.match(/would outlive its end.*exceeded quota: no-jobs/);
    expect(given.status.created?.map(({ kind }) => kind)).to.deep.equal(['Role', 'RoleBinding']);
    expect(await wrongWith(given)).to.deep.equal([]);
    const refused = await agent.until(podsOf(namespace), 403);
    expect(refused - end).to.be.within(0, BY_HALLPASS);
    await stage().phase(ref, 'Expired', 'EndPassed');
    await stage().nothingLeft(given.metadata.uid);
    expect((await stage().closed(ref))?.outcome).to.equal('Expired');
    await eventsSay('DeadManLacking', 'Granted');
  });

  it('is missed only where it was refused', async () => {
    const ref = { namespace, name: 'partly' };
    const agent = await stage().agent(namespace);
    const given = await givenWithout(ref, { permissions: [{}, { namespaces: [other] }] });
    for (const target of [namespace, other]) await agent.until(podsOf(target), 200);
    expect(jobOf(given)).to.equal(undefined);
    const [owner] = (await bindingOf(given, other)).metadata.ownerReferences ?? [];
    expect(owner?.uid, 'of the binding elsewhere').to.equal(jobOf(given, other)?.metadata.uid);
    expect(await wrongWith(given)).to.deep.equal([]);
    await stage().remove(agentGrants, ref);
    await stage().nothingLeft(given.metadata.uid);
  });

  it('is waited for while nobody says whether it would be refused, as with a broken webhook', async () => {
    const ref = { namespace, name: 'unsaid' };
    const agent = await stage().agent(namespace);
    const failures = () => stage().metric('rest_client_requests_total', 'code="500"');
    await stage().admin.createRaw('/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations', {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'ValidatingWebhookConfiguration',
      metadata: { name: 'no-answer' },
      webhooks: [
        {
          name: 'no-answer.example.com',
          admissionReviewVersions: ['v1'],
          sideEffects: 'None',
          failurePolicy: 'Fail',
          clientConfig: { url: 'https://127.0.0.1:1/' },
          namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': other } },
          rules: [{ apiGroups: ['batch'], apiVersions: ['v1'], operations: ['CREATE'], resources: ['jobs'] }],
        },
      ],
    });
    try {
      await stage().poll(
        () =>
          refusesJobs(stage(), other).then(
            () => false,
            (error) => error instanceof ApiError && error.status === 500,
          ),
        (broken) => broken,
      );
      const before = await failures();
      await stage().create(grantManifest(ref, { permissions: [{ namespaces: [other] }] }));
      await stage().poll(failures, (count) => count >= before + 3);
      expect(await agent.asks(podsOf(other))).to.equal(403);
      const { metadata, status } = await stage().admin.get(agentGrants, ref);
      expect(status.phase).to.not.equal('Active');
      expect(await stage().objectsOf(metadata.uid)).to.deep.equal([`Role ${other}/hallpass-${metadata.uid}`]);
    } finally {
      await stage().playground.admin(['delete', 'validatingwebhookconfiguration', 'no-answer']);
    }
    const given = await stage().deadMan(ref, 'True');
    await agent.until(podsOf(other), 200);
    expect(warned(given)).to.equal(undefined);
    await stage().remove(agentGrants, ref);
  });

  it('is put back without, when somebody deletes the binding', async () => {
    const ref = { namespace, name: 'repaired' };
    const agent = await stage().agent(namespace);
    const given = await givenWithout(ref);
    const { metadata } = await bindingOf(given);
    await stage().admin.delete(roleBindings, metadata);
    await stage().until(stage().seen.roleBindings, metadata, (now) => {
      return now !== undefined && now.metadata.uid !== metadata.uid && now.subjects?.length === 1;
    });
    await agent.until(podsOf(namespace), 200);
    expect((await bindingOf(given)).metadata.ownerReferences ?? []).to.deep.equal([]);
    await stage().remove(agentGrants, ref);
  });

  it('is required again when any policy says so: what has none is suspended, and what is asked for waits', async () => {
    const ref = { namespace, name: 'tightened' };
    const later = { namespace, name: 'tightened-later' };
    const agent = await stage().agent(namespace);
    const given = await givenWithout(ref);
    await agent.until(podsOf(namespace), 200);
    await policy('strict', { deadMan: 'Required' });
    await agent.until(podsOf(namespace), 403);
    const { status } = await stage().phase(ref, 'Suspended', 'DeadManRefused');
    expect(status.expiresAt).to.equal(given.status.expiresAt);
    expect(await wrongWith(given)).to.deep.equal([]);
    await stage().create(grantManifest(later));
    const waiting = await stage().phase(later, 'Pending', 'DeadManRefused');
    expect(await stage().objectsOf(waiting.metadata.uid)).to.deep.equal([]);
    expect(await agent.asks(podsOf(namespace))).to.equal(403);
    await stage().admin.delete(agentPolicies, { name: 'strict' });
    await stage().phase(later, 'Active');
    await agent.until(podsOf(namespace), 200);
    for (const each of [ref, later]) await stage().remove(agentGrants, each);
  });

  describe('and that is let through later', () => {
    const ref = { namespace, name: 'armed' };
    const left = { namespace, name: 'left' };
    let given: ParsedGrant;

    before(async () => {
      given = await givenWithout(ref, { permissions: [{ namespaces: [namespace] }], duration: '50s' });
    });

    it('is made without interrupting the access, and owns it', async () => {
      const agent = await stage().agent(namespace);
      await agent.until(podsOf(namespace), 200);
      const answers = new Set<number>();
      let isArmed = false;
      const asking = stage().poll(
        async () => answers.add(await agent.asks(podsOf(namespace))),
        () => isArmed,
        60_000,
        { pause: 5 },
      );
      await allowJobs(stage(), namespace);
      const armed = await stage().deadMan(ref, 'True', 'DeadManRunning');
      isArmed = true;
      await asking;
      expect([...answers]).to.deep.equal([200]);
      expect(warned(armed)).to.equal(undefined);
      expect(armed.status.expiresAt).to.equal(given.status.expiresAt);
      expect(armed.status.created?.map(({ kind }) => kind)).to.deep.equal(['Job', 'Role', 'RoleBinding']);
      const [owner] = (await bindingOf(given)).metadata.ownerReferences ?? [];
      expect(owner?.uid).to.equal(jobOf(given)?.metadata.uid);
      expect(await wrongWith(given)).to.deep.equal([]);
      await eventsSay('DeadManMade');
    });

    it('ends the access with every replica dead, which what has none outlives until hallpass is back', async () => {
      await forbidJobs(stage(), other);
      const agent = await stage().agent(namespace);
      const end = Date.parse(given.status.expiresAt ?? '');
      const notAfter = new Date(end).toISOString().replace('.000Z', 'Z');
      const lacking = await givenWithout(left, { permissions: [{ namespaces: [other] }], notAfter });
      await agent.until(podsOf(other), 200);
      await stage().kill();
      try {
        const refused = await agent.until(podsOf(namespace), 403, end - Date.now() + PROMISED);
        expect(refused, 'when what has a dead man was refused').to.be.at.least(end);
        expect(await agent.asks(podsOf(other)), 'of what has none').to.equal(200);
      } finally {
        await stage().revive();
      }
      await agent.until(podsOf(other), 403);
      for (const each of [ref, left]) await stage().phase(each, 'Expired', 'EndPassed');
      for (const { metadata } of [given, lacking]) await stage().nothingLeft(metadata.uid);
    });
  });
});
