// Evaluates expressions on a thread of its own, one question after another, each with a deadline.
//
// No CEL library for Node can stop a loop, and a short expression can loop over lists for hours. So the thread is ended when a
// question takes too long, and a new one takes the next question. It starts with the first question, and costs nothing before.

import { createHash } from 'node:crypto';
import { Worker } from 'node:worker_threads';
import { LruMap } from '../kube/lru.ts';
import { messageOf } from '../text.ts';
import { LIMITS } from './limits.ts';
import type { Answer, Answers, Question } from './question.ts';
import type { Environment } from './types.ts';

/** All expressions of one question together may take this long, in milliseconds; an honest one takes less than one. */
export const DEADLINE = 500;

/** A thread that isn't ready by then never will be, in milliseconds. */
const START_LIMIT = 20_000;

/** What took too long is not tried again at once, in milliseconds: first for this long, then twice as long each time. */
const FIRST_PAUSE = 60_000;
const LONGEST_PAUSE = 3600_000;

/** So many of them are remembered. */
const MOST_OVERRUNS = 1024;

/** In megabytes: the library and a thousand compiled expressions take some 12. */
const RESOURCE_LIMITS = { maxOldGenerationSizeMb: 48, maxYoungGenerationSizeMb: 4 };

type Running = { worker: Worker; ready: Promise<void> };

export class Evaluator {
  readonly #environment: Environment;
  readonly #now: () => number;
  readonly #overruns = new LruMap<{ until: number; pause: number }>(MOST_OVERRUNS);
  #running: Running | undefined;
  /** The last question in line. */
  #last: Promise<unknown> = Promise.resolve();
  #waiting = 0;
  #since = 0;

  /** `now`: milliseconds since the epoch, for when to try again. */
  constructor(o: { environment: Environment; now: () => number }) {
    this.#environment = o.environment;
    this.#now = o.now;
  }

  /** Answers a question. Never throws: what can't be evaluated has failed, and the answer says why. */
  ask(question: Question): Promise<Answers> {
    this.#waiting += 1;
    const answers = this.#last.then(() => {
      this.#since = performance.now();
      return this.#answer(question);
    });
    const answered = () => {
      this.#waiting -= 1;
    };
    this.#last = answers.then(answered, answered);
    return answers;
  }

  /** How many questions wait for an answer, and for how long, in milliseconds, the one that is being answered. */
  get line(): { waiting: number; for: number } {
    return { waiting: this.#waiting, for: this.#waiting > 0 ? performance.now() - this.#since : 0 };
  }

  async stop(): Promise<void> {
    await this.#running?.worker.terminate();
    this.#running = undefined;
  }

  async #answer({ input, expressions }: Question): Promise<Answers> {
    const of = new Map<string, Answer>();
    if (input.length > LIMITS.input) {
      const message = `what it is about is too large: ${input.length} characters, and at most ${LIMITS.input} are looked at`;
      for (const expression of expressions) of.set(expression, { kind: 'failed', message });
      return { input, of };
    }
    const due = expressions.filter((expression) => {
      const overrun = this.#overruns.size > 0 && this.#overruns.get(keyOf(input, expression));
      if (!overrun || overrun.until <= this.#now()) return true;
      of.set(expression, { kind: 'failed', message: TOO_LONG, retryAt: overrun.until });
      return false;
    });
    if (due.length === 0) return { input, of };
    try {
      const { worker, ready } = this.#start();
      await ready;
      await answersOf(worker, { input, expressions: due }, (at, answer) => of.set(due[at] ?? '', answer));
    } catch (error) {
      await this.stop();
      const [guilty, ...others] = due.filter((expression) => !of.has(expression));
      if (guilty === undefined) return { input, of };
      const message = error instanceof Overdue ? TOO_LONG : `it could not be evaluated (${messageOf(error)})`;
      const retryAt = this.#noteOverrun(input, guilty);
      of.set(guilty, { kind: 'failed', message, retryAt });
      for (const expression of others) of.set(expression, { kind: 'failed', message: NOT_REACHED, retryAt });
    }
    return { input, of };
  }

  #noteOverrun(input: string, expression: string): number {
    const before = this.#overruns.get(keyOf(input, expression));
    const pause = before ? Math.min(before.pause * 2, LONGEST_PAUSE) : FIRST_PAUSE;
    const until = this.#now() + pause;
    this.#overruns.set(keyOf(input, expression), { until, pause });
    return until;
  }

  #start(): Running {
    if (this.#running) return this.#running;
    const file = new URL('./worker.ts', import.meta.url);
    // Without the environment of the process, for whoever would find a way out of an expression.
    const worker = new Worker(file, { workerData: this.#environment, resourceLimits: RESOURCE_LIMITS, env: {} });
    const running = { worker, ready: waitFor(worker, START_LIMIT, () => true) };
    this.#running = running;
    // One that fails while it is asked nothing has none to tell, and would end the process.
    worker.on('error', () => {});
    worker.once('exit', () => {
      if (this.#running === running) this.#running = undefined;
    });
    return running;
  }
}

class Overdue extends Error {}

const TOO_LONG = `it took longer than ${DEADLINE} ms: say it with fewer loops, or over shorter lists`;
const NOT_REACHED = 'another took the time that all of them have';

/** Each answer as it comes, with its place in the question; ends with the last, and throws where one is overdue. */
function answersOf(worker: Worker, question: Question, on: (at: number, answer: Answer) => void): Promise<void> {
  let at = 0;
  const answered = waitFor(worker, DEADLINE, (answer) => {
    on(at, answer);
    at += 1;
    return at === question.expressions.length;
  });
  worker.postMessage(question);
  return answered;
}

/** Until a message is the last one. The process stays up for as long. Throws when that takes too long, or the thread ends. */
function waitFor(worker: Worker, limit: number, isLast: (message: Answer) => boolean): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const onMessage = (message: Answer) => {
    if (isLast(message)) resolve();
  };
  const onExit = () => reject(new Error('its thread ended'));
  const timer = setTimeout(() => reject(new Overdue()), limit);
  worker.on('message', onMessage).on('error', reject).on('exit', onExit).ref();
  return promise.finally(() => {
    clearTimeout(timer);
    worker.off('message', onMessage).off('error', reject).off('exit', onExit).unref();
  });
}

/** What has taken too long, without keeping it. */
function keyOf(input: string, expression: string): string {
  return createHash('sha256').update(input).update('\0').update(expression).digest('base64');
}
