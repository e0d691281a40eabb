// Conditions in CEL: what must be true, of those that the grant states itself and those of policies.
//
// The expressions are evaluated elsewhere, off the main thread; here their answers are weighed. Only an answer of true lets a
// grant pass, and only one of false revokes it: what could not be evaluated stands in the way until it can.

import type { ParsedPolicy } from '../api/policy.ts';
import type { Condition } from '../api/restrictions.ts';
import type { Answer, Question } from '../cel/question.ts';
import { variablesOf } from './environment.ts';
import type { Finding, GateInput } from './gates.ts';

type Asking = Omit<GateInput, 'answered'>;

const NONE: ReadonlyMap<string, Answer> = new Map();

/** The answers that count for what stands here, and what is still to be evaluated before it can be decided. */
export function answersFor(input: Asking): { answered: GateInput['answered']; question: Question | undefined } {
  const expressions = expressionsOf(input);
  if (expressions.length === 0) return { answered: NONE, question: undefined };
  const variables = variablesOf(input);
  const answered = input.answers?.input === variables ? input.answers.of : NONE;
  const unanswered = expressions.filter((expression) => !answered.has(expression));
  const question = unanswered.length > 0 ? { input: variables, expressions: unanswered } : undefined;
  return { answered, question };
}

/** Everything that the decision takes evaluating, each once: of policies first, so that no grant's own takes their time. */
function expressionsOf(input: Asking): string[] {
  const policies = [...input.policies.enforced, ...input.policies.warning];
  const ofPolicies = policies.flatMap(({ spec }) => [
    ...(spec?.conditions ?? []).map(({ expression }) => expression),
    ...(spec?.approvals ?? []).flatMap(({ when }) => when ?? []),
  ]);
  const own = input.grant.spec?.conditions?.map(({ expression }) => expression) ?? [];
  // Without an agent they would be about nothing, and another gate says so.
  return isAboutAgent(input) ? [...new Set([...ofPolicies, ...own])] : [];
}

function isAboutAgent({ identity }: Asking): boolean {
  return identity?.spec !== undefined;
}

/** What conditions of the grant and of enforced policies have against it. */
export function conditionGate(input: GateInput): Finding[] {
  if (!isAboutAgent(input)) return [];
  return [...ofGrant(input), ...input.policies.enforced.flatMap((policy) => ofPolicy(input, policy))];
}

/** What conditions of policies that only warn would have against it. */
export function conditionWarnings(input: GateInput): Finding[] {
  return isAboutAgent(input) ? input.policies.warning.flatMap((policy) => ofPolicy(input, policy)) : [];
}

function ofGrant(input: GateInput): Finding[] {
  return (input.grant.spec?.conditions ?? []).flatMap(({ name, expression, onFalse }, at) => {
    const field = `spec.conditions[${at}]`;
    const lasts = onFalse === 'Revoke' ? 'it is given when it is' : 'access follows, or comes back, when it is';
    return against(answerTo(input, expression), {
      invalid: (where) => ({
        reason: 'ConditionInvalid',
        message: `its condition ${name} is not valid: ${field}.expression ${where}; correct it`,
        needsEdit: true,
      }),
      failed: `its condition ${name} (${field}) could not be evaluated`,
      untrue: `its condition ${name} (${field}) is not true; ${lasts}`,
    });
  });
}

function ofPolicy(input: GateInput, { metadata, spec }: ParsedPolicy): Finding[] {
  const policy = `AgentPolicy ${metadata.name}`;
  const invalid = (field: string) => (where: string) => ({
    reason: 'PolicyInvalid' as const,
    message: `${policy} is not valid: ${field} ${where}; correct it`,
  });
  const conditions = (spec?.conditions ?? []).flatMap(({ name, why, expression }, at) => {
    const line = `spec.conditions[${at}], ${name}: ${why}`;
    return against(answerTo(input, expression), {
      invalid: invalid(`spec.conditions[${at}].expression`),
      failed: `a condition of ${policy} (${line}) could not be evaluated`,
      untrue: `${policy} wants what is not so (${line}); ask for what fits, or wait until it is`,
    });
  });
  const approvals = (spec?.approvals ?? []).flatMap(({ when }, at) => {
    const answer = when === undefined ? TRUE : answerTo(input, when);
    return answer.kind === 'invalid' ? [invalid(`spec.approvals[${at}].when`)(placed(answer))] : [];
  });
  return [...conditions, ...approvals];
}

type Words = { invalid: (where: string) => Finding; failed: string; untrue: string };

function against(answer: Answer, words: Words): Finding[] {
  if (answer.kind === 'invalid') return [words.invalid(placed(answer))];
  if (answer.kind === 'failed') {
    const message = `${words.failed}: ${answer.message}`;
    return [{ reason: 'ConditionFailed', message, nextCheck: answer.retryAt }];
  }
  return answer.value ? [] : [{ reason: 'ConditionFalse', message: words.untrue }];
}

/** Why the grant, once given, is over for good: a condition that says so has come out false, and not just failed. */
export function revocation(input: GateInput): Finding | undefined {
  const own = input.grant.spec?.conditions?.find((condition) => revokes(input, condition));
  if (own) {
    return {
      reason: 'ConditionFalse',
      message: `its condition ${own.name} is no longer true, which ends it for good (onFalse: Revoke); to ask again, set spec.task.ref to a new value`,
    };
  }
  for (const { metadata, spec } of input.policies.enforced) {
    const condition = spec?.conditions?.find((each) => revokes(input, each));
    if (!condition) continue;
    return {
      reason: 'ConditionFalse',
      message: `what AgentPolicy ${metadata.name} wants is no longer so (${condition.name}: ${condition.why}), which ends it for good (onFalse: Revoke); to ask again, set spec.task.ref to a new value`,
    };
  }
  return undefined;
}

function revokes(input: GateInput, { expression, onFalse }: Condition): boolean {
  const answer = answerTo(input, expression);
  return onFalse === 'Revoke' && answer.kind === 'value' && !answer.value;
}

/** Whether an approval is wanted by its `when`, and what is not known about that. What can't be evaluated is for every grant. */
export function appliesTo(
  input: GateInput,
  when: string | undefined,
): { applies: boolean; doubt?: string; nextCheck?: number | undefined } {
  const answer = when === undefined ? TRUE : answerTo(input, when);
  if (answer.kind === 'value') return { applies: answer.value };
  if (answer.kind === 'invalid') return { applies: true, doubt: placed(answer) };
  return { applies: true, doubt: answer.message, nextCheck: answer.retryAt };
}

const TRUE: Answer = { kind: 'value', value: true };

/** Nothing passes by what was not asked. */
function answerTo({ answered }: GateInput, expression: string): Answer {
  return answered.get(expression) ?? { kind: 'failed', message: 'it has not been evaluated' };
}

type Invalid = Extract<Answer, { kind: 'invalid' }>;

function placed({ line, column, message }: Invalid): string {
  return `${line === 1 ? '' : `line ${line}, `}column ${column}: ${message}`;
}
