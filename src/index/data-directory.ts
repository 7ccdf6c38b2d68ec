/**
 * Reading names and attributes beneath the data directory: synchronous, for a worker thread. Never through a mountpoint,
 * never following a symlink, never into another file system.
 */
import { type BigIntStats, closeSync, fstatSync, lstatSync, opendirSync, readlinkSync } from 'node:fs';
import { systemErrorCode } from '../core/errors.ts';
import { listXattrs, openNode } from '../fs/native.ts';
import { asBuffer } from './layout.ts';
import { kindOf, type NodeState, stateOf } from './node-state.ts';
import type { ListOutcome, ListRequest, LookDirectory, LookOutcome } from './worker-protocol.ts';

/** O_PATH, which Node.js does not name. */
const openPath = 0o10000000;

/** How a failed call reads to the index: what is not there any more is no failure. */
export function isGone(error: unknown): boolean {
  const code = systemErrorCode(error);
  return code === 'ENOENT' || code === 'ENOTDIR' || code === 'ELOOP' || code === 'ESTALE' || code === 'EXDEV';
}

interface OpenDirectory {
  fd: number;
  stats: BigIntStats;
}

export class DataDirectory {
  readonly #rootFd: number;
  readonly #device: bigint;
  /** The names of the directory that is being listed in pages. */
  #listing: { directory: bigint; names: Buffer[] } | undefined;

  constructor(rootFd: number) {
    this.#rootFd = rootFd;
    this.#device = fstatSync(rootFd, { bigint: true }).dev;
  }

  look({ directory, path, names }: LookDirectory): LookOutcome {
    try {
      const opened = this.#open(directory, path);
      if (!opened) return { directory, kind: 'gone' };
      try {
        const states = names.map((name) => this.#state(opened, name));
        // After the names: what changes them changes the directory's times.
        return { directory, kind: 'seen', self: this.#self(opened), states };
      } finally {
        closeSync(opened.fd);
      }
    } catch (error) {
      return isGone(error) ? { directory, kind: 'gone' } : { directory, kind: 'failed', code: codeOf(error) };
    }
  }

  list({ directory, path, after, entriesMax }: ListRequest): ListOutcome {
    try {
      const opened = this.#open(directory, path);
      if (!opened) return { kind: 'gone' };
      try {
        const names = this.#names(opened, after);
        const from = after === undefined ? 0 : firstAfter(names, asBuffer(after));
        const page = names.slice(from, from + entriesMax);
        const more = from + page.length < names.length;
        if (!more) this.#listing = undefined;
        const entries = page.flatMap((name) => {
          const state = this.#state(opened, name);
          return state === undefined ? [] : [{ name, state }];
        });
        return { kind: 'listed', self: this.#self(opened), entries, last: page.at(-1), more };
      } finally {
        closeSync(opened.fd);
      }
    } catch (error) {
      return isGone(error) ? { kind: 'gone' } : { kind: 'failed', code: codeOf(error) };
    }
  }

  /** The directory at `path` if it is still the one that is meant. */
  #open(directory: bigint, path: Uint8Array): OpenDirectory | undefined {
    const fd = openNode(this.#rootFd, path, openPath);
    const stats = fstatSync(fd, { bigint: true });
    const isMeant = stats.ino === directory && stats.dev === this.#device && stats.isDirectory();
    if (isMeant) return { fd, stats };
    closeSync(fd);
    return undefined;
  }

  #self({ fd }: OpenDirectory): NodeState {
    return this.#withXattrs(stateOf(fstatSync(fd, { bigint: true }), 'directory'), fd);
  }

  #names(opened: OpenDirectory, after: Uint8Array | undefined): Buffer[] {
    const directory = opened.stats.ino;
    if (after !== undefined && this.#listing?.directory === directory) return this.#listing.names;
    // The declared types do not know that names can be bytes.
    const handle = opendirSync(`/proc/self/fd/${opened.fd}`, {
      encoding: 'buffer' as BufferEncoding,
      bufferSize: 1024,
    });
    const names: Buffer[] = [];
    try {
      for (let entry = handle.readSync(); entry; entry = handle.readSync()) names.push(entry.name as unknown as Buffer);
    } finally {
      handle.closeSync();
    }
    names.sort(Buffer.compare);
    this.#listing = { directory, names };
    return names;
  }

  #state(directory: OpenDirectory, name: Uint8Array): NodeState | undefined {
    const path = Buffer.concat([Buffer.from(`/proc/self/fd/${directory.fd}/`), name]);
    try {
      const stats = lstatSync(path, { bigint: true });
      const kind = kindOf(stats);
      if (kind === undefined) return undefined;
      if (stats.dev !== this.#device) return foreignState(stateOf(stats, 'directory'), directory.stats.ino, name);
      const state = stateOf(stats, kind);
      if (kind === 'symlink') state.target = readlinkSync(path, 'buffer');
      return this.#withXattrs(state, path);
    } catch (error) {
      if (isGone(error)) return undefined;
      throw error;
    }
  }

  #withXattrs(state: NodeState, node: Uint8Array | number): NodeState {
    try {
      state.xattrs = listXattrs(node);
      if (state.xattrs.length > 1) state.xattrs.sort((a, b) => Buffer.compare(a.name, b.name));
    } catch (error) {
      // An attribute that this user may not read cannot be copied either.
      if (systemErrorCode(error) !== 'EACCES' && systemErrorCode(error) !== 'EPERM') throw error;
    }
    return state;
  }
}

/** What is mounted there has inode numbers of its own; the made-up one has the highest bit, which none has in practice. */
export function foreignState(root: NodeState, parent: bigint, name: Uint8Array): NodeState {
  let hash = 0xcbf29ce484222325n ^ parent;
  for (const byte of name) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return { ...root, inode: hash | (1n << 63n), isForeign: true, nlink: 2 };
}

export function firstAfter(names: readonly Buffer[], after: Buffer): number {
  let low = 0;
  let high = names.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (Buffer.compare(names[middle] as Buffer, after) <= 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

export function codeOf(error: unknown): string {
  return systemErrorCode(error) ?? (error instanceof Error ? error.message : String(error));
}
