// A binding that others keep, by a finalizer or by refusing its deletion, is honoured by the API server: it must give nothing.
import { expect } from 'chai';
import { agentGrants } from '../../../src/api/grant.ts';
import { OPERATOR_USER } from '../../../src/api/names.ts';
import { roleBindings, roles, validatingAdmissionPolicyBindings } from '../../../src/kube/kinds.ts';
import type { KubeObject, Resource } from '../../../src/kube/object.ts';
import { type Agent, grantManifest, podsOf, useSharedStage } from '../endings/stage.ts';

const KEEPER = 'example.com/keeps';

describe('a binding that a foreign finalizer keeps', function () {
  this.timeout(120_000);
  const stage = useSharedStage();

  /** A live grant of a namespace of its own, whose objects somebody has put a finalizer on while the guards were away. */
  async function kept(namespace: string, kinds: ('RoleBinding' | 'Role')[], meanwhile = async () => {}) {
    await stage().namespace(namespace);
    await stage().identity(namespace);
    const ref = { namespace, name: 'given' };
    const { metadata } = await stage().give(grantManifest(ref));
    const object = { namespace, name: `hallpass-${metadata.uid}` };
    const agent: Agent = await stage().agent(namespace);
    await agent.until(podsOf(namespace), 200);
    await meanwhile();
    for (const name of ['hallpass-rolebindings', 'hallpass-roles'])
      await stage().admin.delete(validatingAdmissionPolicyBindings, { name });
    const patch = { metadata: { finalizers: [KEEPER] } };
    const both: Resource<KubeObject>[] = [roleBindings, roles];
    for (const resource of both) {
      if (!kinds.some((kind) => kind === resource.kind)) continue;
      await stage().poll(
        () =>
          stage()
            .admin.patch(resource, object, patch, { type: 'merge' })
            .then(
              () => true,
              () => false,
            ),
        (done) => done,
      );
    }
    await stage().playground.admin(['apply', '-k', 'deploy/guards']);
    return { ref, object, agent, uid: metadata.uid };
  }
  /** The same with hallpass down, and with its right to write there gone by the time it is back. */
  async function keptAndDisabled(namespace: string, kinds: ('RoleBinding' | 'Role')[]) {
    const uses = await kept(namespace, kinds, () => stage().kill());
    await disable(namespace);
    await stage().revive();
    return uses;
  }
  const disable = (namespace: string) =>
    stage().playground.admin(['delete', '-n', namespace, '-k', 'deploy/namespace']);
  const letGo = (resource: typeof roleBindings, object: { namespace: string; name: string }) =>
    stage().admin.patch(resource, object, { metadata: { finalizers: null } }, { type: 'merge' });

  it('names nobody any more once the grant has ended, and the grant goes', async () => {
    const { ref, object, agent } = await kept('held-enabled', ['RoleBinding']);
    await stage().poll(
      () => stage().metric('hallpass_guard_problems'),
      (count) => count === 0,
    );
    await stage().remove(agentGrants, ref);
    const deleted = Date.now();
    const refused = await agent.until(podsOf(ref.namespace), 403);
    console.log(`      with a binding that is kept: refused ${refused - deleted} ms after the deletion`);
    await stage().until(stage().seen.grants, ref, (grant) => !grant);
    const binding = await stage().admin.get(roleBindings, object);
    expect(binding.metadata.finalizers).to.deep.equal([KEEPER]);
    expect(binding.subjects ?? []).to.deep.equal([]);
    expect(await agent.asks(podsOf(ref.namespace))).to.equal(403);
    await letGo(roleBindings, object);
  });

  it('loses its Role where hallpass may not write any more', async () => {
    const { ref, object, agent, uid } = await keptAndDisabled('held-disabled', ['RoleBinding']);
    await agent.until(podsOf(ref.namespace), 403);
    await stage().phase(ref, 'Suspended', 'NamespaceNotEnabled');
    expect(await stage().objectsOf(uid)).to.not.include(`Role ${ref.namespace}/${object.name}`);
    expect(await stage().metric('hallpass_held_bindings')).to.equal(0);
    await letGo(roleBindings, object);
  });

  it('is told of plainly where its Role is kept, too, and tried until it gives nothing', async () => {
    const { ref, object, agent } = await keptAndDisabled('held-both', ['RoleBinding', 'Role']);
    const told = await stage().until(stage().seen.grants, ref, (grant) =>
      Boolean(grant?.status.reasons?.some(({ reason }) => reason === 'AccessRemains')),
    );
    expect(told?.status.phase).to.equal('Suspended');
    expect(told?.status.message)
      .to.contain('the access in namespace held-both remains: RoleBinding')
      .and.contain(KEEPER);
    const remains = told?.status.reasons?.find(({ reason }) => reason === 'AccessRemains');
    expect(remains?.remedy).to.contain(`kubectl patch rolebinding ${object.name} -n held-both`);
    expect(remains?.by).to.deep.equal(['ClusterAdmin']);
    expect(told?.status.conditions?.find(({ type }) => type === 'Ready')?.status).to.equal('False');
    expect(await agent.asks(podsOf(ref.namespace)), 'what the status says').to.equal(200);
    expect(
      await stage().poll(
        () => stage().metric('hallpass_held_bindings'),
        (count) => count > 0,
      ),
    ).to.equal(1);

    await letGo(roleBindings, object);
    await agent.until(podsOf(ref.namespace), 403);
    await stage().until(stage().seen.grants, ref, (grant) => {
      const ready = grant?.status.conditions?.find(({ type }) => type === 'Ready');
      return ready?.status === 'True' && grant?.status.reasons?.length === 1;
    });
    expect(await stage().metric('hallpass_held_bindings')).to.equal(0);
  });

  it('is told of plainly, with the command that ends it, where a policy of others lets hallpass change nothing', async () => {
    const namespace = 'held-refused';
    await stage().namespace(namespace);
    await stage().identity(namespace);
    const ref = { namespace, name: 'given' };
    const { metadata } = await stage().give(grantManifest(ref));
    const agent = await stage().agent(namespace);
    await agent.until(podsOf(namespace), 200);
    const path = '/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies';
    const name = 'frozen';
    await stage().admin.createRaw(path, {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'ValidatingAdmissionPolicy',
      metadata: { name },
      spec: {
        matchConstraints: {
          resourceRules: [
            {
              apiGroups: ['rbac.authorization.k8s.io'],
              apiVersions: ['v1'],
              operations: ['UPDATE', 'DELETE'],
              resources: ['roles', 'rolebindings'],
            },
          ],
        },
        validations: [
          {
            expression: `request.namespace != '${namespace}' || !(request.userInfo.username in ['${OPERATOR_USER}', 'probe'])`,
            message: 'this namespace is frozen',
            reason: 'Forbidden',
          },
        ],
      },
    });
    await stage().admin.createRaw(`${path.replace(/ies$/, 'y')}bindings`, {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'ValidatingAdmissionPolicyBinding',
      metadata: { name },
      spec: { policyName: name, validationActions: ['Deny'] },
    });
    const object = { namespace, name: `hallpass-${metadata.uid}` };
    const probe = ['--as=probe', '--as-group=system:masters', '-n', namespace, '--dry-run=server'];
    await stage().poll(
      () => stage().playground.kubectl(['delete', 'rolebinding', object.name, ...probe]),
      ({ stderr }) => stderr.includes('this namespace is frozen'),
    );
    await stage().remove(agentGrants, ref);
    const told = await stage().until(stage().seen.grants, ref, (grant) =>
      Boolean(grant?.status.reasons?.some(({ reason }) => reason === 'AccessRemains')),
    );
    const command = `kubectl delete rolebinding ${object.name} -n ${namespace}`;
    expect(told?.status.message).to.contain(command).and.contain('this namespace is frozen');
    expect(told?.status.conditions?.find(({ type }) => type === 'Ready')?.status).to.equal('False');
    expect(await agent.asks(podsOf(namespace)), 'what the status says').to.equal(200);
    expect(await stage().metric('hallpass_held_bindings')).to.equal(1);

    await stage().playground.admin(command.split(' ').slice(1));
    await agent.until(podsOf(namespace), 403);
    await stage().admin.delete(validatingAdmissionPolicyBindings, { name });
    await stage().until(stage().seen.grants, ref, (grant) => !grant, 90_000);
    expect(await stage().metric('hallpass_held_bindings')).to.equal(0);
  });
});
