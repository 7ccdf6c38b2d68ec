/** The figures of the mount benchmark as a table of Markdown. */
import type { SideName } from './sides.ts';

/** Seconds of one workload on each side, medians over the rounds. A side that was not run is not in it. */
export type Figures = Partial<Record<SideName, number>>;

const columns: [SideName, string][] = [
  ['bare', 'bare'],
  ['covault', 'Covault'],
  ['bindfs', 'bindfs'],
  ['passthroughHp', 'passthrough_hp'],
];

/** One row for each workload: seconds on the bare directory, and how many times as long it took on the others. */
export function markdownTable(workloads: Record<string, Figures>): string {
  const head = ['work', 'bare, s', 'Covault, s', ...columns.slice(1).map(([, title]) => `${title} ÷ bare`)];
  const rows = Object.entries(workloads).map(([name, figures]) => [
    name,
    inSeconds(figures.bare),
    inSeconds(figures.covault),
    ...columns.slice(1).map(([side]) => ratio(figures[side], figures.bare)),
  ]);
  const lines = [head, head.map((_, i) => (i === 0 ? '---' : '--:')), ...rows];
  return `${lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')}\n`;
}

function inSeconds(value: number | undefined): string {
  if (value === undefined) return '';
  return value < 0.1 ? value.toFixed(4) : value.toFixed(2);
}

function ratio(value: number | undefined, bare: number | undefined): string {
  return value === undefined || bare === undefined ? '' : (value / bare).toFixed(2);
}
