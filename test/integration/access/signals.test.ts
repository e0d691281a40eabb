// AgentSignals on the real API server: what stops when one is reported, and who gets it going again, each acting as themselves.
import { expect } from 'chai';
import { agentSignals } from '../../../src/api/signal.ts';
import { isForbidden, isNotFound } from '../../../src/kube/client.ts';
import { namespaces } from '../../../src/kube/kinds.ts';
import { BY_HALLPASS, grantManifest, podsOf, SYSTEM_NAMESPACE, useSharedStage } from '../endings/stage.ts';
import { api, secondsFromNow, useSignals } from './signal-setting.ts';

const suspends = { responses: [{ signal: 'Incident', severity: 'High', action: 'Suspend' }] };
const trusting = { ...suspends, reporters: { groups: ['sre'] } };

describe('a grant and the signals about it', function () {
  this.timeout(90_000);
  const stage = useSharedStage();
  const { setting, policy, reporters, report, reportBody, told, says } = useSignals(stage);
  const person = (user: string, groups: string[] = []) => stage().person(user, groups);

  it('is suspended at once by a report, and given back when a trusted reporter takes that back', async () => {
    const { namespace, agent, ref } = await setting('signal-suspend', trusting);
    const pia = await person('pia', ['sre']);
    const sent = await report(pia, namespace, 'outage');
    const refused = (await agent.until(podsOf(namespace), 403)) - sent;
    console.log(`      refused ${refused} ms after the report was sent`);
    expect(refused).to.be.below(BY_HALLPASS);
    const { status } = await stage().phase(ref, 'Suspended', 'SuspendedBySignal');
    expect(status.message).to.equal(
      'AgentPolicy signal-suspend (spec.responses[0]) withholds it because of AgentSignal signal-suspend/outage (Critical Incident by pia: "the database is down"); that ends at 2999-01-01T00:00:00Z, or before when group sre runs: kubectl delete agentsignal -n signal-suspend outage',
    );
    const signal = await told({ namespace, name: 'outage' }, (now) => now.status.effect === 'Suspend');
    expect(signal.status.responses).to.deep.equal([
      { policy: 'signal-suspend', line: 0, action: 'Suspend', users: [], groups: ['sre'] },
    ]);
    await pia.delete(agentSignals, { namespace, name: 'outage' });
    await stage().phase(ref, 'Suspended', 'Restoring');
    expect(await agent.asks(podsOf(namespace))).to.equal(403);
    await agent.until(podsOf(namespace), 200, 40_000);
    await stage().phase(ref, 'Active');
  });

  it('comes back by itself after the expiry of what a trusted reporter reported, though nobody does anything', async () => {
    const { namespace, agent, ref } = await setting('signal-lapse', trusting);
    const pia = await person('pia', ['sre']);
    await report(pia, namespace, 'blip', { spec: { expiresAt: secondsFromNow(5) } });
    await agent.until(podsOf(namespace), 403);
    await stage().phase(ref, 'Suspended', 'SuspendedBySignal');
    await stage().phase(ref, 'Suspended', 'Restoring');
    const { status } = await told({ namespace, name: 'blip' }, (now) => now.status.effect === 'None');
    expect(status.responses).to.deep.equal([]);
    await agent.until(podsOf(namespace), 200, 40_000);
  });

  it('stays suspended whatever an untrusted reporter does: neither expiry nor deletion nor edits lift it', async () => {
    const { namespace, agent, ref } = await setting('signal-untrusted', trusting);
    const [mallory, pia] = [await person('mallory'), await person('pia', ['sre'])];
    const at = { namespace, name: 'noise' };
    await report(mallory, namespace, 'noise', { spec: { expiresAt: secondsFromNow(4) } });
    await report(pia, namespace, 'outage');
    await agent.until(podsOf(namespace), 403);
    await told(at, (now) => now.status.effect === 'Suspend');
    await told({ namespace, name: 'outage' }, (now) => now.status.effect === 'Suspend');
    for (const name of ['noise', 'outage']) {
      const refused = await mallory.delete(agentSignals, { namespace, name }).catch((error: unknown) => error);
      expect(isForbidden(refused), name).to.equal(true);
      expect(String(refused)).to.contain('you are not among those whom AgentPolicy signal-untrusted trusts with that');
    }
    const sooner = { spec: { expiresAt: '2020-01-01T00:00:00Z' } };
    const edited = await mallory.patch(agentSignals, at, sooner, { type: 'merge' }).catch((error: unknown) => error);
    expect(isForbidden(edited)).to.equal(true);
    await pia.delete(agentSignals, { namespace, name: 'outage' });
    await says(ref, 'outlasts its expiry at');
    const { status } = await stage().phase(ref, 'Suspended', 'SuspendedBySignal');
    expect(status.message).to.contain(
      'spec.reporters of that policy does not name mallory, so that it outlasts its expiry',
    );
    expect(status.message).to.contain('group sre lifts it by: kubectl delete agentsignal -n signal-untrusted noise');
    expect(await agent.asks(podsOf(namespace))).to.equal(403);
    await pia.delete(agentSignals, at);
    await stage().phase(ref, 'Suspended', 'Restoring');
  });

  it('stays suspended by what is stored alone when hallpass starts anew, and by what came while it was down', async () => {
    const { namespace, agent, ref } = await setting('signal-restart', trusting, { grants: ['task', 'other'] });
    const mallory = await person('mallory');
    await report(mallory, namespace, 'noise', { spec: { expiresAt: secondsFromNow(2) } });
    await agent.until(podsOf(namespace), 403);
    const elsewhere = await setting('signal-down', trusting);
    await stage().kill();
    await report(await person('pia', ['sre']), elsewhere.namespace, 'outage');
    await stage().revive();
    await elsewhere.agent.until(podsOf(elsewhere.namespace), 403);
    await stage().phase(elsewhere.ref, 'Suspended', 'SuspendedBySignal');
    await says(ref, 'outlasts its expiry at');
    const { status } = await stage().phase(ref, 'Suspended', 'SuspendedBySignal');
    expect(status.message).to.contain('does not name mallory');
    expect(await agent.asks(podsOf(namespace))).to.equal(403);
  });

  it('is revoked for good where a policy says so, while what waits goes on waiting', async () => {
    const responses = [{ signal: 'PolicyViolation', severity: 'Low', action: 'Revoke' }];
    const { namespace, agent, ref } = await setting('signal-revoke', { responses, reporters: { users: ['pia'] } });
    const pia = await person('pia');
    await report(pia, namespace, 'stolen', { spec: { signal: 'PolicyViolation', severity: 'Low', agent: 'triage' } });
    await agent.until(podsOf(namespace), 403);
    const { status } = await stage().phase(ref, 'Revoked', 'RevokedBySignal');
    expect(status.message).to.contain('ended it for good because of AgentSignal signal-revoke/stolen');
    expect((await stage().closed(ref))?.reason).to.equal('RevokedBySignal');
    await stage().create(grantManifest({ namespace, name: 'next' }));
    await stage().phase({ namespace, name: 'next' }, 'Pending', 'SuspendedBySignal');
    await told({ namespace, name: 'stolen' }, (now) => now.status.effect === 'Revoke');
    await pia.delete(agentSignals, { namespace, name: 'stolen' });
    await stage().phase({ namespace, name: 'next' }, 'Active');
    await stage().phase(ref, 'Revoked', 'RevokedBySignal');
  });

  it('is concerned by a signal in a namespace that it reaches into, and not by those about others', async () => {
    const target = await setting('signal-target', trusting);
    const source = await setting('signal-source', trusting);
    const patch = { metadata: { annotations: { 'hallpass.dev/accepts-grants-from': source.namespace } } };
    await stage().admin.patch(namespaces, { name: target.namespace }, patch, { type: 'merge' });
    const wide = { boundary: { namespaces: [source.namespace, target.namespace] } };
    await stage().admin.createRaw(`${api}/namespaces/${source.namespace}/agentidentities`, {
      apiVersion: 'hallpass.dev/v1alpha1',
      kind: 'AgentIdentity',
      metadata: { name: 'reacher' },
      spec: { purpose: 'Reaches.', owner: { kind: 'Group', name: 'oncall' }, ...wide },
    });
    const reaching = grantManifest(
      { namespace: source.namespace, name: 'reaching' },
      { permissions: [{ namespaces: [target.namespace] }] },
    );
    await stage().give({ ...reaching, spec: { ...reaching.spec, agent: 'reacher' } });
    const reacher = await stage().agent(source.namespace, 'reacher');
    await reacher.until(podsOf(target.namespace), 200);
    const pia = await person('pia', ['sre']);
    await report(pia, source.namespace, 'odd', { spec: { agent: 'triage' } });
    await source.agent.until(podsOf(source.namespace), 403);
    await report(pia, target.namespace, 'outage');
    await reacher.until(podsOf(target.namespace), 403);
    await target.agent.until(podsOf(target.namespace), 403);
    const { status } = await stage().phase(reaching.metadata, 'Suspended', 'SuspendedBySignal');
    expect(status.reasons?.map(({ message }) => message)).to.have.length(1);
    expect(status.message).to.contain('AgentSignal signal-target/outage');
  });

  it('is stopped wherever it is by a signal in hallpass-system, and by none that is about another agent', async () => {
    const one = await setting('signal-east', trusting);
    const two = await setting('signal-west', trusting);
    const pia = await person('pia', ['sre']);
    await reporters(SYSTEM_NAMESPACE, 'pia');
    await report(pia, one.namespace, 'about-another', { spec: { agent: 'nobody' } });
    await told({ namespace: one.namespace, name: 'about-another' }, (now) => now.status.effect === 'Suspend');
    expect(await one.agent.asks(podsOf(one.namespace))).to.equal(200);
    await report(pia, SYSTEM_NAMESPACE, 'outage');
    await one.agent.until(podsOf(one.namespace), 403);
    await two.agent.until(podsOf(two.namespace), 403);
    await stage().phase(two.ref, 'Suspended', 'SuspendedBySignal');
    const { status } = await told({ namespace: SYSTEM_NAMESPACE, name: 'outage' }, (now) => !!now.status.responses);
    expect(status.responses?.map(({ policy }) => policy)).to.include.members(['signal-east', 'signal-west']);
  });

  it('goes with its namespace although a signal is held there that nobody may lift', async () => {
    const { namespace, agent } = await setting('signal-gone', suspends);
    await report(await person('mallory'), namespace, 'noise');
    await agent.until(podsOf(namespace), 403);
    // No kubelet ends the agent's pod here, and pods go first.
    await stage().playground.admin(['delete', 'pods', '--all', '-n', namespace, '--force', '--grace-period=0']);
    await stage().remove(namespaces, { name: namespace });
    await stage().until(stage().seen.namespaces, { name: namespace }, (now) => now === undefined, 60_000);
    const left = await stage()
      .admin.get(agentSignals, { namespace, name: 'noise' })
      .catch((error: unknown) => error);
    expect(isNotFound(left)).to.equal(true);
  });

  it('is untouched by who may not report', async () => {
    const { namespace, agent } = await setting('signal-nobody', trusting);
    const refused = await (await person('eve'))
      .createRaw(`${api}/namespaces/${namespace}/agentsignals`, reportBody('x'))
      .catch((error: unknown) => error);
    expect(isForbidden(refused)).to.equal(true);
    expect(await agent.asks(podsOf(namespace))).to.equal(200);
  });

  it('is kept by a policy that only warns, which says so', async () => {
    const { namespace, agent, ref } = await setting('signal-warn', {});
    await policy('signal-warn-trial', { enforcement: 'Warn', ...suspends }, namespace);
    await report(await person('pia', ['sre']), namespace, 'outage');
    const grant = await stage().until(stage().seen.grants, ref, (now) => (now?.status.warnings ?? []).length > 0);
    expect(grant?.status.warnings?.[0]?.reason).to.equal('SuspendedBySignal');
    expect(grant?.status.phase).to.equal('Active');
    expect(await agent.asks(podsOf(namespace))).to.equal(200);
    const { status } = await told({ namespace, name: 'outage' }, (now) => now.status.effect !== undefined);
    expect(status.effect, 'nothing holds it').to.equal('None');
  });
});
