import { expect } from 'chai';
import fc from 'fast-check';
import { ItemSplitter } from '../../../src/kube/list-items.ts';
import { pushCut } from './cut.ts';

function split(json: string, sizes: number[] = []) {
  const bytes = Buffer.from(json);
  const items: string[] = [];
  const splitter = new ItemSplitter((item) => items.push(item));
  pushCut(splitter, bytes, sizes);
  return { items, rest: splitter.rest };
}

describe('the items of a list', () => {
  const item = fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue());
  const metadata = fc.dictionary(fc.string(), fc.dictionary(fc.string(), fc.jsonValue()));
  const sizes = fc.array(fc.nat(7));

  it('are the same however the bytes are cut and whatever they hold, and so is what is around them', () => {
    fc.assert(
      fc.property(
        fc.array(item),
        metadata,
        fc.boolean(),
        fc.nat(2),
        sizes,
        (wanted, metadata, before, indent, sizes) => {
          const list = before
            ? { metadata, items: wanted, kind: 'PodList' }
            : { items: wanted, kind: 'PodList', metadata };
          const { items, rest } = split(JSON.stringify(list, undefined, indent), sizes);
          expect(items.map((each) => JSON.parse(each))).to.deep.equal(JSON.parse(JSON.stringify(wanted)));
          expect(JSON.parse(rest)).to.deep.equal(JSON.parse(JSON.stringify({ ...list, items: [] })));
        },
      ),
    );
  });

  it('are handed out while the rest is still to come', () => {
    const { items } = split('{"items":[{"a":"}"},{"b":[{}]},{"c":');
    expect(items).to.deep.equal(['{"a":"}"}', '{"b":[{}]}']);
  });

  it('leave something that is no JSON where the list was cut off, wherever that is', () => {
    const list = JSON.stringify({ kind: 'PodList', metadata: { a: '1' }, items: [{ b: ['"', '\\'] }, { c: {} }] });
    for (let length = 0; length < list.length; length += 1) {
      expect(() => JSON.parse(split(list.slice(0, length)).rest), list.slice(0, length)).to.throw(SyntaxError);
    }
    expect(JSON.parse(split(list).rest)).to.deep.equal({ kind: 'PodList', metadata: { a: '1' }, items: [] });
  });

  it('leave what is no list as it is', () => {
    for (const text of [
      '<html>[{}]</html>',
      '{"kind":"Status","details":{"causes":[{"a":1}]}}',
      'null',
      '[]',
      '[1,{}]',
    ]) {
      expect(split(text)).to.deep.equal({ items: [], rest: text });
    }
  });

  it('are refused when one never ends', () => {
    const splitter = new ItemSplitter(() => {});
    splitter.push(Buffer.from('{"items":[{"a":"'));
    const chunk = Buffer.alloc(16 * 1024 * 1024, 'x');
    const push = (): void => {
      for (let times = 0; times < 5; times += 1) splitter.push(chunk);
    };
    expect(push).to.throw(RangeError, 'longer than');
  });
});
