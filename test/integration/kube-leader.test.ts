// Who leads, with replicas that are processes of their own and are stopped, killed and frozen.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect } from 'chai';
import { Cache } from '../../src/kube/cache.ts';
import { Client } from '../../src/kube/client.ts';
import { type Lease, leases } from '../../src/kube/kinds.ts';
import { silentLog } from '../../src/kube/log.ts';
import { type ControlPlane, startControlPlane } from '../controlplane/controlplane.ts';

type Said = { event: string; identity: string; fresh: boolean; at: number };

/** A replica, and what it said so far. */
class Replica {
  readonly process: ChildProcess;
  readonly exited: Promise<unknown[]>;
  readonly said: Said[] = [];
  #heard = Promise.withResolvers<void>();

  constructor(credentialsFile: string, namespace: string) {
    const program = join(import.meta.dirname, 'kube-leader-process.ts');
    this.process = spawn(process.execPath, [program, credentialsFile, namespace], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.exited = once(this.process, 'exit');
    if (this.process.stdout === null) throw new Error('no standard output');
    createInterface({ input: this.process.stdout }).on('line', (line) => {
      this.said.push({ ...JSON.parse(line), at: performance.now() });
      this.#heard.resolve();
      this.#heard = Promise.withResolvers<void>();
    });
  }

  ask(line: string): void {
    this.process.stdin?.write(`${line}\n`);
  }

  /** The first thing said of that name, of what was said since then if that is named. */
  async heard(event: string, since = 0): Promise<Said> {
    for (;;) {
      const found = this.said.find((s) => s.event === event && s.at >= since);
      if (found) return found;
      await this.#heard.promise;
    }
  }
}

describe('leader election', () => {
  let controlPlane: ControlPlane;
  let client: Client;
  let credentialsFile: string;
  let namespace: string;
  let replicas: Replica[] = [];
  let count = 0;

  before(async () => {
    controlPlane = await startControlPlane();
    const credentials = await controlPlane.credentialsFor({ user: 'root', groups: ['system:masters'] });
    client = new Client({ credentials });
    credentialsFile = join(controlPlane.directory, 'elector.json');
    await writeFile(credentialsFile, JSON.stringify(credentials), { mode: 0o600 });
  });
  after(async () => {
    client?.close();
    await controlPlane?.stop();
  });
  beforeEach(async () => {
    count += 1;
    namespace = `election-${count}`;
    expect((await controlPlane.kubectl(['create', 'namespace', namespace])).code).to.equal(0);
  });
  afterEach(async () => {
    for (const replica of replicas) replica.process.kill('SIGKILL');
    await Promise.all(replicas.map((replica) => replica.exited));
    replicas = [];
  });

  function start(): Replica {
    const replica = new Replica(credentialsFile, namespace);
    replicas.push(replica);
    return replica;
  }
  const lease = (): Promise<Lease> => client.get(leases, { namespace, name: 'hallpass' });

  /** Resolves when the lease was renewed so many times from now on: once a second, while whoever waits asks for it as often. */
  async function renewals(times: number): Promise<void> {
    const stop = new AbortController();
    const seen = new Set<string>();
    const enough = Promise.withResolvers<void>();
    const cache = new Cache({ client, resource: leases, namespace, log: silentLog });
    cache.subscribe(({ object }) => {
      seen.add(object.spec?.renewTime ?? '');
      if (seen.size > times) enough.resolve();
    });
    cache.start(stop.signal);
    await enough.promise;
    stop.abort();
    await cache.stopped;
  }

  /** One replica that leads, and one that waits. */
  async function two(): Promise<[Replica, Replica]> {
    const first = start();
    await first.heard('leading');
    const second = start();
    await second.heard('started');
    return [first, second];
  }

  it('lets one of two that start together lead, under a lease of 8 s with its name', async () => {
    const both = [start(), start()];
    const leader = await Promise.race(both.map((r) => r.heard('leading')));
    expect(leader.fresh).to.equal(true);
    expect((await lease()).spec).to.include({
      holderIdentity: leader.identity,
      leaseDurationSeconds: 8,
      leaseTransitions: 0,
    });
    await renewals(3);
    expect(both.flatMap((r) => r.said).filter((s) => s.event === 'leading')).to.have.length(1);
    expect((await lease()).spec?.holderIdentity).to.equal(leader.identity);
  });

  it('hands over within its polling period when the leader releases', async () => {
    const [first, second] = await two();
    await renewals(2);
    first.ask('release');
    const released = await first.heard('released');
    const leading = await second.heard('leading');
    expect(released.fresh).to.equal(false);
    expect(leading.at - released.at).to.be.below(2000);
    expect((await lease()).spec).to.include({ holderIdentity: leading.identity, leaseTransitions: 1 });
  });

  it('writes an empty holder and 1 s when it is released', async () => {
    const only = start();
    await only.heard('leading');
    only.ask('release');
    await only.heard('released');
    expect((await lease()).spec).to.include({ leaseDurationSeconds: 1 });
    expect((await lease()).spec?.holderIdentity || '').to.equal('');
  });

  it('replaces a leader that was killed, after its lease ran out and within 12.4 s', async () => {
    const [first, second] = await two();
    await renewals(2);
    first.process.kill('SIGKILL');
    const killed = performance.now();
    const leading = await second.heard('leading');
    expect(leading.at - killed).to.be.within(6800, 12_400);
  }).timeout(30_000);

  it('replaces a frozen leader within 12.4 s; woken, that one knows at once, writes nothing and ends', async () => {
    const [first, second] = await two();
    await renewals(2);
    first.process.kill('SIGSTOP');
    const frozen = performance.now();
    const leading = await second.heard('leading');
    expect(leading.at - frozen).to.be.below(12_400);
    first.ask('fresh?');
    first.process.kill('SIGCONT');
    const lost = await first.heard('lost');
    expect(first.said.filter((s) => s.event === 'fresh' && s.fresh)).to.deep.equal([]);
    expect(lost.fresh).to.equal(false);
    const [code] = await first.exited;
    expect(code).to.equal(1);
    expect((await lease()).spec).to.include({ holderIdentity: leading.identity, leaseTransitions: 1 });
    second.ask('fresh?');
    expect((await second.heard('fresh')).fresh).to.equal(true);
  }).timeout(30_000);

  it('cannot renew under the version it wrote last once another has taken over', async () => {
    const only = start();
    const { identity } = await only.heard('leading');
    only.process.kill('SIGSTOP');
    const stored = await lease();
    expect(stored.spec?.holderIdentity).to.equal(identity);
    await client.replace(leases, {
      ...stored,
      spec: { ...stored.spec, holderIdentity: 'another', leaseTransitions: 1 },
    });
    only.process.kill('SIGCONT');
    expect((await only.heard('lost')).fresh).to.equal(false);
    expect((await lease()).spec).to.include({ holderIdentity: 'another', leaseTransitions: 1 });
  });

  it('goes on leading after an API server that is away for less than the renew deadline, and ends after a longer time', async () => {
    const only = start();
    await only.heard('leading');
    controlPlane.apiServer.kill('SIGSTOP');
    const away = performance.now();
    try {
      // It can only be answered once the server is back.
      await only.heard('writes', away);
    } finally {
      controlPlane.apiServer.kill('SIGCONT');
    }
    await renewals(2);
    only.ask('fresh?');
    expect((await only.heard('fresh')).fresh).to.equal(true);
    controlPlane.apiServer.kill('SIGSTOP');
    const silent = performance.now();
    try {
      const lost = await only.heard('lost');
      expect(lost.at - silent).to.be.within(3800, 5500);
    } finally {
      controlPlane.apiServer.kill('SIGCONT');
    }
  }).timeout(30_000);
});
