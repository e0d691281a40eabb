// An object is a grant's by its name: who takes the labels off what gives access, while a guard is away, gains nothing.
import { expect } from 'chai';
import { agentGrants } from '../../../src/api/grant.ts';
import { LABELS } from '../../../src/api/names.ts';
import { type Client, isNotFound } from '../../../src/kube/client.ts';
import {
  jobs,
  type RoleBinding,
  roleBindings,
  roles,
  validatingAdmissionPolicyBindings,
} from '../../../src/kube/kinds.ts';
import type { KubeObject, ObjectRef, Resource } from '../../../src/kube/object.ts';
import { grantManifest, podsOf, useSharedStage } from '../endings/stage.ts';

const STRANGE = '99999999-8888-4777-8666-555555555555';

describe('what gives access, without the labels that hallpass gave it', function () {
  this.timeout(150_000);
  const stage = useSharedStage();
  let tina: Client;

  before(async () => {
    tina = await stage().person('tina');
  });
  afterEach(async () => {
    await guard();
    await knows((count) => count === 0);
  });

  /** A live grant in a namespace of its own, of which tina is the admin. */
  async function live(namespace: string, duration = '1h') {
    await stage().namespace(namespace);
    await stage().playground.admin([
      'create',
      'rolebinding',
      'tina',
      '-n',
      namespace,
      '--clusterrole=admin',
      '--user=tina',
    ]);
    await stage().identity(namespace);
    const ref = { namespace, name: 'given' };
    const { metadata, status } = await stage().give(grantManifest(ref, { duration }));
    const agent = await stage().agent(namespace);
    await agent.until(podsOf(namespace), 200);
    const expiresAt = Date.parse(status.expiresAt ?? '');
    return { ref, agent, uid: metadata.uid, object: { namespace, name: `hallpass-${metadata.uid}` }, expiresAt };
  }
  const unguard = (...names: string[]) =>
    Promise.all(names.map((name) => stage().admin.delete(validatingAdmissionPolicyBindings, { name })));
  const guard = () => stage().playground.admin(['apply', '-k', 'deploy/guards']);
  const knows = (problems: (count: number) => boolean) =>
    stage().poll(() => stage().metric('hallpass_guard_problems'), problems);
  /** Tina's edit; the API server may hold a guard that is gone for a moment more. */
  const edit = <T extends KubeObject>(resource: Resource<T>, object: ObjectRef, metadata: object) =>
    stage().poll(
      () =>
        tina.patch(resource, object, { metadata }, { type: 'merge' }).then(
          () => true,
          () => false,
        ),
      Boolean,
    );
  const bindingAt = (object: ObjectRef): Promise<RoleBinding | undefined> =>
    stage()
      .admin.get(roleBindings, object)
      .catch((error) => {
        if (isNotFound(error)) return undefined;
        throw error;
      });
  const condition = (type: string, ref: ObjectRef) =>
    stage()
      .seen.grants.get(ref)
      ?.status.conditions?.find((each) => each.type === type);
  /** Waits until the binding is as hallpass makes it. */
  const whole = (object: ObjectRef, uid: string) =>
    stage().poll(
      () => bindingAt(object),
      (binding) =>
        binding?.metadata.labels?.[LABELS.grant] === uid &&
        binding.metadata.ownerReferences?.length === 1 &&
        binding.subjects?.length === 1,
    );

  it('is withdrawn while a guard is missing, and made anew when the guard has been whole for a while', async () => {
    const edits = {
      'label-gone': { [LABELS.grant]: null },
      'label-other': { [LABELS.grant]: STRANGE },
      'label-none': null,
    };
    const given: Awaited<ReturnType<typeof live>>[] = [];
    for (const namespace of Object.keys(edits)) given.push(await live(namespace));
    await unguard('hallpass-rolebindings');
    await knows((count) => count > 0);
    for (const [at, labels] of Object.values(edits).entries()) {
      const { ref, agent, object } = given[at] ?? expect.fail();
      await edit(roleBindings, object, { labels });
      // Too late, where hallpass has seen the first edit.
      const disowned = { metadata: { ownerReferences: null } };
      await tina.patch(roleBindings, object, disowned, { type: 'merge' }).catch(isNotFound);
      await agent.until(podsOf(ref.namespace), 403, 5_000);
      await stage().phase(ref, 'Suspended', 'GuardsMissing');
      expect(await bindingAt(object)).to.equal(undefined);
    }
    await guard();
    await knows((count) => count === 0);
    for (const { ref, agent, object, uid } of given) {
      await stage().until(stage().seen.grants, ref, (now) => now?.status.phase === 'Active', 45_000);
      await whole(object, uid);
      await agent.until(podsOf(ref.namespace), 200);
      await stage().remove(agentGrants, ref);
      await stage().nothingLeft(uid);
    }
  });

  /** Takes labels and owner off while neither guard nor hallpass is there to see it. */
  async function stripped(namespace: string, duration: string) {
    const given = await live(namespace, duration);
    await stage().kill();
    await unguard('hallpass-rolebindings', 'hallpass-roles', 'hallpass-jobs');
    await edit(roleBindings, given.object, { labels: null, ownerReferences: null });
    await edit(roles, given.object, { labels: null });
    await edit(jobs, given.object, { labels: null });
    await guard();
    // Until the guards hold again.
    await stage().poll(
      () =>
        tina.patch(roles, given.object, { metadata: { labels: { a: 'b' } } }, { type: 'merge', dryRun: true }).then(
          () => false,
          () => true,
        ),
      Boolean,
    );
    return given;
  }

  it('is removed at the end of the grant, also where all of it happened while hallpass was dead', async () => {
    const { ref, agent, object, expiresAt } = await stripped('stripped-lapsed', '20s');
    await stage().poll(
      () => stage().admin.get(jobs, object).catch(isNotFound),
      (gone) => gone === true,
      60_000,
    );
    expect(Date.now()).to.be.above(expiresAt);
    expect(await agent.asks(podsOf(ref.namespace)), 'that nothing but hallpass can end it').to.equal(200);
    await stage().revive();
    await stage().phase(ref, 'Expired');
    expect(await agent.asks(podsOf(ref.namespace))).to.equal(403);
    await stage().poll(
      async () => condition('Ready', ref)?.status,
      (status) => status === 'True',
    );
    expect(await bindingAt(object)).to.equal(undefined);
    const role = await stage().admin.get(roles, object).catch(isNotFound);
    expect(role, 'the Role').to.equal(true);
  });

  it('is put back as it was once hallpass sees it, with the guards whole', async () => {
    const { agent, object, uid, ref } = await stripped('stripped-live', '1h');
    await stage().revive();
    await whole(object, uid);
    for (const { metadata } of [await stage().admin.get(roles, object), await stage().admin.get(jobs, object)])
      expect(metadata.labels?.[LABELS.grant]).to.equal(uid);
    await agent.until(podsOf(ref.namespace), 200);
    await stage().phase(ref, 'Active');
    await stage().remove(agentGrants, ref);
    await stage().nothingLeft(uid);
  });
});
