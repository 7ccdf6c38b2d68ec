/**
 * Who holds each block of a run, in a form that stays small: neighbours mostly have the same holders.
 *
 * `[names, sets, runs]`: names of members; sets of holders as lists of positions in `names`; runs as a flat list
 * `count, set, count, set, …` of how many digests in sequence have which set.
 */
import { CovaultError } from '../core/errors.ts';
import { limits } from '../core/limits.ts';
import { asCount, asList, asText } from '../core/shape.ts';

/** @param holders for each digest the names of its holders; equal lists should be in equal order. */
export function packHolderRuns(holders: readonly (readonly string[])[]): unknown[] {
  const names = new Positions<string>();
  const sets = new Positions<string>();
  const packedSets: number[][] = [];
  const runs: number[] = [];
  let before: readonly string[] | undefined;
  for (const list of holders) {
    if (list === before) {
      runs[runs.length - 2] = (runs.at(-2) ?? 0) + 1;
      continue;
    }
    before = list;
    const set = list.map((name) => names.of(name));
    const position = sets.of(set.join(' '));
    if (position === packedSets.length) packedSets.push(set);
    if (runs.length > 0 && runs.at(-1) === position) runs[runs.length - 2] = (runs.at(-2) ?? 0) + 1;
    else runs.push(1, position);
  }
  return [names.all(), packedSets, runs];
}

/**
 * The inverse, checked: exactly `count` lists. Equal lists are one array, not to be changed.
 *
 * @throws CovaultError `E_CORRUPT`.
 */
export function unpackHolderRuns(value: unknown, count: number): string[][] {
  const fields = asList(value, 'holders', 3);
  const names = asList(fields[0], 'names').map((name) => asText(name, 'name', limits.peerNameCharsMax));
  const sets = asList(fields[1], 'sets', count).map((set) =>
    asList(set, 'set', names.length).map((at) => itemAt(names, at, 'position of a name')),
  );
  const runs = asList(fields[2], 'runs', 2 * count);
  const holders: string[][] = [];
  for (let at = 0; at < runs.length; at += 2) {
    const length = asCount(runs[at], 'length of a run', count - holders.length, 1);
    const set = itemAt(sets, runs[at + 1], 'position of a set');
    for (let i = 0; i < length; i += 1) holders.push(set);
  }
  if (holders.length !== count)
    throw new CovaultError('E_CORRUPT', `holders of ${holders.length} blocks, not ${count}`);
  return holders;
}

function itemAt<T>(items: readonly T[], position: unknown, field: string): T {
  return items[asCount(position, field, items.length - 1)] as T;
}

/** Gives each distinct item a position, from 0 in the order of first appearance. */
class Positions<T> {
  readonly #positions = new Map<T, number>();

  of(item: T): number {
    const known = this.#positions.get(item);
    if (known !== undefined) return known;
    this.#positions.set(item, this.#positions.size);
    return this.#positions.size - 1;
  }

  all(): T[] {
    return [...this.#positions.keys()];
  }
}
