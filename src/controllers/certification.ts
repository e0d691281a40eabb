// Whether an identity is certified: by the reviews about it, and by what the API server says of who made them.

import type { ParsedIdentity } from '../api/identity.ts';
import { GROUP } from '../api/names.ts';
import { type Judgement, judgeCertification } from '../policy/certification.ts';
import type { Review } from '../policy/reviews.ts';
import type { AuthorCheck } from './authors.ts';
import { type Caches, INDEX, targetKey } from './cluster.ts';
import { policiesOf } from './snapshot.ts';

/** Judges the certifications of an identity. Throws when the API server has to be asked about a reviewer and doesn't answer. */
export async function certificationOf(
  caches: Caches,
  check: AuthorCheck,
  identity: ParsedIdentity,
): Promise<Judgement> {
  const { namespace = '', name } = identity.metadata;
  const judge = (mayCertify: ReadonlyMap<string, boolean>) =>
    judgeCertification({
      identity,
      reviews: caches.reviews.byIndex(INDEX.target, targetKey('AgentIdentity', namespace, name)),
      policies: policiesOf(caches, namespace),
      mayCertify,
    });
  const { ask, ...known } = judge(new Map());
  if (ask.length === 0) return { ask, ...known };
  const answers = ask.map(async ({ metadata, stamps: { reviewer } }: Review): Promise<[string, boolean]> => {
    const what = { verb: 'certify', group: GROUP, resource: 'agentidentities', namespace, name };
    return [metadata.uid, await check.may(reviewer, what)];
  });
  return judge(new Map(await Promise.all(answers)));
}
