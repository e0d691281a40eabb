// What makes two grants the same request.

import { expect } from 'chai';
import fc from 'fast-check';
import { receiptName, specHash } from '../../../src/api/request.ts';

describe('the spec hash', () => {
  it('does not depend on the order in which fields were written', () => {
    const value = fc.dictionary(fc.string(), fc.jsonValue());
    fc.assert(
      fc.property(value, (spec) => {
        const turned = Object.fromEntries(Object.entries(spec).reverse());
        expect(specHash(turned)).to.equal(specHash(spec));
      }),
    );
  });

  it('differs when any field does, the description of the task excepted', () => {
    const spec = { agent: 'a', task: { description: 'x', ref: '1' }, validity: { duration: '1h' } };
    expect(specHash({ ...spec, task: { description: 'y', ref: '1' } })).to.equal(specHash(spec));
    expect(specHash({ ...spec, task: { description: 'x', ref: '2' } })).to.not.equal(specHash(spec));
    expect(specHash({ ...spec, agent: 'b' })).to.not.equal(specHash(spec));
    expect(specHash({ ...spec, validity: { duration: '60m' } })).to.not.equal(specHash(spec));
  });

  it('keeps the order of lists, and tells text from numbers', () => {
    expect(specHash({ verbs: ['get', 'list'] })).to.not.equal(specHash({ verbs: ['list', 'get'] }));
    expect(specHash({ a: '1' })).to.not.equal(specHash({ a: 1 }));
    expect(specHash({ a: ['b', 'c'] })).to.not.equal(specHash({ a: ['b","c'] }));
  });

  it('never changes for a given spec: receipts of earlier versions must be found', () => {
    expect(specHash({ agent: 'triage', validity: { duration: '20s' } })).to.equal(
      'v1-ea77189061e2ce3401da45cfdb18d0e9464e03ed6330d93868426dd0309d95e3',
    );
  });
});

describe("a receipt's name", () => {
  it('is a name that Kubernetes takes, and the same for the same request', () => {
    const ref = { namespace: 'team-a', name: 'incident' };
    expect(receiptName(ref, 'v1-x')).to.match(/^[0-9a-f]{40}$/);
    expect(receiptName(ref, 'v1-x')).to.equal(receiptName({ ...ref }, 'v1-x'));
  });

  it('differs by namespace, by name and by spec, and does not run them together', () => {
    const names = [
      receiptName({ namespace: 'a', name: 'bc' }, 'x'),
      receiptName({ namespace: 'ab', name: 'c' }, 'x'),
      receiptName({ namespace: 'a', name: 'b' }, 'cx'),
      receiptName({ namespace: 'a', name: 'bc' }, 'y'),
    ];
    expect(new Set(names).size).to.equal(4);
  });
});
