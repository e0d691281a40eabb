// Keeps the heap close to what is in use: an operator holds much and makes little, and V8 would let garbage grow to twice that.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * Gives back what filling the caches left behind, and lets the heap grow in small steps from here on. It takes some 0.1 s, in
 * which nothing else happens, so it is done once, when a start has filled them all.
 */
export function tightenHeap(): void {
  setFlagsFromString('--optimize-for-size');
  setFlagsFromString('--expose-gc');
  const collect: unknown = runInNewContext('gc');
  if (typeof collect === 'function') collect();
}
