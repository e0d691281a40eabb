// Now and then everything is looked at again, from the caches and without a request: what a defect overlooked is mended then.
import { type SetTimer, systemTimer } from './alarm.ts';

const everyMs = 10 * 3_600_000;

/** Calls `again` every ten hours, give or take a tenth, so that replicas and kinds don't fall into step. Returns what ends it. */
export function resync(again: () => void, o: { setTimer?: SetTimer; random?: () => number } = {}): () => void {
  const setTimer = o.setTimer ?? systemTimer;
  const random = o.random ?? Math.random;
  let cancel = (): void => {};
  const arm = (): void => {
    cancel = setTimer(
      () => {
        arm();
        again();
      },
      everyMs * (0.9 + 0.2 * random()),
    );
  };
  arm();
  return () => cancel();
}
