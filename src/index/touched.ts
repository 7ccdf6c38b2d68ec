/** Names and inodes of which mutations told: what must be looked at. Pure bookkeeping. */
import { asBuffer, type Place } from './layout.ts';

export interface TouchedName {
  name: Uint8Array;
  /** The inode that was made there just now, as the mutation said. */
  created: bigint | undefined;
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

  addName(
    { parent, name }: Place,
    { created, tries = 0 }: { created?: bigint | undefined; tries?: number } = {},
  ): void {
    const names = this.addDirectory(parent);
    const key = asBuffer(name).toString('latin1');
    const before = names.get(key);
    if (before) {
      before.created = created ?? before.created;
      before.tries = Math.min(before.tries, tries);
    } else {
      names.set(key, { name, created, tries });
      this.#count++;
    }
  }

  /** The directory itself is to be looked at, as it is with any name in it. */
  addDirectory(directory: bigint): Map<string, TouchedName> {
    const names = this.#names.get(directory) ?? new Map<string, TouchedName>();
    this.#names.set(directory, names);
    return names;
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

  /** A copy with the directories only for which `keep` is true. */
  filter(keep: (directory: bigint, names: readonly TouchedName[]) => boolean): Touched {
    const kept = new Touched();
    for (const [directory, names] of this.byDirectory()) {
      if (keep(directory, names)) for (const name of names) kept.addName({ parent: directory, name: name.name }, name);
    }
    return kept;
  }

  *byDirectory(): Generator<[bigint, TouchedName[]]> {
    for (const [parent, names] of this.#names) yield [parent, [...names.values()]];
  }
}
