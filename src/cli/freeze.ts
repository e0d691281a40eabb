// freeze, unfreeze: stops every grant of a namespace or of the cluster at once, by an AgentPolicy of its own, and takes that back.

import { API_VERSION, GROUP } from '../api/names.ts';
import { agentPolicies, type ParsedPolicy, policySpec } from '../api/policy.ts';
import { isAlreadyExists, isForbidden, isNotFound } from '../kube/client.ts';
import { namespaces } from '../kube/kinds.ts';
import { mustAgree, mustHaveSaid } from './asking.ts';
import { type Cluster, type ClusterOptions, withCluster } from './cluster.ts';
import { EXIT, type ExitCode, Failure, lacksRight } from './failure.ts';
import { wrapped } from './layout.ts';
import { type Form, show } from './output.ts';
import type { Terminal } from './terminal.ts';

type Order = { everywhere: boolean; yes: boolean; form: Form };

/** What a freeze is about, and the AgentPolicy by which it is: one for each namespace, so that each is taken back by itself. */
type Scope = { name: string; namespaceSelector: object; about: string; flag: string };

/** Stops all grants; one that is frozen already stays as it is. */
export async function freeze(
  where: ClusterOptions,
  terminal: Terminal,
  o: Order & { reason: string | undefined },
): Promise<ExitCode> {
  const missing = [...(o.reason === undefined ? ['--reason'] : []), ...(o.yes ? [] : ['--yes'])];
  mustHaveSaid(terminal, missing.join(' and '));
  return withCluster(where, async (cluster) => {
    const scope = scopeOf(cluster, o);
    await mustMay(cluster, 'create', scope.name);
    if (!o.everywhere) await mustExist(cluster);
    tell(
      terminal,
      `Freeze: every grant of ${scope.about} is withdrawn at once, and nothing is given, until an unfreeze.`,
    );
    const reason = o.reason ?? (await terminal.ask?.('Why, in one line, for everybody whose access stops?')) ?? '';
    const spec = { namespaceSelector: scope.namespaceSelector, freeze: { reason } };
    const wrong = policySpec.safeParse(spec).error?.issues[0];
    if (wrong) throw new Failure(`the reason will not do: ${wrong.message} (--reason)`, EXIT.usage);
    await mustAgree(terminal, o.yes, `Freeze ${scope.about}?`, 'nothing was done');
    const manifest = { apiVersion: API_VERSION, kind: 'AgentPolicy', metadata: { name: scope.name }, spec };
    const undo = `to end it: kubectl hallpass unfreeze ${scope.flag}`;
    try {
      await cluster.create(agentPolicies, '', manifest);
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
      const before = await cluster.client.get(agentPolicies, { name: scope.name });
      const because = before.spec?.freeze?.reason;
      if (!isOurs(before, scope)) throw isAnother(scope);
      show(terminal, o.form, { ...manifest, spec: before.spec }, () =>
        wrapped(
          `${scope.about} was frozen already (${because}), by AgentPolicy ${scope.name}; ${undo}`,
          terminal.width,
        ),
      );
      return EXIT.yes;
    }
    show(terminal, o.form, manifest, () =>
      wrapped(`${scope.about} is frozen, by AgentPolicy ${scope.name}; ${undo}`, terminal.width),
    );
    return EXIT.yes;
  });
}

/** Takes a freeze back that was made so. Others go on. */
export async function unfreeze(where: ClusterOptions, terminal: Terminal, o: Order): Promise<ExitCode> {
  mustHaveSaid(terminal, o.yes ? '' : '--yes');
  return withCluster(where, async (cluster) => {
    const scope = scopeOf(cluster, o);
    await mustMay(cluster, 'delete', scope.name);
    const policy = await frozenBy(cluster, scope);
    tell(terminal, `Unfreeze: ${scope.about} was frozen for: ${policy.spec?.freeze?.reason}`);
    await mustAgree(terminal, o.yes, `Unfreeze ${scope.about}?`, 'nothing was done');
    await cluster.client.delete(agentPolicies, { name: scope.name }, { uid: policy.metadata.uid });
    show(terminal, o.form, { apiVersion: API_VERSION, kind: 'AgentPolicy', metadata: { name: scope.name } }, () =>
      wrapped(
        `${scope.about} is no longer frozen by AgentPolicy ${scope.name}; grants whose time has not run out come back in 30 seconds, unless something else stands against them`,
        terminal.width,
      ),
    );
    return EXIT.yes;
  });
}

function scopeOf({ namespace }: Cluster, { everywhere }: Order): Scope {
  if (everywhere) return { name: 'freeze', namespaceSelector: {}, about: 'the whole cluster', flag: '-A' };
  return {
    name: `freeze-${namespace}`,
    // The label that nobody but the API server sets.
    namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } },
    about: `namespace ${namespace}`,
    flag: `-n ${namespace}`,
  };
}

/** A name with a typo would freeze nothing. Who may not look at namespaces is taken at their word. */
async function mustExist({ client, namespace }: Cluster): Promise<void> {
  try {
    await client.get(namespaces, { name: namespace });
  } catch (error) {
    if (isNotFound(error)) throw new Failure(`there is no namespace ${namespace}, so nothing was frozen`);
    if (!isForbidden(error)) throw error;
  }
}

async function mustMay(cluster: Cluster, verb: string, name: string): Promise<void> {
  if (await cluster.may({ verb, group: GROUP, resource: 'agentpolicies', name })) return;
  const { username: user } = await cluster.user();
  throw lacksRight({ verb, resource: 'agentpolicies', namespace: undefined, user });
}

async function frozenBy({ client }: Cluster, scope: Scope): Promise<ParsedPolicy> {
  try {
    const policy = await client.get(agentPolicies, { name: scope.name });
    if (!isOurs(policy, scope)) throw isAnother(scope);
    return policy;
  } catch (error) {
    if (!isNotFound(error)) throw error;
    throw new Failure(
      `there is no AgentPolicy ${scope.name}, so ${scope.about} was not frozen by kubectl hallpass freeze; kubectl get agpol shows in column FROZEN what else freezes`,
    );
  }
}

/** Whether a policy is what freeze makes: it freezes what is meant, and does nothing else. */
function isOurs({ spec }: ParsedPolicy, { namespaceSelector }: Scope): boolean {
  if (spec === undefined) return false;
  const { namespaceSelector: selected, freeze: frozen, ...rest } = spec;
  const same = JSON.stringify(selected) === JSON.stringify(namespaceSelector);
  return same && frozen !== undefined && Object.values(rest).every((value) => value === undefined);
}

function isAnother({ name, about }: Scope): Failure {
  return new Failure(
    `AgentPolicy ${name} is there and is another than the freeze of ${about} by kubectl hallpass, so it was left alone; look at it by: kubectl get agpol ${name} -o yaml`,
  );
}

function tell(terminal: Terminal, text: string): void {
  for (const line of wrapped(text, terminal.width)) terminal.tell(line);
}
