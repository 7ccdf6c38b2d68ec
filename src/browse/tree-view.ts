/**
 * A store as a read-only tree: `/<client>/<time>/…` and `/<client>/latest`, a symlink to the newest time.
 *
 * The upper two levels follow the store's list of snapshots, read afresh about every second; what is inside a
 * snapshot never changes. Errors are those of a file system: an `Error` whose `code` is the name of the errno.
 */
import { type Clock, systemClock } from '../core/clock.ts';
import { isCovaultError } from '../core/errors.ts';
import type { SnapshotReader } from '../core/ports.ts';
import type { DirectoryEntry, TreeEntry, Xattr } from '../core/tree.ts';
import type { DirectoryItem, NodeAttributes, ReadOnlyTree } from '../fs/tree-session.ts';
import { type ContentLimits, ContentReader } from './content-reader.ts';
import { LinkCounter, type LinkKey, linkKeyOf } from './link-counts.ts';
import { attributesOf, fullMode, topAttributes } from './node-attributes.ts';
import { type DirectoryRange, NodeTable, numberAt, type SnapshotNode, type TopNode } from './node-table.ts';
import { type NamedSnapshot, SnapshotList, type SnapshotsByClient } from './snapshot-list.ts';
import { findPosition, type ObjectCacheLimits, SnapshotObjects, type Tree } from './snapshot-objects.ts';

export interface TreeViewOptions extends ContentLimits, ObjectCacheLimits {
  clock?: Clock;
  /** Told of everything that a user of the tree sees as an input/output error: one sentence that names the path. */
  onProblem?: (message: string) => void;
}

/** How long the list of snapshots is used again, milliseconds. */
const listFreshMs = 1000;

/** Snapshots whose link counts are kept; those of others are counted again when they are asked for. */
const countedSnapshotsMax = 16;

/** Problems remembered, so that each is told once. */
const toldMax = 1000;

/** An entry of a snapshot's tree, and where it stands. */
interface Located {
  entry: TreeEntry;
  snapshot: SnapshotNode;
  /** The range it was numbered in; undefined for the root of a snapshot. */
  range: DirectoryRange | undefined;
}

const latestName = Buffer.from('latest');

export class TreeView implements ReadOnlyTree {
  readonly #objects: SnapshotObjects;
  readonly #content: ContentReader;
  readonly #list: SnapshotList;
  readonly #links: LinkCounter;
  readonly #nodes = new NodeTable();
  readonly #linkCounts = new Map<SnapshotNode, Promise<Map<LinkKey, number>>>();
  readonly #onProblem: (message: string) => void;
  readonly #told = new Set<string>();

  constructor(reader: SnapshotReader, options: TreeViewOptions = {}) {
    this.#onProblem = options.onProblem ?? (() => undefined);
    this.#objects = new SnapshotObjects(reader, options);
    this.#content = new ContentReader(reader, options);
    this.#links = new LinkCounter(this.#objects);
    this.#list = new SnapshotList(reader, {
      clock: options.clock ?? systemClock,
      freshMs: listFreshMs,
      onProblem: (error) => this.#onProblem(`the list of snapshots cannot be read: ${messageOf(error)}`),
    });
  }

  async lookup(parent: bigint, name: Uint8Array): Promise<NodeAttributes | undefined> {
    const top = this.#nodes.topNode(Number(parent));
    if (top !== undefined && top.kind !== 'snapshot') return this.#lookupTop(top, name);
    const { tree, range } = await this.#open(parent);
    const position = findPosition(tree, name);
    if (position === undefined) return undefined;
    const entry = tree[position] as TreeEntry;
    return this.#attributes(numberAt(range, position, entry), { entry, snapshot: range.snapshot, range });
  }

  async attributes(node: bigint): Promise<NodeAttributes> {
    const top = this.#nodes.topNode(Number(node));
    if (top !== undefined && top.kind !== 'snapshot') return this.#topAttributes(node, top);
    return this.#attributes(Number(node), await this.#locate(node));
  }

  async readDirectory(node: bigint): Promise<DirectoryItem[]> {
    const top = this.#nodes.topNode(Number(node));
    if (top?.kind === 'root') return this.#clientItems(await this.#snapshots());
    if (top?.kind === 'client') return this.#snapshotItems(top.client);
    if (top?.kind === 'latest') throw fileSystemError('ENOTDIR', 'not a directory');
    const { tree, range } = await this.#open(node);
    return tree.map((entry, position) => ({
      node: BigInt(numberAt(range, position, entry)),
      name: entry.name,
      mode: fullMode(entry.kind, entry.mode),
    }));
  }

  async readLink(node: bigint): Promise<Uint8Array> {
    const top = this.#nodes.topNode(Number(node));
    if (top?.kind === 'latest') return Buffer.from(top.target);
    if (top !== undefined) throw fileSystemError('EINVAL', 'not a symlink');
    const { entry } = await this.#locate(node);
    if (entry.kind !== 'symlink') throw fileSystemError('EINVAL', 'not a symlink');
    return entry.target;
  }

  async read(node: bigint, offset: number, length: number): Promise<Uint8Array> {
    if (this.#nodes.topNode(Number(node)) !== undefined) throw fileSystemError('EISDIR', 'not a file');
    const { entry } = await this.#locate(node);
    if (entry.kind !== 'file') throw fileSystemError(entry.kind === 'directory' ? 'EISDIR' : 'EINVAL', 'not a file');
    return this.#orInputOutputError(node, async () => {
      const recipe = await this.#objects.recipe(entry);
      return this.#content.read(Number(node), recipe, offset, length);
    });
  }

  async listXattrs(node: bigint): Promise<Xattr[]> {
    const top = this.#nodes.topNode(Number(node));
    if (top !== undefined && top.kind !== 'snapshot') return [];
    return (await this.#locate(node)).entry.xattrs;
  }

  /** Seconds for which the node's attributes and its name may be used without asking again. */
  cacheSeconds(node: bigint): number {
    return this.#nodes.topNode(Number(node)) === undefined ? Number.POSITIVE_INFINITY : listFreshMs / 1000;
  }

  /** The path of a node from the root of the tree, for messages; bytes that are not UTF-8 are replaced. */
  async pathOf(node: bigint): Promise<string> {
    const names: string[] = [];
    let number = Number(node);
    for (;;) {
      const range = this.#nodes.rangeWith(number);
      if (range === undefined) break;
      const tree = await this.#objects.tree(range.tree);
      names.unshift(Buffer.from((tree[number - range.first] as TreeEntry).name).toString());
      number = range.directory;
    }
    const top = this.#nodes.topNode(number);
    if (top?.kind === 'snapshot') names.unshift(top.snapshot.record.client, top.snapshot.name);
    return names.join('/');
  }

  // The upper levels

  #snapshots(): Promise<SnapshotsByClient> {
    return this.#list.current().catch((error: unknown) => {
      this.#onProblem(`the list of snapshots cannot be read: ${messageOf(error)}`);
      throw fileSystemError('EIO', messageOf(error));
    });
  }

  async #lookupTop(top: TopNode, name: Uint8Array): Promise<NodeAttributes | undefined> {
    if (top.kind === 'latest') throw fileSystemError('ENOTDIR', 'not a directory');
    const byClient = await this.#snapshots();
    const number =
      top.kind === 'root'
        ? [...byClient.keys()].filter((client) => isNamed(client, name)).map((client) => this.#clientNumber(client))[0]
        : top.kind === 'client'
          ? this.#numberIn(top.client, byClient.get(top.client) ?? [], name)
          : undefined;
    return number === undefined ? undefined : this.attributes(BigInt(number));
  }

  #numberIn(client: string, snapshots: readonly NamedSnapshot[], name: Uint8Array): number | undefined {
    const newest = snapshots.at(-1);
    if (newest !== undefined && latestName.equals(name)) return this.#latestNumber(client, newest);
    const snapshot = snapshots.find((one) => isNamed(one.name, name));
    return snapshot === undefined ? undefined : this.#snapshotNumber(snapshot);
  }

  #clientItems(byClient: SnapshotsByClient): DirectoryItem[] {
    return [...byClient.keys()].map((client) => ({
      node: BigInt(this.#clientNumber(client)),
      name: Buffer.from(client),
      mode: fullMode('directory', 0o555),
    }));
  }

  async #snapshotItems(client: string): Promise<DirectoryItem[]> {
    const snapshots = (await this.#snapshots()).get(client) ?? [];
    const items = snapshots.map((snapshot) => ({
      node: BigInt(this.#snapshotNumber(snapshot)),
      name: Buffer.from(snapshot.name),
      mode: fullMode('directory', snapshot.record.root.mode),
    }));
    const newest = snapshots.at(-1);
    if (newest === undefined) return items;
    const latest = BigInt(this.#latestNumber(client, newest));
    return [...items, { node: latest, name: latestName, mode: fullMode('symlink', 0o777) }];
  }

  async #topAttributes(node: bigint, top: Exclude<TopNode, { kind: 'snapshot' }>): Promise<NodeAttributes> {
    if (top.kind === 'latest') {
      return topAttributes(node, 'symlink', { size: Buffer.byteLength(top.target), timeNs: top.timeNs });
    }
    const byClient = await this.#snapshots();
    const shown = top.kind === 'client' ? [byClient.get(top.client) ?? []] : [...byClient.values()];
    const newest = shown.map((snapshots) => snapshots.at(-1)?.record.timeNs ?? 0n);
    return topAttributes(node, 'directory', { timeNs: newest.reduce((a, b) => (a > b ? a : b), 0n) });
  }

  #clientNumber(client: string): number {
    return this.#nodes.topNumber(`client ${client}`, () => ({ kind: 'client', client }));
  }

  #snapshotNumber({ name, record }: NamedSnapshot): number {
    return this.#nodes.topNumber(`snapshot ${record.id}`, () => ({
      kind: 'snapshot',
      snapshot: { name, record, linked: new Map() },
    }));
  }

  /** A new number whenever the target is another: a kernel may keep a symlink's target for as long as its number. */
  #latestNumber(client: string, { name, record }: NamedSnapshot): number {
    return this.#nodes.topNumber(`latest ${record.id}`, () => ({
      kind: 'latest',
      client,
      target: name,
      timeNs: record.timeNs,
    }));
  }

  // Within a snapshot

  async #locate(node: bigint): Promise<Located> {
    const number = Number(node);
    const top = this.#nodes.topNode(number);
    if (top?.kind === 'snapshot') {
      return { entry: top.snapshot.record.root, snapshot: top.snapshot, range: undefined };
    }
    const range = this.#nodes.rangeWith(number);
    if (range === undefined) throw fileSystemError('ESTALE', `no node ${node}`);
    const tree = await this.#orInputOutputError(BigInt(range.directory), () => this.#objects.tree(range.tree));
    return { entry: tree[number - range.first] as TreeEntry, snapshot: range.snapshot, range };
  }

  /** The content of a directory, its entries numbered. */
  async #open(node: bigint): Promise<{ tree: Tree; range: DirectoryRange }> {
    const opened = this.#nodes.opened(Number(node));
    if (opened !== undefined) {
      return { tree: await this.#orInputOutputError(node, () => this.#objects.tree(opened.tree)), range: opened };
    }
    const { entry, snapshot } = await this.#locate(node);
    if (entry.kind !== 'directory') throw fileSystemError('ENOTDIR', 'not a directory');
    const directory: DirectoryEntry = entry;
    const tree = await this.#orInputOutputError(node, () => this.#objects.tree(directory.tree));
    return { tree, range: this.#nodes.open(Number(node), directory, tree, snapshot) };
  }

  async #attributes(number: number, { entry, snapshot }: Located): Promise<NodeAttributes> {
    const key = linkKeyOf(entry);
    const nlink = key === undefined ? 1 : ((await this.#countsOf(number, snapshot)).get(key) ?? 1);
    return attributesOf(BigInt(number), entry, nlink);
  }

  #countsOf(number: number, snapshot: SnapshotNode): Promise<Map<LinkKey, number>> {
    let counts = this.#linkCounts.get(snapshot);
    if (counts === undefined) {
      counts = this.#orInputOutputError(BigInt(number), () => this.#links.count(snapshot.record.root));
      this.#linkCounts.set(snapshot, counts);
      counts.catch(() => this.#linkCounts.delete(snapshot));
      const [oldest] = this.#linkCounts.keys();
      if (oldest !== undefined && this.#linkCounts.size > countedSnapshotsMax) this.#linkCounts.delete(oldest);
    }
    return counts;
  }

  /** A reader tries again and again; one line for each problem is enough. */
  #tellOnce(problem: string): void {
    if (this.#told.has(problem)) return;
    if (this.#told.size >= toldMax) this.#told.clear();
    this.#told.add(problem);
    this.#onProblem(problem);
  }

  async #orInputOutputError<T>(node: bigint, act: () => Promise<T>): Promise<T> {
    try {
      return await act();
    } catch (error) {
      const path = await this.pathOf(node).catch(() => `node ${node}`);
      this.#tellOnce(`${path === '' ? '/' : path}: ${messageOf(error)}`);
      throw fileSystemError('EIO', messageOf(error));
    }
  }
}

function isNamed(text: string, name: Uint8Array): boolean {
  return Buffer.compare(Buffer.from(text), name) === 0;
}

function messageOf(error: unknown): string {
  if (isCovaultError(error)) return `${error.message} (${error.code})`;
  return error instanceof Error ? error.message : String(error);
}

/** An error as the operating system would give it. */
function fileSystemError(code: 'EIO' | 'EINVAL' | 'EISDIR' | 'ENOTDIR' | 'ESTALE', message: string): Error {
  return Object.assign(new Error(`${code}: ${message}`), { code });
}
