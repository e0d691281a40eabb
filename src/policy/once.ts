// What follows from objects that never change, worked out once: an edit of a policy has thousands of grants decided anew, most of
// which ask for the same as others, and as before.

/** Does the work once for an object, and remembers what came of it for as long as that is there, and of the last one a little longer. */
export function once<A extends object, R extends NonNullable<unknown>>(work: (a: A) => R): (a: A) => R {
  const known = new WeakMap<A, R>();
  // One decision after the other asks about the same, which then need not even be looked up.
  let last: A | undefined;
  let lastResult: R | undefined;
  return (a) => {
    if (a === last && lastResult !== undefined) return lastResult;
    let result = known.get(a);
    if (result === undefined) {
      result = work(a);
      known.set(a, result);
    }
    last = a;
    lastResult = result;
    return result;
  };
}

/** The same for two objects. The first should be the one of which there are few. */
export function onceForBoth<A extends object, B extends object, R extends NonNullable<unknown>>(
  work: (a: A, b: B) => R,
): (a: A, b: B) => R {
  const of = once((a: A) => once((b: B) => work(a, b)));
  return (a, b) => of(a)(b);
}
