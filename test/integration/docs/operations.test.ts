// The operations page names what there is, all of it, and nothing else: metrics, flags, reasons.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { REASONS } from '../../../src/api/conditions.ts';
import { END_ALL } from '../../../src/cli/release.ts';
import { type Playground, startPlayground } from '../../controlplane/playground.ts';
import { page, root } from './pages.ts';
import { paste } from './shell.ts';

const run = promisify(execFile);
const { text } = page('docs/operations.md');

/** A section of the page, by its heading, down to the next one. */
function section(heading: string): string {
  const [, after = ''] = text.split(`\n## ${heading}\n`);
  return after.split('\n## ')[0] ?? '';
}
/** The cells of each row of a section's tables, without the rows above and under the heading. */
function rows(heading: string): string[][] {
  const lines = section(heading).match(/^\| `.*\|$/gm) ?? [];
  return lines.map((line) => line.split(/(?<!\\)\|/).map((cell) => cell.trim()));
}
const quoted = (cell: string | undefined) => [...(cell ?? '').matchAll(/`([^`]+)`/g)].map(([, name = '']) => name);
const names = (set: Iterable<string>) => [...new Set(set)].sort();

type Measured = { type: string; labels: Set<string> };

/** What a scrape holds: each metric with its type, and the labels of its samples. */
function metricsIn(scrape: string): Map<string, Measured> {
  const found = new Map<string, Measured>();
  for (const [, name = '', type = ''] of scrape.matchAll(/^# TYPE (\S+) (\S+)$/gm)) {
    found.set(name, { type, labels: new Set() });
  }
  for (const [, name = '', labels = ''] of scrape.matchAll(/^([a-z_]+)\{([^}]*)\}/gm)) {
    const metric = found.get(name) ?? found.get(name.replace(/_(bucket|sum|count)$/, ''));
    for (const [, label = ''] of labels.matchAll(/(\w+)="/g)) if (label !== 'le') metric?.labels.add(label);
  }
  return found;
}

describe('the operations page', function () {
  this.timeout(60_000);
  let playground: Playground;
  let scrapes: Map<string, Measured>[];
  const manifests = [
    {
      kind: 'AgentIdentity',
      metadata: { name: 'triage', namespace: 'demo' },
      spec: { purpose: 'Looks into incidents.', owner: { kind: 'Group', name: 'oncall' } },
    },
    {
      kind: 'AgentGrant',
      metadata: { name: 'measured', namespace: 'demo' },
      spec: {
        agent: 'triage',
        task: { description: 'Be measured.' },
        permissions: [{ apiGroups: [''], resources: ['pods'], verbs: ['list'] }],
        validity: { duration: '1h' },
      },
    },
  ].map((each) => ({ apiVersion: 'hallpass.dev/v1alpha1', ...each }));

  before(async () => {
    playground = await startPlayground({ replicas: 2 });
    for (const manifest of manifests) {
      await playground.admin(['apply', '-f', '-'], { input: JSON.stringify(manifest) });
    }
    await playground.admin(['wait', '--for=condition=Granted', '--timeout=20s', '-n', 'demo', 'aggrant/measured']);
    scrapes = await Promise.all(
      playground.hallpass.map(async ({ healthUrl }) => metricsIn(await (await fetch(`${healthUrl}/metrics`)).text())),
    );
  });
  after(() => playground?.stop());

  const documented = () =>
    new Map(rows('Metrics').map(([, name, type, labels]) => [quoted(name)[0] ?? '', { type, labels: quoted(labels) }]));
  /** Of all replicas together, without what prom-client makes of any process. */
  const measured = () => {
    const all = new Map<string, Measured>();
    for (const [name, { type, labels }] of scrapes.flatMap((scrape) => [...scrape])) {
      if (/^(process|nodejs)_/.test(name)) continue;
      all.set(name, { type, labels: new Set([...(all.get(name)?.labels ?? []), ...labels]) });
    }
    return all;
  };

  it('lists every metric that a scrape holds, and no other', () => {
    expect(names(documented().keys())).to.deep.equal(names(measured().keys()));
  });

  it('has the type of each, and its labels', () => {
    for (const [name, { type, labels }] of measured()) {
      expect(documented().get(name)?.type, `type of ${name}`).to.equal(type);
      // A metric without samples yet shows no labels.
      if (labels.size > 0) expect(names(documented().get(name)?.labels ?? []), name).to.deep.equal(names(labels));
      else expect(type === 'counter' || documented().get(name)?.labels.length === 0, name).to.equal(true);
    }
  });

  it('has an alert for nobody leading that rests on what the leader has and a follower has not', () => {
    const [, name = ''] = /absent\((\w+)/.exec(section('Alerts')) ?? [];
    expect(scrapes.filter((scrape) => (scrape.get(name)?.labels.size ?? 0) > 0)).to.have.lengthOf(1);
  });

  it('names no metric in its alerts that there is not', () => {
    const known = new Set(measured().keys());
    const named = quoted(section('Alerts')).flatMap(
      (query) => query.match(/\b(hallpass|controller|workqueue)_\w+/g) ?? [],
    );
    expect(named).to.not.be.empty;
    for (const name of named) expect(known.has(name.replace(/_bucket$/, '')), name).to.equal(true);
  });

  it('lists every flag of --help, and no other', async () => {
    const { stdout } = await run(process.execPath, [join(root, 'src', 'main.ts'), '--help']);
    const flags = [...stdout.matchAll(/^ {2}(?:-\w, )?(--[a-z-]+)/gm)].map(([, flag = '']) => flag);
    const listed = rows('Flags').flatMap(([, flag]) => quoted(flag));
    expect(names([...listed, '--help'])).to.deep.equal(names(flags));
  });

  it('has a remedy for every reason that a grant can wait or end for', () => {
    const waiting = Object.keys(REASONS).filter((reason) => !['Granted', 'Superseded'].includes(reason));
    // Those that only say that work goes on, or that all is well, need none.
    const fine = [
      'Settled',
      'Waiting',
      'EditNeeded',
      'Applying',
      'DeadManRunning',
      'IdentityReady',
      'IdentityExpired',
      'ReviewNotDue',
    ];
    const others = ['EndingGrants', 'RightsFound', 'NoRightsFound'];
    const needed = waiting.filter((reason) => ![...fine, ...others].includes(reason));
    expect(needed).to.include('ExceedsCeiling');
    for (const reason of needed) expect(section('Troubleshooting'), reason).to.contain(reason);
  });

  it('shows what /readyz says, of a leader and of a follower', async () => {
    const bodies = await Promise.all(
      playground.hallpass.map(async ({ healthUrl }) => (await fetch(`${healthUrl}/readyz`)).text()),
    );
    const flowing = section('Health').replaceAll(/\s+/g, ' ');
    for (const line of bodies.flatMap((body) => body.trim().split('\n'))) expect(flowing).to.contain(`\`${line}\``);
  });

  /** A grant of the whole cluster, which is live. */
  async function giveEverywhere(): Promise<void> {
    await playground.admin(['apply', '-k', join(root, 'deploy', 'cluster-scope')]);
    const of = (kind: string, name: string, spec: object, metadata: object = { namespace: 'demo' }) =>
      JSON.stringify({ apiVersion: 'hallpass.dev/v1alpha1', kind, metadata: { name, ...metadata }, spec });
    const reading = { scope: 'Cluster', apiGroups: [''], resources: ['pods'], verbs: ['list'] };
    const manifests = [
      of('AgentPolicy', 'everywhere', { namespaceSelector: {}, allow: [{ why: 'a test', ...reading }] }, {}),
      of('AgentIdentity', 'everywhere', {
        purpose: 'Looks everywhere.',
        owner: { kind: 'Group', name: 'oncall' },
        boundary: { clusterScope: true },
      }),
      of('AgentGrant', 'everywhere', {
        agent: 'everywhere',
        task: { description: 'Look everywhere.' },
        permissions: [reading],
        validity: { duration: '1h' },
      }),
    ];
    await playground.admin(['apply', '-f', '-'], { input: manifests.join('\n---\n') });
    await playground.admin(['wait', '--for=condition=Granted', '--timeout=20s', '-n', 'demo', 'aggrant/everywhere']);
  }

  it('ends all access by the command that it gives for when hallpass is gone', async () => {
    await giveEverywhere();
    for (const replica of playground.hallpass) replica.kill('SIGKILL');
    await Promise.all(playground.hallpass.map(({ exited }) => exited));
    const bindings = async () => {
      const found = await playground.admin([
        'get',
        'rolebindings,clusterrolebindings',
        '-A',
        '--no-headers',
        '-o=name',
      ]);
      return found.trim().split('\n').sort();
    };
    const granted = (name: string) => /hallpass-[0-9a-f-]{36}$/.test(name);
    const before = await bindings();
    expect(before.filter(granted).map((name) => name.split('.')[0])).to.include.members([
      'rolebinding',
      'clusterrolebinding',
    ]);
    const [given = ''] = before.filter((name) => granted(name) && name.startsWith('rolebinding.'));
    // As somebody could have left it while a guard was away. Others choose the names of theirs.
    const guard = 'validatingadmissionpolicybinding/hallpass-rolebindings';
    await playground.admin(['delete', guard]);
    const unlabel = ['label', '-n', 'demo', given, 'hallpass.dev/grant-', 'hallpass.dev/grant-name-'];
    const unlabelled = Date.now() + 20_000;
    while ((await playground.kubectl(unlabel)).code !== 0) expect(Date.now()).to.be.below(unlabelled);
    const strange = 'demo precious hallpass-11111111-2222-4333-8444-555555555555';
    await playground.admin(['create', 'rolebinding', strange, '-n', 'demo', '--clusterrole=view', '--user=jane']);

    const [, command = ''] = /^ {4}(kubectl .+)$/m.exec(section('hallpass is gone: end all agent access now')) ?? [];
    expect(command).to.equal(END_ALL);
    const kubeconfig = `--kubeconfig=${playground.kubeconfig}`;
    const release = await run(process.execPath, [join(root, 'src', 'main.ts'), 'release', '--dry-run', kubeconfig]);
    expect(release.stdout)
      .to.contain(END_ALL)
      .and.contain('the whole cluster')
      .and.contain(`? (${given.split('/')[1]})`);
    const deleted = await paste(playground.kubeconfig, command);
    expect(deleted).to.match(/^rolebinding\S* "hallpass-[0-9a-f-]{36}" deleted/m);
    expect(deleted).to.match(/^clusterrolebinding\S* "hallpass-[0-9a-f-]{36}" deleted/m);
    expect(await bindings()).to.deep.equal(
      [...before.filter((name) => !granted(name)), `rolebinding.rbac.authorization.k8s.io/${strange}`].sort(),
    );
  });
});
