// What is asked of the thread that evaluates, and what it answers.

/** Expressions over one input: the variables, as the JSON text of an object. */
export type Question = { input: string; expressions: string[] };

/** What became of an expression. `invalid` is about its text and stands until that is changed; `failed` is about this input. */
export type Answer =
  | { kind: 'value'; value: boolean }
  | Invalid
  /** `retryAt`: it may go otherwise another time, from then on, in milliseconds since the epoch. */
  | { kind: 'failed'; message: string; retryAt?: number };

export type Invalid = { kind: 'invalid'; message: string; line: number; column: number };

/** The answers to a question, by expression. */
export type Answers = { input: string; of: ReadonlyMap<string, Answer> };
