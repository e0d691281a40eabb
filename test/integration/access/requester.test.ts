// Those who wrote a grant hold what it hands out for as long as it lasts: they lose it in each way that RBAC knows, each with
// credentials of their own, and the agent is refused.
import { expect } from 'chai';
import { agentGrants } from '../../../src/api/grant.ts';
import { agentPolicies } from '../../../src/api/policy.ts';
import { Client, isForbidden } from '../../../src/kube/client.ts';
import { clusterRoleBindings, clusterRoles, roleBindings, roles } from '../../../src/kube/kinds.ts';
import { configMapsOf, grantManifest, podsOf, useSharedStage } from '../endings/stage.ts';

const api = '/apis/hallpass.dev/v1alpha1';
const rbac = '/apis/rbac.authorization.k8s.io/v1';
const apiGroup = 'rbac.authorization.k8s.io';
const listPods = { apiGroups: [''], resources: ['pods'], verbs: ['list'] };
const getPods = { ...listPods, verbs: ['get'] };

type Author = { user: string; groups: string[] } | { account: string };

describe('a grant and the rights of who wrote it', function () {
  this.timeout(60_000);
  const stage = useSharedStage();
  const clients: Client[] = [];
  after(() => {
    for (const client of clients) client.close();
  });

  /** Somebody with credentials of their own: a person, or a ServiceAccount of the namespace. */
  async function as(author: Author, namespace: string): Promise<Client> {
    const { playground } = stage();
    const { server, certificateAuthority } = playground;
    const open = async () => {
      if ('user' in author) return playground.credentialsFor(author);
      await playground.admin(['create', 'serviceaccount', author.account, '-n', namespace]);
      const token = (await playground.admin(['create', 'token', author.account, '-n', namespace])).trim();
      return { server, certificateAuthority, token: async () => token };
    };
    const client = new Client({ credentials: await open() });
    clients.push(client);
    return client;
  }

  const create = (path: string, body: object) => stage().admin.createRaw(path, body);
  const named = (kind: string, name: string) => ({ apiGroup, kind, name });
  const user = (name: string) => named('User', name);
  /** A Role in a namespace, or without one a ClusterRole, bound there, or everywhere. */
  async function give(o: { namespace?: string; roleIn?: string; name: string; rules: object[]; to: object }) {
    const { name, rules } = o;
    const within = (namespace: string | undefined) => (namespace ? `/namespaces/${namespace}` : '');
    await create(`${rbac}${within(o.roleIn)}/${o.roleIn ? 'roles' : 'clusterroles'}`, { metadata: { name }, rules });
    await create(`${rbac}${within(o.namespace)}/${o.namespace ? 'rolebindings' : 'clusterrolebindings'}`, {
      metadata: { name },
      roleRef: { apiGroup, kind: o.roleIn ? 'Role' : 'ClusterRole', name },
      subjects: [o.to],
    });
  }

  /** A namespace with its agent, where `who` may write grants. */
  async function setting(name: string, who: object) {
    const namespace = await stage().namespace(name);
    await stage().identity(namespace);
    const rules = [{ apiGroups: ['hallpass.dev'], resources: ['agentgrants'], verbs: ['create', 'patch', 'get'] }];
    await give({ namespace, roleIn: namespace, name: `${name}-asks`, rules, to: who });
    return { namespace, agent: await stage().agent(namespace), ref: { namespace, name: 'asked' } };
  }

  /** Creates a grant; who was let in a moment ago is kept waiting for that. */
  const ask = (by: Client, ref: { namespace: string; name: string }, o?: Parameters<typeof grantManifest>[1]) =>
    stage().poll(
      () =>
        by.createRaw(`${api}/namespaces/${ref.namespace}/agentgrants`, grantManifest(ref, o)).then(
          () => 'created',
          (error: Error) => error.message,
        ),
      (answer) => answer === 'created',
    );

  type Way = {
    by: (namespace: string) => Author;
    named: (namespace: string) => object;
    gives: (name: string, namespace: string, to: object) => Promise<void>;
    loses: (name: string, namespace: string) => Promise<unknown>;
    regains: (name: string, namespace: string, to: object) => Promise<unknown>;
  };
  const person = { by: () => ({ user: 'lena', groups: ['crew'] }), named: () => user('lena') };
  const crew = { ...person, named: () => named('Group', 'crew') };
  const inRole = (name: string, namespace: string, to: object) =>
    give({ namespace, roleIn: namespace, name, rules: [listPods], to });
  const rebind = (name: string, namespace: string, to: object) =>
    create(`${rbac}/namespaces/${namespace}/rolebindings`, {
      metadata: { name },
      roleRef: { apiGroup, kind: 'Role', name },
      subjects: [to],
    });
  const ways: Record<string, Way> = {
    'a RoleBinding that is deleted': {
      ...person,
      gives: inRole,
      loses: (name, namespace) => stage().admin.delete(roleBindings, { namespace, name }),
      regains: rebind,
    },
    'an edit of a Role': {
      ...person,
      gives: inRole,
      loses: (name, namespace) =>
        stage().admin.patch(roles, { namespace, name }, { rules: [getPods] }, { type: 'merge' }),
      regains: (name, namespace) =>
        stage().admin.patch(roles, { namespace, name }, { rules: [listPods] }, { type: 'merge' }),
    },
    'an edit of a ClusterRole that is bound in the namespace': {
      ...person,
      gives: (name, namespace, to) => give({ namespace, name, rules: [listPods], to }),
      loses: (name) => stage().admin.patch(clusterRoles, { name }, { rules: [] }, { type: 'merge' }),
      regains: (name) => stage().admin.patch(clusterRoles, { name }, { rules: [listPods] }, { type: 'merge' }),
    },
    'a group that is taken out of a RoleBinding': {
      ...crew,
      gives: inRole,
      loses: (name, namespace) =>
        stage().admin.patch(roleBindings, { namespace, name }, { subjects: null }, { type: 'merge' }),
      regains: (name, namespace, to) =>
        stage().admin.patch(roleBindings, { namespace, name }, { subjects: [to] }, { type: 'merge' }),
    },
    "a ClusterRoleBinding of a ServiceAccount's implied group": {
      by: () => ({ account: 'robot' }),
      named: (namespace) => named('Group', `system:serviceaccounts:${namespace}`),
      gives: (name, _, to) => give({ name, rules: [listPods], to }),
      loses: (name) => stage().admin.delete(clusterRoleBindings, { name }),
      regains: (name, _, to) =>
        create(`${rbac}/clusterrolebindings`, {
          metadata: { name },
          roleRef: { apiGroup, kind: 'ClusterRole', name },
          subjects: [to],
        }),
    },
  };
  const lost: { way: Way; name: string; namespace: string; passes: () => Promise<unknown> }[] = [];

  for (const [number, [what, way]] of Object.entries(ways).entries()) {
    it(`is suspended when they lose it by ${what}`, async () => {
      const name = `loses-${number}`;
      const author = way.by(name);
      const who =
        'user' in author ? user(author.user) : { kind: 'ServiceAccount', name: author.account, namespace: name };
      const { namespace, agent, ref } = await setting(name, who);
      await way.gives(name, namespace, way.named(namespace));
      await ask(await as(author, namespace), ref);
      await stage().phase(ref, 'Active');
      await agent.until(podsOf(namespace), 200);
      const from = Date.now();
      await way.loses(name, namespace);
      console.log(`      refused ${(await agent.until(podsOf(namespace), 403)) - from} ms after it was sent`);
      const { status } = await stage().phase(ref, 'Suspended', 'CreatorLacksPermission');
      expect(status.reasons?.map(({ reason }) => reason)).to.deep.equal([
        'CreatorLacksPermission',
        'RequesterLacksPermission',
      ]);
      expect(status.message).to.contain(`list pods in namespace ${namespace}`);
      lost.push({ way, name, namespace, passes: () => agent.until(podsOf(namespace), 200, 45_000) });
    });
  }

  it('comes back when they have held it again for 30 s, and ends when it would have', async () => {
    expect(lost).to.have.length(Object.keys(ways).length);
    const ends = lost.map(({ namespace }) => stage().seen.grants.get({ namespace, name: 'asked' })?.status.expiresAt);
    const from = Date.now();
    for (const { way, name, namespace } of lost) await way.regains(name, namespace, way.named(namespace));
    await Promise.all(lost.map(({ passes }) => passes()));
    expect(Date.now() - from).to.be.at.least(29_000);
    const after = lost.map(({ namespace }) => stage().seen.grants.get({ namespace, name: 'asked' })?.status.expiresAt);
    expect(after).to.deep.equal(ends);
  });

  it('is not touched by what they lose elsewhere, or hold by another way still', async () => {
    const { namespace, agent, ref } = await setting('keeps', named('Group', 'askers'));
    const probe = { namespace, name: 'probe' };
    const configMaps = [{ resources: ['configmaps'] }];
    await stage().namespace('keeps-elsewhere');
    await give({ namespace, roleIn: namespace, name: 'keeps-one', rules: [listPods], to: user('kim') });
    await give({ namespace, name: 'keeps-two', rules: [listPods], to: user('kim') });
    await give({ namespace: 'keeps-elsewhere', name: 'keeps-three', rules: [listPods], to: user('kim') });
    const rules = [{ ...listPods, resources: ['configmaps'] }];
    await give({ namespace, roleIn: namespace, name: 'keeps-probe', rules, to: user('lou') });
    await ask(await as({ user: 'kim', groups: ['askers'] }, namespace), ref);
    await ask(await as({ user: 'lou', groups: ['askers'] }, namespace), probe, { permissions: configMaps });
    await stage().phase(ref, 'Active');
    await stage().phase(probe, 'Active');
    await agent.until(configMapsOf(namespace), 200);
    await stage().admin.delete(roleBindings, { namespace: 'keeps-elsewhere', name: 'keeps-three' });
    await stage().admin.delete(roles, { namespace, name: 'keeps-one' });
    // What follows in the same cache is decided after it.
    await stage().admin.delete(roles, { namespace, name: 'keeps-probe' });
    await agent.until(configMapsOf(namespace), 403);
    await stage().phase(probe, 'Suspended', 'CreatorLacksPermission');
    expect(stage().seen.grants.get(ref)?.status.phase).to.equal('Active');
    expect(await agent.asks(podsOf(namespace))).to.equal(200);
    await stage().admin.delete(roleBindings, { namespace, name: 'keeps-two' });
    await agent.until(podsOf(namespace), 403);
    await stage().phase(ref, 'Suspended', 'CreatorLacksPermission');
  });

  it('stays where its author holds it by something else than RBAC: the API server is asked before it is taken away', async () => {
    const { namespace, agent, ref } = await setting('beside-rbac', user('nobody'));
    await stage().give(grantManifest(ref));
    const everything = await stage().admin.get(clusterRoleBindings, { name: 'cluster-admin' });
    await stage().admin.delete(clusterRoleBindings, { name: 'cluster-admin' });
    try {
      // What a narrowing leaves is decided anew, on RBAC as it is now.
      await stage().admin.patch(agentGrants, ref, { spec: { validity: { duration: '30m' } } }, { type: 'merge' });
      await stage().until(stage().seen.grants, ref, (now) => now?.status.observedGeneration === 2);
      await stage().phase(ref, 'Active');
      expect(await agent.asks(podsOf(namespace))).to.equal(200);
    } finally {
      const { metadata, ...rest } = everything;
      await create(`${rbac}/clusterrolebindings`, { ...rest, metadata: { name: metadata.name } });
    }
  });

  it('is suspended while nobody answers whether its author holds it, and decided once somebody does', async () => {
    const { namespace, agent, ref } = await setting('unanswered', user('uma'));
    await give({ namespace, roleIn: namespace, name: 'unanswered-holds', rules: [listPods], to: user('uma') });
    await ask(await as({ user: 'uma', groups: [] }, namespace), ref);
    await stage().phase(ref, 'Active');
    await agent.until(podsOf(namespace), 200);
    const hallpass = await stage().admin.get(clusterRoles, { name: 'hallpass' });
    const change = (rules: object[]) =>
      stage().admin.patch(clusterRoles, { name: 'hallpass' }, { rules }, { type: 'merge' });
    await change(hallpass.rules.filter(({ resources }) => !resources?.includes('subjectaccessreviews')));
    try {
      const mayAsk = ['auth', 'can-i', 'create', 'subjectaccessreviews.authorization.k8s.io'];
      await stage().poll(
        () => stage().playground.kubectl([...mayAsk, '--as=system:serviceaccount:hallpass-system:hallpass']),
        ({ stdout }) => stdout.trim() === 'no',
      );
      await stage().admin.delete(roleBindings, { namespace, name: 'unanswered-holds' });
      await agent.until(podsOf(namespace), 403);
      const { status } = await stage().phase(ref, 'Suspended', 'CheckFailed');
      expect(status.message).to.contain('what its authors and reviewers may do could not be found out');
    } finally {
      await change(hallpass.rules);
    }
    await stage().phase(ref, 'Suspended', 'CreatorLacksPermission');
  });

  it('is held to whoever edits it: who narrows it answers for what is left', async () => {
    const { namespace, agent, ref } = await setting('narrowed', user('mia'));
    const mia = await as({ user: 'mia', groups: [] }, namespace);
    const permissions = [{ resources: ['pods', 'configmaps'] }];
    await stage().give(grantManifest(ref, { permissions }));
    await give({ namespace, roleIn: namespace, name: 'narrowed-some', rules: [listPods], to: user('mia') });
    const narrow = { spec: { permissions: [{ apiGroups: [''], resources: ['pods'], verbs: ['list'] }] } };
    await stage().poll(
      () =>
        mia.patch(agentGrants, ref, narrow, { type: 'merge' }).then(
          () => 'patched',
          (error: Error) => error.message,
        ),
      (answer) => answer === 'patched',
    );
    await stage().phase(ref, 'Active');
    await agent.until(configMapsOf(namespace), 403);
    expect(await agent.asks(podsOf(namespace))).to.equal(200);
    await stage().admin.delete(roleBindings, { namespace, name: 'narrowed-some' });
    await agent.until(podsOf(namespace), 403);
    const { status } = await stage().phase(ref, 'Suspended', 'RequesterLacksPermission');
    expect(status.reasons).to.have.length(1);
  });

  it("is not made somebody else's by an edit of its labels, with forged stamps or without", async () => {
    const { namespace, agent, ref } = await setting('labelled', user('peter'));
    await give({ namespace, roleIn: namespace, name: 'labelled-holds', rules: [listPods], to: user('carol') });
    const rules = [{ apiGroups: ['hallpass.dev'], resources: ['agentgrants'], verbs: ['patch', 'get'] }];
    await give({ namespace, roleIn: namespace, name: 'labelled-edits', rules, to: user('carol') });
    const peter = await as({ user: 'peter', groups: [] }, namespace);
    const carol = await as({ user: 'carol', groups: [] }, namespace);
    await ask(peter, ref);
    await stage().phase(ref, 'Pending', 'CreatorLacksPermission');
    const stamp = { username: 'carol', groups: ['system:masters'] };
    const forged = { metadata: { labels: { by: 'peter' } }, stamps: { creator: stamp, requester: stamp } };
    await peter.patch(agentGrants, ref, forged, { type: 'merge' });
    const labelled = await carol.patch(agentGrants, ref, { metadata: { labels: { by: 'carol' } } }, { type: 'merge' });
    expect(labelled.stamps?.requester.username).to.equal('peter');
    expect(labelled.stamps?.creator.username).to.equal('peter');
    // An edit that counts afterwards: the creator is held to it as before.
    const edited = await carol.patch(agentGrants, ref, { spec: { task: { ref: 'INC-1' } } }, { type: 'merge' });
    expect(edited.stamps?.requester.username).to.equal('carol');
    await stage().until(stage().seen.grants, ref, (now) => now?.status.reasons?.length === 1);
    await stage().phase(ref, 'Pending', 'CreatorLacksPermission');
    expect(await agent.asks(podsOf(namespace))).to.equal(403);
  });

  describe('where policies check less', () => {
    const check = (requesterCheck: string | null) =>
      stage().admin.patch(agentPolicies, { name: 'default' }, { spec: { requesterCheck } }, { type: 'merge' });
    afterEach(() => check(null));

    it('is given and kept without them, until one policy of its namespace wants them', async () => {
      const { namespace, agent, ref } = await setting('unchecked', user('otto'));
      await check('Off');
      await ask(await as({ user: 'otto', groups: [] }, namespace), ref);
      await stage().phase(ref, 'Active');
      await agent.until(podsOf(namespace), 200);
      await create(`${api}/agentpolicies`, {
        apiVersion: 'hallpass.dev/v1alpha1',
        kind: 'AgentPolicy',
        metadata: { name: 'unchecked' },
        spec: { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } } },
      });
      await agent.until(podsOf(namespace), 403);
      await stage().phase(ref, 'Suspended', 'CreatorLacksPermission');
      await stage().admin.delete(agentPolicies, { name: 'unchecked' });
    });

    it('is kept when they lose it later, where that counts at issue alone', async () => {
      const { namespace, agent, ref } = await setting('once', user('pia'));
      await give({ namespace, roleIn: namespace, name: 'once-holds', rules: [listPods], to: user('pia') });
      await check('AtIssue');
      const pia = await as({ user: 'pia', groups: [] }, namespace);
      await ask(pia, ref);
      await stage().phase(ref, 'Active');
      await agent.until(podsOf(namespace), 200);
      await stage().admin.delete(roleBindings, { namespace, name: 'once-holds' });
      // Until the authorizer has heard of it, a new request might pass.
      await stage().poll(
        () => pia.getRaw(podsOf(namespace)).catch((error: Error) => error),
        (answer) => isForbidden(answer),
      );
      const later = { namespace, name: 'later' };
      await ask(pia, later);
      await stage().phase(later, 'Pending', 'CreatorLacksPermission');
      expect(await agent.asks(podsOf(namespace)), 'given before').to.equal(200);
      await check('Continuous');
      await agent.until(podsOf(namespace), 403);
      await stage().phase(ref, 'Suspended', 'CreatorLacksPermission');
    });
  });
});
