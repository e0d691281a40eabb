// What deploy/ gives to whom, and that the API server takes all of it.
import { expect } from 'chai';
import { z } from 'zod';
import { dryRun, succeed, type Twins } from './cluster.ts';
import * as made from './objects.ts';

const listSchema = z.object({ items: z.array(z.unknown()) });
const rulesSchema = z.object({
  items: z.array(
    z.object({
      metadata: z.object({ name: z.string() }),
      rules: z
        .array(
          z.object({
            verbs: z.array(z.string()),
            apiGroups: z.array(z.string()).default([]),
            resources: z.array(z.string()).default([]),
          }),
        )
        .nullish(),
    }),
  ),
});
const podTemplateSchema = z.object({
  spec: z.object({ template: z.object({ metadata: z.looseObject({}), spec: z.unknown() }) }),
});

export function deployment(twins: () => Twins): void {
  const writes = ['create', 'update', 'patch', 'delete', 'deletecollection', '*'];

  async function clusterRoles() {
    const call = { method: 'GET', path: '/apis/rbac.authorization.k8s.io/v1/clusterroles' } as const;
    const { body } = await twins().guarded.callers.root.call(call);
    const roles = rulesSchema.parse(body).items.filter(({ metadata }) => metadata.name.startsWith('hallpass'));
    return new Map(roles.map(({ metadata, rules }) => [metadata.name, rules ?? []]));
  }

  it('gives hallpass no right to escalate, bind or impersonate, none on Secrets and tokens, no writing of Pods, and no wildcard', async () => {
    const roles = await clusterRoles();
    const rules = ['hallpass', 'hallpass-issuer', 'hallpass-grantable-read'].flatMap((name) => roles.get(name) ?? []);
    expect(rules).to.have.length.above(15);
    for (const { verbs, apiGroups, resources } of rules) {
      expect(verbs.filter((verb) => ['escalate', 'bind', 'impersonate'].includes(verb))).to.deep.equal([]);
      expect([...verbs, ...apiGroups, ...resources]).to.not.include('*');
      expect(resources).to.not.include('secrets');
      expect(resources).to.not.include('serviceaccounts/token');
      if (resources.includes('pods')) expect(verbs.filter((verb) => writes.includes(verb))).to.deep.equal([]);
    }
  });

  it('ships a ceiling that only reads, and nothing of RBAC', async () => {
    const rules = (await clusterRoles()).get('hallpass-grantable-read') ?? [];
    expect(rules).to.not.deep.equal([]);
    for (const { verbs, apiGroups, resources } of rules) {
      expect(['get', 'list', 'watch']).to.include.members(verbs);
      expect(apiGroups).to.not.include('rbac.authorization.k8s.io');
      const sensitive = ['secrets', 'serviceaccounts', 'pods/exec', 'pods/portforward'];
      expect(resources.filter((resource) => sensitive.includes(resource))).to.deep.equal([]);
    }
  });

  it('leaves what an admin added to the ceiling in it when it is applied again', async () => {
    const configMaps = async () =>
      ((await clusterRoles()).get('hallpass-grantable') ?? []).some(
        ({ resources, verbs }) => resources.includes('configmaps') && verbs.includes('create'),
      );
    expect(await configMaps()).to.equal(true);
    const { code, stderr } = await twins().guarded.kubectl(['apply', '-k', made.deploy('cluster')]);
    expect(code, stderr).to.equal(0);
    expect(await configMaps()).to.equal(true);
  });

  it('enables a namespace by what its admin applies, and nobody less', async () => {
    const { guarded } = twins();
    await succeed(guarded.callers.root, { method: 'POST', path: '/api/v1/namespaces', body: made.namespace('fresh') });
    const moved = ({ path: at, ...call }: ReturnType<typeof made.binding>) => ({
      ...call,
      path: at.replace('/team/', '/fresh/'),
    });
    await succeed(guarded.callers.root, moved(made.binding('owner', 'admin')));
    await succeed(guarded.callers.root, moved(made.binding('editor', 'edit')));
    const enable = async (user: string) => {
      const kubeconfig = await guarded.kubeconfigFor({ user, groups: ['team'] });
      return guarded.kubectl(['apply', '--namespace=fresh', '-k', made.deploy('namespace')], { kubeconfig });
    };
    expect((await enable('editor')).stderr).to.contain('Forbidden');
    const { code, stderr } = await enable('owner');
    expect(code, stderr).to.equal(0);
  });

  it('lets tenants ask for grants, their admins register agents, and readers only read', async () => {
    const { guarded } = twins();
    const may = async (user: string, verb: string, ...what: string[]) => {
      const kubeconfig = await guarded.kubeconfigFor({ user, groups: ['team'] });
      return (
        await guarded.kubectl(['auth', 'can-i', verb, ...what, '--namespace=team'], { kubeconfig })
      ).stdout.trim();
    };
    expect(await may('editor', 'create', 'agentgrants.hallpass.dev')).to.equal('yes');
    expect(await may('editor', 'create', 'agentidentities.hallpass.dev')).to.equal('no');
    expect(await may('editor', 'get', 'agentidentities.hallpass.dev')).to.equal('yes');
    expect(await may('owner', 'create', 'agentidentities.hallpass.dev')).to.equal('yes');
    expect(await may('owner', 'release', 'agentgrants.hallpass.dev')).to.equal('no');
    expect(await may('owner', 'create', 'agentreceipts.hallpass.dev')).to.equal('no');
    expect(await may('owner', 'update', 'agentgrants.hallpass.dev', '--subresource=status')).to.equal('no');
  });

  it('passes the restricted pod security of its own namespace, and all of it passes the API server', async () => {
    const { guarded } = twins();
    const { code, stdout, stderr } = await guarded.kubectl([
      'apply',
      '--server-side',
      '--dry-run=server',
      '--force-conflicts',
      '-k',
      made.deploy('.'),
      '-o',
      'json',
    ]);
    expect(code, stderr).to.equal(0);
    expect(stderr).to.not.match(/would violate PodSecurity/);
    const deployments = listSchema
      .parse(JSON.parse(stdout))
      .items.filter((item) => podTemplateSchema.safeParse(item).success);
    expect(deployments).to.have.length(1);
    const { template } = podTemplateSchema.parse(deployments[0]).spec;
    const pod = { ...template, apiVersion: 'v1', kind: 'Pod', metadata: { ...template.metadata, name: 'hallpass-0' } };
    const call = { method: 'POST', path: '/api/v1/namespaces/hallpass-system/pods', body: pod } as const;
    expect((await guarded.callers.root.call(dryRun(call))).message).to.equal('');
  });
}
