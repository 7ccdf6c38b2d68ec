/** Blocks read from the live files, verified. */
import { closeSync, constants, fstatSync } from 'node:fs';
import type { Digest } from '../core/digest.ts';
import type { BlockSource, PackedBlock } from '../core/ports.ts';
import { openNode } from '../fs/native.ts';
import { type Location, unpackLocation } from './layout.ts';
import { pathOf } from './names.ts';
import type { IndexState } from './state.ts';
import type { ReadRequest } from './worker-protocol.ts';

/** Files kept open between two reads, and for how many milliseconds at most. */
const openFilesMax = 64;
const idleMsMax = 5_000;

/** Locations of one block that are tried. */
const locationsMax = 16;

interface OpenFile {
  fd: number;
  readers: number;
  usedAtMs: number;
  /** No longer in the cache: closed with its last reader. */
  isDropped: boolean;
}

/** Reads a block from an open file; undefined if that has another content there. The caller owns the bytes. */
export type ReadPart = (part: Omit<ReadRequest, 'kind'>) => Promise<PackedBlock | undefined>;

export class HeldBlocks implements BlockSource {
  readonly #state: IndexState;
  readonly #read: ReadPart;
  readonly #directoryFd: number;
  /** The least recently used first. */
  readonly #files = new Map<bigint, OpenFile>();
  readonly #timer: NodeJS.Timeout;
  #isClosed = false;

  constructor(state: IndexState, directoryFd: number, read: ReadPart) {
    this.#read = read;
    this.#state = state;
    this.#directoryFd = directoryFd;
    this.#timer = setInterval(() => this.#closeIdle(), idleMsMax);
    this.#timer.unref();
  }

  async readBlock(digest: Digest): Promise<Uint8Array | undefined> {
    return (await this.#find(digest, false))?.bytes;
  }

  async readPacked(digest: Digest): Promise<PackedBlock | undefined> {
    return await this.#find(digest, true);
  }

  close(): void {
    this.#isClosed = true;
    clearInterval(this.#timer);
    for (const inode of [...this.#files.keys()]) this.#drop(inode);
  }

  async #find(digest: Digest, isToBePacked: boolean): Promise<PackedBlock | undefined> {
    if (this.#isClosed) return undefined;
    for (const location of this.#locations(digest)) {
      const block = await this.#readAt(location, { digest, isToBePacked });
      if (block) return block;
    }
    return undefined;
  }

  #locations(digest: Digest): Location[] {
    const locations: Location[] = [];
    for (const value of this.#state.tables.blocks.values(digest)) {
      if (locations.push(unpackLocation(value)) === locationsMax) break;
    }
    return locations;
  }

  /** The block at the location, or undefined if the file is not there, cannot be read or has become another. */
  async #readAt(
    { inode, offset, length }: Location,
    wanted: Pick<ReadRequest, 'digest' | 'isToBePacked'>,
  ): Promise<PackedBlock | undefined> {
    const file = this.#open(inode);
    if (!file) return undefined;
    try {
      return await this.#read({ fd: file.fd, offset, length, ...wanted });
    } catch {
      return undefined;
    } finally {
      file.readers--;
      if (file.isDropped && file.readers === 0) closeSync(file.fd);
    }
  }

  #open(inode: bigint): OpenFile | undefined {
    let file = this.#files.get(inode);
    if (file) this.#files.delete(inode);
    else file = this.#openAnew(inode);
    if (!file) return undefined;
    this.#files.set(inode, file);
    file.readers++;
    file.usedAtMs = this.#state.clock.monotonicMs();
    for (const oldest of this.#files.keys()) {
      if (this.#files.size <= openFilesMax) break;
      this.#drop(oldest);
    }
    return file;
  }

  #openAnew(inode: bigint): OpenFile | undefined {
    const path = pathOf(this.#state, inode);
    if (!path) return undefined;
    try {
      const fd = openNode(this.#directoryFd, path, constants.O_RDONLY | constants.O_NONBLOCK);
      const stats = fstatSync(fd, { bigint: true });
      if (stats.ino === inode && stats.isFile()) return { fd, readers: 0, usedAtMs: 0, isDropped: false };
      closeSync(fd);
      return undefined;
    } catch {
      return undefined;
    }
  }

  #drop(inode: bigint): void {
    const file = this.#files.get(inode);
    if (!file) return;
    this.#files.delete(inode);
    file.isDropped = true;
    if (file.readers === 0) closeSync(file.fd);
  }

  #closeIdle(): void {
    const nowMs = this.#state.clock.monotonicMs();
    for (const [inode, file] of [...this.#files]) if (nowMs - file.usedAtMs > idleMsMax) this.#drop(inode);
  }
}
