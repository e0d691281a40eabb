import { expect } from 'chai';
import { AuthorIndex } from '../../../src/controllers/author-index.ts';
import { grant } from '../policy/snapshots.ts';

const by = (name: string, creator: object, requester = creator, status: object = {}) =>
  grant({ metadata: { name }, stamps: { creator, requester }, status: { ...status } });
const jane = { username: 'jane', groups: ['team-a', 'crew'] };
const joe = { username: 'joe', groups: ['crew'] };

describe('the index of grants by what their authors are', () => {
  const found = (index: AuthorIndex, subject: string) => [...new Set(index.grantsOf(subject))].sort();

  it('finds a grant by the user and by each group of either author', () => {
    const index = new AuthorIndex();
    index.add(by('one', jane, joe));
    index.add(by('two', joe));
    expect(found(index, 'User jane')).to.deep.equal(['team-a/one']);
    expect(found(index, 'Group team-a')).to.deep.equal(['team-a/one']);
    expect(found(index, 'Group crew')).to.deep.equal(['team-a/one', 'team-a/two']);
    expect(found(index, 'Group strangers')).to.deep.equal([]);
  });

  it('finds a ServiceAccount under both its names, and by the groups that it is in', () => {
    const index = new AuthorIndex();
    index.add(by('one', { username: 'system:serviceaccount:ci:bot', groups: ['system:serviceaccounts:ci'] }));
    for (const subject of [
      'ServiceAccount ci/bot',
      'User system:serviceaccount:ci:bot',
      'Group system:serviceaccounts:ci',
    ])
      expect(found(index, subject), subject).to.deep.equal(['team-a/one']);
  });

  it('keeps an author of thousands of grants once, and forgets one with the last of them', () => {
    const index = new AuthorIndex();
    const names = Array.from({ length: 2_000 }, (_, at) => `grant-${at}`);
    for (const name of names) index.add(by(name, jane));
    expect(index.size).to.equal(1);
    for (const name of names.slice(1)) index.remove(by(name, jane));
    expect(found(index, 'Group crew')).to.deep.equal(['team-a/grant-0']);
    index.remove(by('grant-0', jane));
    expect([index.size, found(index, 'User jane')]).to.deep.equal([0, []]);
  });

  it('passes over what is over, and what nobody is stamped on', () => {
    const index = new AuthorIndex();
    index.add(by('over', jane, jane, { phase: 'Expired' }));
    index.add(grant({ stamps: undefined }));
    expect(index.size).to.equal(0);
  });
});
