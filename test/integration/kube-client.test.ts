import { expect } from 'chai';
import {
  Client,
  ConnectionError,
  isAlreadyExists,
  isConflict,
  isForbidden,
  isInvalid,
  isNotFound,
} from '../../src/kube/client.ts';
import { ServerClock } from '../../src/kube/clock.ts';
import { loadCredentials } from '../../src/kube/credentials.ts';
import * as kinds from '../../src/kube/kinds.ts';
import type { KubeObject, Resource } from '../../src/kube/object.ts';
import { type ControlPlane, startControlPlane } from '../controlplane/controlplane.ts';

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('it was expected to fail');
}

const { roles, roleBindings, jobs, clusterRoles, namespaces } = kinds;
const rules = [{ verbs: ['get'], apiGroups: [''], resources: ['pods'] }];
const role = (name: string) => ({ metadata: { namespace: 'default', name }, rules });

describe('the client, on a real API server', () => {
  let controlPlane: ControlPlane;
  let client: Client;

  before(async () => {
    controlPlane = await startControlPlane();
    client = new Client({ credentials: await loadCredentials({ kubeconfig: controlPlane.kubeconfig }) });
  });
  after(async () => {
    client?.close();
    await controlPlane?.stop();
  });

  it('reads every object of every kind that there is', async () => {
    const all: Resource<KubeObject>[] = Object.values(kinds);
    for (const kind of all) {
      const { items, resourceVersion } = await client.list(kind);
      expect(resourceVersion, kind.plural).to.match(/^\d+$/);
      if (kind === clusterRoles) expect(items.length).to.be.greaterThan(50);
    }
  });

  it('creates, reads, replaces, changes and deletes an object whose name holds a colon and capitals', async () => {
    const created = await client.create(roles, role('Team:Reader'));
    expect(await client.get(roles, created.metadata)).to.deep.equal(created);
    const replaced = await client.replace(roles, { ...created, rules: [] });
    expect(replaced.rules).to.deep.equal([]);
    const labelled = await client.patch(
      roles,
      created.metadata,
      { metadata: { labels: { a: 'b' } } },
      { type: 'merge' },
    );
    expect(labelled.metadata.labels).to.deep.equal({ a: 'b' });
    await client.delete(roles, created.metadata);
    expect(isNotFound(await rejection(client.get(roles, created.metadata)))).to.equal(true);
    expect(isNotFound(await rejection(client.delete(roles, created.metadata)))).to.equal(true);
  });

  it('tells apart what a caller treats differently', async () => {
    const created = await client.create(roles, role('told-apart'));
    expect(isAlreadyExists(await rejection(client.create(roles, role('told-apart'))))).to.equal(true);
    await client.replace(roles, { ...created, rules: [] });
    expect(isConflict(await rejection(client.replace(roles, created)))).to.equal(true);
    const invalid = await rejection(client.create(roles, { ...role('invalid'), rules: [{ verbs: [] }] }));
    expect(isInvalid(invalid)).to.equal(true);
    expect(invalid).to.have.property('causes').that.deep.includes({
      reason: 'FieldValueRequired',
      message: 'Required value',
      field: 'rules[0].verbs',
    });
  });

  it('deletes an object only while it is the one that was meant', async () => {
    const first = await client.create(roles, role('twice'));
    await client.delete(roles, first.metadata);
    const second = await client.create(roles, role('twice'));
    expect(isConflict(await rejection(client.delete(roles, second.metadata, { uid: first.metadata.uid })))).to.equal(
      true,
    );
    await client.delete(roles, second.metadata, { uid: second.metadata.uid });
  });

  it('answers a deletion with the object where a finalizer keeps it', async () => {
    const kept = role('kept');
    const finalizers = ['example.com/keeps'];
    await client.create(roles, { ...kept, metadata: { ...kept.metadata, finalizers } });
    const held = await client.delete(roles, kept.metadata);
    expect(held?.metadata).to.include.keys('deletionTimestamp').and.deep.include({ finalizers });
    await client.patch(roles, kept.metadata, { metadata: { finalizers: null } }, { type: 'merge' });
    const gone = await client.create(roles, role('kept'));
    expect(await client.delete(roles, gone.metadata)).to.equal(undefined);
  });

  it('loses no field of a Job that it replaces', async () => {
    const template = { spec: { restartPolicy: 'Never', containers: [{ name: 'x', image: 'x', command: ['true'] }] } };
    // Left alone by the Job controller, whose status would come in between.
    const spec = { parallelism: 0, activeDeadlineSeconds: 600, managedBy: 'hallpass.test/nobody', template };
    const created = await client.create(jobs, { metadata: { namespace: 'default', name: 'whole' }, spec });
    const replaced = await client.replace(jobs, { ...created, spec: { ...created.spec, activeDeadlineSeconds: 300 } });
    expect(replaced.spec).to.deep.equal({ ...created.spec, activeDeadlineSeconds: 300 });
  });

  it('takes over fields with a forced server-side apply, as one field manager', async () => {
    const created = await client.create(roles, role('applied'));
    const applied = await client.patch(roles, created.metadata, role('applied'), { type: 'apply', force: true });
    const again = await client.patch(roles, created.metadata, role('applied'), { type: 'apply', force: true });
    expect(again.metadata.resourceVersion).to.equal(applied.metadata.resourceVersion);
    const raw = JSON.stringify(
      await client.getRaw('/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles/applied'),
    );
    expect(raw.match(/"manager":"[^"]*"/g)).to.satisfy((all: string[]) =>
      all.every((one) => one === '"manager":"hallpass"'),
    );
  });

  it('refuses an apply under the uid of an object that is gone', async () => {
    const first = await client.create(roles, role('reborn'));
    await client.delete(roles, first.metadata);
    const body = { ...role('reborn'), metadata: { ...role('reborn').metadata, uid: first.metadata.uid } };
    expect(
      isConflict(await rejection(client.patch(roles, first.metadata, body, { type: 'apply', force: true }))),
    ).to.equal(true);
  });

  it('tries a write without doing it', async () => {
    await client.create(roles, role('tried'), { dryRun: true });
    expect(isNotFound(await rejection(client.get(roles, { namespace: 'default', name: 'tried' })))).to.equal(true);
  });

  it('writes a subresource', async () => {
    const created = await client.create(jobs, {
      metadata: { namespace: 'default', name: 'with-status' },
      spec: {
        parallelism: 0,
        suspend: true,
        template: { spec: { restartPolicy: 'Never', containers: [{ name: 'x', image: 'x' }] } },
      },
    });
    const status = { ready: 0, terminating: 0 };
    const patched = await client.patch(jobs, created.metadata, { status }, { type: 'merge', subresource: 'status' });
    expect(patched.spec).to.deep.equal(created.spec);
    const read = await client.getRaw('/apis/batch/v1/namespaces/default/jobs/with-status');
    expect(read).to.have.nested.property('status.ready', 0);
  });

  it('posts reviews and reads what is no object', async () => {
    const review = await client.createRaw('/apis/authorization.k8s.io/v1/subjectaccessreviews', {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SubjectAccessReview',
      spec: { user: 'nobody', resourceAttributes: { verb: 'get', resource: 'pods', namespace: 'default' } },
    });
    expect(review).to.have.nested.property('status.allowed', false);
    expect(await client.getRaw('/version')).to.have.property('gitVersion');
  });

  it('lists more than a page, complete and once each', async () => {
    await client.create(namespaces, { metadata: { name: 'many' } });
    let made = 0;
    const make = async (): Promise<void> => {
      while (made < 520) {
        made += 1;
        await client.create(roles, { metadata: { namespace: 'many', name: `role-${made}` }, rules: [] });
      }
    };
    await Promise.all(Array.from({ length: 32 }, make));
    const { items } = await client.list(roles, { namespace: 'many' });
    expect(new Set(items.map((item) => item.metadata.name)).size).to.equal(520);
    expect(items).to.have.length(520);
    const selected = await client.list(roles, { namespace: 'many', fieldSelector: 'metadata.name=role-7' });
    expect(selected.items.map((item) => item.metadata.name)).to.deep.equal(['role-7']);
  });

  it('is told what it may not do', async () => {
    const powerless = new Client({ credentials: await controlPlane.credentialsFor({ user: 'powerless' }) });
    const error = await rejection(powerless.list(roleBindings));
    expect(isForbidden(error)).to.equal(true);
    expect(String(error)).to.include('powerless');
    powerless.close();
  });

  it('knows the API server’s time', async () => {
    const clock = new ServerClock();
    const timed = new Client({ credentials: await loadCredentials({ kubeconfig: controlPlane.kubeconfig }), clock });
    for (let times = 0; times < 50; times += 1) await timed.getRaw('/version');
    // The API server runs on this machine.
    expect(clock.offsetMs).to.equal(0);
    expect(clock.uncertaintyMs).to.be.lessThan(1100);
    timed.close();
  });

  describe('with the wrong certificates', () => {
    it('says that the API server is not the one that the kubeconfig means', async () => {
      const credentials = await loadCredentials({ kubeconfig: controlPlane.kubeconfig });
      const stranger = new Client({ credentials: { ...credentials, certificateAuthority: undefined } });
      const error = await rejection(stranger.getRaw('/version'));
      expect(error).to.be.instanceOf(ConnectionError);
      expect(String(error)).to.include(controlPlane.server).and.include('certificate-authority');
      stranger.close();
    });

    it('says that the certificate is for another name', async () => {
      const credentials = await loadCredentials({ kubeconfig: controlPlane.kubeconfig });
      const stranger = new Client({ credentials: { ...credentials, serverName: 'elsewhere.example' } });
      expect(String(await rejection(stranger.getRaw('/version')))).to.include('tls-server-name');
      stranger.close();
    });

    it('works by request without checking the certificate', async () => {
      const { server, clientCertificate, clientKey } = await loadCredentials({ kubeconfig: controlPlane.kubeconfig });
      const careless = new Client({
        credentials: { server, clientCertificate, clientKey, insecureSkipTlsVerify: true },
      });
      expect((await careless.get(namespaces, { name: 'default' })).metadata.name).to.equal('default');
      careless.close();
    });

    it('says that a token is not accepted, without showing it', async () => {
      const { server, certificateAuthority } = await loadCredentials({ kubeconfig: controlPlane.kubeconfig });
      const stranger = new Client({ credentials: { server, certificateAuthority, token: async () => 'very-secret' } });
      const error = await rejection(stranger.list(roles));
      expect(error).to.have.property('status', 401);
      expect(String(error)).to.not.include('very-secret');
      stranger.close();
    });

    it('says so when the address has http instead of https', async () => {
      const stranger = new Client({ credentials: { server: controlPlane.server.replace('https', 'http') } });
      expect(String(await rejection(stranger.list(roles)))).to.include('HTTP request to an HTTPS server');
      stranger.close();
    });
  });
});
