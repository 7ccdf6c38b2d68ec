/** Runs many seeds and tells of those that broke a promise, each with all that is needed to look into it. */
import { type Report, simulate } from './simulate.ts';

export interface SeedsResult {
  seeds: number;
  snapshots: number;
  messages: number;
  bytes: number;
  /** Simulated. */
  hours: number;
  /** One text for each seed that broke a promise. */
  failures: string[];
}

/** @param options.onSeed told of each seed that is done. */
export async function runSeeds(options: {
  first: number;
  count: number;
  onSeed?(report: Report): void;
}): Promise<SeedsResult> {
  const result: SeedsResult = { seeds: 0, snapshots: 0, messages: 0, bytes: 0, hours: 0, failures: [] };
  for (let seed = options.first; seed < options.first + options.count; seed++) {
    const report = await simulate(seed);
    result.seeds += 1;
    result.snapshots += report.snapshots;
    result.messages += report.messages;
    result.bytes += report.bytes;
    result.hours += report.virtualMs / 3_600_000;
    if (report.breaches.length > 0) result.failures.push(describeReport(report));
    options.onSeed?.(report);
  }
  return result;
}

/** What was broken, and what had happened before. */
export function describeReport({ seed, breaches, faults }: Report): string {
  return [
    `seed ${seed} (again with: node --no-warnings test/simulation/replay.ts ${seed})`,
    ...breaches.map((breach) => `  ✖ ${breach}`),
    ...faults.map((fault) => `    ${fault}`),
  ].join('\n');
}
