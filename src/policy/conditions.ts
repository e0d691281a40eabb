// Conditions in CEL: what must be true, of those that the grant states itself and those of policies.
//
// The expressions are evaluated elsewhere, off the main thread; here their answers are weighed. Only an answer of true lets a
// grant pass, and only one of false revokes it: what could not be evaluated stands in the way until it can.

import type { ParsedPolicy } from '../api/policy.ts';
import type { Condition } from '../api/restrictions.ts';
import type { Answer, Invalid, Question } from '../cel/question.ts';
import { variablesOf } from './environment.ts';
import { type Finding, finding, type Help, NOTHING, ofEach, together } from './finding.ts';
import type { GateInput } from './gates.ts';
import { once } from './once.ts';
import { expressionsIn, hasOutlasting, mayRead, type Reader, readBy, readHelp } from './signals-read.ts';

type Asking = Omit<GateInput, 'answered'>;

/** An expression that the decision takes, whose it is, and the variables that it is about. */
type Placed = { expression: string; reader: Reader; about: string };

type Answered = {
  answered: GateInput['answered'];
  /** What is still to be evaluated, all of it, before it can be decided. */
  questions: Question[];
  /** When time alone changes what expressions are about. */
  changesAt: number | undefined;
};

/** Of what takes no expression, as most grants do. */
const UNASKED: Answered = { answered: new Map(), questions: [], changesAt: undefined };

/** The answers that count for what stands here. */
export function answersFor(input: Asking): Answered {
  const all = expressionsOf(input);
  if (all.length === 0) return UNASKED;
  const variables = variablesOf(input);
  const plain = JSON.stringify(variables);
  const answered = new Map<string, Answer>();
  const ends: number[] = [];
  const placed: Placed[] = [];
  for (const [reader, expressions] of all) {
    const reading = expressions.filter(mayRead);
    for (const expression of expressions) {
      if (!mayRead(expression)) placed.push({ expression, reader, about: plain });
    }
    if (reading.length === 0) continue;
    const { signals, problem, changesAt } = readBy(reader, input);
    if (changesAt !== undefined) ends.push(changesAt);
    const about = JSON.stringify({ ...variables, signals });
    for (const expression of reading) {
      if (problem === undefined) placed.push({ expression, reader, about });
      else answered.set(keyOf(expression, reader), { kind: 'failed', message: problem });
    }
  }
  const known = new Map(input.answers?.map(({ input, of }) => [input, of]));
  for (const { expression, reader, about } of placed) {
    const answer = known.get(about)?.get(expression);
    if (answer) answered.set(keyOf(expression, reader), answer);
  }
  const complete = placed.every(({ expression, reader }) => answered.has(keyOf(expression, reader)));
  const changesAt = ends.length > 0 ? Math.min(...ends) : undefined;
  return { answered, questions: complete ? [] : questionsOf(placed), changesAt };
}

/** Each expression once over what it is about. */
function questionsOf(placed: Placed[]): Question[] {
  const asked = new Map<string, Set<string>>();
  for (const { expression, about } of placed) asked.set(about, (asked.get(about) ?? new Set()).add(expression));
  return [...asked].map(([input, expressions]) => ({ input, expressions: [...expressions] }));
}

/** Everything that the decision takes evaluating: of policies first, so that no grant's own takes their time. */
function expressionsOf(input: Asking): [Reader, string[]][] {
  // Without an agent they would be about nothing, and another gate says so.
  if (!isAboutAgent(input)) return [];
  const { enforced, warning } = input.policies;
  const own = input.grant.spec?.conditions?.map(({ expression }) => expression) ?? [];
  const all: [Reader, string[]][] = [];
  for (const policy of stating(enforced)) all.push([policy, expressionsIn(policy)]);
  for (const policy of stating(warning)) all.push([policy, expressionsIn(policy)]);
  if (own.length > 0) all.push([undefined, own]);
  return all;
}

/** Those of the policies that state any expression. */
const stating = once((policies: ParsedPolicy[]) => policies.filter((policy) => expressionsIn(policy).length > 0));

/** Where the answer to an expression is found: one that reads signals may come to something else for each reader. */
function keyOf(expression: string, reader: Reader): string {
  return mayRead(expression) ? `${reader?.metadata.name ?? ''}\0${expression}` : expression;
}

function isAboutAgent({ identity }: Asking): boolean {
  return identity?.spec !== undefined;
}

/** What conditions of the grant and of enforced policies have against it. */
export function conditionGate(input: GateInput): readonly Finding[] {
  if (!isAboutAgent(input)) return NOTHING;
  return together(
    ofGrant(input),
    ofEach(stating(input.policies.enforced), (policy) => ofPolicy(input, policy)),
  );
}

/** What conditions of policies that only warn would have against it. */
export function conditionWarnings(input: GateInput): readonly Finding[] {
  if (!isAboutAgent(input)) return NOTHING;
  return ofEach(stating(input.policies.warning), (policy) => ofPolicy(input, policy));
}

function ofGrant(input: GateInput): readonly Finding[] {
  const { conditions } = input.grant.spec ?? {};
  if (!conditions) return NOTHING;
  return conditions.flatMap(({ name, expression, onFalse }, at) => {
    const field = `spec.conditions[${at}]`;
    const lasts = onFalse === 'Revoke' ? 'it is given when it is' : 'access follows, or comes back, when it is';
    return against(answerTo(input, expression, undefined), {
      invalid: (where) =>
        finding({
          reason: 'ConditionInvalid',
          what: `its condition ${name} is not valid: ${field}.expression ${where}`,
          remedy: 'correct it',
          by: ['Requester'],
          needsEdit: true,
        }),
      failed: (because, help) =>
        finding({
          reason: 'ConditionFailed',
          what: `its condition ${name} (${field}) could not be evaluated: ${because}`,
          ...help,
        }),
      untrue: () =>
        finding({
          reason: 'ConditionFalse',
          what: `its condition ${name} (${field}) is not true`,
          ...helpWith(input, { expression, reader: undefined, remedy: lasts }),
        }),
    });
  });
}

function ofPolicy(input: GateInput, reader: ParsedPolicy): Finding[] {
  const { metadata, spec } = reader;
  const policy = metadata.name;
  const invalid = (line: string) => (where: string) =>
    finding({
      reason: 'PolicyInvalid',
      policy,
      line,
      what: `AgentPolicy ${policy} is not valid: ${line} ${where}`,
      remedy: 'correct it',
      by: ['PolicyAdmin'],
    });
  const conditions = (spec?.conditions ?? []).flatMap(({ name, why, expression }, at) => {
    const line = `spec.conditions[${at}]`;
    return against(answerTo(input, expression, reader), {
      invalid: invalid(`${line}.expression`),
      failed: (because, help) =>
        finding({
          reason: 'ConditionFailed',
          policy,
          line,
          what: `a condition of AgentPolicy ${policy} (${line}, ${name}: ${why}) could not be evaluated: ${because}`,
          ...help,
          by: ['PolicyAdmin', ...help.by],
        }),
      untrue: () =>
        finding({
          reason: 'ConditionFalse',
          policy,
          line,
          what: `AgentPolicy ${policy} wants what is not so (${line}, ${name}: ${why})`,
          ...helpWith(input, { expression, reader, remedy: 'ask for what fits, or wait until it is' }),
        }),
    });
  });
  const approvals = (spec?.approvals ?? []).flatMap(({ when }, at) => {
    const answer = when === undefined ? TRUE : answerTo(input, when, reader);
    return answer.kind === 'invalid' ? [invalid(`spec.approvals[${at}].when`)(placed(answer))] : [];
  });
  return [...conditions, ...approvals];
}

/** What helps where an expression is not true, and the signal that it may hang on, if it reads any. */
function helpWith(input: GateInput, o: { expression: string; reader: Reader; remedy: string }): Help {
  const lifting = mayRead(o.expression) ? readHelp(o.reader, input) : undefined;
  if (!lifting) return { remedy: o.remedy, by: ['Requester', 'Others'] };
  return { remedy: `${o.remedy}; ${lifting.remedy}`, by: ['Requester', 'Others', ...lifting.by] };
}

/** What is said of a condition by its answer. A failure comes with what helps, beside whoever maintains the condition. */
type Words = {
  invalid: (where: string) => Finding;
  failed: (because: string, help: Help & { nextCheck?: number }) => Finding;
  untrue: () => Finding;
};

function against(answer: Answer, words: Words): Finding[] {
  if (answer.kind === 'invalid') return [words.invalid(placed(answer))];
  if (answer.kind === 'value') return answer.value ? [] : [words.untrue()];
  const { message, retryAt } = answer;
  return [
    retryAt === undefined
      ? words.failed(message, { remedy: 'correct it, or what it is about', by: ['Requester', 'Others'] })
      : words.failed(message, {
          remedy: 'correct it, or wait until it is tried again',
          by: ['Requester', 'Hallpass'],
          nextCheck: retryAt,
        }),
  ];
}

/** Why the grant, once given, is over for good: a condition that says so has come out false, and not just failed. */
export function revocation(input: GateInput): Finding | undefined {
  const again = { remedy: 'to ask again, set spec.task.ref to a new value', by: ['Requester'] } as const;
  const own = input.grant.spec?.conditions?.find((condition) => revokes(input, condition, undefined));
  if (own) {
    const what = `its condition ${own.name} is no longer true, which ends it for good (onFalse: Revoke)`;
    return finding({ reason: 'ConditionFalse', what, ...again });
  }
  for (const policy of stating(input.policies.enforced)) {
    const { metadata, spec } = policy;
    const at = spec?.conditions?.findIndex((each) => revokes(input, each, policy)) ?? -1;
    const condition = spec?.conditions?.[at];
    if (!condition) continue;
    return finding({
      reason: 'ConditionFalse',
      policy: metadata.name,
      line: `spec.conditions[${at}]`,
      what: `what AgentPolicy ${metadata.name} wants is no longer so (${condition.name}: ${condition.why}), which ends it for good (onFalse: Revoke)`,
      ...again,
    });
  }
  return undefined;
}

/** A fact that has passed ends nothing for good, here as little as by a response: where such a one is read, it is withheld. */
function revokes(input: GateInput, { expression, onFalse }: Condition, reader: Reader): boolean {
  const answer = answerTo(input, expression, reader);
  if (onFalse !== 'Revoke' || answer.kind !== 'value' || answer.value) return false;
  return !(mayRead(expression) && hasOutlasting(reader, input));
}

/** Whether an approval is wanted by the `when` of a policy, and what is not known about that. What can't be evaluated is for every grant. */
export function appliesTo(
  input: GateInput,
  policy: ParsedPolicy,
  when: string | undefined,
): { applies: boolean; doubt?: string; nextCheck?: number | undefined } {
  const answer = when === undefined ? TRUE : answerTo(input, when, policy);
  if (answer.kind === 'value') return { applies: answer.value };
  if (answer.kind === 'invalid') return { applies: true, doubt: placed(answer) };
  return { applies: true, doubt: answer.message, nextCheck: answer.retryAt };
}

const TRUE: Answer = { kind: 'value', value: true };

/** Nothing passes by what was not asked. */
function answerTo({ answered }: GateInput, expression: string, reader: Reader): Answer {
  return answered.get(keyOf(expression, reader)) ?? { kind: 'failed', message: 'it has not been evaluated' };
}

/** Where an expression is not valid, and why. */
export function placed({ line, column, message }: Invalid): string {
  return `${line === 1 ? '' : `line ${line}, `}column ${column}: ${message}`;
}
