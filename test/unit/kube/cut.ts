// How streams come: in chunks of any size, while others want their turn.

/** Pushes the bytes in chunks of these sizes, and what is left of them in a last one. */
export function pushCut(to: { push(chunk: Buffer): void }, bytes: Buffer, sizes: number[]): void {
  let at = 0;
  for (const size of sizes) {
    to.push(bytes.subarray(at, at + size));
    at += size;
  }
  to.push(bytes.subarray(at));
}

/** Counts the turns that others get while `act` goes on. */
export async function turnsDuring(act: () => Promise<void>): Promise<number> {
  let turns = 0;
  let acting = true;
  const turn = () => {
    turns += 1;
    if (acting) setImmediate(turn);
  };
  setImmediate(turn);
  await act();
  acting = false;
  return turns;
}
