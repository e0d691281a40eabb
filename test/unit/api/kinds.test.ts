// Stored objects at the border: whatever comes in, parsing answers, and what today's schema refuses has no spec.
import { expect } from 'chai';
import fc from 'fast-check';
import { parseGrant } from '../../../src/api/grant.ts';
import { parseIdentity } from '../../../src/api/identity.ts';
import { parsePolicy } from '../../../src/api/policy.ts';
import { parseReceipt } from '../../../src/api/receipt.ts';
import { specHash } from '../../../src/api/request.ts';

const metadata = { name: 'triage-1', namespace: 'demo', uid: 'u-1', resourceVersion: '7', generation: 2 };
const permission = { apiGroups: [''], resources: ['pods', 'pods/log'], verbs: ['get', 'list'] };
const spec = {
  agent: 'triage',
  task: { description: 'Find out why checkout is slow', ref: 'INC-7' },
  permissions: [permission],
  validity: { duration: '1h30m' },
};
const stamp = { username: 'jane', uid: '1', groups: ['dev', 'system:authenticated'] };
const grant = (change: object = {}) => ({ metadata, spec: { ...spec, ...change } });

describe('a stored grant', () => {
  it('is read whole, with its stamps and its status', () => {
    const status = { phase: 'Active', expiresAt: '2026-03-01T10:00:00Z' };
    const parsed = parseGrant({ ...grant(), stamps: { creator: stamp, requester: stamp }, status });
    expect(parsed).to.deep.equal({
      apiVersion: 'hallpass.dev/v1alpha1',
      kind: 'AgentGrant',
      metadata,
      spec,
      hash: specHash(spec),
      stamps: { creator: stamp, requester: stamp },
      status,
    });
  });

  const refused: [string, unknown, string][] = [
    ['no spec', { metadata }, 'spec: is required'],
    ['no agent', grant({ agent: undefined }), 'spec.agent: is required'],
    ['no permission', grant({ permissions: [] }), 'spec.permissions'],
    ['no verb', grant({ permissions: [{ ...permission, verbs: [] }] }), 'spec.permissions[0].verbs'],
    ['no resource', grant({ permissions: [{ ...permission, resources: [] }] }), 'spec.permissions[0].resources'],
    [
      'an empty list of names, which RBAC reads as all',
      grant({ permissions: [{ ...permission, resourceNames: [] }] }),
      'resourceNames',
    ],
    ['33 permissions', grant({ permissions: Array(33).fill(permission) }), 'spec.permissions'],
    ['a verb with an escape', grant({ permissions: [{ ...permission, verbs: ['get\u001b[2J'] }] }), 'verbs[0]'],
    ['no validity', grant({ validity: undefined }), 'spec.validity: is required'],
    [
      'no end',
      grant({ validity: { notBefore: '2026-03-01T09:00:00Z' } }),
      'spec.validity: access needs an end in time',
    ],
    ['a zero duration', grant({ validity: { duration: '0s' } }), 'spec.validity.duration: must be a whole number'],
    ['a negative duration', grant({ validity: { duration: '-1h' } }), 'spec.validity.duration: must be a whole number'],
    ['a duration beyond 2160h', grant({ validity: { duration: '2161h' } }), 'spec.validity.duration'],
    [
      'an end before its beginning',
      grant({ validity: { notBefore: '2026-03-01T09:00:00Z', notAfter: '2026-03-01T09:30:00+01:00' } }),
      'spec.validity.notAfter: the end must be later',
    ],
    ['a day that does not exist', grant({ validity: { notAfter: '2026-02-30T09:00:00Z' } }), 'spec.validity.notAfter'],
    ['a time without a zone', grant({ validity: { notAfter: '2026-02-28T09:00:00' } }), 'spec.validity.notAfter'],
    ['a credential of the future', grant({ credential: 'Gateway' }), 'spec.credential'],
    ['a name of 53 characters', { ...grant(), metadata: { ...metadata, name: 'x'.repeat(53) } }, 'metadata.name'],
    ['half a stamp', { ...grant(), stamps: { creator: stamp } }, 'stamps.requester: is required'],
  ];
  for (const [what, value, message] of refused) {
    it(`with ${what} is invalid, says so, and gives no spec to rest on`, () => {
      const parsed = parseGrant(value);
      expect(parsed.invalid).to.contain(message);
      expect(parsed.spec).to.equal(undefined);
      expect(parsed.metadata.uid, 'metadata is still there, so that it can be revoked').to.equal('u-1');
    });
  }

  it('counts characters as the API server does, not halves of surrogate pairs', () => {
    expect(parseGrant(grant({ task: { description: '🙂'.repeat(1024) } })).invalid).to.equal(undefined);
    expect(parseGrant(grant({ task: { description: '🙂'.repeat(1025) } })).invalid).to.contain('at most 1024');
  });

  it('has a leap day where there is one', () => {
    const at = (notAfter: string) => parseGrant(grant({ validity: { notAfter } })).invalid;
    expect(at('2028-02-29T09:00:00Z')).to.equal(undefined);
    expect(at('2000-02-29T09:00:00Z')).to.equal(undefined);
    expect(at('2026-02-29T09:00:00Z')).to.contain('notAfter');
    expect(at('2100-02-29T09:00:00Z')).to.contain('notAfter');
  });

  it('keeps the readable fields of a status when others are not', () => {
    const status = { phase: 'Frozen', startTime: 5, expiresAt: '2026-03-01T10:00:00Z', message: 'fine', extra: true };
    expect(parseGrant({ ...grant(), status }).status).to.deep.equal({
      expiresAt: '2026-03-01T10:00:00Z',
      message: 'fine',
    });
    expect(parseGrant({ ...grant(), status: 'broken' }).status).to.deep.equal({});
    expect(parseGrant(grant()).status).to.deep.equal({});
  });

  it('names three problems at most, and how many more there are', () => {
    expect(parseGrant({ metadata, spec: {} }).invalid).to.match(
      /^spec\.agent: .*; spec\.task: .*; spec\.permissions: .*; and 1 more$/,
    );
  });
});

describe('a stored identity', () => {
  const valid = { purpose: 'Triage of incidents', owner: { kind: 'Group', name: 'sre' } };
  it('is read', () => {
    expect(parseIdentity({ metadata, spec: valid })).to.deep.include({ spec: valid, status: {} });
  });
  for (const [what, change, field] of [
    ['no owner', { owner: undefined }, 'spec.owner'],
    ['no purpose', { purpose: '' }, 'spec.purpose'],
    ['an owner that is neither user nor group', { owner: { kind: 'Robot', name: 'x' } }, 'spec.owner.kind'],
    ['a boundary of zero grants', { boundary: { maxActiveGrants: 0 } }, 'spec.boundary.maxActiveGrants'],
    ['a boundary of every namespace', { boundary: { namespaces: ['*'] } }, 'spec.boundary.namespaces[0]'],
    ['a boundary of no time', { boundary: { maxGrantDuration: '0s' } }, 'spec.boundary.maxGrantDuration'],
  ] as const) {
    it(`with ${what} is invalid`, () => {
      const parsed = parseIdentity({ metadata, spec: { ...valid, ...change } });
      expect(parsed.invalid).to.contain(field);
      expect(parsed.spec).to.equal(undefined);
    });
  }
});

describe('a stored policy', () => {
  const invalid = (change: object) => parsePolicy({ metadata, spec: { namespaceSelector: {}, ...change } }).invalid;

  it('has each credential once in its order of preference, or leaves it out', () => {
    expect(invalid({ credentials: ['Identity'] })).to.equal(undefined);
    expect(invalid({})).to.equal(undefined);
    expect(invalid({ credentials: ['Identity', 'Identity'] })).to.equal(
      'spec.credentials: each credential has one place in the order of preference: take out of credentials what is there twice',
    );
    expect(invalid({ credentials: [] })).to.match(/^spec\.credentials: name a credential that grants may use/);
  });
});

describe('parsing', () => {
  it('never throws, whatever is stored', () => {
    const anything = fc.oneof(
      fc.anything(),
      fc.record({ metadata: fc.anything(), spec: fc.anything(), stamps: fc.anything(), status: fc.anything() }),
      fc.record({ metadata: fc.constant(metadata), spec: fc.object(), status: fc.object() }),
    );
    fc.assert(
      fc.property(anything, (value) => {
        for (const parse of [parseGrant, parseIdentity, parsePolicy, parseReceipt]) {
          const parsed = parse(value);
          expect(parsed.spec === undefined).to.equal(parsed.invalid !== undefined);
        }
      }),
    );
  });
});
