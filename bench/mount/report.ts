/** The figures of the mount benchmark as a table of Markdown, and as the object of `--json`. */
import { type Aim, aimsOf, indexingAim } from './aims.ts';
import type { SideName } from './sides.ts';

/** Seconds of one workload on each side, medians over the rounds. A side that was not run is not in it. */
export type Figures = Partial<Record<SideName, number>>;

const ratioColumns: readonly { title: string; side: SideName; against: SideName }[] = [
  { title: 'Covault ÷ bare', side: 'covault', against: 'bare' },
  { title: 'indexing ÷ Covault', side: 'indexing', against: 'covault' },
  { title: 'bindfs ÷ bare', side: 'bindfs', against: 'bare' },
  { title: 'passthrough_hp ÷ bare', side: 'passthroughHp', against: 'bare' },
];

const sideTitles: Record<SideName, string> = {
  bare: 'bare',
  covault: 'Covault',
  indexing: 'indexing',
  bindfs: 'bindfs',
  passthroughHp: 'hp',
};

/** One row for each `storage/workload`: seconds, ratios, and each aim with what was reached. */
export function markdownTable(workloads: ReadonlyMap<string, Figures>): string {
  const head = ['work', 'bare, s', 'Covault, s', ...ratioColumns.map(({ title }) => title), 'aims'];
  const rows = [...workloads].map(([name, figures]) => [
    name,
    inSeconds(figures.bare),
    inSeconds(figures.covault),
    ...ratioColumns.map(({ side, against }) => ratio(figures, side, against)?.toFixed(2) ?? ''),
    verdicts(name, figures).join('; '),
  ]);
  const rules = head.map((_, i) => (i === 0 || i === head.length - 1 ? '---' : '--:'));
  return `${[head, rules, ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')}\n`;
}

/**
 * `storage/workload` and, for the mount with its index at work, `storage+indexing/workload`, where `covault` is that
 * mount and the other sides are those of the same rounds.
 */
export function jsonFigures(workloads: ReadonlyMap<string, Figures>): Record<string, Figures> {
  const result: Record<string, Figures> = {};
  for (const [name, { indexing, ...others }] of workloads) {
    const [storage, workload] = name.split('/');
    if (others.covault !== undefined) result[name] = others;
    if (indexing !== undefined) result[`${storage}+indexing/${workload}`] = { ...others, covault: indexing };
  }
  return result;
}

/** Of each aim of a workload: whether it is met, and by what. An aim against a side that was not run says nothing. */
function verdicts(name: string, figures: Figures): string[] {
  const [storage = '', workload = ''] = name.split('/');
  const judge = (side: SideName, { against, ratioMax }: Aim): string[] => {
    const reached = ratio(figures, side, against);
    if (reached === undefined) return [];
    const bound = `≤ ${Number(ratioMax.toFixed(2))} ${sideTitles[against]}`;
    return [reached <= ratioMax ? `${bound}: met` : `${bound}: **missed**, ${reached.toFixed(2)}`];
  };
  return [...aimsOf(workload, storage).flatMap((aim) => judge('covault', aim)), ...judge('indexing', indexingAim)];
}

function ratio(figures: Figures, side: SideName, against: SideName): number | undefined {
  const [value, base] = [figures[side], figures[against]];
  return value === undefined || base === undefined ? undefined : value / base;
}

function inSeconds(value: number | undefined): string {
  if (value === undefined) return '';
  return value < 0.1 ? value.toFixed(4) : value.toFixed(2);
}
