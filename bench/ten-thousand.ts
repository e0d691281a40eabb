// Ten thousand Active grants, made once for all figures that look at them.
import { agentGrants } from '../src/api/grant.ts';
import type { Progress } from './figure.ts';
import { conditionOf, Follower, phaseOf } from './follower.ts';
import { type Lab, makeIdentities, makeNamespaces, names, openLab, requestGrants, wholeSecondIn } from './lab.ts';
import { quiet } from './metrics.ts';

export const GRANTS = Number(process.env.GRANTS ?? 10_000);
/** As many of them end early, where some do. */
export const LAPSING = GRANTS / 10;
const namespaceCount = 200;

export type TenThousand = {
  lab: Lab;
  /** When those that end early do, in ms since the epoch: after the other figures have been taken. */
  lapseAt: number;
};

let made: { lapsing: number; those: Promise<TenThousand> } | undefined;

/**
 * Resolves once all are Active, every dead-man Job has started, and hallpass has nothing left to do. `lapsing`: how many of them
 * end early.
 */
export async function tenThousandGrants(progress: Progress, { lapsing = 0 } = {}): Promise<TenThousand> {
  if (made?.lapsing === lapsing) return made.those;
  await endTenThousand();
  const those = make(progress, lapsing);
  made = { lapsing, those };
  return those;
}

/** Ends what was made, if anything was. */
export async function endTenThousand(): Promise<void> {
  const lab = await made?.those.then(
    (those) => those.lab,
    () => undefined,
  );
  made = undefined;
  await lab?.stop();
}

async function make(progress: Progress, lapsing: number): Promise<TenThousand> {
  const lab = await openLab(progress, { fastControllers: true });
  try {
    const namespaces = names('ns', namespaceCount);
    await makeNamespaces(lab, namespaces);
    await makeIdentities(lab, namespaces);
    const phases = await Follower.start(lab.admin, agentGrants, { stateOf: phaseOf });
    const deadMen = await Follower.start(lab.admin, agentGrants, { stateOf: conditionOf('DeadMan') });
    const ticker = setInterval(() => progress(`${phases.count('Active')} of ${GRANTS} grants are Active`), 15_000);
    const requests = (prefix: string, count: number, validity: { duration?: string; notAfter?: string }) =>
      names(prefix, count).map((name, index) => ({
        namespace: namespaces[index % namespaceCount] ?? '',
        name,
        validity,
      }));
    const from = performance.now();
    await requestGrants(lab, requests('long', GRANTS - lapsing, { duration: '8h' }));
    await phases.until(() => phases.count('Active') === GRANTS - lapsing, 'grants to be Active');
    const rest = ((performance.now() - from) / (GRANTS - lapsing)) * lapsing;
    // Issuing them, then a minute for the other figures.
    const lapseAt = wholeSecondIn(2 * rest + 120_000);
    const notAfter = new Date(lapseAt).toISOString().replace('.000Z', 'Z');
    await requestGrants(lab, requests('short', lapsing, { notAfter }));
    await phases.until(() => phases.count('Active') === GRANTS, 'all grants to be Active');
    clearInterval(ticker);
    progress('all are Active; until their Jobs have started and nothing is left to do');
    await deadMen.until(() => deadMen.count('True') === GRANTS, 'dead-man Jobs to have started');
    await quiet(lab.hallpass.healthUrl, 5_000);
    phases.stop();
    deadMen.stop();
    return { lab, lapseAt };
  } catch (error) {
    await lab.stop();
    throw error;
  }
}
