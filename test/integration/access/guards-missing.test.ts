// While a guard is missing nothing new is granted and nothing is put back, and revoking goes on.
import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { agentGrants } from '../../../src/api/grant.ts';
import { agentIdentities } from '../../../src/api/identity.ts';
import { roles } from '../../../src/kube/kinds.ts';
import { grantManifest, openStage, podsOf, type Stage } from '../endings/stage.ts';

describe('hallpass', function () {
  this.timeout(120_000);
  let stage: Stage;
  before(async () => {
    stage = await openStage();
  });
  after(() => stage?.close());
  afterEach(() => expect(stage.problems, 'inconsistent statuses').to.deep.equal([]));

  describe('without one of its guards', () => {
    let namespace: string;
    let count = 0;

    beforeEach(async () => {
      count += 1;
      namespace = await stage.namespace(`unguarded-${count}`);
      await stage.identity(namespace);
    });

    const readyz = async () => {
      const response = await fetch(`${stage.playground.hallpass[0]?.healthUrl}/readyz`);
      return { status: response.status, body: await response.text() };
    };
    const guard = (verb: 'delete' | 'apply') => stage.playground.admin([verb, '-f', 'deploy/guards/roles.yaml']);
    /** Waits until hallpass itself knows: the metric counts what is wrong. */
    const knows = (problems: (count: number) => boolean) =>
      stage.poll(() => stage.metric('hallpass_guard_problems'), problems);

    it('grants nothing new, says so everywhere, and proceeds when the guard is back', async () => {
      const live = { namespace, name: 'live' };
      await stage.give(grantManifest(live));
      const agent = await stage.agent(namespace);
      await agent.until(podsOf(namespace), 200);

      await guard('delete');
      await knows((count) => count > 0);
      const { status: code, body } = await readyz();
      expect(code).to.equal(200);
      expect(body).to.contain('grants nothing new').and.contain('hallpass-roles is missing');

      const waits = { namespace, name: 'waits' };
      await stage.create(grantManifest(waits));
      const { status } = await stage.phase(waits, 'Pending', 'GuardsMissing');
      expect(status.message).to.contain('kubectl apply -k deploy/guards');
      // What is out stays out, and still ends.
      expect((await stage.phase(live, 'Active')).status.phase).to.equal('Active');
      await stage.remove(agentGrants, live);
      await agent.until(podsOf(namespace), 403);

      await guard('apply');
      await knows((count) => count === 0);
      await stage.phase(waits, 'Active');
      expect((await readyz()).body).to.not.contain('grants nothing new');
    });

    it('withdraws what was edited instead of putting it back, until the guard has been whole for a while', async () => {
      const ref = { namespace, name: 'edited' };
      const { metadata } = await stage.give(grantManifest(ref));
      const agent = await stage.agent(namespace);
      await agent.until(podsOf(namespace), 200);
      await guard('delete');
      await knows((count) => count > 0);
      const role = { namespace, name: `hallpass-${metadata.uid}` };
      const rules = [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }];
      // The API server may still hold the guard for a moment.
      await stage.poll(
        () =>
          stage.admin.patch(roles, role, { rules }, { type: 'merge' }).then(
            () => true,
            () => false,
          ),
        Boolean,
      );
      await agent.until(podsOf(namespace), 403);
      await stage.phase(ref, 'Suspended', 'GuardsMissing');
      await guard('apply');
      await knows((count) => count === 0);
      await stage.phase(ref, 'Suspended', 'Restoring');
      await stage.until(stage.seen.grants, ref, (now) => now?.status.phase === 'Active', 45_000);
      const { rules: restored } = await stage.admin.get(roles, role);
      expect(restored).to.have.lengthOf(1);
      expect(restored[0]?.verbs).to.deep.equal(['list']);
    });

    it('counts a guard that is switched off, narrowed or made to fail open as missing', async () => {
      const policy = (patch: object) =>
        stage.playground.admin([
          'patch',
          'validatingadmissionpolicy',
          'hallpass-tokens',
          '--type=merge',
          '-p',
          JSON.stringify(patch),
        ]);
      const binding = (patch: object) =>
        stage.playground.admin([
          'patch',
          'validatingadmissionpolicybinding',
          'hallpass-tokens',
          '--type=merge',
          '-p',
          JSON.stringify(patch),
        ]);
      for (const alter of [
        () => policy({ spec: { failurePolicy: 'Ignore' } }),
        () => policy({ spec: { matchConditions: [{ name: 'never', expression: 'false' }] } }),
        () => binding({ spec: { validationActions: ['Audit'] } }),
        () => binding({ spec: { matchResources: { namespaceSelector: { matchLabels: { guarded: 'yes' } } } } }),
      ]) {
        await alter();
        await knows((count) => count > 0);
        await stage.playground.admin(['replace', '-f', 'deploy/guards/tokens.yaml']);
        await knows((count) => count === 0);
      }
    });
  });

  describe('among hostile names and objects', () => {
    it('never adopts an object that was not made by it', async () => {
      const namespace = await stage.namespace('foreign');
      await stage.identity(namespace);
      const ref = { namespace, name: 'taken' };
      // Its uid is known only once it exists, so it waits for consent that never comes while somebody takes its name.
      const manifest = grantManifest(ref, { permissions: [{}, { namespaces: ['foreign-later'] }] });
      await stage.admin.patch(
        agentIdentities,
        { namespace, name: 'triage' },
        { spec: { boundary: { namespaces: [namespace, 'foreign-later'] } } },
        { type: 'merge' },
      );
      await stage.create(manifest);
      const { metadata } = await stage.phase(ref, 'Pending', 'NamespaceNotFound');
      await stage.playground.admin(['delete', 'validatingadmissionpolicybinding', 'hallpass-roles']);
      const name = `hallpass-${metadata.uid}`;
      await stage.poll(
        () => stage.playground.kubectl(['create', 'role', name, '-n', namespace, '--verb=*', '--resource=secrets']),
        ({ code, stderr }) => code === 0 || stderr.includes('already exists'),
      );
      await stage.playground.admin(['apply', '-f', 'deploy/guards/roles.yaml']);
      await stage.namespace('foreign-later', { accepts: namespace });
      const { status } = await stage.phase(ref, 'Pending', 'ForeignObject');
      expect(status.message).to.contain(name).and.contain('was not made by hallpass');
      const agent = await stage.agent(namespace);
      expect(await agent.asks(`/api/v1/namespaces/${namespace}/secrets`)).to.equal(403);
      const role = await stage.admin.get(roles, { namespace, name });
      expect(role.rules[0]?.resources).to.deep.equal(['secrets']);
      await stage.playground.admin(['delete', 'role', name, '-n', namespace]);
      await stage.until(stage.seen.grants, ref, (now) => now?.status.phase === 'Active', 40_000);
    });

    it('writes no terminal escape, no direction mark and no line break of others into its log, status or events', async () => {
      const namespace = await stage.namespace('hostile');
      await stage.identity(namespace);
      const hostile = 'x\u001b[2J\u001b[31mred\u202egnp.exe\u2028<script>alert(1)\nINFO all is well';
      await stage.admin.createRaw(`/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}/rolebindings`, {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'RoleBinding',
        metadata: { namespace, name: hostile },
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: hostile },
        subjects: [
          { apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: `system:serviceaccounts:${namespace}` },
        ],
      });
      const identity = await stage.until(
        stage.seen.identities,
        { namespace, name: 'triage' },
        (now) => now?.status.standingAccess !== undefined,
      );
      expect(identity?.status.standingAccess?.[0]?.name).to.contain('\\u{1b}[31mred\\u{202e}gnp.exe\\u{2028}');
      const ref = { namespace, name: 'hostile' };
      const manifest = grantManifest(ref, { duration: '2s' });
      await stage.admin.createRaw(`/apis/hallpass.dev/v1alpha1/namespaces/${namespace}/agentgrants`, manifest);
      await stage.phase(ref, 'Expired');
      const events = await stage.playground.admin(['get', 'events', '-n', namespace, '-o', 'json']);
      const log = readFileSync(stage.playground.hallpass[0]?.logFile ?? '', 'utf8');
      expect(log).to.include('hostile/hostile');
      for (const text of [
        JSON.stringify(identity?.status.standingAccess),
        JSON.stringify(identity?.status.conditions),
        JSON.parse(events)
          .items.map((event: { message?: string }) => event.message)
          .join(' '),
        log,
      ]) {
        // biome-ignore lint/suspicious/noControlCharactersInRegex: that none is there is what is tested
        expect(text).to.not.match(/[\u0000-\u0009\u000b-\u001f\u202e\u2028]/);
      }
      const lines = log.trimEnd().split('\n');
      for (const line of lines) expect(() => JSON.parse(line), line).to.not.throw();
    });

    it('prints no token, whatever it logs', async () => {
      const log = readFileSync(stage.playground.hallpass[0]?.logFile ?? '', 'utf8');
      expect(log).to.not.match(/eyJ[A-Za-z0-9_-]{10,}\./);
    });
  });
});
