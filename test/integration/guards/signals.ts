// Attacks on what a signal says, and on taking one away: who lifts what it stopped is for policies to say.
import { expect } from 'chai';
import { z } from 'zod';
import type { Call } from './caller.ts';
import { dryRun, passesGuards, refusedByGuard, succeed, type Twins, until } from './cluster.ts';
import * as made from './objects.ts';

const signalSchema = z.object({ stamps: z.object({ reporter: z.object({ username: z.string() }) }) });
const reporterOf = (object: unknown) => signalSchema.parse(object).stamps.reporter.username;
const path = `${made.ours}/agentsignals`;

type Changes = { spec?: object; metadata?: object; stamps?: unknown };

/** A signal of an incident in `team`, until the end of time. */
const signal = (name: string, o: Changes = {}): Call => ({
  method: 'POST',
  path,
  body: {
    apiVersion: 'hallpass.dev/v1alpha1',
    kind: 'AgentSignal',
    metadata: { name, ...o.metadata },
    spec: {
      signal: 'Incident',
      severity: 'High',
      message: 'the database is down',
      expiresAt: '2999-01-01T00:00:00Z',
      ...o.spec,
    },
    ...(o.stamps === undefined ? {} : { stamps: o.stamps }),
  },
});
const deletion = (name: string): Call => ({ method: 'DELETE', path: `${path}/${name}` });

export function signals(twins: () => Twins): void {
  const everywhere = () => Object.values(twins());
  /** What hallpass says of a signal. */
  const told = async (name: string, status: object): Promise<void> => {
    for (const { callers } of everywhere()) {
      const stored = await succeed(callers.operator, { method: 'GET', path: `${path}/${name}` });
      const body = { ...stored, status };
      await succeed(callers.operator, { method: 'PUT', path: `${path}/${name}/status`, body });
    }
  };
  const stored = async (name: string, o?: Changes): Promise<void> => {
    for (const { callers } of everywhere()) await succeed(callers.editor, signal(name, o));
  };

  before(async () => {
    const agents = { apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: 'system:serviceaccounts:team' };
    const editor = { apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'editor' };
    const roleRef = { kind: 'ClusterRole', name: 'hallpass-reporter' };
    for (const { callers } of everywhere()) {
      await succeed(callers.root, made.bindingNamed('reporters', { roleRef, subjects: [agents, editor] }));
      await until(callers.editor, dryRun(signal('probe')), ({ code }) => code === 201);
    }
    await until(twins().bare.callers.agent, dryRun(signal('probe')), ({ code }) => code === 201);
  });

  it('names whoever reported it, whatever the manifest says', async () => {
    const call = signal('forged', { stamps: { reporter: { username: 'the-boss', groups: ['security'] } } });
    const bare = await twins().bare.callers.editor.call(dryRun(call));
    expect(reporterOf(bare.body), 'without guards').to.equal('the-boss');
    expect(reporterOf((await passesGuards(twins(), 'editor', call)).body)).to.equal('editor');
  });

  it('is reported by no agent', async () => {
    const reason = { by: 'hallpass-signals', says: /agents report no signals/ };
    await refusedByGuard(twins(), 'agent', signal('mine'), reason);
  });

  it('has no owner that could go and take it along, and nothing that keeps its namespace', async () => {
    const reason = { by: 'hallpass-signals', says: /no owners.*no finalizers/ };
    const owner = { apiVersion: 'v1', kind: 'ConfigMap', name: 'gone', uid: made.otherUid };
    await refusedByGuard(twins(), 'editor', signal('owned', { metadata: { ownerReferences: [owner] } }), reason);
    const finalizers = ['example.com/stay'];
    await refusedByGuard(twins(), 'editor', signal('stays', { metadata: { finalizers } }), reason);
    await stored('free');
    const later = { method: 'PATCH', path: `${path}/free`, body: { metadata: { ownerReferences: [owner] } } } as const;
    await refusedByGuard(twins(), 'insider', later, { by: 'hallpass-signals', says: /never changes/ });
  });

  it('is about everybody when it is in hallpass-system, and of a time to come', async () => {
    const agent = signal('agent', { spec: { agent: 'bot' } });
    await passesGuards(twins(), 'insider', agent);
    const there = { ...agent, path: path.replace('/team/', '/hallpass-system/') };
    await refusedByGuard(twins(), 'insider', there, {
      by: 'hallpass-signals',
      says: /holds for the whole cluster: leave out spec.agent/,
    });
    const past = signal('past', { spec: { expiresAt: '2020-01-01T00:00:00Z' } });
    await refusedByGuard(twins(), 'editor', past, { by: 'hallpass-signals', says: /expiresAt has passed/ });
  });

  it('never changes: neither who reported it nor what was', async () => {
    await stored('kept');
    const stamps = {
      method: 'PATCH',
      path: `${path}/kept`,
      body: { stamps: { reporter: { username: 'x' } } },
    } as const;
    await refusedByGuard(twins(), 'insider', stamps, { by: 'hallpass-signals', says: /never changes: report another/ });
    const sooner = { spec: { expiresAt: '2020-01-01T00:00:00Z' } };
    const { message } = await twins().bare.callers.insider.call(
      dryRun({ method: 'PATCH', path: `${path}/kept`, body: sooner }),
    );
    expect(message, 'the schema says so, too').to.contain('never changes: report another');
  });

  it('is lifted by nobody but who holds the verb release before hallpass has said whom policies trust', async () => {
    await stored('new');
    const reason = { by: 'hallpass-signal-lifters', says: /agentsignals team\/new: hallpass has not said yet/ };
    await refusedByGuard(twins(), 'editor', deletion('new'), reason);
    await refusedByGuard(twins(), 'insider', deletion('new'), reason);
    await passesGuards(twins(), 'root', deletion('new'));
  });

  it('is lifted by whom every policy trusts that responds to it or reads it, not by its reporter nor by the trusted of one', async () => {
    await stored('held');
    const response = { line: 0, action: 'Suspend' };
    const responses = [
      { ...response, policy: 'one', users: ['editor', 'owner'] },
      // One whose conditions or approvals read signals.
      { policy: 'two', action: 'Read', users: ['owner'], groups: ['security'] },
    ];
    await told('held', { effect: 'Suspend', responses });
    const reason = { by: 'hallpass-signal-lifters', says: /not among those whom AgentPolicy two trusts with that/ };
    await refusedByGuard(twins(), 'editor', deletion('held'), reason);
    await refusedByGuard(twins(), 'insider', deletion('held'), {
      by: 'hallpass-signal-lifters',
      says: /not among those whom AgentPolicy one, two trusts/,
    });
    const collection = { method: 'DELETE', path } as const;
    await refusedByGuard(twins(), 'insider', collection, {
      by: 'hallpass-signal-lifters',
      says: /agentsignals team\//,
    });
    const trusted = responses.map((each) => ({ ...each, users: ['insider'] }));
    await told('held', { effect: 'Suspend', responses: trusted });
    await passesGuards(twins(), 'insider', deletion('held'));
    await told('held', { effect: 'Suspend', responses: [{ ...response, policy: 'one', groups: ['team'] }] });
    await passesGuards(twins(), 'insider', deletion('held'));
    await passesGuards(twins(), 'editor', deletion('held'));
  });

  it('is taken away by anybody who may delete it, once it does nothing', async () => {
    await stored('idle');
    await told('idle', { effect: 'None', responses: [] });
    await passesGuards(twins(), 'editor', deletion('idle'));
  });

  it('is lifted by no agent, be it in a group that a policy trusts', async () => {
    await stored('everybody');
    const groups = ['system:authenticated'];
    await told('everybody', {
      effect: 'Suspend',
      responses: [{ policy: 'one', line: 0, action: 'Suspend', groups }],
    });
    await refusedByGuard(twins(), 'agent', deletion('everybody'), {
      by: 'hallpass-signal-lifters',
      says: /deletes it/,
    });
    await passesGuards(twins(), 'editor', deletion('everybody'));
  });

  it('says by no word but that of hallpass whom policies trust', async () => {
    await stored('judged');
    const body = { status: { effect: 'None', responses: [] } };
    const call = { method: 'PATCH', path: `${path}/judged/status`, body } as const;
    const reason = { by: 'hallpass-records', says: /only hallpass writes status/ };
    await refusedByGuard(twins(), 'insider', call, reason);
    await refusedByGuard(twins(), 'root', call, reason);
    for (const { callers } of everywhere()) {
      const { body: kept } = await callers.editor.call(dryRun(signal('born', { ...Object(body) })));
      expect(Object(kept).status, 'at creation').to.equal(undefined);
    }
  });

  it('goes with its namespace, whoever reported it', async () => {
    const { root } = twins().guarded.callers;
    const space = { method: 'POST', path: '/api/v1/namespaces', body: made.namespace('leaving') } as const;
    await succeed(root, space);
    await succeed(root, { ...signal('stays'), path: path.replace('/team/', '/leaving/') });
    await succeed(root, { method: 'DELETE', path: '/api/v1/namespaces/leaving' });
    await until(root, { method: 'GET', path: '/api/v1/namespaces/leaving' }, ({ code }) => code === 404);
  });
}
