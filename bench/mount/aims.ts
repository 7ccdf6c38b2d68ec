/**
 * What the mount shall reach, in one place. Every aim is a bound on how many times as long the mount may take as
 * another side of the same storage; "x times as fast as" is the bound 1/x.
 */
import type { SideName } from './sides.ts';

export interface Aim {
  /** What Covault is held against; `covault` itself for work that is done with the index on. */
  against: SideName;
  /** Covault's time divided by the other side's, at most. */
  ratioMax: number;
}

/** Where an aim holds: on every storage, or on the named one alone. */
interface AimRule extends Aim {
  workloads: readonly string[];
  storage?: string;
}

const seen = ['stat', 'open-read', 'readdir'];
const mutations = ['create', 'rename', 'unlink'];
const streams = ['stream-write', 'stream-read'];
const randomWrites = ['random-write', 'random-write-fsync'];
const everyday = ['untar', 'git-commit', 'cp-a', 'rm-rf', 'npm-ci', 'c-build'];

const rules: readonly AimRule[] = [
  { workloads: ['stat'], against: 'bare', ratioMax: 1 / 0.9 },
  { workloads: ['open-read'], against: 'bare', ratioMax: 1 / 0.7 },
  { workloads: seen, against: 'passthroughHp', ratioMax: 1 / 10 },
  { workloads: ['git-status', 'grep', 'find'], against: 'bare', ratioMax: 1.15 },
  { workloads: streams, storage: 'ext4', against: 'bare', ratioMax: 1 / 0.9 },
  { workloads: streams, storage: 'ext4', against: 'passthroughHp', ratioMax: 1 },
  { workloads: randomWrites, storage: 'ext4', against: 'bare', ratioMax: 1 / 0.8 },
  { workloads: randomWrites, storage: 'tmpfs', against: 'bare', ratioMax: 1 / 0.25 },
  { workloads: randomWrites, storage: 'tmpfs', against: 'passthroughHp', ratioMax: 1 / 5 },
  { workloads: mutations, against: 'passthroughHp', ratioMax: 1 / 2 },
  { workloads: ['untar', 'cp-a'], storage: 'ext4', against: 'bare', ratioMax: 1.4 },
  { workloads: ['git-commit', 'npm-ci'], storage: 'ext4', against: 'bare', ratioMax: 1.3 },
  { workloads: ['rm-rf'], storage: 'ext4', against: 'bare', ratioMax: 1.6 },
  { workloads: ['c-build'], storage: 'ext4', against: 'bare', ratioMax: 1.05 },
  { workloads: everyday, against: 'passthroughHp', ratioMax: 1 },
];

/** With the index at work, against the same work without it. */
export const indexingAim: Aim = { against: 'covault', ratioMax: 1.15 };

export function aimsOf(workload: string, storage: string): Aim[] {
  return rules
    .filter((rule) => rule.workloads.includes(workload) && (rule.storage ?? storage) === storage)
    .map(({ against, ratioMax }) => ({ against, ratioMax }));
}
