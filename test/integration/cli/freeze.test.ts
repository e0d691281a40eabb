// One command stops a namespace, or everything, and one takes that back, with the shipped roles only; as the agent sees it.
import { expect } from 'chai';
import { createPolicy } from '../endings/policies.ts';
import { grantManifest, podsOf, useSharedStage } from '../endings/stage.ts';
import { type Person, person } from './person.ts';

describe('kubectl hallpass freeze', function () {
  this.timeout(90_000);
  const stage = useSharedStage();
  let guard: Person;
  let nobody: Person;
  const homes = ['frozen', 'apart'];
  const ref = (namespace: string) => ({ namespace, name: 'held' });

  before(async () => {
    for (const home of homes) {
      await stage().namespace(home);
      await stage().identity(home);
      await stage().give(grantManifest(ref(home)));
    }
    guard = await person(stage(), 'guard', { everywhere: ['hallpass-policies-edit'] });
    nobody = await person(stage(), 'nobody');
    await guard.may('create', 'agentpolicies.hallpass.dev');
  });

  const frozen = (home: string) => stage().phase(ref(home), 'Suspended', 'Frozen');
  const restored = (home: string) =>
    stage().until(stage().seen.grants, ref(home), (now) => now?.status.phase === 'Active', 45_000);

  it('stops a namespace and no other, says so when it is asked again, and ends when it is taken back', async () => {
    const agent = await stage().agent('frozen');
    const freeze = ['freeze', '-n', 'frozen', '--yes', '--reason', 'INC-4711'];
    const { code, out, err } = await guard.hallpass(...freeze);
    expect(code, err).to.equal(0);
    expect(out).to.equal(
      'namespace frozen is frozen, by AgentPolicy freeze-frozen; to end it:\nkubectl hallpass unfreeze -n frozen\n',
    );
    await agent.until(podsOf('frozen'), 403);
    await frozen('frozen');
    expect((await stage().phase(ref('apart'), 'Active')).status.phase).to.equal('Active');
    const again = await guard.hallpass(...freeze);
    expect([again.code, again.out]).to.deep.equal([
      0,
      'namespace frozen was frozen already (INC-4711), by AgentPolicy freeze-frozen; to end it:\nkubectl hallpass unfreeze -n frozen\n',
    ]);
    const ended = await guard.hallpass('unfreeze', '-n', 'frozen', '--yes');
    expect(ended.code, ended.err).to.equal(0);
    expect(ended.err).to.equal('Unfreeze: namespace frozen was frozen for: INC-4711\n');
    await restored('frozen');
    await agent.until(podsOf('frozen'), 200);
    const twice = await guard.hallpass('unfreeze', '-n', 'frozen', '--yes');
    expect(twice.code).to.equal(3);
    expect(twice.err).to.contain('there is no AgentPolicy freeze-frozen');
  });

  it('stops the whole cluster', async () => {
    const { code, err } = await guard.hallpass('freeze', '-A', '--yes', '--reason', 'INC-4712');
    expect(code, err).to.equal(0);
    for (const home of homes) {
      const agent = await stage().agent(home);
      await agent.until(podsOf(home), 403);
      await frozen(home);
    }
    expect((await guard.hallpass('unfreeze', '-A', '--yes')).code).to.equal(0);
    for (const home of homes) await restored(home);
  });

  it('leaves a policy alone that only has its name', async () => {
    await createPolicy(stage(), 'freeze-apart', 'apart', { limits: { maxGrantDuration: '24h' } });
    for (const words of [['freeze', '--reason', 'x'], ['unfreeze']]) {
      const { code, err } = await guard.hallpass(...words, '-n', 'apart', '--yes');
      expect(code).to.equal(3);
      expect(err.replaceAll('\n', ' ')).to.contain('AgentPolicy freeze-apart is there and is another');
    }
  });

  it('says what is missing: the right, the namespace, a reason, an answer', async () => {
    const may = await nobody.hallpass('freeze', '-n', 'frozen', '--yes', '--reason', 'x');
    expect(may.code).to.equal(3);
    expect(may.err.replaceAll('\n', ' '))
      .to.contain('nobody may not create agentpolicies.hallpass.dev in every namespace; ClusterRole')
      .and.contain('kubectl create clusterrolebinding hallpass-policies-edit-nobody');
    // Who may read namespaces is told that there is none.
    const admin = await person(stage(), 'knows-namespaces', { everywhere: ['hallpass-policies-edit', 'view'] });
    await admin.may('create', 'agentpolicies.hallpass.dev');
    await admin.may('get', 'namespaces');
    const typo = await admin.hallpass('freeze', '-n', 'forzen', '--yes', '--reason', 'x');
    expect([typo.code, typo.err.split('\n')[0]]).to.deep.equal([
      3,
      'error: there is no namespace forzen, so nothing was frozen',
    ]);
    const silent = await guard.hallpass('freeze', '-n', 'frozen');
    expect([silent.code, silent.err]).to.deep.equal([
      2,
      'error: this is no terminal, so nobody can be asked: say --reason and --yes\n',
    ]);
    const empty = await guard.hallpass('freeze', '-n', 'frozen', '--yes', '--reason', ' ');
    expect(empty.code).to.equal(2);
  });
});
