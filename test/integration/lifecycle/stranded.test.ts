// A namespace that was finalized by force with identities and grants in it: they exist, and nothing can be written to them.
import { readFile } from 'node:fs/promises';
import { expect } from 'chai';
import * as z from 'zod';
import { agentGrants } from '../../../src/api/grant.ts';
import { namespaces } from '../../../src/kube/kinds.ts';
import { grantManifest, openStage, podsOf, type Stage } from '../endings/stage.ts';

const line = z.looseObject({ level: z.string(), message: z.string(), key: z.string().optional() });

describe('a namespace that was removed by force', function () {
  this.timeout(120_000);
  let stage: Stage;
  const home = 'stranded';
  const target = 'stranded-target';
  const ref = { namespace: home, name: 'given' };

  before(async () => {
    stage = await openStage();
  });
  after(() => stage.close());

  const logged = async () => {
    const text = await readFile(stage.playground.hallpass[0]?.logFile ?? '', 'utf8');
    return text.split('\n').flatMap((entry) => (entry.startsWith('{') ? [line.parse(JSON.parse(entry))] : []));
  };

  it('ends what its grants gave elsewhere, is warned of once, and is no error', async () => {
    await stage.namespace(target, { accepts: home });
    await stage.namespace(home);
    await stage.identity(home, { namespaces: [home, target] });
    const given = await stage.give(grantManifest(ref, { permissions: [{ namespaces: [target] }] }));
    const agent = await stage.agent(home);
    await agent.until(podsOf(target), 200);

    // With the namespace controller stopped, so that everything is still in it.
    await stage.playground.controllerManager.stop();
    try {
      await stage.admin.delete(namespaces, { name: home });
      await stage.playground.admin(['replace', '--raw', `/api/v1/namespaces/${home}/finalize`, '-f', '-'], {
        input: JSON.stringify({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: home }, spec: {} }),
      });
      await stage.until(stage.seen.namespaces, { name: home }, (namespace) => !namespace);
    } finally {
      await stage.playground.controllerManager.start();
    }
    await agent.until(podsOf(target), 403);
    expect(await stage.closed(ref)).to.include({ outcome: 'Revoked', reason: 'EndedByDeletion' });
    expect((await stage.admin.get(agentGrants, ref)).status.phase, 'what nobody can write').to.equal('Active');

    // Of the grant and of the identity, once by each process.
    await stage.kill();
    await stage.revive();
    await stage.poll(logged, (lines) => lines.filter(({ message }) => /does not exist/.test(message)).length >= 4);
    const loud = (await logged()).filter(({ level }) => level !== 'info');
    expect(loud.map(({ level, grant, identity }) => `${level} ${grant ?? identity}`).sort()).to.deep.equal([
      ...Array(2).fill('warn stranded/given'),
      ...Array(2).fill('warn stranded/triage'),
    ]);
    expect(await stage.objectsOf(given.metadata.uid)).to.deep.equal([]);
  });

  it('can be made again: what was in it is decided anew, and stays ended', async () => {
    await stage.namespace(home, { enabled: false });
    const { status } = await stage.phase(ref, 'Revoked', 'EndedByDeletion');
    expect(status.message).to.contain('removed by force');
    await stage.until(
      stage.seen.identities,
      { namespace: home, name: 'triage' },
      (identity) => identity?.status.activeGrants === 0,
    );
    const agent = await stage.agent(home);
    expect(await agent.asks(podsOf(target))).to.equal(403);
  });
});
