// Conditions that read signals, on the real API server: what stops when one is reported, and who gets it going, each acting as themselves.
import { expect } from 'chai';
import { agentPolicies } from '../../../src/api/policy.ts';
import { agentSignals } from '../../../src/api/signal.ts';
import { isForbidden } from '../../../src/kube/client.ts';
import { BY_HALLPASS, grantManifest, podsOf, SYSTEM_NAMESPACE, useSharedStage } from '../endings/stage.ts';
import { type Ref, secondsFromNow, useSignals } from './signal-setting.ts';

const CALM = '!signals.exists(s, s.signal == "Incident" && s.severity in ["High", "Critical"])';
const reads = { conditions: [{ name: 'calm', why: 'no agent goes on during an incident', expression: CALM }] };
const trusting = { ...reads, reporters: { groups: ['sre'] } };

describe('a grant under a policy whose condition reads signals', function () {
  this.timeout(90_000);
  const stage = useSharedStage();
  const { setting, reporters, report, told, says } = useSignals(stage);
  const person = (user: string, groups: string[] = []) => stage().person(user, groups);
  /** Nothing tells of an expiry that lifts nothing. */
  async function expiryOf(ref: Ref): Promise<void> {
    const end = Date.parse(stage().seen.signals.get(ref)?.spec?.expiresAt ?? '');
    await stage().poll(
      async () => Date.now(),
      (now) => now > end,
    );
  }

  it('is suspended at once by a report, and given back when a trusted reporter takes that back', async () => {
    const { namespace, agent, ref } = await setting('read-suspend', trusting);
    const pia = await person('pia', ['sre']);
    const sent = await report(pia, namespace, 'outage');
    const refused = (await agent.until(podsOf(namespace), 403)) - sent;
    console.log(`      refused ${refused} ms after the report was sent`);
    expect(refused).to.be.below(BY_HALLPASS);
    const { status } = await stage().phase(ref, 'Suspended', 'ConditionFalse');
    expect(status.message).to.equal(
      'AgentPolicy read-suspend wants what is not so (spec.conditions[0], calm: no agent goes on during an incident); ask for what fits, or wait until it is; it reads AgentSignal read-suspend/outage (Critical Incident by pia: "the database is down"); that ends at 2999-01-01T00:00:00Z, or before when group sre runs: kubectl delete agentsignal -n read-suspend outage',
    );
    const signal = await told({ namespace, name: 'outage' }, (now) => now.status.effect === 'Read');
    expect(signal.status.responses).to.deep.equal([
      { policy: 'read-suspend', action: 'Read', users: [], groups: ['sre'] },
    ]);
    await pia.delete(agentSignals, { namespace, name: 'outage' });
    await stage().phase(ref, 'Suspended', 'Restoring');
    expect(await agent.asks(podsOf(namespace))).to.equal(403);
    await agent.until(podsOf(namespace), 200, 40_000);
  });

  it('is no other while what is reported is less than its condition goes by', async () => {
    const { namespace, agent, ref } = await setting('read-minor', trusting);
    await report(await person('pia', ['sre']), namespace, 'blip', { spec: { severity: 'Medium' } });
    await told({ namespace, name: 'blip' }, (now) => now.status.effect === 'Read');
    expect(await agent.asks(podsOf(namespace))).to.equal(200);
    await stage().phase(ref, 'Active');
  });

  it('comes back by itself after the expiry of what a trusted reporter reported, though nobody does anything', async () => {
    const { namespace, agent, ref } = await setting('read-lapse', trusting);
    await report(await person('pia', ['sre']), namespace, 'blip', { spec: { expiresAt: secondsFromNow(5) } });
    await agent.until(podsOf(namespace), 403);
    await stage().phase(ref, 'Suspended', 'ConditionFalse');
    await stage().phase(ref, 'Suspended', 'Restoring');
    const { status } = await told({ namespace, name: 'blip' }, (now) => now.status.effect === 'None');
    expect(status.responses).to.deep.equal([]);
    await agent.until(podsOf(namespace), 200, 40_000);
  });

  it('stays suspended whatever an untrusted reporter does: neither expiry nor deletion nor edits lift it', async () => {
    const { namespace, agent, ref } = await setting('read-untrusted', trusting);
    const [mallory, pia] = [await person('mallory'), await person('pia', ['sre'])];
    const at = { namespace, name: 'noise' };
    const outage = { namespace, name: 'outage' };
    await report(mallory, namespace, 'noise', { spec: { expiresAt: secondsFromNow(4) } });
    await report(pia, namespace, 'outage');
    await agent.until(podsOf(namespace), 403);
    for (const each of [at, outage]) {
      await told(each, (now) => now.status.effect === 'Read');
      const refused = await mallory.delete(agentSignals, each).catch((error: unknown) => error);
      expect(isForbidden(refused), each.name).to.equal(true);
      expect(String(refused)).to.contain('you are not among those whom AgentPolicy read-untrusted trusts with that');
    }
    const sooner = { spec: { expiresAt: '2020-01-01T00:00:00Z' } };
    const edited = await mallory.patch(agentSignals, at, sooner, { type: 'merge' }).catch((error: unknown) => error);
    expect(isForbidden(edited)).to.equal(true);
    await pia.delete(agentSignals, outage);
    await says(ref, 'AgentSignal read-untrusted/noise');
    await expiryOf(at);
    // A signal more has the grant decided again, after the expiry.
    await report(pia, namespace, 'minor', { spec: { severity: 'Low' } });
    await says(ref, 'outlasts its expiry at');
    expect(await agent.asks(podsOf(namespace))).to.equal(403);
    await stage().phase(ref, 'Suspended', 'ConditionFalse');
    await pia.delete(agentSignals, at);
    await stage().phase(ref, 'Suspended', 'Restoring');
  });

  it('is stopped by a signal in hallpass-system, and by none in a namespace that its policy does not select', async () => {
    const { namespace, agent, ref } = await setting('read-system', trusting);
    const other = await setting('read-other', {});
    const pia = await person('pia', ['sre']);
    await report(pia, other.namespace, 'outage');
    await told({ namespace: other.namespace, name: 'outage' }, (now) => now.status.effect !== undefined);
    expect(await agent.asks(podsOf(namespace))).to.equal(200);
    await reporters(SYSTEM_NAMESPACE, 'paul');
    await report(await person('paul', ['sre']), SYSTEM_NAMESPACE, 'read-outage');
    await agent.until(podsOf(namespace), 403);
    await stage().phase(ref, 'Suspended', 'ConditionFalse');
    expect(await other.agent.asks(podsOf(other.namespace))).to.equal(200);
  });

  it('stays suspended by what is stored alone when hallpass starts anew', async () => {
    const { namespace, agent, ref } = await setting('read-restart', trusting);
    await report(await person('mallory'), namespace, 'noise', { spec: { expiresAt: secondsFromNow(2) } });
    await agent.until(podsOf(namespace), 403);
    await stage().phase(ref, 'Suspended', 'ConditionFalse');
    await stage().kill();
    await expiryOf({ namespace, name: 'noise' });
    await stage().revive();
    await says(ref, 'outlasts its expiry at');
    expect(await agent.asks(podsOf(namespace))).to.equal(403);
  });

  it('holds back a deletion that was let pass before, from when a policy begins to read', async () => {
    const { namespace, agent, ref } = await setting('read-begins', {});
    const mallory = await person('mallory');
    await report(mallory, namespace, 'noise');
    const at = { namespace, name: 'noise' };
    await told(at, (now) => now.status.effect === 'None');
    await stage().admin.patch(agentPolicies, { name: 'read-begins' }, { spec: trusting }, { type: 'merge' });
    await agent.until(podsOf(namespace), 403);
    await told(at, (now) => now.status.effect === 'Read');
    const refused = await mallory.delete(agentSignals, at).catch((error: unknown) => error);
    expect(isForbidden(refused)).to.equal(true);
    await stage().phase(ref, 'Suspended', 'ConditionFalse');
  });

  it('takes an approval while a signal is there for which its policy wants one', async () => {
    const when = 'signals.exists(s, s.signal == "Risk")';
    const { namespace, agent } = await setting('read-approval', {
      approvals: [{ why: 'somebody looks while something looks wrong', count: 1, when }],
    });
    const next = { namespace, name: 'next' };
    await report(await person('pia'), namespace, 'odd', { spec: { signal: 'Risk', severity: 'Low' } });
    await agent.until(podsOf(namespace), 403);
    await stage().create(grantManifest(next));
    await stage().phase(next, 'AwaitingApproval', 'ApprovalMissing');
  });

  it('is suspended by a condition of its own, too, until that is over', async () => {
    const { namespace, agent } = await setting('read-own', { reporters: { groups: ['sre'] } });
    const plain = grantManifest({ namespace, name: 'own' }, { permissions: [{ resources: ['configmaps'] }] });
    const conditions = [{ name: 'calm', expression: CALM }];
    await stage().give({ ...plain, spec: { ...plain.spec, conditions } } as typeof plain);
    const configMaps = `/api/v1/namespaces/${namespace}/configmaps`;
    await agent.until(configMaps, 200);
    await report(await person('pia', ['sre']), namespace, 'blip', { spec: { expiresAt: secondsFromNow(4) } });
    await agent.until(configMaps, 403);
    expect(await agent.asks(podsOf(namespace)), 'the grant beside it').to.equal(200);
    await stage().phase(plain.metadata, 'Suspended', 'ConditionFalse');
    await stage().phase(plain.metadata, 'Suspended', 'Restoring');
  });
});
