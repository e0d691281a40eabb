// Times to the microsecond, as leases and events carry them.

/** The date as Kubernetes writes a MicroTime. */
export function microTime(date: Date): string {
  return date.toISOString().replace('Z', '000Z');
}
