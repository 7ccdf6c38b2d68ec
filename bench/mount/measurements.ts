/**
 * The seconds measured so far. With a file they outlive the process: a run that was interrupted goes on with the same file
 * and does again only what is not in it.
 */
import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { median } from '../measure.ts';
import type { Figures } from './report.ts';
import type { SideName } from './sides.ts';

/** One sequence on one side in one round. */
export interface Turn {
  storage: string;
  sequence: string;
  side: SideName;
  round: number;
}

/** A line of the file. A turn that failed has no seconds. */
interface Entry extends Turn {
  seconds: Record<string, number>;
}

export class Measurements {
  readonly #file: string | undefined;
  readonly #entries: Entry[] = [];

  /**
   * @param conditions what all figures of one file must have in common
   * @throws Error if the file was begun under other conditions.
   */
  constructor(file: string | undefined, conditions: Record<string, unknown>) {
    this.#file = file;
    if (file === undefined) return;
    if (!existsSync(file)) {
      appendFileSync(file, `${JSON.stringify({ conditions })}\n`);
      return;
    }
    const [head = '', ...lines] = readFileSync(file, 'utf8').split('\n');
    if (head !== JSON.stringify({ conditions })) {
      throw new Error(`${file} was begun with ${head}, not with ${JSON.stringify({ conditions })}: name another file`);
    }
    for (const line of lines) if (line !== '') this.#entries.push(JSON.parse(line) as Entry);
  }

  has(turn: Turn): boolean {
    return this.#entries.some((entry) => isSame(entry, turn));
  }

  add(turn: Turn, seconds: Record<string, number>): void {
    const entry = { ...turn, seconds };
    this.#entries.push(entry);
    if (this.#file !== undefined) appendFileSync(this.#file, `${JSON.stringify(entry)}\n`);
  }

  /** Medians of every side over the rounds, by `storage/workload`, in the order in which they were measured first. */
  medians(): Map<string, Figures> {
    const runs = new Map<string, Map<SideName, number[]>>();
    for (const { storage, side, seconds } of this.#entries) {
      for (const [workload, value] of Object.entries(seconds)) {
        const name = `${storage}/${workload}`;
        const ofWorkload = runs.get(name) ?? new Map<SideName, number[]>();
        runs.set(name, ofWorkload.set(side, [...(ofWorkload.get(side) ?? []), value]));
      }
    }
    const figures = (of: Map<SideName, number[]>): Figures =>
      Object.fromEntries([...of].map(([side, values]) => [side, median(values)]));
    return new Map([...runs].map(([name, of]) => [name, figures(of)]));
  }
}

function isSame(entry: Turn, turn: Turn): boolean {
  const { storage, sequence, side, round } = turn;
  return entry.round === round && entry.side === side && entry.sequence === sequence && entry.storage === storage;
}
