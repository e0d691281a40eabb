// `make demo`: the life of a grant, told on a terminal, on a throwaway playground; or with KUBECONFIG and
// DEMO_ON_MY_CLUSTER=yes on a cluster of one's own.
import { styleText } from 'node:util';
import { z } from 'zod';
import type { Observer } from './demo-observer.ts';
import { clusterStage, playgroundStage, type Stage } from './demo-stages.ts';

const agentName = 'triage';
const began = performance.now();
const seconds = (ms: number) => `${(ms / 1000).toFixed(ms < 100 ? 3 : 2)} s`;
const clock = (date: Date) => date.toISOString().slice(11, 23);

let chapters = 0;
function chapter(title: string): void {
  chapters += 1;
  console.log(`\n${styleText('bold', `${chapters}. ${title}`)}`);
}
const say = (text: string) => console.log(`   ${text}`);
const result = (text: string) => console.log(`   ${styleText('bold', text)}`);

/** Runs kubectl and shows command, manifest and output as a terminal would. */
async function show(stage: Stage, args: string[], manifest?: string): Promise<void> {
  console.log(styleText('dim', `   $ kubectl ${args.join(' ')}${manifest ? ' <<.' : ''}`));
  if (manifest) console.log(styleText('dim', `${manifest.trim()}\n.`.replace(/^/gm, '     ')));
  const output = await stage.kubectl(args, manifest);
  console.log(output.trimEnd().replace(/^/gm, '     '));
}

function identity(namespace: string): string {
  return `
apiVersion: hallpass.dev/v1alpha1
kind: AgentIdentity
metadata: { name: ${agentName}, namespace: ${namespace} }
spec:
  purpose: Looks into incidents, read-only.
  owner: { kind: Group, name: oncall }`;
}

function grant(namespace: string, name: string, description: string, duration: string): string {
  return `
apiVersion: hallpass.dev/v1alpha1
kind: AgentGrant
metadata: { name: ${name}, namespace: ${namespace} }
spec:
  agent: ${agentName}
  task: { description: ${description} }
  permissions:
    - { apiGroups: [""], resources: [pods], verbs: [list] }
  validity: { duration: ${duration} }`;
}

async function refused(agent: Observer, timeoutMs: number) {
  const change = await agent.until(403, timeoutMs);
  say('The agent lists pods: 403 Forbidden.');
  return change;
}

async function passes(agent: Observer, since: number) {
  const change = await agent.until(200, 15_000);
  say(`The agent lists pods: 200 OK, ${change.message}.`);
  result(`passing ${seconds(change.at.getTime() - since)} after kubectl apply was started`);
}

/** Waits for a condition as anybody would; where it doesn't come, the object's status says why. */
async function wait(stage: Stage, condition: string, object: string): Promise<void> {
  const { namespace } = stage;
  try {
    await show(stage, ['wait', `--for=condition=${condition}`, '--timeout=30s', '-n', namespace, object]);
  } catch {
    const why = await stage.kubectl(['get', object, '-n', namespace, '--output=jsonpath={.status.message}']);
    throw new Error(`${object} isn't ${condition} after 30 s: ${why || 'hallpass has not said anything about it'}`);
  }
}

async function expiryOf(stage: Stage, name: string): Promise<Date> {
  const path = ['get', 'aggrant', name, '-n', stage.namespace, '--output=jsonpath={.status.expiresAt}'];
  return z.coerce.date().parse(await stage.kubectl(path));
}

async function ask(stage: Stage, agent: Observer, name: string, description: string, duration: string): Promise<Date> {
  const { namespace } = stage;
  const since = Date.now();
  await show(stage, ['apply', '-f', '-'], grant(namespace, name, description, duration));
  await wait(stage, 'Granted', `aggrant/${name}`);
  await passes(agent, since);
  await show(stage, ['get', 'aggrant', '-n', namespace]);
  return expiryOf(stage, name);
}

async function tell(stage: Stage): Promise<void> {
  const { namespace } = stage;

  chapter('An agent gets an identity. It proves who the agent is, and gives no access.');
  await show(stage, ['apply', '-f', '-'], identity(namespace));
  await wait(stage, 'Ready', `agentid/${agentName}`);
  await show(stage, ['get', 'agentid', '-n', namespace]);
  const agent = await stage.startAgent(agentName, `/api/v1/namespaces/${namespace}/pods`);
  say('Its pod runs now, with a token of 10 minutes, and keeps asking for the pods around it.');
  const { message } = await refused(agent, 30_000);
  say(message);

  chapter('A grant: access for one task, for 20 seconds.');
  const end = await ask(stage, agent, 'look-around', 'Find out why checkout answers with 503', '20s');
  say(`Access ends at ${clock(end)}, in ${seconds(end.getTime() - Date.now())}. Nobody does anything until then.`);
  const lapse = await refused(agent, end.getTime() - Date.now() + 15_000);
  result(`deadline ${clock(end)}, refused at ${clock(lapse.at)}: ${seconds(lapse.at.getTime() - end.getTime())} later`);
  await phase(stage, 'look-around', 'Expired');
  await show(stage, ['get', 'aggrant', '-n', namespace]);

  chapter('A second grant, of an hour. Deleting it is the emergency stop.');
  await ask(stage, agent, 'look-again', 'Watch checkout after the fix', '1h');
  const deleted = Date.now();
  await show(stage, ['delete', 'aggrant', 'look-again', '-n', namespace]);
  const revoked = await refused(agent, 15_000);
  result(`refused ${seconds(revoked.at.getTime() - deleted)} after kubectl delete was started`);

  chapter('A third grant, of 20 seconds, and hallpass is killed while it lasts.');
  const last = await ask(stage, agent, 'look-once-more', 'Confirm that checkout is well', '20s');
  say(`${await stage.killHallpass()}.`);
  say('What ends the access now is a Job of Kubernetes itself, which owns it and runs no pod:');
  await show(stage, ['get', 'jobs', '-n', namespace]);
  say(`Access ends at ${clock(last)}, in ${seconds(last.getTime() - Date.now())}.`);
  const dead = await refused(agent, last.getTime() - Date.now() + 30_000);
  result(
    `deadline ${clock(last)}, refused at ${clock(dead.at)}: ${seconds(dead.at.getTime() - last.getTime())} later, without hallpass`,
  );
  await stage.reviveHallpass();
  await phase(stage, 'look-once-more', 'Expired');
  say('hallpass is back, and notes how it ended:');
  await show(stage, ['get', 'aggrant', '-n', namespace]);

  chapter('What stays is the record. ENDED is when hallpass found it ended and wrote it down.');
  await show(stage, ['get', 'agrec', '-n', 'hallpass-system', '--sort-by=.spec.startTime']);
}

/** Waits until a grant has a phase; the API server tells when. */
async function phase(stage: Stage, name: string, value: string): Promise<void> {
  const condition = `--for=jsonpath={.status.phase}=${value}`;
  await stage.kubectl(['wait', condition, '--timeout=30s', '-n', stage.namespace, `aggrant/${name}`]);
}

async function open(): Promise<Stage> {
  const kubeconfig = process.env.KUBECONFIG;
  if (process.env.DEMO_ON_MY_CLUSTER === 'yes') {
    if (!kubeconfig) throw new Error('DEMO_ON_MY_CLUSTER=yes needs KUBECONFIG to name the cluster');
    say('On your cluster, in namespace hallpass-demo. hallpass is taken down for half a minute, and comes back.');
    return clusterStage(kubeconfig);
  }
  if (kubeconfig) say('KUBECONFIG is left alone. DEMO_ON_MY_CLUSTER=yes plays the demo on that cluster instead.');
  say('Starting a control plane and hallpass, for this demo only.');
  const stage = await playgroundStage();
  say(`Both are up, ${seconds(performance.now() - began)}.`);
  return stage;
}

console.log(styleText('bold', 'hallpass: an agent gets access for a task, and then it is gone.'));
let stage: Stage | undefined;
// On a cluster that goes on, an interrupted demo tidies up, too.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    console.error('\nInterrupted: tidying up.');
    Promise.resolve(stage?.end()).finally(() => process.exit(130));
  });
}
try {
  stage = await open();
  await tell(stage);
  console.log(`\nThat was it, in ${seconds(performance.now() - began)}.`);
} catch (error) {
  console.error(`\nThe demo failed: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
} finally {
  await stage?.end();
}
