// How soon one grant works for its agent.
import { setTimeout as delay } from 'node:timers/promises';
import { stringify } from 'yaml';
import { Client } from '../../src/kube/client.ts';
import { distribution, milliseconds } from '../distribution.ts';
import type { Figure } from '../figure.ts';
import {
  agentClient,
  grantBody,
  type Lab,
  makeIdentities,
  makeNamespaces,
  passes,
  REQUESTER,
  withLab,
} from '../lab.ts';
import { scrape } from '../metrics.ts';

const grants = 200;
const pollMs = 2;
const namespace = 'ns';
const rbac = `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}`;

async function passesAfter(agent: Client, configMap: string): Promise<number> {
  const from = performance.now();
  while (!(await passes(agent, namespace, configMap))) await delay(pollMs);
  return performance.now() - from;
}

/** From the answer to the creation of a binding until the agent's request passes, without hallpass. */
async function bareLag({ admin }: Lab, agent: Client, name: string): Promise<number> {
  const metadata = { name, namespace };
  await admin.createRaw(`${rbac}/roles`, {
    metadata,
    rules: [{ apiGroups: [''], resources: ['configmaps'], resourceNames: [name], verbs: ['get'] }],
  });
  await delay(20);
  await admin.createRaw(`${rbac}/rolebindings`, {
    metadata,
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name },
    subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'bare-agent' }],
  });
  return passesAfter(agent, name);
}

export const one: Figure = {
  name: 'one',
  title: `one grant, from kubectl apply returning to the agent's request passing, of ${grants}`,
  target: 'report',
  method: `One after the other; the agent asks from then on with ${pollMs} ms between an answer and the next request. Beside it, the API server's own lag: from the answer to the creation of a binding until it is honoured.`,
  measure: (progress) =>
    withLab(progress, async (lab) => {
      const { playground } = lab;
      await makeNamespaces(lab, [namespace]);
      await makeIdentities(lab, [namespace]);
      const agent = await agentClient(lab, namespace);
      const bareAgent = new Client({ credentials: await playground.credentialsFor({ user: 'bare-agent' }) });
      const kubeconfig = await playground.kubeconfigFor({ user: REQUESTER });
      const [ours, theirs]: [number[], number[]] = [[], []];
      for (let index = 0; index < grants; index += 1) {
        const name = `task-${index}`;
        const input = stringify(grantBody({ namespace, name, configMap: name, validity: { duration: '1h' } }));
        const result = await playground.kubectl(['apply', '-f', '-'], { input, kubeconfig });
        if (result.code !== 0) throw new Error(`kubectl apply: ${result.stderr}`);
        ours.push(await passesAfter(agent, name));
        theirs.push(await bareLag(lab, bareAgent, `bare-${index}`));
        if (index % 50 === 49) progress(`${index + 1} of ${grants}`);
      }
      const samples = await scrape(lab.hallpass.healthUrl);
      const mean = (method: string, resource: string) => {
        const of = (name: string) =>
          samples.find(
            (sample) =>
              sample.name === `rest_client_request_duration_seconds_${name}` &&
              sample.labels.method === method &&
              sample.labels.resource === resource,
          )?.value ?? Number.NaN;
        return `${method} ${resource} ${milliseconds((1000 * of('sum')) / of('count'))}`;
      };
      bareAgent.close();
      agent.close();
      return {
        value: distribution(ours),
        details: [
          ["the API server's own lag for a new binding", distribution(theirs)],
          [
            'of it, what the API server takes for what is written one after the other, on average',
            [
              mean('GET', 'agentgrants'),
              mean('POST', 'agentreceipts'),
              mean('POST', 'roles'),
              mean('POST', 'rolebindings'),
              mean('PUT', 'agentgrants/status'),
              mean('PUT', 'rolebindings'),
            ].join(', '),
          ],
        ],
      };
    }),
};
