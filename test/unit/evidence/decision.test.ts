// What is on record about a decision, and how the gates of one are told.

import { expect } from 'chai';
import { GATES } from '../../../src/api/gates.ts';
import type { ParsedPolicy } from '../../../src/api/policy.ts';
import { grantStatus, saysSo } from '../../../src/controllers/grant-status.ts';
import { decisionRecord } from '../../../src/evidence/decision.ts';
import { decide } from '../../../src/policy/decide.ts';
import type { Snapshot } from '../../../src/policy/snapshot.ts';
import { grant, live, NOON, namespace, policy, review, signal, snapshot } from '../policy/snapshots.ts';

describe('the gates of a decision', () => {
  it('are each listed with their outcome, in the order in which they are asked', () => {
    const { gates } = decide(snapshot());
    expect(Object.keys(gates ?? {})).to.deep.equal([...GATES]);
    expect(new Set(Object.values(gates ?? {}))).to.deep.equal(new Set(['Passed']));
  });

  it('are failed where something stands against the grant, and each reason names its gate', () => {
    const { gates, reasons } = decide(snapshot({ identity: undefined, guardProblems: ['hallpass-pods is missing'] }));
    expect(reasons.map(({ gate }) => gate)).to.deep.equal(['agent', 'guards']);
    expect([gates?.agent, gates?.guards, gates?.ceiling]).to.deep.equal(['Failed', 'Failed', 'Passed']);
  });

  it('are not asked where they would be about something that is not made now', () => {
    const once = new Map([['team-a', namespace({ policies: [policy({ requesterCheck: 'AtIssue' })] })]]);
    const { gates } = decide(live({ namespaces: once }));
    expect([gates?.authors, gates?.guards, gates?.knowledge]).to.deep.equal(['NotAsked', 'NotAsked', 'NotAsked']);
    expect(decide(snapshot({ authorsLack: undefined })).gates?.authors).to.equal('NotAsked');
    expect(decide(live({ authorsCovered: false })).gates?.authors).to.equal('NotAsked');
    expect(decide(live()).gates?.authors, 'as RBAC says').to.equal('Passed');
    const asked = live({
      namespaces: once,
      grantStatus: { gates: { authors: 'Passed', guards: 'Passed', knowledge: 'Failed' } },
    });
    expect(decide(asked).gates, 'as when it was asked').to.include({
      authors: 'Passed',
      guards: 'Passed',
      knowledge: 'NotAsked',
    });
  });

  it('are not asked, but one, where the spec can not be read', () => {
    const { gates } = decide(snapshot({ grant: grant({ spec: { permissions: 'all' } }) }));
    expect(gates?.spec).to.equal('Failed');
    expect(new Set(GATES.slice(1).map((gate) => gates?.[gate]))).to.deep.equal(new Set(['Passed', 'NotAsked']));
  });
});

describe('the record of a decision', () => {
  it('names the signals that concern it, with their namespaces, in one order whatever the order they came in', () => {
    const signals = [signal({ metadata: { name: 'b' } }), signal({ metadata: { name: 'a', namespace: 'team-b' } })];
    const told = (input: Snapshot) => decisionRecord(input, decide(input));
    const record = told(snapshot({ signals }));
    expect(record.inputs.signals.map(({ name }) => name)).to.deep.equal(['team-a/b', 'team-b/a']);
    expect(told(snapshot({ signals: [...signals].reverse() })).decision).to.equal(record.decision);
    expect(told(snapshot()).decision).to.not.equal(record.decision);
  });

  it('names every object that it rests on by uid and generation, also those that did not count', () => {
    const asked = snapshot({ reviews: { ofGrant: [review(grant(), { target: { uid: 'other' } })], ofIdentity: [] } });
    const record = decisionRecord(asked, decide(asked));
    expect(record).to.include({ grant: 'team-a/incident', uid: 'grant-uid', generation: 1, specHash: asked.hash });
    const { inputs } = record;
    expect(inputs.identity).to.include({ name: 'triage', uid: 'identity-uid' });
    expect(inputs.reviews).to.have.length(1);
    expect(inputs.policies.map(({ name }) => name)).to.deep.equal(['guardrails']);
    expect(inputs.namespaces).to.deep.equal([
      { name: 'team-a', enabled: true, terminating: false, acceptsGrantsFrom: [], data: undefined },
    ]);
  });

  it('names the credential that the policies of its own namespace let it use, and none where nobody lets it, or knows', () => {
    const told = (own: ParsedPolicy[], o: Partial<Snapshot> = {}) => {
      const other = namespace({ policies: [policy({})] });
      const namespaces = new Map([
        ['team-a', namespace({ policies: own })],
        ['team-b', other],
      ]);
      const input = snapshot({ namespaces, ...o });
      return decisionRecord(input, decide(input)).credential;
    };
    const silent = policy({ credentials: undefined }, 'silent');
    expect(told([policy({})])).to.equal('Identity');
    expect(told([silent, policy({})], { grant: grant({ spec: { credential: 'Identity' } }) })).to.equal('Identity');
    expect(told([silent])).to.equal(undefined);
    expect(told([silent, policy({ enforcement: 'Warn' }, 'trial')])).to.equal(undefined);
    expect(told([policy({}), policy({ credentials: [] }, 'unreadable')])).to.equal(undefined);
    expect(told([policy({})], { grant: grant({ spec: { permissions: 'all' } }) })).to.equal(undefined);
  });

  it('has the same id for the same decision on the same inputs, and another one otherwise', () => {
    const first = snapshot();
    const id = (of = first) => decisionRecord(of, decide(of)).decision;
    expect(id())
      .to.equal(id())
      .and.to.match(/^[0-9a-f]{32}$/);
    const guarded = namespace({ policies: [policy({}, 'another')] });
    expect(id({ ...first, namespaces: new Map([['team-a', guarded]]) })).to.not.equal(id());
    expect(id(snapshot({ guardProblems: ['hallpass-pods is missing'] }))).to.not.equal(id());
  });

  it('is made anew exactly when the status does not say what was decided', () => {
    const refused = snapshot({ identity: undefined });
    const verdict = decide(refused);
    expect(saysSo(refused.grant.status, refused.hash, verdict)).to.equal(false);
    const { phase, reasons, gates, warnings, passingSince, approvals } = verdict;
    const standing = {
      phase,
      reasons,
      gates,
      warnings,
      passingSince,
      approvals,
      settled: true,
      specHash: refused.hash,
    };
    const none = {
      term: undefined,
      receipt: undefined,
      decision: undefined,
      created: [],
      deadMan: undefined,
      task: undefined,
    };
    const said = grantStatus(refused.grant, { ...standing, ...none }, NOON);
    expect(saysSo(said, refused.hash, verdict)).to.equal(true);
    expect(saysSo(said, 'v1-other', verdict), 'of another request').to.equal(false);
    expect(saysSo(said, refused.hash, decide(snapshot())), 'another verdict').to.equal(false);
  });
});
