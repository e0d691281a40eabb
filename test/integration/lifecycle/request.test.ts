// What a request needs of the people behind it, and what is told of its way: as tenants with their own credentials.
import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { agentGrants } from '../../../src/api/grant.ts';
import { Client, isForbidden } from '../../../src/kube/client.ts';
import { events } from '../../../src/kube/kinds.ts';
import { grantManifest, podsOf, useSharedStage } from '../endings/stage.ts';

const rbac = '/apis/rbac.authorization.k8s.io/v1';

describe('a request for access', function () {
  this.timeout(60_000);
  const stage = useSharedStage();
  const clients: Client[] = [];
  after(() => {
    for (const client of clients) client.close();
  });

  async function tenant(user: string): Promise<Client> {
    const client = new Client({ credentials: await stage().playground.credentialsFor({ user, groups: [] }) });
    clients.push(client);
    return client;
  }

  const allow = (namespace: string, name: string, user: string, clusterRole: string) =>
    stage().admin.createRaw(`${rbac}/namespaces/${namespace}/rolebindings`, {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'RoleBinding',
      metadata: { name },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: clusterRole },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: user }],
    });

  /** Does it as soon as the authorizer has heard of the right to. */
  const onceAllowed = (write: () => Promise<unknown>) =>
    stage().poll(
      () =>
        write().then(
          () => true,
          (error: unknown) => {
            if (!isForbidden(error)) throw error;
            return false;
          },
        ),
      Boolean,
    );

  const create = (as: Client, manifest: ReturnType<typeof grantManifest>) =>
    onceAllowed(() =>
      as.createRaw(`/apis/hallpass.dev/v1alpha1/namespaces/${manifest.metadata.namespace}/agentgrants`, manifest),
    );

  it('hands out what its tenant holds in each namespace that it reaches into, and no more', async () => {
    const home = await stage().namespace('request-tenant');
    const other = await stage().namespace('request-tenant-other', { accepts: home });
    await stage().identity(home, { namespaces: [home, other] });
    await allow(home, 'tess', 'tess', 'edit');
    const tess = await tenant('tess');
    const near = { namespace: home, name: 'near' };
    await create(tess, grantManifest(near));
    const { stamps } = await stage().phase(near, 'Active');
    expect(stamps?.creator.username).to.equal('tess');
    const far = { namespace: home, name: 'far' };
    await create(tess, grantManifest(far, { permissions: [{}, { namespaces: [other] }] }));
    const { status } = await stage().phase(far, 'Pending', 'CreatorLacksPermission');
    expect(status.message)
      .to.contain(`list pods in namespace ${other}`)
      .and.not.match(new RegExp(`in namespace ${home}(?!-)`));
    await allow(other, 'tess', 'tess', 'view');
    await stage().phase(far, 'Active');
    const agent = await stage().agent(home);
    for (const namespace of [home, other]) await agent.until(podsOf(namespace), 200);
  });

  it('is given only while its last author holds it, too: an edit by one who does not takes the access away', async () => {
    const namespace = await stage().namespace('request-edited');
    await stage().identity(namespace);
    await stage().admin.createRaw(`${rbac}/clusterroles`, {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      metadata: { name: 'edits-grants' },
      rules: [{ apiGroups: ['hallpass.dev'], resources: ['agentgrants'], verbs: ['get', 'patch'] }],
    });
    await allow(namespace, 'mel', 'mel', 'edits-grants');
    const mel = await tenant('mel');
    const ref = { namespace, name: 'edited' };
    await stage().give(grantManifest(ref));
    const agent = await stage().agent(namespace);
    await agent.until(podsOf(namespace), 200);
    const edit = (as: Client, task: string) =>
      as.patch(agentGrants, ref, { spec: { task: { ref: task } } }, { type: 'merge' });
    await onceAllowed(() => edit(mel, 'INC-7'));
    const { status, metadata } = await stage().phase(ref, 'Pending', 'RequesterLacksPermission');
    expect(status.reasons?.map(({ reason }) => reason)).to.deep.equal(['RequesterLacksPermission']);
    expect(status.message).to.contain('the last author of its spec, mel,');
    await agent.until(podsOf(namespace), 403);
    await stage().nothingLeft(metadata.uid);
    await edit(stage().admin, 'INC-8');
    await stage().phase(ref, 'Active');
    await agent.until(podsOf(namespace), 200);
  });

  it('that ends at a fixed time fits a boundary by itself, once little enough of it is left', async () => {
    const namespace = await stage().namespace('request-shrinks');
    await stage().identity(namespace, { maxGrantDuration: '5s' });
    const ref = { namespace, name: 'shrinks' };
    const notAfter = new Date(Math.ceil(Date.now() / 1000) * 1000 + 9_000).toISOString();
    await stage().create(grantManifest(ref, { notAfter }));
    await stage().phase(ref, 'Pending', 'DurationExceedsBoundary');
    const { status } = await stage().phase(ref, 'Active');
    const [start, end] = [status.startTime, status.expiresAt].map((time) => Date.parse(time ?? ''));
    expect(end).to.equal(Date.parse(notAfter));
    expect((end ?? 0) - (start ?? 0)).to.be.within(3_000, 5_000);
  });

  it('is told in events: refused, granted, suspended, revoked, denied', async () => {
    const namespace = await stage().namespace('request-events');
    const ref = { namespace, name: 'told' };
    const notes = async () => {
      const columns = '{range .items[*]}{.type} {.reason} {.regarding.kind}/{.regarding.name}: {.note}{"\\n"}{end}';
      const list = ['get', 'events.events.k8s.io', '-n', namespace, '-o', `jsonpath=${columns}`];
      return (await stage().playground.admin(list)).trim().split('\n');
    };
    const heard = (pattern: RegExp) => stage().poll(notes, (found) => found.some((line) => pattern.test(line)));
    await stage().create(grantManifest(ref));
    await heard(/^Warning Refused AgentGrant\/told: AgentIdentity triage .* does not exist; create it/);
    await stage().identity(namespace);
    await stage().phase(ref, 'Active');
    await heard(/^Normal Granted AgentGrant\/told: access is granted until \S+Z$/);
    await stage().playground.admin(['delete', '-n', namespace, '-k', 'deploy/namespace']);
    await heard(/^Warning Suspended AgentGrant\/told: .*kubectl apply -n request-events -k deploy\/namespace/);
    await stage().remove(agentGrants, ref);
    await heard(/^Warning Revoked AgentGrant\/told: .*deleted/);
    await stage().create(grantManifest(ref));
    await heard(/^Warning Denied AgentGrant\/told: .*already used/);
  });

  it('harms no terminal by the name of its author', async () => {
    const namespace = await stage().namespace('request-hostile');
    await stage().identity(namespace);
    const hostile = 'eve\u009b31m\u202egnp\u2028<b>\u001b[2J';
    const eve = await tenant(hostile);
    await allow(namespace, 'eve', hostile, 'hallpass-grants-edit');
    const ref = { namespace, name: 'hostile' };
    await create(eve, grantManifest(ref));
    const { status, stamps } = await stage().phase(ref, 'Pending', 'CreatorLacksPermission');
    expect(stamps?.creator.username, 'stored as it is').to.equal(hostile);
    const shown = 'eve\\u{9b}31m\\u{202e}gnp\\u{2028}<b>\\u{1b}[2J';
    expect(status.message).to.contain(shown);
    const wide = await stage().playground.kubectl(['get', 'aggrant', '-n', namespace, '-o', 'wide']);
    expect(wide.stdout).to.contain(shown);
    const told = await stage().poll(
      async () => (await stage().admin.list(events, { namespace })).items.map(({ note }) => note ?? ''),
      (notes) => notes.some((note) => note.includes('gnp')),
    );
    const [{ logFile } = { logFile: '' }] = stage().playground.hallpass;
    const logged = readFileSync(logFile, 'utf8')
      .split('\n')
      .filter((line) => line.includes(namespace));
    expect(logged.join(), 'the log says why').to.contain('gnp');
    const stored = [...(status.conditions ?? []), ...(status.reasons ?? [])].map(({ message }) => message);
    for (const text of [...told, ...logged, ...stored, ...wide.stdout.trimEnd().split('\n')]) {
      expect(text).to.not.match(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
    }
  });
});
