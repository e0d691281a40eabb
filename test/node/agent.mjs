// What runs in an agent's pod in these tests: the official client, configured as its documentation says for a pod, asking
// for the same list over and over. One line of JSON for what it found mounted, then one for every change of the answer.
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { CoreV1Api, KubeConfig } from '@kubernetes/client-node';

const directory = '/var/run/secrets/kubernetes.io/serviceaccount';
const files = readdirSync(directory).filter((name) => !name.startsWith('.'));
// The claims alone: a token is a secret.
const claims = JSON.parse(Buffer.from(readFileSync(`${directory}/token`, 'utf8').split('.')[1], 'base64url'));
console.log(JSON.stringify({ files: files.sort(), issuedAt: claims.iat, expires: claims.exp, subject: claims.sub }));

const config = new KubeConfig();
config.loadFromCluster();
const api = config.makeApiClient(CoreV1Api);
const once = process.argv[2] === 'once';
for (let last; ; ) {
  let outcome = 'allowed';
  try {
    await api.listNamespacedPod({ namespace: config.getContextObject(config.currentContext).namespace });
  } catch (error) {
    outcome = String(error.code);
  }
  if (outcome !== last) console.log(JSON.stringify({ at: new Date().toISOString(), outcome }));
  if (once) break;
  last = outcome;
  await setTimeout(50);
}
