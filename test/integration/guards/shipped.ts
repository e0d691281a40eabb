// The guards as the API server holds them: understood, compared with what is shipped, and what happens without one.
import { expect } from 'chai';
import { z } from 'zod';
import { guardProblems } from '../../../src/access/guards/problems.ts';
import { type Cluster, dryRun, passesGuards, remove, succeed, type Twins, until } from './cluster.ts';
import * as made from './objects.ts';

const path = '/apis/admissionregistration.k8s.io/v1';
const listSchema = z.object({ items: z.array(z.unknown()) });
const checkedSchema = z.object({
  metadata: z.object({ name: z.string() }),
  status: z.object({ typeChecking: z.object({ expressionWarnings: z.array(z.unknown()).optional() }) }),
});

async function live({ callers }: Cluster) {
  const list = async (plural: string) => {
    const { body } = await callers.root.call({ method: 'GET', path: `${path}/${plural}` });
    return listSchema.parse(body).items;
  };
  return {
    mutatingPolicies: await list('mutatingadmissionpolicies'),
    mutatingBindings: await list('mutatingadmissionpolicybindings'),
    validatingPolicies: await list('validatingadmissionpolicies'),
    validatingBindings: await list('validatingadmissionpolicybindings'),
  };
}

export function shipped(twins: () => Twins): void {
  const apply = async () => {
    const { code, stderr } = await twins().guarded.kubectl(['apply', '-k', made.deploy('guards')]);
    expect(code, stderr).to.equal(0);
  };
  /** Without one binding, whose policy then does nothing. */
  const without = async (kind: string, name: string, test: () => Promise<void>) => {
    const { root } = twins().guarded.callers;
    await remove(root, `${path}/${kind}/${name}`);
    try {
      await test();
    } finally {
      await apply();
    }
  };

  it('compare as intact once the API server has stored them with its defaults', async () => {
    expect(guardProblems(await live(twins().guarded))).to.deep.equal([]);
    expect(guardProblems(await live(twins().bare))).to.have.length.above(20);
  });

  it('compare as intact when they were applied by server-side apply and by another tool', async () => {
    const args = ['apply', '--server-side', '--force-conflicts', '--field-manager=git', '-k', made.deploy('guards')];
    const { code, stderr } = await twins().guarded.kubectl(args);
    expect(code, stderr).to.equal(0);
    expect(guardProblems(await live(twins().guarded))).to.deep.equal([]);
  });

  it('type-check without a warning against the kinds that they match', async () => {
    for (const policy of (await live(twins().guarded)).validatingPolicies) {
      const { metadata } = z.object({ metadata: z.object({ name: z.string() }) }).parse(policy);
      const call = { method: 'GET', path: `${path}/validatingadmissionpolicies/${metadata.name}` } as const;
      const checked = ({ body }: { body: unknown }) => checkedSchema.safeParse(body).success;
      const { body } = await until(twins().guarded.callers.root, call, checked);
      const { status } = checkedSchema.parse(body);
      expect(status.typeChecking.expressionWarnings ?? [], metadata.name).to.deep.equal([]);
    }
  });

  it('stay within the cost that the API server allows, for big objects too', async () => {
    const many = (count: number) => Array.from({ length: count }, (_, at) => at);
    const containers = many(100).map((at) => ({ name: `container-${at}`, image: 'none' }));
    const sources = many(50).map((at) => ({
      serviceAccountToken: { audience: `https://${at}.example.com`, path: `${at}` },
    }));
    const volumes = many(50).map((at) => ({ name: `volume-${at}`, projected: { sources } }));
    const pod = made.pod('big', {
      labels: made.agentLabel,
      volumes,
      spec: { containers, initContainers: containers.map((one) => ({ ...one, name: `init-${one.name}` })) },
    });
    await passesGuards(twins(), 'editor', pod);
    const subjects = many(5000).map((at) => ({
      apiGroup: 'rbac.authorization.k8s.io',
      kind: 'User',
      name: `system:serviceaccount:namespace-${at}:reader`,
    }));
    await passesGuards(
      twins(),
      'owner',
      made.bindingNamed('big', { roleRef: { kind: 'ClusterRole', name: 'view' }, subjects }),
    );
  });

  it('refuse every request for access while nobody stamps', async () => {
    const { editor, owner } = twins().guarded.callers;
    await succeed(editor, made.grant('before'));
    const edit = { method: 'PATCH', path: `${made.ours}/agentgrants/before` } as const;
    await without('mutatingadmissionpolicybindings', 'hallpass-stamps', async () => {
      const refused = ({ message }: { message: string }) =>
        /'hallpass-stamps'.*did not run: a cluster admin restores it/.test(message);
      await until(editor, dryRun(made.grant('after')), refused);
      // By somebody else than its requester, whose name it would keep.
      await until(owner, dryRun({ ...edit, body: { spec: { validity: { duration: '2h' } } } }), refused);
      const stamps = { creator: { username: 'owner' }, requester: { username: 'owner' } };
      await until(owner, dryRun({ ...edit, body: { stamps } }), refused);
      // What asks for nothing new goes on: hallpass still revokes and cleans up.
      const { code } = await editor.call(dryRun({ ...edit, body: { metadata: { labels: { a: 'b' } } } }));
      expect(code).to.equal(200);
    });
    await until(editor, dryRun(made.grant('after')), ({ code }) => code === 201);
  });

  it('refuse identities and grants while nobody sets the finalizer', async () => {
    const { owner } = twins().guarded.callers;
    const identity = dryRun(made.identityNamed('after'));
    await without('mutatingadmissionpolicybindings', 'hallpass-finalizer', async () => {
      await until(owner, identity, ({ message }) => /'hallpass-finalizer'.*must be on it from the start/.test(message));
    });
    await until(owner, identity, ({ code }) => code === 201);
  });

  it('refuse pods of agents while nobody gives them their token', async () => {
    const { editor } = twins().guarded.callers;
    const spec = { serviceAccountName: 'hallpass-bot' };
    const pod = dryRun(made.pod('after', { labels: made.agentLabel, spec }));
    await without('mutatingadmissionpolicybindings', 'hallpass-pods', async () => {
      await until(editor, pod, ({ message }) => /'hallpass-pods'.*volume hallpass-token/.test(message));
    });
    await until(editor, pod, ({ code }) => code === 201);
  });
}
