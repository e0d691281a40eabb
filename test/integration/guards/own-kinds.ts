// Attacks on what a grant says about itself: who asked for it, what hallpass did about it, and its clean-up.
import { expect } from 'chai';
import { z } from 'zod';
import { caller } from './caller.ts';
import { dryRun, passesGuards, refusedByGuard, succeed, type Twins, until } from './cluster.ts';
import * as made from './objects.ts';

const forged = {
  creator: { username: 'the-boss', groups: ['system:masters'] },
  requester: { username: 'the-boss', groups: ['system:masters'] },
};
const stampSchema = z.object({ username: z.string(), uid: z.string().optional(), groups: z.array(z.string()) });
const grantSchema = z.object({
  metadata: z.object({ finalizers: z.array(z.string()).optional() }),
  stamps: z.object({ creator: stampSchema, requester: stampSchema }),
});
const authorsSchema = z.object({ stamps: z.object({ authors: z.array(z.string()) }) });
const stampsOf = (object: unknown) => grantSchema.parse(object).stamps;
const path = (name: string) => `${made.ours}/agentgrants/${name}`;
const status = (name: string) => `${path(name)}/status`;

export function stamps(twins: () => Twins): void {
  const callers = () => twins().guarded.callers;
  const editor = { username: 'editor', groups: ['team', 'system:authenticated'] };
  const owner = { username: 'owner', groups: ['team', 'system:authenticated'] };

  it('replace what a manifest says about its author', async () => {
    const call = made.grant('forged', { stamps: forged });
    const bare = await twins().bare.callers.editor.call(dryRun(call));
    expect(stampsOf(bare.body).creator.username, 'without guards').to.equal('the-boss');
    const { body } = await passesGuards(twins(), 'editor', call);
    expect(stampsOf(body)).to.deep.equal({ creator: editor, requester: editor });
  });

  it('stay when an edit of labels carries others', async () => {
    await succeed(callers().editor, made.grant('labelled'));
    const edit = { metadata: { labels: { a: 'b' } }, stamps: forged };
    const after = await succeed(callers().owner, { method: 'PATCH', path: path('labelled'), body: edit });
    expect(stampsOf(after)).to.deep.equal({ creator: editor, requester: editor });
    expect(after.metadata.labels).to.deep.equal({ a: 'b' });
  });

  it('stay when a manifest without them is put in place', async () => {
    await succeed(callers().editor, made.grant('replaced'));
    const current = await succeed(callers().owner, { method: 'GET', path: path('replaced') });
    const { stamps: _, ...body } = current;
    const after = await succeed(callers().owner, { method: 'PUT', path: path('replaced'), body });
    expect(stampsOf(after)).to.deep.equal({ creator: editor, requester: editor });
  });

  it('name whoever changed the spec as the requester, and keep the creator', async () => {
    await succeed(callers().editor, made.grant('changed'));
    const edit = { spec: { validity: { duration: '2h' } }, stamps: forged };
    const after = await succeed(callers().owner, { method: 'PATCH', path: path('changed'), body: edit });
    expect(stampsOf(after)).to.deep.equal({ creator: editor, requester: owner });
  });

  it('remember everybody who wrote the spec, each once, whatever a manifest says', async () => {
    const authorsOf = (object: unknown) => authorsSchema.parse(object).stamps.authors;
    await succeed(callers().editor, made.grant('shared', { stamps: { ...forged, authors: ['the-boss'] } }));
    const edit = (duration: string) => ({ spec: { validity: { duration } }, stamps: { ...forged, authors: [] } });
    const call = (body: object) => ({ method: 'PATCH', path: path('shared'), body }) as const;
    expect(authorsOf(await succeed(callers().owner, call(edit('2h'))))).to.deep.equal(['editor', 'owner']);
    expect(authorsOf(await succeed(callers().editor, call(edit('3h'))))).to.deep.equal(['editor', 'owner']);
    const label = { metadata: { labels: { a: 'b' } }, stamps: { ...forged, authors: [] } };
    expect(authorsOf(await succeed(callers().root, call(label)))).to.deep.equal(['editor', 'owner']);
  });

  it('take no groups from server-side apply', async () => {
    const body = made.grantBody('applied', { stamps: { creator: forged.creator, requester: forged.requester } });
    const call = { method: 'PATCH', patchType: 'apply', body } as const;
    const applied = await succeed(callers().editor, { ...call, path: `${path('applied')}?fieldManager=git` });
    expect(stampsOf(applied)).to.deep.equal({ creator: editor, requester: editor });
    const again = await succeed(callers().owner, { ...call, path: `${path('applied')}?fieldManager=git&force=true` });
    expect(stampsOf(again)).to.deep.equal({ creator: editor, requester: editor });
  });

  it('do not change by what hallpass writes', async () => {
    await succeed(callers().editor, made.grant('held'));
    const stored = await succeed(callers().operator, { method: 'GET', path: path('held') });
    await succeed(callers().operator, {
      method: 'PUT',
      path: status('held'),
      body: { ...stored, status: { message: 'Seen.' }, stamps: forged },
    });
    await succeed(callers().operator, {
      method: 'PATCH',
      path: path('held'),
      body: { metadata: { finalizers: ['hallpass.dev/cleanup'] }, stamps: forged },
    });
    const after = await succeed(callers().owner, { method: 'GET', path: path('held') });
    expect(stampsOf(after)).to.deep.equal({ creator: editor, requester: editor });
  });

  it('hold 512 groups', async () => {
    // The API server adds system:authenticated.
    const groups = ['team', ...Array.from({ length: 510 }, (_, at) => `department-${at}-of-the-company`)];
    const jane = caller(await twins().guarded.credentialsFor({ user: 'editor', groups }));
    const { metadata } = await succeed(jane, made.grant('many-groups'));
    expect(metadata.name).to.equal('many-groups');
    const edit = { spec: { validity: { duration: '2h' } } };
    const after = await succeed(jane, { method: 'PATCH', path: path('many-groups'), body: edit });
    expect(stampsOf(after).requester.groups).to.have.length(512);
  });

  it('warn when a grant ends before it begins to exist, and accept it', async () => {
    const past = made.grant('past', { validity: { notAfter: '2020-01-01T00:00:00Z' } });
    const { warnings } = await passesGuards(twins(), 'editor', past);
    expect(warnings).to.match(/2020-01-01T00:00:00Z.*has passed: the grant is born Expired/);
    const future = made.grant('future', { validity: { notAfter: '2999-01-01T00:00:00Z' } });
    expect((await passesGuards(twins(), 'editor', future)).warnings).to.equal('');
  });
}

export function finalizers(twins: () => Twins): void {
  const callers = () => twins().guarded.callers;
  const remove = (at: string) => ({ method: 'PATCH', path: at, body: { metadata: { finalizers: null } } }) as const;
  const cleanup = ['hallpass.dev/cleanup'];

  it('are set on identities and grants when they are created, beside those of others', async () => {
    const alone = await passesGuards(twins(), 'editor', made.grant('alone'));
    expect(grantSchema.parse(alone.body).metadata.finalizers).to.deep.equal(cleanup);
    const beside = made.identityNamed('beside', { finalizers: ['example.com/other'] });
    const { body } = await passesGuards(twins(), 'owner', beside);
    const { finalizers: both } = z
      .object({ metadata: z.object({ finalizers: z.array(z.string()) }) })
      .parse(body).metadata;
    expect(both).to.deep.equal(['example.com/other', ...cleanup]);
  });

  it('are taken off by nobody but hallpass', async () => {
    for (const cluster of Object.values(twins())) {
      const body = made.grantBody('kept', { metadata: { finalizers: cleanup } });
      await succeed(cluster.callers.editor, { ...made.grant('kept'), body });
    }
    const reason = { by: 'hallpass-finalizer', says: /only hallpass takes it off.*verb release/ };
    await refusedByGuard(twins(), 'editor', remove(path('kept')), reason);
    await refusedByGuard(twins(), 'owner', remove(path('kept')), reason);
    await passesGuards(twins(), 'operator', remove(path('kept')));
  });

  it('are taken off by who holds the verb release on the object', async () => {
    await succeed(callers().editor, made.grant('stuck'));
    await passesGuards(twins(), 'root', remove(path('stuck')));
    const released = await callers().insider.call(remove(path('stuck')));
    expect(released.message, 'without the verb').to.contain("'hallpass-finalizer'");
    const call = { method: 'POST', path: `${made.rbac}/roles` } as const;
    const rules = [
      { apiGroups: ['hallpass.dev'], resources: ['agentgrants'], resourceNames: ['stuck'], verbs: ['release'] },
    ];
    const role = {
      ...call,
      body: { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'Role', metadata: { name: 'release' }, rules },
    };
    await succeed(callers().root, role);
    const roleRef = { name: 'release' };
    const subjects = [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'insider' }];
    await succeed(callers().root, made.bindingNamed('release', { roleRef, subjects }));
    await until(callers().insider, remove(`${path('stuck')}`), ({ code }) => code === 200);
  });

  it('are all that hallpass itself changes of a request', async () => {
    for (const cluster of Object.values(twins())) await succeed(cluster.callers.editor, made.grant('theirs'));
    const reason = { by: 'hallpass-finalizer', says: /changes nothing of a grant .* but finalizers and status/ };
    const edit = (body: object) => ({ method: 'PATCH', path: path('theirs'), body }) as const;
    await refusedByGuard(twins(), 'operator', edit({ spec: { validity: { duration: '9h' } } }), reason);
    await refusedByGuard(twins(), 'operator', edit({ metadata: { labels: { a: 'b' } } }), reason);
  });
}

export function records(twins: () => Twins): void {
  const reason = { by: 'hallpass-records', says: /only hallpass writes status and receipts/ };
  const asOperator = { 'Impersonate-User': 'system:serviceaccount:hallpass-system:hallpass' };
  const active = { status: { phase: 'Active', expiresAt: '2999-01-01T00:00:00Z' } };
  const receipt = { method: 'POST', path: made.receipts, body: made.receiptBody('one') } as const;

  before(async () => {
    for (const cluster of Object.values(twins())) {
      await succeed(cluster.callers.editor, made.grant('recorded'));
      await succeed(cluster.callers.operator, { ...receipt, body: made.receiptBody('kept') });
    }
  });

  it('of grants and identities are written by hallpass alone, whatever rights somebody has', async () => {
    const grant = { method: 'PATCH', path: status('recorded'), body: active } as const;
    await refusedByGuard(twins(), 'insider', grant, reason);
    await refusedByGuard(twins(), 'root', grant, reason);
    const identity = { method: 'PATCH', path: `${made.ours}/agentidentities/bot/status` } as const;
    await refusedByGuard(twins(), 'insider', { ...identity, body: { status: { activeGrants: 7 } } }, reason);
    const stored = await succeed(twins().guarded.callers.operator, { method: 'GET', path: path('recorded') });
    const replaced = { method: 'PUT', path: status('recorded'), body: { ...stored, ...active } } as const;
    await passesGuards(twins(), 'operator', replaced);
  });

  it('are not written by who only impersonates hallpass', async () => {
    // Of what hallpass writes: that it may do.
    const body = { status: { outcome: 'Revoked' } };
    const ended = { method: 'PATCH', path: `${made.receipts}/kept/status`, body, headers: asOperator } as const;
    await refusedByGuard(twins(), 'root', ended, reason);
    await refusedByGuard(twins(), 'insider', ended, reason);
  });

  it('of use are made and ended by hallpass alone, in its own namespace', async () => {
    await refusedByGuard(twins(), 'root', receipt, reason);
    await refusedByGuard(twins(), 'insider', receipt, reason);
    const ended = {
      method: 'PATCH',
      path: `${made.receipts}/kept/status`,
      body: { status: { outcome: 'Revoked' } },
    } as const;
    await refusedByGuard(twins(), 'insider', ended, reason);
    const renamed = {
      method: 'PATCH',
      path: `${made.receipts}/kept`,
      body: { metadata: { labels: { a: 'b' } } },
    } as const;
    await refusedByGuard(twins(), 'insider', renamed, reason);
    await refusedByGuard(twins(), 'root', { ...receipt, path: `${made.ours}/agentreceipts` }, reason);
    await passesGuards(twins(), 'operator', receipt);
    await passesGuards(twins(), 'operator', ended);
  });

  it('written back as they are pass, as a migration of stored objects does it', async () => {
    await passesGuards(twins(), 'root', { method: 'PATCH', path: `${made.receipts}/kept`, body: {} });
  });
}
