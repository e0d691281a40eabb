// Attacks on requests and on what stands around them, on the real API server, by attackers with credentials of their own. Each
// ends with what it was for: the agent's own request, refused as before; or the access of others, unharmed.
import { expect } from 'chai';
import { z } from 'zod';
import { agentGrants } from '../../../src/api/grant.ts';
import { configMapsOf, grantManifest, identityManifest, podsOf, useSharedStage } from '../endings/stage.ts';
import { receiptBody, receipts } from '../guards/objects.ts';
import { ours, people } from './people.ts';

const full = (length: number, make: (at: number) => string) => Array.from({ length }, (_, at) => make(at));
const named = z.object({ metadata: z.object({ labels: z.record(z.string(), z.string()) }) });

describe('who wants access that nobody would give them', function () {
  this.timeout(60_000);
  const stage = useSharedStage();
  const { person, bind, allow, policy, once } = people(stage);

  const grantsOf = (namespace: string) => `${ours}/namespaces/${namespace}/agentgrants`;

  /** A namespace with its agent, where pavel may ask for grants and holds nothing that they hand out. */
  async function setting(namespace: string) {
    await stage().namespace(namespace);
    await stage().identity(namespace);
    await allow('pavel', {
      apiGroups: ['hallpass.dev'],
      resources: ['agentgrants'],
      verbs: ['create', 'get', 'patch'],
    });
    const ref = { namespace, name: 'asked' };
    return {
      namespace,
      ref,
      pavel: await person('pavel'),
      path: `${grantsOf(namespace)}/asked`,
      agent: await stage().agent(namespace),
    };
  }

  it('gains nothing by stamps of somebody who holds more', async () => {
    const { namespace, ref, pavel, path, agent } = await setting('attack-stamps');
    const root = { username: 'hallpass-test-admin', groups: ['system:masters'] };
    const stamps = { creator: root, requester: root, authors: [root.username] };
    const body = { ...grantManifest(ref), stamps };
    await once(() => pavel.call({ method: 'POST', path: grantsOf(namespace), body }));
    const { status } = await stage().phase(ref, 'Pending', 'CreatorLacksPermission');
    expect(status.requester).to.equal('pavel');
    const again = { stamps, metadata: { labels: { a: 'b' } } };
    expect((await pavel.call({ method: 'PATCH', path, body: again })).code, 'with an edit').to.equal(200);
    await pavel.call({ method: 'PATCH', path, body: { stamps, spec: { task: { ref: 'again' } } } });
    await stage().until(stage().seen.grants, ref, (now) => now?.status.observedGeneration === 2);
    await stage().phase(ref, 'Pending', 'CreatorLacksPermission');
    expect(await agent.asks(podsOf(namespace))).to.equal(403);
  });

  it('gains nothing by an edit of labels, by which somebody who holds more would become the requester', async () => {
    const { namespace, ref, pavel, path, agent } = await setting('attack-label');
    await bind(namespace, 'cleo', 'edit');
    const cleo = await person('cleo');
    await once(() => pavel.call({ method: 'POST', path: grantsOf(namespace), body: grantManifest(ref) }));
    await stage().phase(ref, 'Pending', 'CreatorLacksPermission');
    const label = { metadata: { labels: { reviewed: 'yes' }, annotations: { synced: 'now' } } };
    await once(() => cleo.call({ method: 'PATCH', path, body: label }));
    const { stamps } = await stage().phase(ref, 'Pending', 'CreatorLacksPermission');
    expect([stamps?.creator.username, stamps?.requester.username]).to.deep.equal(['pavel', 'pavel']);
    expect(await agent.asks(podsOf(namespace))).to.equal(403);
  });

  it('takes nothing over from who holds it by an edit of labels of their grant', async () => {
    const { namespace, ref, pavel, path, agent } = await setting('attack-label-live');
    await stage().give(grantManifest(ref));
    await agent.until(podsOf(namespace), 200);
    await once(() => pavel.call({ method: 'PATCH', path, body: { metadata: { labels: { mine: 'yes' } } } }));
    const wider = { spec: { permissions: [{ apiGroups: [''], resources: ['configmaps'], verbs: ['list'] }] } };
    await once(() => pavel.call({ method: 'PATCH', path, body: wider }));
    // What pavel asks for he does not hold; what was given was for another request.
    await stage().phase(ref, 'Pending', 'RequesterLacksPermission');
    expect(await agent.asks(configMapsOf(namespace))).to.equal(403);
    await agent.until(podsOf(namespace), 403);
  });

  it('gains nothing by a status that says Active, nor by a receipt', async () => {
    const { namespace, ref, pavel, path, agent } = await setting('attack-status');
    await allow('pavel', {
      apiGroups: ['hallpass.dev'],
      resources: ['agentgrants/status', 'agentreceipts', 'agentreceipts/status', 'agentidentities/status'],
      verbs: ['create', 'update', 'patch'],
    });
    await once(() => pavel.call({ method: 'POST', path: grantsOf(namespace), body: grantManifest(ref) }));
    await stage().phase(ref, 'Pending', 'CreatorLacksPermission');
    const forged = { phase: 'Active', expiresAt: '2999-01-01T00:00:00Z' };
    const refusal = await stage().poll(
      () => pavel.call({ method: 'PATCH', path: `${path}/status`, body: { status: forged } }),
      ({ message }) => message.includes('hallpass-records'),
    );
    expect(refusal.message).to.contain('only hallpass writes status and receipts');
    const receipt = await pavel.call({ method: 'POST', path: receipts, body: receiptBody('mine') });
    expect(receipt.message).to.contain('only hallpass writes status and receipts');
    const { status } = await stage().phase(ref, 'Pending', 'CreatorLacksPermission');
    expect(status.expiresAt).to.equal(undefined);
    expect(await agent.asks(podsOf(namespace))).to.equal(403);
  });

  it('keeps no access by taking the finalizer off and deleting the grant before hallpass sees it', async () => {
    const { namespace, ref, pavel, path, agent } = await setting('attack-finalizer');
    await allow('pavel', { apiGroups: ['hallpass.dev'], resources: ['agentgrants'], verbs: ['delete'] });
    const given = await stage().give(grantManifest(ref));
    await agent.until(podsOf(namespace), 200);
    const off = { method: 'PATCH', path, body: { metadata: { finalizers: null } } } as const;
    expect((await pavel.call(off)).message).to.contain("'hallpass-finalizer'");
    await stage().kill();
    try {
      await once(() => pavel.call({ method: 'DELETE', path: `${path}?propagationPolicy=Orphan` }));
      expect((await pavel.call(off)).message, 'of one that is being deleted').to.contain("'hallpass-finalizer'");
    } finally {
      await stage().revive();
    }
    await agent.until(podsOf(namespace), 403);
    await stage().nothingLeft(given.metadata.uid);
  });

  it('reaches nobody else by an identity whose boundary was edited, nor by the name of their agent', async () => {
    const victim = await stage().namespace('attack-victim');
    await stage().identity(victim);
    await stage().give(grantManifest({ namespace: victim, name: 'theirs' }));
    const namespace = await stage().namespace('attack-identity');
    await stage().identity(namespace);
    for (const where of [namespace, victim]) await bind(where, 'adem', 'view');
    await bind(namespace, 'adem', 'admin');
    const adem = await person('adem');
    // The agent has the name of theirs, and no more than that.
    const agent = await stage().agent(namespace);
    expect(await agent.asks(podsOf(victim))).to.equal(403);
    const boundary = { boundary: { namespaces: [namespace, victim] } };
    const path = `${ours}/namespaces/${namespace}/agentidentities/triage`;
    await once(() => adem.call({ method: 'PATCH', path, body: { spec: boundary } }));
    const ref = { namespace, name: 'reaches' };
    const body = grantManifest(ref, { permissions: [{ namespaces: [victim] }] });
    await once(() => adem.call({ method: 'POST', path: grantsOf(namespace), body }));
    const { status } = await stage().phase(ref, 'Pending', 'ConsentMissing');
    expect(status.message).to.contain('hallpass.dev/accepts-grants-from');
    expect(await agent.asks(podsOf(victim))).to.equal(403);
    // A status that points at their ServiceAccount is hallpass's to write, and a new one is another agent.
    const pointing = { status: { serviceAccount: { name: 'hallpass-triage', uid: 'theirs' } } };
    expect((await adem.call({ method: 'PATCH', path: `${path}/status`, body: pointing })).code).to.equal(403);
    expect((await stage().phase({ namespace: victim, name: 'theirs' }, 'Active')).status.phase).to.equal('Active');
  });

  it('leaves no policy that selects by the name of the namespace, whatever labels they write', async () => {
    const namespace = await stage().namespace('attack-relabel');
    await stage().identity(namespace);
    await policy(namespace, { deny: [{ why: 'a test', apiGroups: [''], resources: ['pods'], verbs: ['list'] }] });
    const agent = await stage().agent(namespace);
    const ref = { namespace, name: 'asked' };
    await stage().create(grantManifest(ref));
    await stage().phase(ref, 'Pending', 'DeniedByPolicy');
    const path = `/api/v1/namespaces/${namespace}`;
    await bind(namespace, 'adem', 'admin');
    const adem = await person('adem');
    const labels = { 'kubernetes.io/metadata.name': 'elsewhere', 'hallpass.dev/data-sensitivity': 'public' };
    await once(() => adem.call({ method: 'GET', path }));
    const edit = { method: 'PATCH', path, body: { metadata: { labels } } } as const;
    expect((await adem.call(edit)).code, 'as admin of the namespace').to.equal(403);
    await allow('nora', { apiGroups: [''], resources: ['namespaces'], verbs: ['get', 'patch'] });
    const nora = await person('nora');
    for (const name of ['elsewhere', null]) {
      const body = { metadata: { labels: { ...labels, 'kubernetes.io/metadata.name': name } } };
      const answer = await once(() => nora.call({ ...edit, body }));
      expect(named.parse(answer.body).metadata.labels['kubernetes.io/metadata.name']).to.equal(namespace);
    }
    // Decided anew for the labels that did change.
    await stage().admin.patch(agentGrants, ref, { spec: { task: { ref: 'again' } } }, { type: 'merge' });
    await stage().until(stage().seen.grants, ref, (now) => now?.status.observedGeneration === 2);
    await stage().phase(ref, 'Pending', 'DeniedByPolicy');
    expect(await agent.asks(podsOf(namespace))).to.equal(403);
  });

  it('holds nobody up by requests as large as the API server takes, and is refused larger ones', async () => {
    const { namespace, pavel, agent } = await setting('attack-large');
    const create = (name: string, spec: object, annotations = {}) =>
      pavel.call({
        method: 'POST',
        path: grantsOf(namespace),
        body: { ...grantManifest({ namespace, name }), metadata: { namespace, name, annotations }, ...spec },
      });
    const { spec } = grantManifest({ namespace, name: 'large' });
    const megabyte = 'x'.repeat(1_000_000);
    await once(() => create('small', {}));
    const story = await create('story', { spec: { ...spec, task: { description: megabyte } } });
    expect([story.code, story.message]).to.satisfy(
      ([code, message]: [number, string]) => code === 422 && message.includes('spec.task.description'),
    );
    const noted = await create('noted', {}, { note: megabyte });
    expect(noted.code, noted.message.slice(0, 200)).to.equal(422);

    // All that the schema lets one ask for: some half a megabyte, and more rights than anybody is asked about.
    const permissions = full(32, String).map((at) => ({
      apiGroups: full(16, (group) => `group-${group}.${'g'.repeat(60)}.${'h'.repeat(60)}.example.com`),
      resources: full(16, (resource) => `r${resource}${'r'.repeat(240)}`),
      resourceNames: full(32, (name) => `${at}-${name}-${'n'.repeat(240)}`),
      verbs: full(16, (verb) => `v${verb}${'v'.repeat(60)}`),
    }));
    const large = full(8, (at) => `large-${at}`);
    const answers = await Promise.all(
      large.map((name) => create(name, { spec: { ...spec, permissions } }, { note: 'x'.repeat(200_000) })),
    );
    expect(answers.map(({ code, message }) => message || code)).to.deep.equal(large.map(() => 201));
    const asked = performance.now();
    await stage().give(grantManifest({ namespace, name: 'theirs' }));
    await agent.until(podsOf(namespace), 200);
    console.log(`      access beside ${large.length} requests of 0.7 MB: ${Math.round(performance.now() - asked)} ms`);
    for (const name of large) {
      const { status } = await stage().phase({ namespace, name }, 'Pending');
      expect(status.message).to.match(/\w{3}/);
    }
  });

  it('gets no agent of another by a ServiceAccount that they put in its place', async () => {
    const namespace = await stage().namespace('attack-account-anew');
    await stage().identity(namespace);
    const ref = { namespace, name: 'theirs' };
    await stage().give(grantManifest(ref));
    const agent = await stage().agent(namespace);
    await agent.until(podsOf(namespace), 200);
    await bind(namespace, 'adem', 'admin');
    const adem = await person('adem');
    const path = `/api/v1/namespaces/${namespace}/serviceaccounts`;
    await once(() => adem.call({ method: 'DELETE', path: `${path}/hallpass-triage` }));
    const mine = await adem.call({ method: 'POST', path, body: { metadata: { name: 'hallpass-triage' } } });
    expect(mine.message).to.match(/hallpass-serviceaccounts|already exists/);
    const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} };
    const minted = await adem.call({ method: 'POST', path: `${path}/hallpass-triage/token`, body });
    expect(minted.code, minted.message).to.be.oneOf([403, 404, 422]);
    // The old token was of the account that is gone; the agent's next one, of hallpass's new account, passes.
    await agent.until(podsOf(namespace), 401);
    const anew = await stage().agent(namespace);
    await anew.until(podsOf(namespace), 200);
  });

  it('takes no name that only looks like an agent', async () => {
    const namespace = await stage().namespace('attack-names');
    await bind(namespace, 'adem', 'admin');
    const adem = await person('adem');
    const path = `${ours}/namespaces/${namespace}/agentidentities`;
    const create = (name: string) =>
      adem.call({ method: 'POST', path, body: identityManifest(namespace, undefined, name) });
    await once(() => create('triage'));
    for (const name of ['tr\u0456age', 'TRIAGE', 'triage\u200b', 'tr\u0131age']) {
      const { code, message } = await create(name);
      expect(code, message).to.equal(422);
    }
    const ref = { namespace, name: 'asked' };
    const body = grantManifest(ref);
    const twin = { ...body, spec: { ...body.spec, agent: 'tr\u0456age' } };
    const { code, message } = await adem.call({ method: 'POST', path: grantsOf(namespace), body: twin });
    expect(code).to.equal(422);
    expect(message).to.contain('must be the name of an AgentIdentity in this namespace');
  });
});
