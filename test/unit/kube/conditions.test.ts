import { expect } from 'chai';
import { type Condition, setCondition } from '../../../src/kube/conditions.ts';

const noon = new Date('2026-08-01T12:00:00.900Z');
const later = new Date('2026-08-01T13:00:00Z');
const ready = { type: 'Ready', status: 'True', reason: 'Active', message: 'granted', observedGeneration: 1 } as const;

describe('setCondition', () => {
  it('adds a condition that was not there, its transition time in whole seconds rounded down', () => {
    expect(setCondition([], ready, noon)).to.deep.equal([{ ...ready, lastTransitionTime: '2026-08-01T12:00:00Z' }]);
  });

  it('keeps lastTransitionTime when reason, message or generation change but the status does not', () => {
    const before = setCondition([], ready, noon);
    const after = setCondition(before, { ...ready, reason: 'Held', message: 'still', observedGeneration: 2 }, later);
    expect(after).to.deep.equal([
      { ...ready, reason: 'Held', message: 'still', observedGeneration: 2, lastTransitionTime: '2026-08-01T12:00:00Z' },
    ]);
  });

  it('moves lastTransitionTime when the status flips, and back', () => {
    const up = setCondition([], ready, noon);
    const down = setCondition(up, { ...ready, status: 'Unknown' }, later);
    expect(down[0]?.lastTransitionTime).to.equal('2026-08-01T13:00:00Z');
    expect(setCondition(down, ready, new Date('2026-08-01T14:00:00Z'))[0]?.lastTransitionTime).to.equal(
      '2026-08-01T14:00:00Z',
    );
  });

  it('sets observedGeneration to the one given', () => {
    const before = setCondition([], ready, noon);
    expect(setCondition(before, { ...ready, observedGeneration: 7 }, noon)[0]?.observedGeneration).to.equal(7);
  });

  it('returns the very same array when nothing changed, so that no write is needed', () => {
    const before = setCondition([], ready, noon);
    expect(setCondition(before, { ...ready }, later)).to.equal(before);
  });

  it('returns a new array for every kind of change and leaves the old one as it was', () => {
    const before = setCondition([], ready, noon);
    const copy = structuredClone(before);
    for (const change of [{ status: 'False' as const }, { reason: 'X' }, { message: 'y' }, { observedGeneration: 2 }]) {
      expect(setCondition(before, { ...ready, ...change }, later)).to.not.equal(before);
    }
    expect(before).to.deep.equal(copy);
  });

  it('sorts by type whatever the order they come in, and keeps the others untouched', () => {
    const stalled: Condition = { ...ready, type: 'Stalled', lastTransitionTime: '2020-01-01T00:00:00Z' };
    const deadMan: Condition = { ...ready, type: 'DeadMan', lastTransitionTime: '2020-01-01T00:00:00Z' };
    const after = setCondition([stalled, deadMan], ready, noon);
    expect(after.map((c) => c.type)).to.deep.equal(['DeadMan', 'Ready', 'Stalled']);
    expect(after[2]).to.equal(stalled);
    expect(setCondition(after, { ...ready }, later)).to.equal(after);
  });

  it('leaves one of two conditions that a hand-edited status holds for the same type', () => {
    const old: Condition = { ...ready, lastTransitionTime: '2020-01-01T00:00:00Z' };
    expect(setCondition([old, { ...old, status: 'False' }], ready, noon)).to.have.length(1);
  });
});
