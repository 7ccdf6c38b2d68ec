/** What snapshots are called in the mounted tree and on the command line: the moment of the cut, in UTC. */
import type { SnapshotRecord } from '../core/snapshot.ts';

const nsPerMs = 1_000_000n;

/** A moment as a file name: `2026-11-22T14-55-36Z`. Part seconds are cut off. */
export function timeName(timeNs: bigint): string {
  return `${secondOf(timeNs)}Z`;
}

/**
 * The names of one store's snapshots. A name is unique within its client and, once given, stays with its snapshot for
 * as long as this object lives, whatever is added or forgotten; a name is never given to a second snapshot.
 *
 * Snapshots of a second that is taken already carry their milliseconds, then a number.
 */
export class SnapshotNames {
  readonly #nameOfId = new Map<string, string>();
  /** "client/name" for every name ever given. */
  readonly #given = new Set<string>();

  /** Gives names to those that have none, oldest first, so that the same list always leads to the same names. */
  add(records: readonly SnapshotRecord[]): void {
    for (const record of [...records].sort(byTime)) {
      if (this.#nameOfId.has(record.id)) continue;
      const name = this.#freeName(record);
      this.#given.add(`${record.client}/${name}`);
      this.#nameOfId.set(record.id, name);
    }
  }

  /** The name of a record that was added. */
  nameOf(record: SnapshotRecord): string {
    const name = this.#nameOfId.get(record.id);
    return name === undefined ? timeName(record.timeNs) : name;
  }

  #freeName(record: SnapshotRecord): string {
    const second = secondOf(record.timeNs);
    const isFree = (name: string) => !this.#given.has(`${record.client}/${name}`);
    if (isFree(`${second}Z`)) return `${second}Z`;
    const withMs = `${second}.${millisecondsOf(record.timeNs)}Z`;
    if (isFree(withMs)) return withMs;
    let number = 2;
    while (!isFree(`${withMs}-${number}`)) number += 1;
    return `${withMs}-${number}`;
  }
}

/** Order of the moments; snapshots of one moment in the order of their ids. */
export function byTime(a: SnapshotRecord, b: SnapshotRecord): number {
  if (a.timeNs !== b.timeNs) return a.timeNs < b.timeNs ? -1 : 1;
  if (a.id === b.id) return 0;
  return a.id < b.id ? -1 : 1;
}

function secondOf(timeNs: bigint): string {
  return isoTime(timeNs).slice(0, 19).replaceAll(':', '-');
}

function millisecondsOf(timeNs: bigint): string {
  return isoTime(timeNs).slice(20, 23);
}

/** `2026-11-22T14:55:36.123Z`; 64 bits of nanoseconds reach from the year 1677 to 2262. */
function isoTime(timeNs: bigint): string {
  const floored = (timeNs - (((timeNs % nsPerMs) + nsPerMs) % nsPerMs)) / nsPerMs;
  return new Date(Number(floored)).toISOString();
}
