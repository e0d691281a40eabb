// The signal of the reconcile in whose course something runs: all that it asks of the API server is given up with it.
import { AsyncLocalStorage } from 'node:async_hooks';

const signals = new AsyncLocalStorage<AbortSignal>();

/** Runs a reconcile, so that its signal is that of every request in its course which names none of its own. */
export function runCall<T>(signal: AbortSignal, call: () => T): T {
  return signals.run(signal, call);
}

/** The signal of the reconcile that this runs in; undefined outside of any. */
export function callSignal(): AbortSignal | undefined {
  return signals.getStore();
}
