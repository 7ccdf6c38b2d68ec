/**
 * Progress of a command: a bar on a terminal, JSON lines with `--json`, nothing otherwise. Reports may come as often
 * as the work likes; what is shown is limited here.
 */
import type { Clock } from '../core/clock.ts';
import type { ProgressBar } from './progress-bar.ts';
import { formatBytes, formatCount } from './sizes.ts';

export interface ProgressReport {
  /** What is being done, one word or two: "scan", "pull". */
  phase: string;
  done: number;
  /** In the same unit as `done`; absent if unknown. */
  total?: number;
  unit: 'bytes' | 'files' | 'blocks' | 'packs' | 'snapshots';
  /** Further figures of this phase, for JSON; shown in the bar if `note` says so. */
  fields?: Record<string, unknown>;
  /** Shown after the bar. */
  note?: string;
}

export interface Progress {
  report(report: ProgressReport): void;
  /** Ends it: the bar goes away, the last report that was held back is written. Idempotent. */
  end(): void;
}

/** JSON lines for one phase are at least this far apart, milliseconds. */
const lineIntervalMs = 250;

export const noProgress: Progress = { report: () => undefined, end: () => undefined };

export function progressAsLines(print: (line: string) => void, clock: Clock): Progress {
  let held: ProgressReport | undefined;
  let lastPhase = '';
  let lastMs = Number.NEGATIVE_INFINITY;
  const write = (report: ProgressReport) => {
    const { phase, done, total, unit, fields } = report;
    print(JSON.stringify({ type: 'progress', phase, done, total, unit, ...fields }));
    held = undefined;
  };
  return {
    report(report) {
      if (held !== undefined && held.phase !== report.phase) write(held);
      const nowMs = clock.monotonicMs();
      if (report.phase === lastPhase && nowMs - lastMs < lineIntervalMs) {
        held = report;
        return;
      }
      lastPhase = report.phase;
      lastMs = nowMs;
      write(report);
    },
    end() {
      if (held !== undefined) write(held);
    },
  };
}

export function progressAsBar(bar: ProgressBar): Progress {
  return {
    report(report) {
      const note = report.note === undefined ? '' : `  ${report.note}`;
      bar.show(report.phase, report.done, report.total, `${figures(report)}${note}`);
    },
    end: () => bar.clear(),
  };
}

function figures({ done, total, unit }: ProgressReport): string {
  const format = (value: number) => (unit === 'bytes' ? formatBytes(value) : formatCount(value));
  const of = total === undefined ? '' : ` of ${format(total)}`;
  return `${format(done)}${of}${unit === 'bytes' ? '' : ` ${unit}`}`;
}
