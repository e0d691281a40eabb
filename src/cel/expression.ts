// One expression, from its text to an answer: parsed, checked, and evaluated over what it is about.

import { celEnv, isCelError, parse, plan } from '@bufbuild/cel';
import { strings } from '@bufbuild/cel/ext';
import { durationFromMs } from '@bufbuild/protobuf/wkt';
import { check, ExpressionProblem, type ParsedExpression } from './check.ts';
import { LIMITS } from './limits.ts';
import type { Answer, Invalid } from './question.ts';
import type { CelType, Environment } from './types.ts';

/** The variables as values of the library. */
export type Variables = Record<string, unknown>;

type Compiled = (variables: Variables) => Answer;

const functions = celEnv({ funcs: strings });

/** Compiles an expression over declared variables. What comes back gives the same answer for any input where it is invalid. */
export function compile(text: string, environment: Environment): Compiled {
  const parsed = read(text, environment);
  if ('kind' in parsed) return () => parsed;
  const evaluate = plan(functions, parsed);
  return (variables) => {
    // Every variable was converted by its declared type, and `check` has seen how each is used.
    const result = evaluate(variables as Parameters<typeof evaluate>[0]);
    if (isCelError(result)) return { kind: 'failed', message: result.message };
    if (typeof result === 'boolean') return { kind: 'value', value: result };
    return { kind: 'failed', message: 'it gave neither true nor false' };
  };
}

/** What is wrong with the text of an expression; undefined where it is valid. Evaluates nothing. */
export function invalidity(text: string, environment: Environment): Invalid | undefined {
  const parsed = read(text, environment);
  return 'kind' in parsed ? parsed : undefined;
}

function read(text: string, environment: Environment): ParsedExpression | Invalid {
  try {
    if (text.length > LIMITS.expression) {
      throw new ExpressionProblem(`more than ${LIMITS.expression} characters`, LIMITS.expression);
    }
    const parsed = parse(text);
    check(parsed, environment);
    return parsed;
  } catch (error) {
    return { kind: 'invalid', ...problemOf(error, text) };
  }
}

function problemOf(error: unknown, text: string): { message: string; line: number; column: number } {
  // Of the two, the parser counts in UTF-16 where it fails, and in code points where it succeeds.
  if (error instanceof ExpressionProblem) {
    return { message: error.message, ...placeOf([...text].slice(0, error.offset).join('')) };
  }
  // By the stack, which goes with how deep the text is nested.
  if (error instanceof RangeError) return { message: 'nested too deep: say it flatter', line: 1, column: 1 };
  const { location, rawMessage, message } = Object(error);
  const offset = location?.start?.offset;
  if (typeof offset !== 'number') throw error;
  return { message: `it cannot be read from here on: ${rawMessage ?? message}`, ...placeOf(text.slice(0, offset)) };
}

/** Line and column, from 1, of what comes after this text; in code points, as an editor counts them. */
function placeOf(before: string): { line: number; column: number } {
  const lines = before.split('\n');
  return { line: lines.length, column: [...(lines.at(-1) ?? '')].length + 1 };
}

/** The variables of a JSON text, by their declared types. */
export function readVariables(json: string, environment: Environment): Variables {
  const given: unknown = JSON.parse(json);
  const converted = convert(given, { struct: 'variables', fields: environment });
  return converted instanceof Map ? Object.fromEntries(converted) : {};
}

/** Fields and entries become Maps, in which nothing is found that was not put there. */
function convert(value: unknown, type: CelType): unknown {
  if (type === 'int') return BigInt(Number(value));
  if (type === 'duration') return durationFromMs(Number(value) * 1000);
  if (typeof type === 'string' || typeof value !== 'object' || value === null) return value;
  if ('list' in type) return Array.isArray(value) ? value.map((item) => convert(item, type.list)) : [];
  const entries = Object.entries(value);
  if ('map' in type) return new Map(entries.map(([key, item]) => [key, convert(item, type.map)]));
  return new Map(
    entries.flatMap(([key, item]): [string, unknown][] => {
      const field = Object.hasOwn(type.fields, key) ? type.fields[key] : undefined;
      return field && item !== undefined ? [[key, convert(item, field.type)]] : [];
    }),
  );
}
