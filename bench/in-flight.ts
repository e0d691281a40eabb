// Many calls with a fixed number of them in flight.

/** What "the bare client" has in flight; hallpass has as many grants in work. */
export const IN_FLIGHT = 32;

/** Calls `act` for every item, `limit` at a time, and resolves with the results in order. Rejects with the first failure. */
export async function inFlight<T, R>(
  items: readonly T[],
  act: (item: T, index: number) => Promise<R>,
  limit = IN_FLIGHT,
): Promise<R[]> {
  const results: R[] = [];
  const entries = items.entries();
  const work = async () => {
    for (const [index, item] of entries) results[index] = await act(item, index);
  };
  await Promise.all(Array.from({ length: limit }, work));
  return results;
}
