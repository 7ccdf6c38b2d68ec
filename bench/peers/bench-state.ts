/** What a run of the peer benchmark knows, and what it prints. */
import type { SharedFile } from './data.ts';
import type { Fleet } from './fleet.ts';

export interface PeersBenchOptions {
  json: boolean;
  /** Only scenarios whose name contains one of these texts, separated by commas. */
  only: string;
  /** A folder with real files. */
  files: string;
  /** Bytes of the source. */
  bytes: number;
  directory: string | undefined;
  /** Without restic and Borg. */
  alone: boolean;
}

/** Of one scenario. */
export interface Figures {
  /** What the source sent, by the summary of the snapshot: blocks, trees and recipes. */
  sourceBytes: number;
  /** What only the source had. */
  sourceOnlyBytes: number;
  /** Blocks pulled in all. */
  totalBytes: number;
  seconds: number;
  /** Seconds, see `bound.ts`. */
  lowerBound: number;
  restic: number | null;
  borg: number | null;
  identical: boolean;
  /** More of the scenario's own. */
  [more: string]: unknown;
}

export interface Bench {
  options: PeersBenchOptions;
  scratch: string;
  results: Record<string, Figures | { error: string }>;
  failures: string[];
  /** Seconds of restic and Borg by the source's rate and bytes: neither knows of peers. */
  others: Map<string, { restic: number; borg: number }>;
  isStopped?: boolean;
}

/** The hosts that some scenarios have in common. */
export interface World {
  bench: Bench;
  fleet: Fleet;
  files: readonly SharedFile[];
}

export function record({ results }: Bench, name: string, figures: Figures & { phases?: Record<string, number> }): void {
  results[name] = figures;
  const { seconds, lowerBound, restic, borg, sourceBytes, totalBytes, identical } = figures;
  const others = restic === null || borg === null ? '' : `   restic ${restic.toFixed(1)} s   borg ${borg.toFixed(1)} s`;
  const share = ((100 * sourceBytes) / totalBytes).toFixed(2);
  say(
    `${name.padEnd(26)} ${seconds.toFixed(1)} s   bound ${lowerBound.toFixed(1)} s (${(seconds / lowerBound).toFixed(2)} x)   ` +
      `source ${share} %${others}   ${identical ? 'identical' : 'DIFFERENT'}`,
  );
  if (figures.phases) say(`${''.padEnd(26)} phases begun, seconds: ${phasesOf(figures.phases)}`);
}

/** When each phase began, for people. */
export function phasesOf(phases: Record<string, number>): string {
  return Object.entries(phases)
    .map(([phase, seconds]) => `${phase} ${seconds.toFixed(1)}`)
    .join(', ');
}

export function say(text: string): void {
  process.stderr.write(`${text}\n`);
}
