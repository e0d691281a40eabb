import { expect } from 'chai';
import fc from 'fast-check';
import { EventCorrelator, type Occurrence } from '../../../src/kube/event-correlator.ts';
import { LruMap } from '../../../src/kube/lru.ts';

const grant = { apiVersion: 'v1', kind: 'Grant', namespace: 'demo', name: 'a', uid: 'u-1' };

function occurrence(changes: Partial<Occurrence> = {}): Occurrence {
  return { object: grant, type: 'Normal', reason: 'Granted', action: 'Issue', message: 'granted', ...changes };
}

describe('EventCorrelator', () => {
  it('makes one event of the same occurrence however often it comes', () => {
    const correlator = new EventCorrelator();
    const keys = Array.from({ length: 20 }, (_, i) => correlator.correlate(occurrence(), i).key);
    expect(new Set(keys)).to.have.property('size', 1);
  });

  it('makes an event of its own of every difference in object, type, reason, action or message', () => {
    const correlator = new EventCorrelator();
    const different = [
      {},
      { object: { ...grant, uid: 'u-2' } },
      { object: { ...grant, name: 'b' } },
      { object: { ...grant, namespace: 'other' } },
      { object: { ...grant, kind: 'Identity' } },
      { object: { ...grant, apiVersion: 'v2' } },
      { type: 'Warning' as const },
      { reason: 'Lapsed' },
      { action: 'Revoke' },
      { message: 'granted to another' },
    ].map((changes) => correlator.correlate(occurrence(changes), 0).key);
    expect(new Set(different)).to.have.property('size', different.length);
  });

  it('combines what differs only in its message from the tenth message in ten minutes on', () => {
    const correlator = new EventCorrelator();
    const seen = Array.from({ length: 15 }, (_, i) => correlator.correlate(occurrence({ message: `m${i}` }), i * 1000));
    expect(seen[8]?.message).to.equal('m8');
    expect(seen[9]?.message).to.equal('(combined from similar events): m9');
    expect(new Set(seen.slice(0, 9).map((s) => s.key))).to.have.property('size', 9);
    expect(new Set(seen.slice(9).map((s) => s.key))).to.have.property('size', 1);
    const other = correlator.correlate(occurrence({ reason: 'Lapsed', message: 'm1' }), 16_000);
    expect(other.message).to.equal('m1');
  });

  it('stops combining when nothing similar came for ten minutes', () => {
    const correlator = new EventCorrelator();
    for (let i = 0; i < 12; i++) correlator.correlate(occurrence({ message: `m${i}` }), 0);
    expect(correlator.correlate(occurrence({ message: 'x' }), 600_000).message).to.match(/^\(combined/);
    expect(correlator.correlate(occurrence({ message: 'y' }), 1_200_001).message).to.equal('y');
  });

  it('lets 25 writes about an object through at once, and then one every 300 s', () => {
    const correlator = new EventCorrelator();
    const writes = (count: number, at: number) =>
      Array.from({ length: count }, () => correlator.correlate(occurrence(), at).write).filter(Boolean).length;
    expect(writes(40, 0)).to.equal(25);
    expect(writes(5, 299_000)).to.equal(0);
    expect(writes(5, 300_000)).to.equal(1);
    expect(writes(5, 900_000)).to.equal(2);
    expect(writes(100, 900_000 + 100 * 300_000)).to.equal(25);
  });

  it('does not let a flood about one object, or of normal events, keep back others', () => {
    const correlator = new EventCorrelator();
    for (let i = 0; i < 100; i++) correlator.correlate(occurrence(), 0);
    expect(correlator.correlate(occurrence(), 0).write).to.equal(false);
    expect(correlator.correlate(occurrence({ type: 'Warning' }), 0).write).to.equal(true);
    expect(correlator.correlate(occurrence({ object: { ...grant, name: 'b', uid: 'u-2' } }), 0).write).to.equal(true);
  });

  it('lets nothing through, and loses nothing, when the clock is set back', () => {
    const correlator = new EventCorrelator();
    for (let i = 0; i < 25; i++) correlator.correlate(occurrence(), 1_000_000);
    expect(correlator.correlate(occurrence(), 0).write).to.equal(false);
    expect(correlator.correlate(occurrence(), 300_000).write).to.equal(true);
  });
});

describe('LruMap', () => {
  it('holds the entries used last, so many as its limit, as a plain list does', () => {
    const step = fc.record({ set: fc.boolean(), key: fc.constantFrom(...'abcdefgh') });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5 }), fc.array(step, { maxLength: 100 }), (limit, steps) => {
        const map = new LruMap<number>(limit);
        const model: { key: string; value: number }[] = [];
        for (const [value, { set, key }] of steps.entries()) {
          const index = model.findIndex((e) => e.key === key);
          const [known] = index < 0 ? [] : model.splice(index, 1);
          if (set) {
            map.set(key, value);
            model.push({ key, value });
            if (model.length > limit) model.shift();
          } else {
            expect(map.get(key)).to.equal(known?.value);
            if (known) model.push(known);
          }
          expect(map.size).to.equal(model.length);
        }
      }),
    );
  });
});
