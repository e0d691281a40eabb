import { expect } from 'chai';
import fc from 'fast-check';
import { KeyedHeap } from '../../../src/kube/heap.ts';

const keys = fc.constantFrom(...'abcdefghijklmnopqrstuvwxyz');
const steps = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({ do: fc.constant('set' as const), key: keys, value: fc.integer({ min: -50, max: 50 }) }),
    },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('delete' as const), key: keys }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('pop' as const) }) },
  ),
  { maxLength: 200 },
);

describe('KeyedHeap', () => {
  it('has the earliest on top after keys were set, replaced, removed and popped in any order', () => {
    fc.assert(
      fc.property(steps, (sequence) => {
        const heap = new KeyedHeap<number>((a, b) => a < b);
        const model = new Map<string, number>();
        for (const step of sequence) {
          if (step.do === 'set') {
            heap.set(step.key, step.value);
            model.set(step.key, step.value);
          } else if (step.do === 'delete') {
            expect(heap.delete(step.key)).to.equal(model.delete(step.key));
          } else {
            const popped = heap.pop();
            if (popped === undefined) expect(model.size).to.equal(0);
            else {
              expect(model.get(popped.key))
                .to.equal(popped.value)
                .and.to.equal(Math.min(...model.values()));
              model.delete(popped.key);
            }
          }
          expect(heap.size).to.equal(model.size);
          const first = heap.peek();
          expect(first?.value).to.equal(model.size === 0 ? undefined : Math.min(...model.values()));
          if (first !== undefined) expect(model.get(first.key)).to.equal(first.value);
          for (const [key, value] of model) expect(heap.get(key)).to.equal(value);
        }
      }),
    );
  });

  it('pops everything in order', () => {
    fc.assert(
      fc.property(fc.array(fc.integer()), (values) => {
        const heap = new KeyedHeap<number>((a, b) => a < b);
        for (const [i, value] of values.entries()) heap.set(`${i}`, value);
        const popped: number[] = [];
        for (let first = heap.pop(); first !== undefined; first = heap.pop()) popped.push(first.value);
        expect(popped).to.deep.equal(values.toSorted((a, b) => a - b));
      }),
    );
  });
});
