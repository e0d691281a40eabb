// The thread that evaluates: takes expressions and what they are about, and gives one answer after another.
//
// Nothing here watches the time: whoever started the thread ends it when an answer is overdue.

import { parentPort, workerData } from 'node:worker_threads';
import { LruMap } from '../kube/lru.ts';
import { compile, readVariables } from './expression.ts';
import type { Question } from './question.ts';
import type { Environment } from './types.ts';

/** So many expressions stay compiled. */
const COMPILED = 512;

const environment: Environment = workerData;
const compiled = new LruMap<ReturnType<typeof compile>>(COMPILED);

parentPort?.on('message', ({ input, expressions }: Question) => {
  const variables = readVariables(input, environment);
  for (const expression of expressions) {
    const evaluate = compiled.get(expression) ?? compile(expression, environment);
    compiled.set(expression, evaluate);
    parentPort?.postMessage(evaluate(variables));
  }
});

parentPort?.postMessage('ready');
