// Events as the API server stores them, and as kubectl shows them.
import { expect } from 'chai';
import { ConnectionError } from '../../src/kube/api-error.ts';
import { Client } from '../../src/kube/client.ts';
import { EventRecorder } from '../../src/kube/events.ts';
import { events } from '../../src/kube/kinds.ts';
import type { Log } from '../../src/kube/log.ts';
import { type ControlPlane, startControlPlane } from '../controlplane/controlplane.ts';
import { poll } from '../harness/poll.ts';

describe('EventRecorder', () => {
  let controlPlane: ControlPlane;
  let client: Client;
  let now: Date;
  let lines: { level: string; message: string; fields: Record<string, unknown> }[];
  let recorder: EventRecorder;
  let object: { apiVersion: string; kind: string; namespace: string; name: string; uid: string };
  let count = 0;

  before(async () => {
    controlPlane = await startControlPlane();
    client = new Client({
      credentials: await controlPlane.credentialsFor({ user: 'root', groups: ['system:masters'] }),
    });
  });
  after(async () => {
    client?.close();
    await controlPlane?.stop();
  });
  beforeEach(async () => {
    count += 1;
    const namespace = `events-${count}`;
    expect((await controlPlane.kubectl(['create', 'namespace', namespace])).code).to.equal(0);
    object = { apiVersion: 'hallpass.dev/v1alpha1', kind: 'AgentGrant', namespace, name: 'triage', uid: `u-${count}` };
    now = new Date('2026-08-01T12:00:00.250Z');
    lines = [];
    const write =
      (level: string) =>
      (message: string, fields: Record<string, unknown> = {}) => {
        lines.push({ level, message, fields });
      };
    const log: Log = { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
    recorder = new EventRecorder({
      client,
      reportingController: 'hallpass.dev/hallpass',
      reportingInstance: 'host_1',
      log,
      now: () => now,
    });
  });

  const stored = async (namespace = object.namespace) => (await client.list(events, { namespace })).items;

  it('stores an event beside its object with type, reason, action, note and who reports', async () => {
    recorder.record(object, 'Warning', 'Refused', 'Decide', 'namespace demo is not enabled');
    await recorder.flush();
    const [event, ...others] = await stored();
    expect(others).to.deep.equal([]);
    expect(event).to.deep.include({
      eventTime: '2026-08-01T12:00:00.250000Z',
      reportingController: 'hallpass.dev/hallpass',
      reportingInstance: 'host_1',
      action: 'Decide',
      reason: 'Refused',
      type: 'Warning',
      note: 'namespace demo is not enabled',
      regarding: object,
    });
    expect(event?.metadata.name).to.match(/^triage\.[0-9a-f]{16}$/);
    const shown = await controlPlane.kubectl(['events', '-n', object.namespace]);
    expect(shown.stdout).to.contain('AgentGrant/triage').and.to.contain('namespace demo is not enabled');
    expect(lines).to.deep.equal([]);
  });

  it('counts the same event up instead of writing it again', async () => {
    recorder.record(object, 'Normal', 'Repaired', 'Restore', 'put back');
    await recorder.flush();
    now = new Date('2026-08-01T12:01:00Z');
    recorder.record(object, 'Normal', 'Repaired', 'Restore', 'put back');
    await recorder.flush();
    now = new Date('2026-08-01T12:02:00Z');
    for (let i = 0; i < 5; i++) recorder.record(object, 'Normal', 'Repaired', 'Restore', 'put back');
    await recorder.flush();
    const all = await stored();
    expect(all.map((e) => e.series)).to.deep.equal([{ count: 7, lastObservedTime: '2026-08-01T12:02:00.000000Z' }]);
    expect(all[0]?.eventTime).to.equal('2026-08-01T12:00:00.250000Z');
    expect(lines).to.deep.equal([]);
  });

  it('starts anew when the event that it would count up has expired', async () => {
    recorder.record(object, 'Normal', 'Repaired', 'Restore', 'put back');
    await recorder.flush();
    await controlPlane.kubectl(['delete', 'events', '--all', '-n', object.namespace]);
    now = new Date('2026-08-01T14:00:00Z');
    recorder.record(object, 'Normal', 'Repaired', 'Restore', 'put back');
    await recorder.flush();
    const all = await stored();
    expect(all.map((e) => [e.eventTime, e.series ?? undefined])).to.deep.equal([
      ['2026-08-01T14:00:00.000000Z', undefined],
    ]);
  });

  it('combines the tenth of many that differ only in their message, and all after it, in one event', async () => {
    for (let i = 0; i < 14; i++) recorder.record(object, 'Warning', 'Failed', 'Issue', `attempt ${i}`);
    await recorder.flush();
    const all = await stored();
    expect(all).to.have.length(10);
    const combined = all.filter((e) => e.note?.startsWith('(combined from similar events): attempt 9'));
    expect(combined.map((e) => e.series?.count)).to.deep.equal([5]);
  });

  it('writes at most 25 of a flood about one object, and still those about others', async () => {
    for (let i = 0; i < 60; i++) recorder.record(object, 'Normal', `Reason${i}`, 'Issue', 'x');
    recorder.record({ ...object, name: 'other', uid: 'v' }, 'Normal', 'Granted', 'Issue', 'granted');
    await recorder.flush();
    const all = await stored();
    expect(all.filter((e) => e.regarding?.name === 'triage')).to.have.length(25);
    expect(all.filter((e) => e.regarding?.name === 'other')).to.have.length(1);
  });

  it('puts events about a cluster-scoped object in default, whatever characters its name has', async () => {
    const role = {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'ClusterRole',
      name: `System:Odd/Name${count}`,
      uid: 'w',
    };
    recorder.record(role, 'Normal', 'Seen', 'Report', 'standing access');
    await recorder.flush();
    const mine = (await stored('default')).filter((e) => e.regarding?.name === role.name);
    expect(mine).to.have.length(1);
    expect(lines).to.deep.equal([]);
  });

  it('cuts a note to 1024 bytes between two characters, and writes out what a terminal would obey', async () => {
    recorder.record(object, 'Normal', 'Long', 'Issue', `${'é'.repeat(900)}`);
    recorder.record(object, 'Normal', 'Hostile', 'Issue', 'a\u001b[31mred\u202eder\nnext');
    await recorder.flush();
    const all = await stored();
    const long = all.find((e) => e.reason === 'Long')?.note ?? '';
    expect(long).to.match(/^é{510}…$/);
    const hostile = all.find((e) => e.reason === 'Hostile')?.note ?? '';
    expect(hostile).to.equal('a\\u{1b}[31mred\\u{202e}der\\nnext');
  });

  it('quietly drops events for a namespace that is terminating or gone', async () => {
    const { namespace } = object;
    const held = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'held', namespace, finalizers: ['example.com/hold'] },
    };
    const applied = await controlPlane.kubectl(['apply', '-f', '-'], { input: JSON.stringify(held) });
    expect(applied.stderr).to.equal('');
    await controlPlane.kubectl(['delete', 'namespace', namespace, '--wait=false']);
    recorder.record(object, 'Normal', 'Revoked', 'Revoke', 'the namespace is going away');
    await recorder.flush();
    recorder.record({ ...object, namespace: 'never-was' }, 'Normal', 'Revoked', 'Revoke', 'gone');
    await recorder.flush();
    expect(lines.map((l) => l.level)).to.deep.equal(['debug', 'debug']);
    await controlPlane.kubectl([
      'patch',
      'configmap',
      'held',
      '-n',
      namespace,
      '--type=merge',
      '-p',
      '{"metadata":{"finalizers":null}}',
    ]);
  });

  it('warns, and goes on, when the API server refuses an event', async () => {
    recorder.record(object, 'Normal', 'R'.repeat(200), 'Issue', 'the reason is too long');
    recorder.record(object, 'Normal', 'Fine', 'Issue', 'ok');
    await recorder.flush();
    expect(lines.map((l) => l.level)).to.deep.equal(['warn']);
    expect((await stored()).map((e) => e.reason)).to.deep.equal(['Fine']);
  });

  it('never waits longer than 5 s to flush, when the API server does not answer', async () => {
    controlPlane.apiServer.kill('SIGSTOP');
    try {
      // It may answer for a moment more.
      const answers = () =>
        client.getRaw('/version', { timeoutMs: 200 }).then(
          () => true,
          (error) => !(error instanceof ConnectionError),
        );
      await poll(answers, (does) => !does);
      recorder.record(object, 'Normal', 'Granted', 'Issue', 'granted');
      const started = performance.now();
      await recorder.flush();
      expect(performance.now() - started).to.be.within(4900, 6000);
      expect(lines.map((l) => l.message)).to.deep.equal(['stopping with events not written']);
    } finally {
      controlPlane.apiServer.kill('SIGCONT');
    }
    await recorder.flush();
    expect(await stored()).to.have.length(1);
  });
});
