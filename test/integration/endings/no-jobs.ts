// A quota that refuses every Job in a namespace, the dead man's too.
import { type Client, isForbidden, isInvalid } from '../../../src/kube/client.ts';
import { jobs } from '../../../src/kube/kinds.ts';
import { poll } from '../../harness/poll.ts';

type WithAdmin = { admin: Client };

/** Whether a Job of the admin's own would be refused there now. */
export async function refusesJobs({ admin }: WithAdmin, namespace: string): Promise<boolean> {
  const container = { name: 'a', image: 'a' };
  const job = {
    metadata: { name: 'probe', namespace },
    spec: { parallelism: 0, template: { spec: { restartPolicy: 'Never', containers: [container] } } },
  };
  try {
    await admin.create(jobs, job, { dryRun: true });
    return false;
  } catch (error) {
    if (isForbidden(error) || isInvalid(error)) return true;
    throw error;
  }
}

/** Lets no Job into a namespace any more, and resolves once that holds. */
export async function forbidJobs({ admin }: WithAdmin, namespace: string): Promise<void> {
  await admin.createRaw(`/api/v1/namespaces/${namespace}/resourcequotas`, {
    apiVersion: 'v1',
    kind: 'ResourceQuota',
    metadata: { name: 'no-jobs' },
    spec: { hard: { 'count/jobs.batch': '0' } },
  });
  const told = () => `Jobs are let into ${namespace} in spite of a quota`;
  await poll(() => refusesJobs({ admin }, namespace), Boolean, 20_000, { told });
}

/** `playground`: where kubectl runs as admin. */
export async function allowJobs(
  { playground }: { playground: { admin(args: string[]): Promise<string> } },
  namespace: string,
): Promise<void> {
  await playground.admin(['delete', 'resourcequota', 'no-jobs', '-n', namespace]);
}
