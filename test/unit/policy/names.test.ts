// Where resourceNames do not do what people think.

import { expect } from 'chai';
import { decide } from '../../../src/policy/decide.ts';
import { nameWarnings } from '../../../src/policy/names.ts';
import { rulesAllow } from '../../../src/policy/rules.ts';
import { grant, snapshot } from './snapshots.ts';

const permission = (verbs: string, resources: string, names = 'web') => ({
  apiGroups: [''],
  resources: resources.split(','),
  verbs: verbs.split(','),
  ...(names === '' ? {} : { resourceNames: [names] }),
});

describe('a warning about names', () => {
  const cases: [string, ReturnType<typeof permission>, string[]][] = [
    ['is given for create', permission('get,create', 'configmaps'), ['gives no create of configmaps']],
    ['is given for deletecollection', permission('deletecollection', 'pods'), ['gives no deletecollection of pods']],
    [
      'is given for list and watch',
      permission('list,watch', 'pods'),
      ['gives list, watch of pods only to requests for one name'],
    ],
    [
      'is given for each kind of verb',
      permission('create,list', 'pods'),
      ['gives no create', 'gives list of pods only'],
    ],
    ['is not given for verbs that go by name', permission('get,update,patch,delete', 'pods'), []],
    ['is not given without names', permission('create,list', 'pods', ''), []],
    ['is not given for a subresource, which is created of a named object', permission('create', 'pods/eviction'), []],
  ];
  for (const [what, asked, expected] of cases) {
    it(what, () => {
      const found = nameWarnings([asked]).map(({ message }) => message);
      expect(found).to.have.length(expected.length);
      for (const [at, part] of expected.entries()) expect(found[at]).to.include(`spec.permissions[0] ${part}`);
    });
  }

  it('is about what the authorizer does: a request without a name passes no rule that has names', () => {
    const rule = permission('create,list', 'configmaps');
    expect(rulesAllow([rule], { verb: 'create', resource: 'configmaps' })).to.equal(false);
    expect(rulesAllow([rule], { verb: 'list', resource: 'configmaps' })).to.equal(false);
    expect(rulesAllow([rule], { verb: 'list', resource: 'configmaps', name: 'web' })).to.equal(true);
  });

  it('stands beside the verdict and keeps nothing from being granted', () => {
    const { phase, warnings } = decide(
      snapshot({ grant: grant({ spec: { permissions: [permission('get,list', 'pods')] } }) }),
    );
    expect(phase).to.equal('Active');
    expect(warnings.map(({ reason }) => reason)).to.deep.equal(['NameHasNoEffect']);
  });
});
