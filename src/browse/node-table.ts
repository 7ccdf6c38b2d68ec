/**
 * Node numbers of the mounted tree: which number stands for which entry, without a record for each entry.
 *
 * A directory's content never changes, so the first time it is opened its entries get consecutive numbers, and one
 * small record per opened directory leads from a number back to its entry. Numbers are given once and stay for as
 * long as the table lives; names of one hard-linked file within a snapshot share the number of the name met first.
 */
import { invariant } from '../core/errors.ts';
import type { SnapshotRecord } from '../core/snapshot.ts';
import type { DirectoryEntry, TreeEntry } from '../core/tree.ts';
import { type LinkKey, linkKeyOf } from './link-counts.ts';
import type { Tree } from './snapshot-objects.ts';

/** Number of the root of the whole tree. */
export const rootNode = 1;

/** What stands above the snapshots' own trees. */
export type TopNode =
  | { kind: 'root' }
  | { kind: 'client'; client: string }
  | { kind: 'latest'; client: string; target: string; timeNs: bigint }
  | { kind: 'snapshot'; snapshot: SnapshotNode };

/** One snapshot with its linked files' numbers. */
export interface SnapshotNode {
  record: SnapshotRecord;
  /** Its name within its client's directory. */
  name: string;
  linked: Map<LinkKey, number>;
}

/** The entries of one opened directory: numbers `first` to `first + count - 1`. */
export interface DirectoryRange {
  first: number;
  count: number;
  /** The directory's own number. */
  directory: number;
  /** Digest of its tree; a copy, so that it does not keep a whole tree object alive. */
  tree: Uint8Array;
  snapshot: SnapshotNode;
}

export class NodeTable {
  readonly #topNodes = new Map<number, TopNode>([[rootNode, { kind: 'root' }]]);
  readonly #topNumbers = new Map<string, number>();
  /** Ascending by `first`. */
  readonly #ranges: DirectoryRange[] = [];
  readonly #rangeOf = new Map<number, DirectoryRange>();
  #next = rootNode + 1;

  /** The number of something above the snapshots; `key` identifies it. `make` is called the first time. */
  topNumber(key: string, make: () => TopNode): number {
    const known = this.#topNumbers.get(key);
    if (known !== undefined) return known;
    const number = this.#take(1);
    this.#topNumbers.set(key, number);
    this.#topNodes.set(number, make());
    return number;
  }

  topNode(number: number): TopNode | undefined {
    return this.#topNodes.get(number);
  }

  /** The range of a directory; its entries get numbers if they have none. `tree` is the directory's content. */
  open(directory: number, entry: DirectoryEntry, tree: Tree, snapshot: SnapshotNode): DirectoryRange {
    const known = this.#rangeOf.get(directory);
    if (known !== undefined) return known;
    const range = { first: this.#take(tree.length), count: tree.length, directory, tree: copy(entry.tree), snapshot };
    this.#rangeOf.set(directory, range);
    // An empty range has no number to be found by, and would stand in the way of the next one.
    if (tree.length > 0) this.#ranges.push(range);
    tree.forEach((child, position) => {
      const key = linkKeyOf(child);
      if (key !== undefined && !snapshot.linked.has(key)) snapshot.linked.set(key, range.first + position);
    });
    return range;
  }

  /** The range of a directory that was opened before. */
  opened(directory: number): DirectoryRange | undefined {
    return this.#rangeOf.get(directory);
  }

  /** The range that a number was given in, if it stands for an entry of a snapshot's tree. */
  rangeWith(number: number): DirectoryRange | undefined {
    let low = 0;
    let high = this.#ranges.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if ((this.#ranges[middle] as DirectoryRange).first <= number) low = middle;
      else high = middle - 1;
    }
    const range = this.#ranges[low];
    return range !== undefined && number >= range.first && number < range.first + range.count ? range : undefined;
  }

  #take(count: number): number {
    const first = this.#next;
    this.#next += count;
    invariant(Number.isSafeInteger(this.#next), 'node numbers stay within 53 bits');
    return first;
  }
}

/** The number of the entry at `position` of an opened directory. */
export function numberAt(range: DirectoryRange, position: number, entry: TreeEntry): number {
  const key = linkKeyOf(entry);
  return (key === undefined ? undefined : range.snapshot.linked.get(key)) ?? range.first + position;
}

function copy(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes);
}
