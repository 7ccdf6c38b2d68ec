/** Names and inodes of which mutations told: what must be looked at. Pure bookkeeping. */
import { asBuffer, type Place } from './layout.ts';

export interface TouchedName {
  name: Uint8Array;
  /** The mutation said that the inode was made just then. */
  isNew: boolean;
  /** Looks that could not be made so far. */
  tries: number;
}

export class Touched {
  readonly #names = new Map<bigint, Map<string, TouchedName>>();
  readonly #inodes = new Set<bigint>();
  #count = 0;

  /** Names that are waiting. */
  get count(): number {
    return this.#count;
  }

  get inodes(): ReadonlySet<bigint> {
    return this.#inodes;
  }

  addName({ parent, name }: Place, { isNew = false, tries = 0 }: { isNew?: boolean; tries?: number } = {}): void {
    let names = this.#names.get(parent);
    if (!names) {
      names = new Map();
      this.#names.set(parent, names);
    }
    const key = asBuffer(name).toString('latin1');
    const before = names.get(key);
    if (before) {
      before.isNew ||= isNew;
      before.tries = Math.min(before.tries, tries);
    } else {
      names.set(key, { name, isNew, tries });
      this.#count++;
    }
  }

  addInode(inode: bigint): void {
    this.#inodes.add(inode);
  }

  addAll(other: Touched): void {
    for (const [parent, names] of other.byDirectory()) {
      for (const name of names) this.addName({ parent, name: name.name }, name);
    }
    for (const inode of other.#inodes) this.#inodes.add(inode);
  }

  *byDirectory(): Generator<[bigint, TouchedName[]]> {
    for (const [parent, names] of this.#names) yield [parent, [...names.values()]];
  }
}
