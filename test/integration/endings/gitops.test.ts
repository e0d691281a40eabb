// Git applies the same thing again and again: no request is granted twice, and no field is fought over.
import { join } from 'node:path';
import { expect } from 'chai';
import { parse, stringify } from 'yaml';
import { agentGrants } from '../../../src/api/grant.ts';
import { agentIdentities } from '../../../src/api/identity.ts';
import { agentReceipts } from '../../../src/api/receipt.ts';
import { namespaces } from '../../../src/kube/kinds.ts';
import { configMapsOf, grantManifest, identityManifest, podsOf, SYSTEM_NAMESPACE, useSharedStage } from './stage.ts';

const main = join(import.meta.dirname, '..', '..', '..', 'src', 'main.ts');

describe('a grant that Git applies again and again', function () {
  this.timeout(90_000);
  const stage = useSharedStage();
  const namespace = 'git';
  const elsewhere = 'git-elsewhere';
  const apply = (manifest: object, ...flags: string[]) =>
    stage().playground.admin(['apply', ...flags, '-f', '-'], { input: stringify(manifest) });
  /** What `kubectl diff` prints; empty when the cluster is as the manifest says. */
  const diff = async (manifest: object, ...flags: string[]) => {
    const { stdout, stderr, code } = await stage().playground.kubectl(['diff', ...flags, '-f', '-'], {
      input: stringify(manifest),
    });
    expect(code, stderr).to.be.below(2);
    return stdout;
  };
  const refuses = async (ref: { namespace: string; name: string }) => {
    const { status } = await stage().phase(ref, 'Denied', 'RequestAlreadyUsed');
    expect(status.message).to.match(/already used from \S+Z to \S+Z/);
    expect(status.message).to.contain('set spec.task.ref to a new value or give the grant a new name');
    expect(status.startTime, 'startTime').to.equal(undefined);
  };

  before(async () => {
    await stage().namespace(namespace);
    await stage().namespace(elsewhere, { accepts: namespace });
    await stage().identity(namespace, { namespaces: [namespace, elsewhere] });
  });

  describe('when it has lapsed', () => {
    const ref = { namespace, name: 'lapsed' };
    const manifest = grantManifest(ref, { duration: '2s' });
    let uid: string;
    before(async () => {
      await apply(manifest);
      uid = (await stage().phase(ref, 'Expired', 'EndPassed')).metadata.uid;
    });

    it('stays as a tombstone, of which the same manifest changes nothing', async () => {
      const { status } = await stage().phase(ref, 'Expired');
      expect(await apply(manifest)).to.contain('unchanged');
      expect(await apply(manifest, '--server-side', '--force-conflicts')).to.contain('serverside-applied');
      const { metadata, status: after } = await stage().admin.get(agentGrants, ref);
      expect(after).to.deep.equal(status);
      expect(metadata).to.include({ uid, generation: 1 });
      expect(await diff(manifest)).to.equal('');
      expect(await diff(manifest, '--server-side', '--force-conflicts')).to.equal('');
    });

    it('is refused when it is deleted and created again, and the refusal names the remedy', async () => {
      await stage().playground.admin(['delete', 'aggrant', ref.name, '-n', namespace]);
      await apply(manifest);
      await refuses(ref);
      expect(stage().receiptsOf(ref)).to.have.lengthOf(1);
    });

    it('is granted under a new task.ref, as the refusal says', async () => {
      const again = grantManifest(ref, { duration: '1h', task: 'INC-2' });
      await apply(again);
      await stage().phase(ref, 'Active');
      expect(stage().receiptsOf(ref)).to.have.lengthOf(2);
    });
  });

  describe('when it is stopped or restored', () => {
    it('is refused when it is deleted while active and created again: deleting is the emergency stop', async () => {
      const ref = { namespace, name: 'stopped' };
      const manifest = grantManifest(ref);
      await apply(manifest);
      const { metadata } = await stage().phase(ref, 'Active');
      const agent = await stage().agent(namespace);
      await agent.until(podsOf(namespace), 200);
      await stage().remove(agentGrants, { namespace, name: 'lapsed' });
      await stage().playground.admin(['replace', '--force', '-f', '-'], { input: stringify(manifest) });
      await refuses(ref);
      await agent.until(podsOf(namespace), 403);
      await stage().nothingLeft(metadata.uid);
      expect(await stage().closed(ref)).to.include({ outcome: 'Revoked', reason: 'EndedByDeletion' });
    });

    it('is refused when identities and grants are restored from a backup without status', async () => {
      const ref = { namespace: 'git-restored', name: 'restored' };
      const cleaned = (text: string) => {
        const { status: _, metadata, ...rest } = parse(text);
        const { uid: _uid, resourceVersion: _version, managedFields: _fields, ...kept } = metadata;
        return { ...rest, metadata: kept };
      };
      await stage().namespace(ref.namespace);
      await stage().identity(ref.namespace);
      await stage().give(grantManifest(ref));
      const saved = await Promise.all(
        ['agentid/triage', `aggrant/${ref.name}`].map((what) =>
          stage().playground.admin(['get', what, '-n', ref.namespace, '-o=yaml']),
        ),
      );
      await stage().playground.admin(['delete', 'namespace', ref.namespace]);
      await stage().namespace(ref.namespace);
      for (const text of saved) {
        await stage().playground.admin(['create', '-f', '-'], { input: stringify(cleaned(text)) });
      }
      await refuses(ref);
      expect(stage().receiptsOf(ref), 'the receipt outlived the namespace').to.have.lengthOf(1);
      await stage().admin.delete(namespaces, { name: ref.namespace });
    });
  });

  describe('when its spec is changed', () => {
    const ref = { namespace, name: 'changed' };
    const wide = grantManifest(ref, {
      permissions: [{ resources: ['pods', 'configmaps'] }, { namespaces: [elsewhere] }],
      duration: '2h',
    });
    const narrow = grantManifest(ref, { permissions: [{ resources: ['pods'] }], duration: '1h' });

    it('takes a narrowing at once, keeps the start, and costs the agent nothing that it keeps', async () => {
      await apply(wide);
      const before = await stage().phase(ref, 'Active');
      const agent = await stage().agent(namespace);
      const paths = [podsOf(namespace), configMapsOf(namespace), podsOf(elsewhere)];
      for (const path of paths) await agent.until(path, 200);
      const answers: number[] = [];
      let over = false;
      const asking = (async () => {
        while (!over) answers.push(await agent.asks(podsOf(namespace)));
      })();
      await apply(narrow);
      await agent.until(configMapsOf(namespace), 403);
      await agent.until(podsOf(elsewhere), 403);
      const after = await stage().phase(ref, 'Active');
      over = true;
      await asking;
      expect(new Set(answers), `${answers.length} answers about what is kept`).to.deep.equal(new Set([200]));
      expect(after.status.startTime).to.equal(before.status.startTime);
      const start = Date.parse(before.status.startTime ?? '');
      expect(Date.parse(after.status.expiresAt ?? '') - start).to.equal(3_600_000);
      await stage().until(
        stage().seen.receipts,
        { namespace: SYSTEM_NAMESPACE, name: before.status.receipt ?? '' },
        (receipt) => receipt?.status.outcome === 'Superseded',
      );
      expect(await stage().objectsOf(after.metadata.uid)).to.have.lengthOf(3);
    });

    it('is no new request by a label, an annotation or another description', async () => {
      const before = await stage().phase(ref, 'Active');
      const described = {
        ...narrow,
        metadata: { ...ref, labels: { team: 'red' }, annotations: { note: 'seen' } },
        spec: { ...narrow.spec, task: { description: 'Said better.' } },
      };
      await apply(described);
      // Until the watch has told of it, what is seen is the one before, which is Active, too.
      await stage().until(stage().seen.grants, ref, (grant) => grant?.spec?.task.description === 'Said better.');
      const after = await stage().phase(ref, 'Active');
      expect(after.metadata.generation).to.equal((before.metadata.generation ?? 0) + 1);
      const { observedGeneration: _, conditions: _conditions, ...rest } = before.status;
      expect(after.status).to.deep.include(rest);
      expect(stage().receiptsOf(ref)).to.have.lengthOf(2);
      await apply(narrow);
      await stage().until(
        stage().seen.grants,
        ref,
        (grant) =>
          grant?.spec?.task.description === narrow.spec.task.description &&
          grant.status.observedGeneration === grant.metadata.generation,
      );
    });

    it('starts anew with a widening that passes every gate', async () => {
      const before = await stage().phase(ref, 'Active');
      const wider = grantManifest(ref, { permissions: [{ resources: ['pods', 'services'] }], duration: '1h' });
      await stage().poll(
        async () => Date.now(),
        (now) => now >= Date.parse(before.status.startTime ?? '') + 1_000,
      );
      await apply(wider);
      const after = await stage().until(
        stage().seen.grants,
        ref,
        (grant) => grant?.status.phase === 'Active' && grant.status.receipt !== before.status.receipt,
      );
      expect(Date.parse(after?.status.startTime ?? '')).to.be.above(Date.parse(before.status.startTime ?? ''));
      expect(
        stage()
          .receiptsOf(ref)
          .filter(({ status }) => status.outcome === undefined),
      ).to.have.lengthOf(1);
    });

    it('loses all access with a widening that fails a gate', async () => {
      const agent = await stage().agent(namespace);
      await agent.until(podsOf(namespace), 200);
      const beyond = grantManifest(ref, { permissions: [{ resources: ['pods', 'podtemplates'] }], duration: '1h' });
      await apply(beyond);
      const { status, metadata } = await stage().phase(ref, 'Pending', 'ExceedsCeiling');
      await agent.until(podsOf(namespace), 403);
      expect(status).to.not.have.any.keys('startTime', 'expiresAt', 'receipt');
      await stage().nothingLeft(metadata.uid);
    });

    it('is refused with an edit back to a spec that it had', async () => {
      await apply(wide);
      await refuses(ref);
      const agent = await stage().agent(namespace);
      expect(await agent.asks(podsOf(namespace))).to.equal(403);
    });
  });

  describe('when others have a hand in it', () => {
    it('is narrowed while it is suspended, and keeps its record', async () => {
      const ref = { namespace, name: 'narrowed-suspended' };
      const boundary = (namespaces: string[]) =>
        stage().admin.patch(
          agentIdentities,
          { namespace, name: 'triage' },
          { spec: { boundary: { namespaces } } },
          { type: 'merge' },
        );
      const given = await stage().give(
        grantManifest(ref, { permissions: [{ resources: ['pods', 'configmaps'] }, { namespaces: [elsewhere] }] }),
      );
      await boundary([namespace]);
      await stage().phase(ref, 'Suspended', 'OutsideBoundary');
      await stage().admin.patch(
        agentGrants,
        ref,
        { spec: grantManifest(ref, { permissions: [{}, { namespaces: [elsewhere] }] }).spec },
        { type: 'merge' },
      );
      const narrowed = await stage().until(
        stage().seen.grants,
        ref,
        (grant) => grant?.status.specHash === grant?.hash && grant?.hash !== given.hash,
      );
      expect(narrowed?.status).to.include({ phase: 'Suspended', startTime: given.status.startTime });
      await boundary([elsewhere]);
      const again = await stage().until(
        stage().seen.grants,
        ref,
        (grant) => grant?.status.message?.includes(`namespace ${namespace} is outside`) ?? false,
      );
      expect(again?.status).to.deep.include({ phase: 'Suspended', startTime: given.status.startTime });
      expect(
        stage()
          .receiptsOf(ref)
          .map(({ status }) => status.outcome),
      ).to.deep.equal([undefined]);
      await boundary([namespace, elsewhere]);
      await stage().phase(ref, 'Suspended', 'Restoring');
      await stage().remove(agentGrants, ref);
      await stage().until(stage().seen.grants, ref, (grant) => grant === undefined);
    });

    it('is never in conflict with another field manager, and shows no difference for ever after', async () => {
      const ref = { namespace: 'git-server-side', name: 'applied' };
      await stage().namespace(ref.namespace);
      const manifests = [identityManifest(ref.namespace), grantManifest(ref, { duration: '4s' })];
      const serverSide = ['--server-side', '--field-manager=argocd-controller'];
      for (const manifest of manifests) await apply(manifest, ...serverSide);
      const active = await stage().phase(ref, 'Active');
      await stage().deadMan(ref, 'True');
      for (const manifest of manifests) {
        expect(await diff(manifest, ...serverSide), 'while it is active').to.equal('');
        await apply(manifest, ...serverSide);
      }
      expect((await stage().admin.get(agentGrants, ref)).metadata).to.deep.include({
        uid: active.metadata.uid,
        generation: 1,
        finalizers: ['hallpass.dev/cleanup'],
      });
      await stage().phase(ref, 'Expired');
      for (const manifest of manifests) {
        expect(await diff(manifest, ...serverSide), 'when it has lapsed').to.equal('');
        await apply(manifest, ...serverSide);
        expect(await diff(manifest), 'and for kubectl apply').to.equal('');
      }
      expect((await stage().admin.get(agentIdentities, { ...ref, name: 'triage' })).metadata.finalizers).to.deep.equal([
        'hallpass.dev/cleanup',
      ]);
    });

    it('ends at once when an admin deletes its receipt: without a record there is no access', async () => {
      const ref = { namespace, name: 'unrecorded' };
      const { status, metadata } = await stage().give(grantManifest(ref));
      await stage().admin.delete(agentReceipts, { namespace: SYSTEM_NAMESPACE, name: status.receipt ?? '' });
      await stage().phase(ref, 'Revoked', 'ReceiptDeleted');
      await stage().nothingLeft(metadata.uid);
    });

    it('leaves a history that reads as one', async () => {
      const table = await stage().playground.admin(['get', 'agrec', '-n', SYSTEM_NAMESPACE, '-o=wide']);
      console.log(table.replace(/^/gm, '      '));
      const [header = ''] = table.split('\n');
      for (const column of [
        'GRANT',
        'NAMESPACE',
        'AGENT',
        'REQUESTER',
        'START',
        'END',
        'OUTCOME',
        'ENDED',
        'ACCESS',
        'REASON',
      ]) {
        expect(header).to.contain(column);
      }
      expect(table).to.match(
        /stopped +git +triage +hallpass-test-admin +\S+Z +\S+Z +Revoked +\S+Z +list pods in git +EndedByDeletion/,
      );
    });
  });

  describe('whose receipt was kept for as long as its operator wants', () => {
    // Its own process, with another retention, in place of the one that all tests share.
    it('loses the receipt then, and stays a tombstone', async () => {
      const ref = { namespace, name: 'forgotten' };
      const { directory, supervisor, kubeconfigFor } = stage().playground;
      const kubeconfig = await kubeconfigFor({ tokenFile: join(directory, 'hallpass.token') });
      const flags = [`--kubeconfig=${kubeconfig}`, '--health-address=127.0.0.1:0', '--receipt-retention=3s'];
      await Promise.all(stage().playground.hallpass.map((each) => each.stop()));
      const forgetful = await supervisor.start({
        name: 'hallpass-forgetful',
        command: process.execPath,
        arguments: [main, ...flags],
        logFile: join(directory, 'hallpass-forgetful.log'),
      });
      try {
        await stage().create(grantManifest(ref, { duration: '2s' }));
        const { status } = await stage().phase(ref, 'Expired', 'EndPassed');
        const receipt = { namespace: SYSTEM_NAMESPACE, name: status.receipt ?? '' };
        const kept = await stage().until(stage().seen.receipts, receipt, (now) => now?.status.outcome === 'Expired');
        await stage().until(stage().seen.receipts, receipt, (now) => now === undefined);
        expect(Date.now() - Date.parse(kept?.status.endedAt ?? ''), 'ms that it was kept').to.be.at.least(2_900);
        const touched = { metadata: { labels: { touched: 'yes' } } };
        await stage().admin.patch(agentGrants, ref, touched, { type: 'merge' });
        const other = { namespace, name: 'forgotten-other' };
        await stage().give(grantManifest(other));
        expect((await stage().admin.get(agentGrants, ref)).status).to.deep.equal(status);
        await stage().remove(agentGrants, other);
        await stage().until(stage().seen.grants, other, (grant) => !grant);
      } finally {
        await forgetful.stop();
        await stage().revive();
      }
    });
  });
});
