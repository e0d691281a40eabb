// The frame of tests that kill hallpass at each of many writes: one process is stopped at all of them at once, each about a grant or
// an identity of its own, and killed; what it left behind is looked at, and another starts.
import { expect } from 'chai';
import type { HallpassProcess } from '../controlplane/playground.ts';
import { settled } from '../harness/invariants.ts';
import { type Setting, startSetting } from './setting.ts';
import type { Case, Place } from './steps.ts';

/** For a `describe`; `prepare` is done before hallpass runs for the first time. */
export function useKilled(prepare: (setting: Setting) => Promise<void> = async () => {}) {
  let setting: Setting;
  let current: HallpassProcess;
  const passed = new Map<string, boolean>();

  before(async () => {
    setting = await startSetting();
    await prepare(setting);
    current = await setting.start({ proxied: true });
    await setting.leads(current);
  });
  after(() => setting?.stop());
  afterEach(() => {
    expect(setting.history.violations).to.deep.equal([]);
  });

  const killed = {
    setting: () => setting,
    phase: (name: string) => setting.find(name)?.status.phase,
    receiptsOf: (name: string) => setting.caches.receipts.list().filter(({ spec }) => spec?.grant.name === name),
    areClosed: (name: string) => killed.receiptsOf(name).every(({ status }) => status.outcome !== undefined),

    async kill(): Promise<void> {
      current.kill('SIGKILL');
      await current.exited;
    },
    /** Starts another, which leads at once, or `whenFree`, once the lease of the killed one has run out. */
    async restart({ whenFree = false } = {}): Promise<void> {
      if (!whenFree) await setting.vacate();
      current = await setting.start({ proxied: true });
    },
    /** Has hallpass stopped at all these places by what `cause` does, and kills it. */
    async killAt(stops: Case<Place>[], cause: () => Promise<unknown> = async () => {}): Promise<void> {
      const held = stops.map((each) => setting.proxy.stopAt({ ...each, subject: each.name }));
      await cause();
      await Promise.all(held.map(({ arrived }) => arrived));
      await killed.kill();
    },
    /** Notes for each grant whether its agent passes while no hallpass runs. */
    async noteAccess(stops: Case[]): Promise<void> {
      for (const { name } of stops) passed.set(name, await setting.access(name));
    },
    expectAccessAtDeath({ name, moment, passes: [before, after] }: Case): void {
      const wanted = moment === 'before' ? before : after;
      if (wanted !== undefined) expect(passed.get(name), 'access while no hallpass ran').to.equal(wanted);
    },

    leavesEveryInvariant(): void {
      it('leaves every invariant as it was', async () => {
        await settled(setting.admin);
        expect(setting.history.violations).to.deep.equal([]);
      });
    },
  };
  return killed;
}
