/** A read-only tree that exists nowhere: every kind of node, odd names, failures and delays. For tests of `mountTree`. */
import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { CovaultError } from '../../src/core/errors.ts';
import type { Xattr } from '../../src/core/tree.ts';
import type { DirectoryItem, NodeAttributes, ReadOnlyTree } from '../../src/fs/tree-session.ts';

export const entriesOfLarge = 5000;

/** Reading `slow` takes until somebody looks for this name, which does not exist. */
export const endOfSlow = 'end-of-slow';

export interface InventedNode extends Partial<Omit<NodeAttributes, 'node'>> {
  mode: number;
  content?: Uint8Array;
  target?: Uint8Array;
  xattrs?: Xattr[];
  /** By name as latin1. */
  entries?: Map<string, bigint>;
}

/** Content without a pattern, the same every time. */
export function inventedContent(length: number): Uint8Array {
  const bytes = Buffer.alloc(Math.ceil(length / 32) * 32);
  for (let i = 0; i * 32 < length; i++)
    createHash('sha256')
      .update(String(i))
      .digest()
      .copy(bytes, i * 32);
  return bytes.subarray(0, length);
}

const file = (content: Uint8Array | string, more: Partial<InventedNode> = {}): InventedNode => ({
  mode: 0o100640,
  content: Buffer.from(content),
  ...more,
});

/** Names (latin1) at the top. */
export function inventedNodes(): Map<bigint, InventedNode> {
  const top: [string, InventedNode][] = [
    ['plain', file('plain content\n', { mode: 0o104755, uid: 70_000, gid: 4_000_000_000, nlink: 3 })],
    ['old', file('', { mtimeNs: -1n, atimeNs: 123_456_789n, ctimeNs: -62_135_596_800_000_000_001n })],
    ['future', file('', { mtimeNs: 9_000_000_000_123_456_789n })],
    ['big', file(inventedContent(5_000_001))],
    ['slow', file('slow content')],
    ['link', { mode: 0o120777, target: Buffer.from('plain') }],
    ['dangling', { mode: 0o120777, target: Buffer.from([0xff, 0x2f, 0x0a]) }],
    ['fifo', { mode: 0o010600 }],
    ['device', { mode: 0o020600, rdev: 0x12345678n }],
    ['\xff\xfe\n', file('odd')],
    ['n'.repeat(255), file('long')],
    [
      'marked',
      file('', {
        xattrs: [
          { name: Buffer.from('user.a'), value: Buffer.from([0, 255]) },
          { name: Buffer.from('user.empty'), value: Buffer.alloc(0) },
          { name: Buffer.from('user.large'), value: inventedContent(10_000) },
        ],
      }),
    ],
    ['corrupt', file('x')],
    ['denied', file('x')],
    ['large', { mode: 0o040755, entries: new Map() }],
  ];
  const nodes = new Map<bigint, InventedNode>([[1n, { mode: 0o040755, entries: new Map() }]]);
  const add = (directory: InventedNode, name: string, node: InventedNode) => {
    // Numbers beyond 2^53 show where one is squeezed through a double.
    const number = 2n ** 60n + BigInt(nodes.size);
    nodes.set(number, node);
    directory.entries?.set(name, number);
  };
  for (const [name, node] of top) add(nodes.get(1n) as InventedNode, name, node);
  const large = top.at(-1)?.[1] as InventedNode;
  for (let i = 0; i < entriesOfLarge; i++) add(large, `entry ${i} ${'x'.repeat(i % 200)}`, file(String(i)));
  return nodes;
}

export class InventedTree implements ReadOnlyTree {
  readonly #nodes = inventedNodes();
  readonly #slowEnd = Promise.withResolvers<void>();
  /** Reads under way, now and at most. */
  reading = 0;
  readingMax = 0;

  #node(node: bigint): InventedNode {
    const found = this.#nodes.get(node);
    if (!found) throw Object.assign(new Error('no such node'), { code: 'ESTALE' });
    return found;
  }

  async lookup(parent: bigint, name: Uint8Array): Promise<NodeAttributes | undefined> {
    const text = Buffer.from(name).toString('latin1');
    if (text === endOfSlow) this.#slowEnd.resolve();
    const number = this.#node(parent).entries?.get(text);
    return number === undefined ? undefined : this.attributes(number);
  }

  async attributes(node: bigint): Promise<NodeAttributes> {
    const { mode, nlink = 1, uid = 0, gid = 0, rdev = 0n, content, target, mtimeNs = 5n, ...times } = this.#node(node);
    const size = content?.byteLength ?? target?.byteLength ?? 4096;
    const { atimeNs = mtimeNs, ctimeNs = mtimeNs } = times;
    return { node, mode, nlink, uid, gid, rdev, size, blocks: Math.ceil(size / 512), mtimeNs, atimeNs, ctimeNs };
  }

  async readDirectory(node: bigint): Promise<DirectoryItem[]> {
    return [...(this.#node(node).entries ?? [])].map(([name, number]) => ({
      node: number,
      name: Buffer.from(name, 'latin1'),
      mode: this.#node(number).mode,
    }));
  }

  async readLink(node: bigint): Promise<Uint8Array> {
    return this.#node(node).target as Uint8Array;
  }

  async read(node: bigint, offset: number, length: number): Promise<Uint8Array> {
    this.reading += 1;
    this.readingMax = Math.max(this.readingMax, this.reading);
    try {
      switch (this.#nameOf(node)) {
        case 'slow':
          await this.#slowEnd.promise;
          break;
        case 'corrupt':
          throw new CovaultError('E_CORRUPT', 'damaged');
        case 'denied':
          throw Object.assign(new Error('no'), { code: 'EACCES' });
        default:
          await delay(1);
      }
    } finally {
      this.reading -= 1;
    }
    return this.#node(node).content?.subarray(offset, offset + length) as Uint8Array;
  }

  async listXattrs(node: bigint): Promise<Xattr[]> {
    return this.#node(node).xattrs ?? [];
  }

  cacheSeconds(): number {
    return Number.POSITIVE_INFINITY;
  }

  #nameOf(node: bigint): string | undefined {
    return [...(this.#node(1n).entries ?? [])].find(([, number]) => number === node)?.[0];
  }
}
