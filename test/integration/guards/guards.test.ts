// Every guard against the attack that it closes, on a real API server, as the attacker with the attacker's own credentials.

import { agent } from './agent.ts';
import { startTwins, type Twins } from './cluster.ts';
import { clusterObjects } from './cluster-objects.ts';
import { impersonation, secrets, tokens } from './credentials.ts';
import { deployment } from './deploy.ts';
import { accounts, bindings, grantObjects, operator } from './managed-objects.ts';
import { finalizers, records, stamps } from './own-kinds.ts';
import { pods, tokenVolumes } from './pods.ts';
import { reviews } from './reviews.ts';
import { shipped } from './shipped.ts';
import { signals } from './signals.ts';

describe('the guards of', () => {
  let running: Twins | undefined;
  const twins = () => {
    if (!running) throw new Error('the clusters have not started');
    return running;
  };
  before(async function () {
    this.timeout(180_000);
    running = await startTwins();
  });
  after(() => Promise.all([running?.guarded.stop(), running?.bare.stop()]));

  describe('stamps', () => stamps(twins));
  describe('finalizers', () => finalizers(twins));
  describe('records', () => records(twins));
  describe('reviews, each of which', () => reviews(twins));
  describe('signals, each of which', () => signals(twins));
  describe('the objects of a grant', () => grantObjects(twins));
  describe('the objects of a grant for the whole cluster, which', () => clusterObjects(twins));
  describe('ServiceAccounts of agents', () => accounts(twins));
  describe('bindings', () => bindings(twins));
  describe('the operator, which', () => operator(twins));
  describe('tokens', () => tokens(twins));
  describe('Secrets', () => secrets(twins));
  describe('impersonation', () => impersonation(twins));
  describe('token volumes', () => tokenVolumes(twins));
  describe('pods, which', () => pods(twins));
  describe('what an agent holds by groups, which', () => agent(twins));
  describe('all this, which', () => shipped(twins));
  describe('nothing but rights: deploy', () => deployment(twins));
});
