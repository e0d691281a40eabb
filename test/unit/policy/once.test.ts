import { expect } from 'chai';
import { once, onceForBoth } from '../../../src/policy/once.ts';

describe('what is worked out once', () => {
  it('is worked out for each object, and not again', () => {
    let times = 0;
    const length = once((list: string[]) => {
      times += 1;
      return { length: list.length };
    });
    const [a, b] = [['pods'], ['pods']];
    expect(length(a)).to.deep.equal({ length: 1 });
    expect(length(a)).to.equal(length(a));
    expect(length(b)).not.to.equal(length(a));
    expect(times).to.equal(2);
  });

  it('is remembered also where it comes to nothing', () => {
    let times = 0;
    const any = once((list: string[]) => {
      times += 1;
      return list.length > 0;
    });
    const none: string[] = [];
    expect([any(none), any(none), times]).to.deep.equal([false, false, 1]);
  });

  it('is worked out for each pair of objects, in this order', () => {
    let times = 0;
    const joined = onceForBoth((a: string[], b: string[]) => {
      times += 1;
      return [...a, ...b].join();
    });
    const [a, b] = [['get'], ['pods']];
    expect([joined(a, b), joined(a, b), joined(b, a)]).to.deep.equal(['get,pods', 'get,pods', 'pods,get']);
    expect(times).to.equal(2);
  });
});
