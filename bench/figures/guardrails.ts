// How much memory hallpass takes with many grants, policies and reviews.
import { agentGrants } from '../../src/api/grant.ts';
import { API_VERSION } from '../../src/api/names.ts';
import type { Figure } from '../figure.ts';
import { inFlight } from '../in-flight.ts';
import { names } from '../lab.ts';
import { heapDetails, quiet } from '../metrics.ts';
import { quietMegabytes, residentMegabytes } from '../processes.ts';
import { GRANTS, tenThousandGrants } from '../ten-thousand.ts';

const targetMegabytes = 300;
const policies = 100;
const reviewsEach = 2;

export const guardrails: Figure = {
  name: 'guardrails',
  title: `resident memory at ${GRANTS.toLocaleString('en')} grants, ${policies} policies and ${(GRANTS * reviewsEach).toLocaleString('en')} reviews`,
  target: `≤ ${targetMegabytes} MB`,
  method:
    'As memory, after the policies and reviews were made: policies of 16 lines of deny each, which all select every namespace; two approvals a grant.',
  async measure(progress) {
    const { lab } = await tenThousandGrants(progress);
    const path = `/apis/${API_VERSION}`;
    progress(`making ${policies} policies`);
    await inFlight(names('guards', policies), (name, index) =>
      lab.admin.createRaw(`${path}/agentpolicies`, {
        apiVersion: API_VERSION,
        kind: 'AgentPolicy',
        metadata: { name },
        spec: {
          namespaceSelector: {},
          deny: names('kind', 16).map((kind) => ({
            why: `nobody needs ${kind} of product ${index} for a task`,
            apiGroups: [`product-${index}.example.com`],
            resources: [kind],
            verbs: ['*'],
          })),
        },
      }),
    );
    await quiet(lab.hallpass.healthUrl);
    const { items } = await lab.admin.list(agentGrants, {});
    progress(`making ${items.length * reviewsEach} reviews`);
    for (const round of names('approval', reviewsEach)) {
      await inFlight(items, ({ metadata: { namespace, name, uid, generation }, hash }) =>
        lab.admin.createRaw(`${path}/namespaces/${namespace}/agentreviews`, {
          apiVersion: API_VERSION,
          kind: 'AgentReview',
          metadata: { name: `${name}-${round}` },
          spec: {
            target: { kind: 'AgentGrant', name, uid, generation, specHash: hash },
            decision: 'Approve',
            comment: 'Fits the task, which takes a sentence as people write them.',
          },
        }),
      );
    }
    await quiet(lab.hallpass.healthUrl);
    const busy = await residentMegabytes(lab.hallpass.pid);
    const resident = await quietMegabytes(lab.hallpass.pid);
    return {
      value: `${resident.toFixed(0)} MB`,
      met: resident <= targetMegabytes,
      details: [
        ['right after it was at work', `${busy.toFixed(0)} MB`],
        ...(await heapDetails(lab.hallpass.healthUrl)),
      ],
    };
  },
};
