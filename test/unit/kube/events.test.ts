import { createServer } from 'node:net';
import { expect } from 'chai';
import { Client } from '../../../src/kube/client.ts';
import { EventRecorder } from '../../../src/kube/events.ts';
import type { Log } from '../../../src/kube/log.ts';

const grant = { apiVersion: 'hallpass.dev/v1alpha1', kind: 'AgentGrant', namespace: 'demo', name: 'a', uid: 'u-1' };

function recordingLog(): { log: Log; lines: { level: string; message: string; fields: Record<string, unknown> }[] } {
  const lines: { level: string; message: string; fields: Record<string, unknown> }[] = [];
  const write =
    (level: string) =>
    (message: string, fields: Record<string, unknown> = {}) => {
      lines.push({ level, message, fields });
    };
  return { log: { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') }, lines };
}

/** An address where nothing listens: what was bound there is closed again. */
async function deadAddress(): Promise<string> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`;
}

async function unreachable() {
  const { log, lines } = recordingLog();
  const client = new Client({ credentials: { server: await deadAddress() } });
  const recorder = new EventRecorder({
    client,
    reportingController: 'hallpass.dev/hallpass',
    reportingInstance: 'host_1',
    log,
  });
  return { recorder, lines, client };
}

describe('EventRecorder without an API server', () => {
  it('returns at once, throws nothing, and logs each event that was lost', async () => {
    const { recorder, lines, client } = await unreachable();
    recorder.record(grant, 'Warning', 'Refused', 'Decide', 'no such agent');
    expect(lines).to.deep.equal([]);
    await recorder.flush();
    expect(lines.map((l) => [l.level, l.message, l.fields.reason, l.fields.name])).to.deep.equal([
      ['warn', 'event not written', 'Refused', 'a'],
    ]);
    expect(lines[0]?.fields.error).to.contain('ECONNREFUSED');
    client.close();
  });

  it('keeps at most 4096 events waiting, drops the rest, and says how many', async function () {
    this.timeout(60_000);
    const { recorder, lines, client } = await unreachable();
    for (let i = 0; i < 5000; i++) {
      recorder.record({ ...grant, name: `a${i}`, uid: `u-${i}` }, 'Normal', 'Granted', 'Issue', 'granted');
    }
    // A flush gives up after 5 s, which a busy machine needs more than once.
    while (lines.at(-1)?.message !== 'events were lost: too many at once') await recorder.flush();
    expect(lines.filter((l) => l.message === 'event not written')).to.have.length(4096 + 4);
    expect(lines.at(-1)).to.deep.equal({
      level: 'warn',
      message: 'events were lost: too many at once',
      fields: { events: 900 },
    });
    client.close();
  });

  it('flushes at once when nothing is waiting', async () => {
    const { recorder, client } = await unreachable();
    const flushed = recorder.flush().then(() => 'flushed');
    const turn = new Promise((resolve) => setImmediate(resolve, 'not yet'));
    expect(await Promise.race([flushed, turn])).to.equal('flushed');
    client.close();
  });
});
