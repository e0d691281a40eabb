// verify sees what is not as the records say, with the rights of its own role, and changes nothing.
import { expect } from 'chai';
import { roleBindings } from '../../../src/kube/kinds.ts';
import { grantManifest, podsOf, useSharedStage } from '../endings/stage.ts';
import { person } from './person.ts';

describe('kubectl hallpass verify', function () {
  this.timeout(90_000);
  // Before the stage's own hook, which may close it.
  after(() => stage().revive());
  const stage = useSharedStage();

  it('finds nothing where all is as it was given, tells what is missing, and nothing again once that is mended', async () => {
    const namespace = await stage().namespace('cli-verify');
    await stage().identity(namespace);
    const agent = await stage().agent(namespace);
    const given = await stage().give(grantManifest({ namespace, name: 'given' }));
    await agent.until(podsOf(namespace), 200);
    const vic = await person(stage(), 'verify-vic');
    const refused = await vic.hallpass('verify');
    expect(refused.code).to.equal(3);
    const command = /^(kubectl create clusterrolebinding .*)$/m.exec(refused.err)?.[1] ?? '';
    expect(command).to.equal(
      'kubectl create clusterrolebinding hallpass-verifier-verify-vic --clusterrole hallpass-verifier --user verify-vic',
    );
    await stage().playground.admin(command.split(' ').slice(1));
    const right = await stage().poll(
      () => vic.hallpass('verify'),
      ({ code }) => code === 0,
    );
    expect(right.out).to.equal('Every invariant holds.\n');

    await stage().kill();
    const binding = { namespace, name: `hallpass-${given.metadata.uid}` };
    await stage().remove(roleBindings, binding);
    await agent.until(podsOf(namespace), 403);
    const wrong = await vic.hallpass('verify');
    expect(wrong.code, wrong.err).to.equal(1);
    expect(wrong.out).to.match(
      /^1 invariant does not hold:\n {2}- Active grant cli-verify\/given lacks RoleBinding in cli-verify\n/,
    );
    const told = JSON.parse((await vic.hallpass('verify', '-o', 'json')).out);
    expect(told).to.deep.equal({
      holds: false,
      violations: ['Active grant cli-verify/given lacks RoleBinding in cli-verify'],
    });

    await stage().revive();
    await agent.until(podsOf(namespace), 200);
    await stage().poll(
      () => vic.hallpass('verify'),
      ({ code }) => code === 0,
    );
  });
});
