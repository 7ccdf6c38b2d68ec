/**
 * A data directory in memory, and what the engine would report of each operation. Inode numbers are few, so that they are
 * soon used again; times are those of a coarse clock.
 */
import type { Mutation } from '../../../src/core/mutation.ts';

export interface Node {
  inode: bigint;
  kind: 'file' | 'directory';
  mode: number;
  /** Of a directory. */
  entries: Map<string, bigint>;
  /** Of a file: bytes, and what decides them. */
  size: number;
  content: number;
  nlink: number;
  mtimeNs: bigint;
  ctimeNs: bigint;
}

export const rootInode = 1n;

export class ModelDirectory {
  readonly nodes = new Map<bigint, Node>();
  #content = 0;

  constructor(nodes?: ReadonlyMap<bigint, Node>) {
    for (const [inode, node] of nodes ?? []) this.nodes.set(inode, { ...node, entries: new Map(node.entries) });
    if (!nodes) this.nodes.set(rootInode, newNode(rootInode, 'directory', 1n));
  }

  /** As it is now, to be kept. */
  copy(): ModelDirectory {
    return new ModelDirectory(this.nodes);
  }

  node(inode: bigint): Node {
    const node = this.nodes.get(inode);
    if (!node) throw new Error(`there is no inode ${inode}`);
    return node;
  }

  /** The directory or file at a path from the root, if there is one. */
  at(path: string): Node | undefined {
    let node: Node | undefined = this.node(rootInode);
    for (const name of path === '' ? [] : path.split('/')) {
      const inode: bigint | undefined = node?.entries.get(name);
      node = inode === undefined ? undefined : this.nodes.get(inode);
    }
    return node;
  }

  /** All directories, the root first. */
  directories(): Node[] {
    return [...this.nodes.values()].filter(({ kind }) => kind === 'directory');
  }

  /** All names but the root. */
  places(): { parent: bigint; name: string; inode: bigint }[] {
    return this.directories().flatMap(({ inode: parent, entries }) =>
      [...entries].map(([name, inode]) => ({ parent, name, inode })),
    );
  }

  isWithin(inode: bigint, directory: bigint): boolean {
    if (inode === directory) return true;
    return [...this.node(directory).entries.values()].some((below) => {
      return this.node(below).kind === 'directory' && this.isWithin(inode, below);
    });
  }

  create(kind: 'file' | 'directory', parent: bigint, name: string, timeNs: bigint): Mutation[] {
    let inode = 2n;
    while (this.nodes.has(inode)) inode++;
    const node = newNode(inode, kind, timeNs);
    this.nodes.set(inode, node);
    this.#name(parent, name, inode, timeNs);
    return [{ kind: 'create', inode, parent, name: Buffer.from(name) }];
  }

  write(inode: bigint, size: number, timeNs: bigint): Mutation[] {
    const node = this.node(inode);
    Object.assign(node, { size, content: ++this.#content, mtimeNs: timeNs, ctimeNs: timeNs });
    return [
      { kind: 'truncate', inode, size: 0 },
      { kind: 'content', inode, offset: 0, length: size },
    ];
  }

  changeMode(inode: bigint, mode: number, timeNs: bigint): Mutation[] {
    Object.assign(this.node(inode), { mode, ctimeNs: timeNs });
    return [{ kind: 'attributes', inode }];
  }

  link(inode: bigint, parent: bigint, name: string, timeNs: bigint): Mutation[] {
    this.#name(parent, name, inode, timeNs);
    const node = this.node(inode);
    node.nlink++;
    node.ctimeNs = timeNs;
    return [{ kind: 'link', inode, parent, name: Buffer.from(name) }];
  }

  /** Of a file or an empty directory. */
  remove(parent: bigint, name: string, timeNs: bigint): Mutation[] {
    const inode = this.#unname(parent, name, timeNs);
    this.#lose(inode, timeNs);
    return [{ kind: 'unlink', inode, parent, name: Buffer.from(name) }];
  }

  /** Over what is at the new place, if something is: a file over a file, a directory over an empty one. */
  rename(from: { parent: bigint; name: string }, to: { parent: bigint; name: string }, timeNs: bigint): Mutation[] {
    const over = this.node(to.parent).entries.get(to.name);
    const inode = this.#unname(from.parent, from.name, timeNs);
    this.#name(to.parent, to.name, inode, timeNs);
    this.node(inode).ctimeNs = timeNs;
    if (over !== undefined) this.#lose(over, timeNs);
    return [renaming(inode, from, to, false)];
  }

  exchange(from: { parent: bigint; name: string }, to: { parent: bigint; name: string }, timeNs: bigint): Mutation[] {
    const inode = this.#unname(from.parent, from.name, timeNs);
    const other = this.#unname(to.parent, to.name, timeNs);
    this.#name(to.parent, to.name, inode, timeNs);
    this.#name(from.parent, from.name, other, timeNs);
    for (const each of [inode, other]) this.node(each).ctimeNs = timeNs;
    return [renaming(inode, from, to, true)];
  }

  #name(parent: bigint, name: string, inode: bigint, timeNs: bigint): void {
    const directory = this.node(parent);
    directory.entries.set(name, inode);
    Object.assign(directory, { mtimeNs: timeNs, ctimeNs: timeNs });
  }

  #unname(parent: bigint, name: string, timeNs: bigint): bigint {
    const directory = this.node(parent);
    const inode = directory.entries.get(name);
    if (inode === undefined) throw new Error(`there is no ${name}`);
    directory.entries.delete(name);
    Object.assign(directory, { mtimeNs: timeNs, ctimeNs: timeNs });
    return inode;
  }

  #lose(inode: bigint, timeNs: bigint): void {
    const node = this.node(inode);
    node.nlink--;
    node.ctimeNs = timeNs;
    if (node.kind === 'directory' || node.nlink === 0) this.nodes.delete(inode);
  }
}

function newNode(inode: bigint, kind: Node['kind'], timeNs: bigint): Node {
  const [mode, nlink] = kind === 'file' ? [0o644, 1] : [0o755, 2];
  return { inode, kind, mode, entries: new Map(), size: 0, content: 0, nlink, mtimeNs: timeNs, ctimeNs: timeNs };
}

function renaming(
  inode: bigint,
  from: { parent: bigint; name: string },
  to: { parent: bigint; name: string },
  exchange: boolean,
): Mutation {
  const [name, newName] = [Buffer.from(from.name), Buffer.from(to.name)];
  return { kind: 'rename', inode, parent: from.parent, name, newParent: to.parent, newName, exchange };
}
