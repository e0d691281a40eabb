// The bare client: the writes that hallpass makes for a grant, made by a kept-alive client that decides nothing and
// watches nothing, as hallpass's own account, under the same guards.
import { randomUUID } from 'node:crypto';
import {
  deadlineSeconds,
  type GrantKey,
  jobAsOwner,
  renderBinding,
  renderJob,
  renderRole,
  renderSubjects,
} from '../src/access/grant-objects.ts';
import { renderReceipt } from '../src/access/receipts.ts';
import { GATES } from '../src/api/gates.ts';
import { agentGrants, type ParsedGrant, parseGrant } from '../src/api/grant.ts';
import { API_VERSION, grantObjectName } from '../src/api/names.ts';
import { agentReceipts } from '../src/api/receipt.ts';
import { deadManOf, grantStatus } from '../src/controllers/grant-status.ts';
import { jobs, roleBindings, roles } from '../src/kube/kinds.ts';
import { requestedAccess } from '../src/policy/access.ts';
import { term, timestamp } from '../src/policy/schedule.ts';
import { inFlight } from './in-flight.ts';
import { type GrantRequest, grantBody, grantPath, type Lab } from './lab.ts';

export type BareGrant = { namespace: string; uid: string };

/** Requests grants and makes the seven writes for each, 32 in flight. */
export async function issueBare(lab: Lab, requests: GrantRequest[]): Promise<BareGrant[]> {
  return inFlight(requests, async (request) => {
    const grant = parseGrant(await lab.requester.createRaw(grantPath(request.namespace), grantBody(request)));
    return issueOne(lab, grant);
  });
}

async function issueOne({ operator }: Lab, grant: ParsedGrant): Promise<BareGrant> {
  const { spec, stamps, hash } = grant;
  const { namespace = '', name, uid } = grant.metadata;
  if (!spec || !stamps) throw new Error(`the grant is not as it was written: ${grant.invalid}`);
  const key: GrantKey = { namespace, name, uid };
  const now = Date.now();
  const decision = { id: randomUUID().replaceAll('-', ''), time: timestamp(now), policies: ['default'] };
  const gates = Object.fromEntries(GATES.map((gate) => [gate, 'Passed' as const]));
  const { start, end } = term({ duration: 3_600_000 }, now);
  const [access] = requestedAccess(spec.permissions, namespace);
  if (!access) throw new Error('no access');
  const receipt = await operator.create(agentReceipts, {
    apiVersion: API_VERSION,
    kind: 'AgentReceipt',
    ...renderReceipt({
      grant: key,
      spec,
      specHash: hash,
      stamps,
      agentUid: randomUUID(),
      access: [access],
      startTime: timestamp(start),
      expiresAt: timestamp(end),
      decision: decision.id,
    }),
  });
  const job = await operator.create(jobs, renderJob(key, namespace, deadlineSeconds(end, now), 'hallpass'));
  const role = await operator.create(roles, renderRole(key, namespace, access.rules));
  const owner = jobAsOwner(job.metadata);
  const binding = await operator.create(roleBindings, renderBinding(key, namespace, owner));
  const created = [
    { kind: 'Job', metadata: job.metadata },
    { kind: 'Role', metadata: role.metadata },
    { kind: 'RoleBinding', metadata: binding.metadata },
  ].map(({ kind, metadata }) => ({ kind, namespace, name: metadata.name, uid: metadata.uid }));
  const standing = {
    specHash: hash,
    term: { start, end },
    receipt: receipt.metadata.name,
    created,
    deadMan: deadManOf([job]),
    task: undefined,
    passingSince: undefined,
    warnings: [],
    approvals: [],
    gates,
    decision,
  };
  const write = (from: ParsedGrant, status: ParsedGrant['status']) => {
    const { resourceVersion } = from.metadata;
    const metadata = { name, namespace, uid, resourceVersion };
    return operator.replace(agentGrants, { ...from, spec: undefined, metadata, status }, { subresource: 'status' });
  };
  const issuing = {
    reason: 'Issuing' as const,
    message: 'every gate is passed; the access is being created',
  };
  const announced = await write(
    grant,
    grantStatus(grant, { ...standing, phase: 'Pending', reasons: [issuing], settled: false }, now),
  );
  const subjects = renderSubjects({ namespace, name: spec.agent });
  await operator.replace(roleBindings, { ...binding, subjects });
  const granted = { reason: 'Granted' as const, message: `access is granted until ${timestamp(end)}` };
  await write(
    announced,
    grantStatus(announced, { ...standing, phase: 'Active', reasons: [granted], settled: true }, now),
  );
  return { namespace, uid };
}

/** Deletes the bindings of bare grants, 32 in flight. */
export async function unbindBare({ operator }: Lab, grants: BareGrant[]): Promise<void> {
  await inFlight(grants, ({ namespace, uid }) =>
    operator.delete(roleBindings, { namespace, name: grantObjectName(uid) }, { propagationPolicy: 'Background' }),
  );
}
