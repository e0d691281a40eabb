// Whether the people behind a grant hold what it hands out: asked of the API server, each question once.

import * as z from 'zod';
import type { Client } from '../kube/client.ts';
import { type Access, describePlace, type Place } from '../policy/access.ts';
import type { Holder, Holders } from '../policy/authors.ts';
import type { PolicyRule } from '../policy/rules.ts';
import type { AuthorsLack } from '../policy/snapshot.ts';

/** What a SubjectAccessReview asks about. An empty namespace means every namespace. */
type Attributes = {
  namespace: string;
  verb: string;
  group: string;
  resource: string;
  subresource: string;
  name: string;
};

/** More single rights than this are not asked about for one grant: each would be a request. */
export const MOST_QUESTIONS = 512;

/** An answer serves everyone who asks the same within this time, in milliseconds. */
const ANSWER_AGE = 2_000;

/** How many are asked at the same time, for all grants together: whatever else hallpass sends must not wait behind them. */
const QUESTIONS_AT_ONCE = 16;

const review = z.object({ status: z.object({ allowed: z.boolean() }) });

/** Asks, and remembers for a moment, so that a thousand grants by one pipeline don't ask a thousand times. */
export class AuthorCheck {
  readonly #client: Client;
  readonly #answers = new Map<string, { at: number; allowed: Promise<boolean> }>();

  readonly #waiting: (() => void)[] = [];
  #asking = 0;

  constructor(client: Client) {
    this.#client = client;
  }

  /** What those who must hold this access lack of it, as readable lines. Throws when the API server doesn't answer. */
  async lacking(holders: Holders, access: Access[]): Promise<AuthorsLack> {
    // Where nobody may answer for a pipeline, the decision says so without being told.
    const lacks = (holder: Holder | undefined) => (holder ? this.#lacks(holder, access) : []);
    const [creator, requester] = await Promise.all([lacks(holders.creator), lacks(holders.requester)]);
    return { creator, requester };
  }

  /** Whether somebody may do one thing. Throws when the API server doesn't answer. */
  may(who: Holder, what: Partial<Attributes> & Pick<Attributes, 'verb' | 'resource'>): Promise<boolean> {
    return this.#ask(who, { namespace: '', group: '', subresource: '', name: '', ...what });
  }

  /** Rights have changed: everything is asked anew. */
  forget(): void {
    this.#answers.clear();
  }

  async #lacks(holder: Holder, access: Access[]): Promise<string[]> {
    const count = access.reduce((sum, { rules }) => sum + rules.reduce((all, rule) => all + questionCount(rule), 0), 0);
    if (count > MOST_QUESTIONS) {
      return [
        `it names ${count} combinations of verb, group, resource, name and namespace, and at most ${MOST_QUESTIONS} are checked: split the grant`,
      ];
    }
    const missing: string[] = [];
    for (const { namespace, rules } of access) {
      const asked = rules.flatMap(questions);
      const answers = await Promise.all(asked.map((question) => this.#holds(holder, namespace, question)));
      asked.forEach((question, at) => {
        if (!answers[at]) missing.push(`${describe(question)} in ${describePlace(namespace)}`);
      });
    }
    return missing;
  }

  /**
   * Who holds something everywhere holds it here; asking that first makes one question of many namespaces'. For the whole cluster
   * only that counts: it is answered by ClusterRoleBindings alone.
   */
  async #holds(holder: Holder, namespace: Place, question: Omit<Attributes, 'namespace'>): Promise<boolean> {
    if (await this.#ask(holder, { ...question, namespace: '' })) return true;
    if (namespace === undefined) return false;
    return this.#ask(holder, { ...question, namespace });
  }

  #ask(holder: Holder, attributes: Attributes): Promise<boolean> {
    const key = JSON.stringify([holder.username, holder.uid, holder.groups, attributes]);
    const now = performance.now();
    const known = this.#answers.get(key);
    if (known && now - known.at < ANSWER_AGE) return known.allowed;
    this.#forgetOld(now);
    const allowed = this.#inTurn(() => this.#review(holder, attributes));
    this.#answers.set(key, { at: now, allowed });
    // A question that got no answer is asked again.
    allowed.catch(() => this.#answers.delete(key));
    return allowed;
  }

  async #inTurn<T>(ask: () => Promise<T>): Promise<T> {
    if (this.#asking < QUESTIONS_AT_ONCE) this.#asking += 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await ask();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#asking -= 1;
    }
  }

  async #review(holder: Holder, resourceAttributes: Attributes): Promise<boolean> {
    const { username: user, uid, groups } = holder;
    const answer = await this.#client.createRaw('/apis/authorization.k8s.io/v1/subjectaccessreviews', {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SubjectAccessReview',
      spec: { user, uid, groups, resourceAttributes },
    });
    return review.parse(answer).status.allowed;
  }

  /** Answers are kept in the order in which they were asked, so the old ones are in front. */
  #forgetOld(now: number): void {
    for (const [key, { at }] of this.#answers) {
      if (now - at < ANSWER_AGE) return;
      this.#answers.delete(key);
    }
  }
}

function questionCount(rule: PolicyRule): number {
  const names = Math.max(1, rule.resourceNames?.length ?? 0);
  return rule.verbs.length * (rule.apiGroups?.length ?? 0) * (rule.resources?.length ?? 0) * names;
}

/** Every single right that a rule gives. RBAC answers a question about `*` only by a rule with `*`, which is what we mean. */
function questions(rule: PolicyRule): Omit<Attributes, 'namespace'>[] {
  const names = rule.resourceNames?.length ? rule.resourceNames : [''];
  return rule.verbs.flatMap((verb) =>
    (rule.apiGroups ?? []).flatMap((group) =>
      (rule.resources ?? []).flatMap((combined) => {
        const slash = combined.indexOf('/');
        const resource = slash < 0 ? combined : combined.slice(0, slash);
        const subresource = slash < 0 ? '' : combined.slice(slash + 1);
        return names.map((name) => ({ verb, group, resource, subresource, name }));
      }),
    ),
  );
}

function describe({ verb, group, resource, subresource, name }: Omit<Attributes, 'namespace'>): string {
  const what = `${resource}${subresource ? `/${subresource}` : ''}${group ? `.${group}` : ''}`;
  return `${verb} ${what}${name ? ` ${name}` : ''}`;
}
