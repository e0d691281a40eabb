// That the ways of test/harness/escalation-routes.ts are ways: on a real API server somebody is given by plain RBAC the right
// that one takes and no other, takes it with credentials of their own, and holds more than they were given. That hallpass gives
// an agent none of these rights is in policies.test.ts.
import { expect } from 'chai';
import { ESCALATION_ROUTES } from '../../harness/escalation-routes.ts';
import { credentials } from './escalation/credentials.ts';
import { guardrails } from './escalation/guardrails.ts';
import { interception } from './escalation/interception.ts';
import { mayDoEverything, openSetting, type Setting } from './escalation/setting.ts';
import { workloads } from './escalation/workloads.ts';

const trials = { ...credentials, ...workloads, ...interception, ...guardrails };
/** Where the right has to be in a namespace that is there. */
const ELSEWHERE: Record<string, string> = { 'write a Secret that another trusts': 'kube-system' };

describe('somebody who may', function () {
  this.timeout(60_000);
  let setting: Setting;
  before(async function () {
    this.timeout(180_000);
    setting = await openSetting();
  });
  afterEach(() => setting.endWay());
  after(() => setting?.close());

  for (const [at, route] of ESCALATION_ROUTES.entries()) {
    const trial = trials[route.name];
    if (!trial) continue;
    const { verbs, resources } = route.permission;
    it(`${route.name} (${verbs} ${resources}) gets more by it`, async () => {
      const way = await setting.way(route, at, ELSEWHERE[route.name]);
      expect(await mayDoEverything(way.attacker, way.namespace), 'before').to.equal(false);
      const admin = await trial(way);
      if (!admin) return;
      // What RBAC gives takes effect a moment after it is written.
      await setting.stage.poll(() => mayDoEverything(admin, way.namespace), Boolean);
    });
  }

  it('take any other way is not tried for a reason that its table names', () => {
    const left = ESCALATION_ROUTES.filter(({ notTried }) => notTried === undefined).map(({ name }) => name);
    expect(Object.keys(trials)).to.have.members(left);
    expect(left.length).to.be.at.least(20);
  });
});
