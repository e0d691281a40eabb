// What the controllers measure of their own matter. docs/operations.md lists every metric.

import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

export type GrantMetrics = {
  /** Read at each scrape: how many grants are in each phase. */
  phases: (read: () => Map<string, number>) => void;
  /** Read at each scrape: how many grants a policy that only warns would refuse. */
  warned: (read: () => number) => void;
  /** Read at each scrape: how many bindings of ours give access that hallpass was to take away. */
  heldBindings: (read: () => number) => void;
  /** From a grant's end until its last binding was gone, in seconds. */
  expiryLag: (seconds: number) => void;
  /** A grant was decided. */
  decided: () => void;
  repaired: () => void;
  orphansRemoved: (objects: number) => void;
  /** Read at each scrape: how many things are wrong with the guards. */
  guardProblems: (read: () => number) => void;
};

const lagBuckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

export function createGrantMetrics(registry: Registry): GrantMetrics {
  const registers = [registry];
  const lag = new Histogram({
    name: 'hallpass_expiry_lag_seconds',
    help: "From a grant's expiresAt until its last RoleBinding was gone, in seconds.",
    buckets: lagBuckets,
    registers,
  });
  const decisions = new Counter({
    name: 'hallpass_decisions_total',
    help: 'Times that a grant was decided. A change in the cluster has those decided again that it concerns, and no other.',
    registers,
  });
  const repairs = new Counter({
    name: 'hallpass_repairs_total',
    help: 'Grants whose objects were put back.',
    registers,
  });
  const orphans = new Counter({
    name: 'hallpass_orphans_removed_total',
    help: 'Objects removed because what they were made for was gone.',
    registers,
  });
  return {
    phases: (read) =>
      new Gauge({
        name: 'hallpass_grants',
        help: 'Grants by phase; only the leader counts.',
        labelNames: ['phase'],
        registers,
        collect() {
          this.reset();
          for (const [phase, count] of read()) this.set({ phase }, count);
        },
      }),
    warned: (read) =>
      new Gauge({
        name: 'hallpass_grants_warned',
        help: 'Grants that AgentPolicies which only warn would refuse, were they enforced; only the leader counts.',
        registers,
        collect() {
          this.set(read());
        },
      }),
    heldBindings: (read) =>
      new Gauge({
        name: 'hallpass_held_bindings',
        help: 'RoleBindings of grants that give access which hallpass was to take away, since others keep them; only the leader counts.',
        registers,
        collect() {
          this.set(read());
        },
      }),
    expiryLag: (seconds) => lag.observe(Math.max(0, seconds)),
    decided: () => decisions.inc(),
    repaired: () => repairs.inc(),
    orphansRemoved: (objects) => orphans.inc(objects),
    guardProblems: (read) =>
      new Gauge({
        name: 'hallpass_guard_problems',
        help: 'What is wrong with the admission guards; above 0 nothing new is granted.',
        registers,
        collect() {
          this.set(read());
        },
      }),
  };
}
