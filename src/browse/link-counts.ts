/**
 * How many names a hard-linked file has within one snapshot. Entries say that a file is linked, not how often, so the
 * count takes a walk over the snapshot's trees: once for each snapshot, and only if somebody asks for the attributes
 * of a linked file. Trees found to hold no linked file are remembered by digest, also for other snapshots.
 */
import { type Digest, type DigestKey, digestKey } from '../core/digest.ts';
import type { DirectoryEntry, TreeEntry } from '../core/tree.ts';
import type { SnapshotObjects, Tree } from './snapshot-objects.ts';

/** What tells one linked file from another within a snapshot. */
export type LinkKey = string;

/** Digests remembered as free of links; beyond, all are forgotten and found again. */
const linkFreeTreesMax = 200_000;

/** Trees read at one time. */
const readsMax = 8;

/**
 * The key of a linked entry, undefined for one that has a single name.
 *
 * It holds more than the number: names that do not agree in their attributes or content are not names of one file,
 * whatever a damaged or hostile store says, and must not show each other's bytes.
 */
export function linkKeyOf(entry: TreeEntry): LinkKey | undefined {
  if (entry.link === undefined) return undefined;
  const { kind, mode, uid, gid, mtimeNs } = entry;
  return [entry.link, kind, mode, uid, gid, mtimeNs, contentKey(entry)].join(' ');
}

function contentKey(entry: TreeEntry): string {
  switch (entry.kind) {
    case 'file':
      if ('recipe' in entry.content) return `${entry.size} ${shortKey(entry.content.recipe)}`;
      if ('missing' in entry.content) return `${entry.size} missing`;
      return `${entry.size} ${entry.content.segments.map(({ digest }) => (digest ? shortKey(digest) : '-')).join(' ')}`;
    case 'symlink':
      return Buffer.from(entry.target).toString('latin1');
    case 'char':
    case 'block':
      return entry.rdev.toString();
    default:
      return '';
  }
}

/** 64 bits of a digest: enough to tell the contents of one snapshot apart. */
function shortKey(digest: Digest): string {
  return Buffer.from(digest.subarray(0, 8)).toString('base64');
}

export class LinkCounter {
  readonly #objects: SnapshotObjects;
  readonly #linkFree = new Set<DigestKey>();

  constructor(objects: SnapshotObjects) {
    this.#objects = objects;
  }

  /** Names of each linked file below `root`. @throws what reading a tree throws. */
  async count(root: DirectoryEntry): Promise<Map<LinkKey, number>> {
    const counts = new Map<LinkKey, number>();
    await this.#countBelow([root], counts);
    return counts;
  }

  /** Adds the links below `directories`; whether there were any below each. */
  async #countBelow(directories: readonly DirectoryEntry[], counts: Map<LinkKey, number>): Promise<boolean[]> {
    const found: boolean[] = [];
    for (let start = 0; start < directories.length; start += readsMax) {
      const some = directories
        .slice(start, start + readsMax)
        .filter(({ tree }) => !this.#linkFree.has(digestKey(tree)));
      const trees = await Promise.all(some.map(({ tree }) => this.#objects.tree(tree)));
      for (const [position, tree] of trees.entries()) {
        const hasLinks = await this.#countTree(tree, counts);
        if (!hasLinks) this.#rememberLinkFree((some[position] as DirectoryEntry).tree);
        found.push(hasLinks);
      }
    }
    return found;
  }

  async #countTree(tree: Tree, counts: Map<LinkKey, number>): Promise<boolean> {
    let hasLinks = false;
    for (const entry of tree) {
      const key = linkKeyOf(entry);
      if (key === undefined) continue;
      hasLinks = true;
      counts.set(key, (counts.get(key) ?? 0) + 1);
    }
    const below = await this.#countBelow(tree.filter(isDirectory), counts);
    return hasLinks || below.includes(true);
  }

  #rememberLinkFree(tree: Digest): void {
    if (this.#linkFree.size >= linkFreeTreesMax) this.#linkFree.clear();
    this.#linkFree.add(digestKey(tree));
  }
}

function isDirectory(entry: TreeEntry): entry is DirectoryEntry {
  return entry.kind === 'directory';
}
