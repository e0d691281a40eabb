// How much an agent can do at this moment.

import { expect } from 'chai';
import { blastRadius } from '../../../src/policy/blast-radius.ts';
import { policy } from './snapshots.ts';

const rule = (verbs: string, resources: string) => ({
  apiGroups: [''],
  resources: resources.split(','),
  verbs: verbs.split(','),
});
const reading = rule('get,list', 'pods');
const writing = rule('get,patch', 'configmaps');
const secrets = rule('get', 'secrets');
const deny = [{ why: 'a test', unlessAllowed: true, ...rule('*', 'secrets') }];

describe('the blast radius', () => {
  it('is nothing without grants', () => {
    expect(blastRadius([], () => [])).to.deep.equal({ namespaces: 0, rules: 0, mutatingRules: 0, sensitiveRules: 0 });
  });

  it('counts namespaces, rules, and those that change something', () => {
    const held = [
      { namespace: 'a', rules: [reading, writing] },
      { namespace: 'b', rules: [rule('deletecollection', 'pods')] },
    ];
    expect(blastRadius(held, () => [])).to.deep.equal({ namespaces: 2, rules: 3, mutatingRules: 2, sensitiveRules: 0 });
  });

  it('counts a rule once, by however many grants, in however many namespaces, in whatever order it is held', () => {
    const held = [
      { namespace: 'a', rules: [reading] },
      { namespace: 'a', rules: [rule('list,get,get', 'pods')] },
      { namespace: 'b', rules: [reading] },
    ];
    expect(blastRadius(held, () => [])).to.deep.equal({ namespaces: 2, rules: 1, mutatingRules: 0, sensitiveRules: 0 });
  });

  it('tells rules apart that a name or a group tells apart', () => {
    const held = [
      { namespace: 'a', rules: [reading, { ...reading, resourceNames: ['web'] }, { ...reading, apiGroups: ['apps'] }] },
    ];
    expect(blastRadius(held, () => []).rules).to.equal(3);
  });

  it('counts apart what is held in the whole cluster, which is in no one namespace', () => {
    const held = [{ rules: [reading, secrets] }, { namespace: 'a', rules: [reading] }];
    const guarded = (place: string | undefined) => (place === undefined ? [policy({ deny })] : []);
    expect(blastRadius(held, guarded)).to.deep.equal({
      namespaces: 1,
      clusterRules: 2,
      rules: 2,
      mutatingRules: 0,
      sensitiveRules: 1,
    });
  });

  it('calls sensitive what a policy of the namespace refuses where no exception is made', () => {
    const guarded = (place: string | undefined) => (place === 'a' ? [policy({ deny })] : []);
    const held = (namespace: string) => [{ namespace, rules: [reading, secrets] }];
    expect(blastRadius(held('a'), guarded).sensitiveRules).to.equal(1);
    expect(blastRadius(held('b'), guarded).sensitiveRules).to.equal(0);
    expect(blastRadius([...held('b'), ...held('a')], guarded).sensitiveRules).to.equal(1);
  });
});
