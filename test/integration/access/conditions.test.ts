// Conditions and windows on the real API server: what they let pass and take back, as the agent sees it.
import { expect } from 'chai';
import { agentGrants } from '../../../src/api/grant.ts';
import { agentIdentities } from '../../../src/api/identity.ts';
import { agentPolicies } from '../../../src/api/policy.ts';
import { ApiError } from '../../../src/kube/client.ts';
import { namespaces } from '../../../src/kube/kinds.ts';
import { usePolicies } from '../endings/policies.ts';
import { BY_HALLPASS, grantManifest, identityManifest, podsOf, useSharedStage } from '../endings/stage.ts';

describe('a grant with conditions', function () {
  this.timeout(60_000);
  const stage = useSharedStage();
  const policy = usePolicies(stage);

  /** A namespace with the agent `triage`, which has these labels. */
  async function place(name: string, labels: Record<string, string> = {}): Promise<string> {
    const namespace = await stage().namespace(name);
    const manifest = identityManifest(namespace);
    const path = `/apis/hallpass.dev/v1alpha1/namespaces/${namespace}/agentidentities`;
    await stage().admin.createRaw(path, { ...manifest, metadata: { ...manifest.metadata, labels } });
    const ready = { namespace, name: 'triage' };
    await stage().until(stage().seen.identities, ready, (identity) => !!identity?.status.serviceAccount);
    return namespace;
  }

  type Restrictions = { conditions?: object[]; windows?: object[] };
  const manifest = (
    ref: { namespace: string; name: string },
    { labels = {}, duration = '1h', ...restrictions }: Restrictions & { labels?: object; duration?: string },
  ) => {
    const plain = grantManifest(ref, { duration });
    return { ...plain, metadata: { ...plain.metadata, labels }, spec: { ...plain.spec, ...restrictions } };
  };
  const condition = (expression: string, onFalse?: string) => ({ name: 'so', expression, ...(onFalse && { onFalse }) });

  it('passes while its condition is true of its agent, and is refused when a label of that changes', async () => {
    const namespace = await place('condition-agent', { tier: 'test' });
    const agent = await stage().agent(namespace);
    const ref = { namespace, name: 'labelled' };
    await stage().give(
      manifest(ref, { conditions: [condition('"tier" in agent.labels && agent.labels.tier == "test"')] }),
    );
    await agent.until(podsOf(namespace), 200);
    const from = Date.now();
    await stage().admin.patch(
      agentIdentities,
      { namespace, name: 'triage' },
      { metadata: { labels: { tier: 'prod' } } },
      { type: 'merge' },
    );
    const refusedAt = await agent.until(podsOf(namespace), 403);
    console.log(`      refused ${refusedAt - from} ms after the label was changed`);
    const { status } = await stage().phase(ref, 'Suspended', 'ConditionFalse');
    expect(status.message).to.include('its condition so (spec.conditions[0]) is not true');
  });

  it('is over for good when a condition is false that says so, whatever becomes true again', async () => {
    const namespace = await place('condition-revokes');
    const agent = await stage().agent(namespace);
    const ref = { namespace, name: 'revokes' };
    const labels = { incident: 'open' };
    await stage().give(manifest(ref, { labels, conditions: [condition('"incident" in grant.labels', 'Revoke')] }));
    await agent.until(podsOf(namespace), 200);
    const label = (incident: string | null) =>
      stage().admin.patch(agentGrants, ref, { metadata: { labels: { incident } } }, { type: 'merge' });
    await label(null);
    await agent.until(podsOf(namespace), 403);
    const { status } = await stage().phase(ref, 'Revoked', 'ConditionFalse');
    expect(status.message).to.include('its condition so is no longer true, which ends it for good (onFalse: Revoke)');
    await label('open');
    await stage().until(stage().seen.grants, ref, (now) => now?.metadata.labels?.incident === 'open');
    expect((await stage().closed(ref))?.outcome).to.equal('Revoked');
    expect(await agent.asks(podsOf(namespace))).to.equal(403);
  });

  it('is suspended, and not revoked, when its condition can not be evaluated any more', async () => {
    const namespace = await place('condition-fails', { tier: 'test' });
    const agent = await stage().agent(namespace);
    const ref = { namespace, name: 'fails' };
    await stage().give(manifest(ref, { conditions: [condition('agent.labels.tier == "test"', 'Revoke')] }));
    await agent.until(podsOf(namespace), 200);
    await stage().admin.patch(
      agentIdentities,
      { namespace, name: 'triage' },
      { metadata: { labels: { tier: null } } },
      { type: 'merge' },
    );
    await agent.until(podsOf(namespace), 403);
    const { status } = await stage().phase(ref, 'Suspended', 'ConditionFailed');
    expect(status.message).to.include('could not be evaluated: field not found: tier');
  });

  it('is held against what policies want of its agent and its namespaces', async () => {
    const namespace = await place('condition-policy');
    const agent = await stage().agent(namespace);
    const label = (env: string) =>
      stage().admin.patch(namespaces, { name: namespace }, { metadata: { labels: { env } } }, { type: 'merge' });
    await policy('condition-policy', namespace, {
      conditions: [
        {
          name: 'in-dev',
          why: 'agents try things out in dev only',
          expression: 'grant.namespaces.all(n, "env" in n.labels && n.labels.env == "dev")',
        },
        { name: 'owned', why: 'somebody answers for it', expression: 'agent.owner.name == "oncall"' },
      ],
    });
    const ref = { namespace, name: 'held' };
    await stage().create(manifest(ref, {}));
    const waits = await stage().phase(ref, 'Pending', 'ConditionFalse');
    expect(waits.status.message).to.equal(
      'AgentPolicy condition-policy wants what is not so (spec.conditions[0], in-dev: agents try things out in dev only); ask for what fits, or wait until it is',
    );
    await label('dev');
    await agent.until(podsOf(namespace), 200);
    await stage().phase(ref, 'Active');
    const owner = { spec: { owner: { kind: 'Group', name: 'somebody-else' } } };
    await stage().admin.patch(agentIdentities, { namespace, name: 'triage' }, owner, { type: 'merge' });
    await agent.until(podsOf(namespace), 403);
    const { status } = await stage().phase(ref, 'Suspended', 'ConditionFalse');
    expect(status.message).to.include('owned: somebody answers for it');
  });

  it('says at which column its condition does not compile, at once', async () => {
    const namespace = await place('condition-invalid');
    // So that the thread runs; how long its start takes is another matter.
    await stage().give(manifest({ namespace, name: 'first' }, { conditions: [condition('true')] }));
    const ref = { namespace, name: 'invalid' };
    const from = Date.now();
    await stage().create(manifest(ref, { conditions: [condition('grant.name == "x" &&\n  agent.nam == "triage"')] }));
    const { status } = await stage().phase(ref, 'Pending', 'ConditionInvalid');
    const took = Date.now() - from;
    console.log(`      said so ${took} ms after the grant was sent`);
    expect(took).to.be.below(BY_HALLPASS);
    expect(status.message).to.equal(
      'its condition so is not valid: spec.conditions[0].expression line 2, column 8: agent has no field nam; it has name, namespace, labels, purpose, owner; correct it',
    );
    expect(status.conditions?.find(({ type }) => type === 'Ready')).to.include({
      status: 'False',
      reason: 'EditNeeded',
    });
  });

  it('is suspended under a policy whose condition does not compile, and comes back when that is corrected', async () => {
    const namespace = await place('condition-policy-invalid');
    const agent = await stage().agent(namespace);
    const ref = { namespace, name: 'held' };
    await stage().give(manifest(ref, {}));
    await agent.until(podsOf(namespace), 200);
    const conditions = (expression: string) => [{ name: 'typo', why: 'a test', expression }];
    await policy('condition-policy-invalid', namespace, { conditions: conditions('grant.nmae != ""') });
    await agent.until(podsOf(namespace), 403);
    const { status } = await stage().phase(ref, 'Suspended', 'PolicyInvalid');
    expect(status.message).to.include(
      'AgentPolicy condition-policy-invalid is not valid: spec.conditions[0].expression column 6: grant has no field nmae',
    );
    const corrected = { spec: { conditions: conditions('grant.name != ""') } };
    await stage().admin.patch(agentPolicies, { name: 'condition-policy-invalid' }, corrected, { type: 'merge' });
    await stage().phase(ref, 'Suspended', 'Restoring');
  });

  it('takes the approvals whose expression is true of it, and no others', async () => {
    const namespace = await place('condition-approval');
    await policy('condition-approval', namespace, {
      approvals: [{ why: 'long access is looked at', count: 1, when: 'grant.duration > duration("30m")' }],
    });
    const agent = await stage().agent(namespace);
    await stage().create(manifest({ namespace, name: 'long' }, { duration: '31m' }));
    await stage().phase({ namespace, name: 'long' }, 'AwaitingApproval', 'ApprovalMissing');
    expect(await agent.asks(podsOf(namespace))).to.equal(403);
    await stage().give(manifest({ namespace, name: 'short' }, { duration: '30m' }));
    await agent.until(podsOf(namespace), 200);
  });

  it('whose condition takes too long is not given, while others end on time', async () => {
    const namespace = await place('condition-bomb');
    const others = await place('condition-bomb-others');
    const victim = await stage().agent(others);
    const resourceNames = Array.from({ length: 32 }, (_, at) => `${'x'.repeat(240)}${at}`);
    const permissions = Array.from({ length: 32 }, () => ({
      apiGroups: [''],
      resources: ['pods'],
      verbs: ['get'],
      resourceNames,
    }));
    const all = (name: string, then: string) => `grant.permissions.all(${name}, ${then})`;
    const text = '(a.resourceNames + b.resourceNames + c.resourceNames).join("")';
    const bomb = all('a', all('b', all('c', `!${text}.matches("(x+x+)+(x+x+)+y$")`)));
    await stage().give(manifest({ namespace: others, name: 'ends' }, { duration: '6s' }));
    await victim.until(podsOf(others), 200);
    const names = Array.from({ length: 12 }, (_, at) => `bomb-${at}`);
    await Promise.all(
      names.map((name) => {
        const { metadata, spec } = manifest({ namespace, name }, { conditions: [condition(bomb, 'Revoke')] });
        return stage().admin.createRaw(`/apis/hallpass.dev/v1alpha1/namespaces/${namespace}/agentgrants`, {
          apiVersion: 'hallpass.dev/v1alpha1',
          kind: 'AgentGrant',
          metadata,
          spec: { ...spec, permissions },
        });
      }),
    );
    const end = Date.parse(stage().seen.grants.get({ namespace: others, name: 'ends' })?.status.expiresAt ?? '');
    const refusedAt = await victim.until(podsOf(others), 403);
    console.log(`      refused ${refusedAt - end} ms after its end, while 12 bombs went off`);
    expect(refusedAt - end).to.be.below(BY_HALLPASS);
    for (const name of names) {
      const { status } = await stage().phase({ namespace, name }, 'Pending', 'ConditionFailed');
      expect(status.message).to.include('it took longer than 500 ms');
    }
    // The thread that was ended is no loss to others.
    await stage().give(
      manifest({ namespace: others, name: 'after' }, { conditions: [condition('grant.name == "after"')] }),
    );
  });

  const refused = async (restrictions: Restrictions): Promise<string> => {
    try {
      await stage().create(manifest({ namespace: 'default', name: 'refused' }, restrictions));
    } catch (error) {
      if (error instanceof ApiError) return error.message;
      throw error;
    }
    return 'not refused';
  };

  it('is refused at once with a zone that is none, hours that are none, or an expression without end', async () => {
    const window = { from: '09:00', to: '17:00', timeZone: 'Europe/Berlin' };
    expect(await refused({ windows: [{ ...window, timeZone: 'Europe/Berln' }] }))
      .to.include('spec.windows[0].timeZone')
      .and.include('must be the IANA name of a time zone, such as Europe/Berlin or UTC');
    expect(await refused({ windows: [{ ...window, timeZone: '+02:00' }] })).to.include('IANA name of a time zone');
    expect(await refused({ windows: [{ ...window, to: '09:00' }] })).to.include('from and to must differ');
    expect(await refused({ windows: [{ ...window, from: '9:00' }] })).to.include('such as 09:00');
    expect(await refused({ conditions: [condition(`"${'x'.repeat(2047)}" == ""`)] })).to.match(/2048/);
    expect(await refused({ conditions: [{ name: 'So', expression: 'true' }] })).to.include('lower-case letters');
  });
});

describe('a grant with windows', function () {
  this.timeout(120_000);
  const stage = useSharedStage();

  it('holds until the clock closes its window, and one that waits begins when it opens', async () => {
    const namespace = await stage().namespace('windows');
    await stage().identity(namespace);
    const closing = await stage().agent(namespace);
    const other = await stage().namespace('windows-opening');
    await stage().identity(other);
    const opening = await stage().agent(other);
    // The next full minute that leaves time to see what is before it.
    const turn = Math.ceil((Date.now() + 10_000) / 60_000) * 60_000;
    const clock = (at: number) => new Date(at).toISOString().slice(11, 16);
    const hours = (from: number, to: number) => ({
      windows: [{ from: clock(from), to: clock(to), timeZone: 'Etc/UTC' }],
    });
    const until = { namespace, name: 'until' };
    const from = { namespace: other, name: 'from' };
    const withHours = (ref: typeof until, restrictions: object) => {
      const plain = grantManifest(ref);
      return { ...plain, spec: { ...plain.spec, ...restrictions } };
    };
    await stage().give(withHours(until, hours(turn - 3600_000, turn)));
    await stage().create(withHours(from, hours(turn, turn + 3600_000)));
    const waits = await stage().phase(from, 'Scheduled', 'OutsideWindow');
    expect(waits.status.message).to.include(`the next opens at ${new Date(turn).toISOString().replace('.000Z', 'Z')}`);
    await closing.until(podsOf(namespace), 200);
    expect(await opening.asks(podsOf(other))).to.equal(403);
    expect(Date.now()).to.be.below(turn);
    const [closedAt, openedAt] = await Promise.all([
      closing.until(podsOf(namespace), 403, 75_000),
      opening.until(podsOf(other), 200, 75_000),
    ]);
    console.log(`      closed ${closedAt - turn} ms and opened ${openedAt - turn} ms after the full minute`);
    expect(closedAt - turn).to.be.within(0, BY_HALLPASS);
    expect(openedAt - turn).to.be.within(0, BY_HALLPASS);
    const { status } = await stage().phase(until, 'Suspended', 'OutsideWindow');
    expect(status.passingSince, 'nothing else stands against it').to.not.equal(undefined);
    await stage().phase(from, 'Active', 'Granted');
  });
});
