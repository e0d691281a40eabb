// A quota that refuses every Job in a namespace, the dead man's too.
import { isForbidden, isInvalid } from '../../../src/kube/client.ts';
import { jobs } from '../../../src/kube/kinds.ts';
import type { Stage } from './stage.ts';

/** Whether a Job of the admin's own would be refused there now. */
export async function refusesJobs({ admin }: Stage, namespace: string): Promise<boolean> {
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
export async function forbidJobs(stage: Stage, namespace: string): Promise<void> {
  await stage.admin.createRaw(`/api/v1/namespaces/${namespace}/resourcequotas`, {
    apiVersion: 'v1',
    kind: 'ResourceQuota',
    metadata: { name: 'no-jobs' },
    spec: { hard: { 'count/jobs.batch': '0' } },
  });
  await stage.poll(
    () => refusesJobs(stage, namespace),
    (refused) => refused,
  );
}

export async function allowJobs(stage: Stage, namespace: string): Promise<void> {
  await stage.playground.admin(['delete', 'resourcequota', 'no-jobs', '-n', namespace]);
}
