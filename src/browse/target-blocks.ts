/**
 * Blocks that stand in the target already, in files that are about to be replaced or beside those to be made: what is
 * there need not be fetched. Files are cut as the domain cuts them, so that content is found wherever it has moved to.
 */
import { closeSync, constants, fstatSync, openSync, read } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { promisify } from 'node:util';
import { type Digest, type Digester, type DigestKey, digestKey, digestsEqual } from '../core/digest.ts';
import type { CutParameters } from '../core/domain.ts';
import { checkInterrupted } from '../core/errors.ts';
import type { BlockSource } from '../core/ports.ts';
import { cutBlocks } from '../fs/native.ts';
import { type DirectoryHandles, entryPath, type Place } from './directory-handles.ts';

export interface TargetBlocksOptions {
  handles: DirectoryHandles;
  digester: Digester;
  cut: CutParameters;
  /** Name at the top that is not looked into. */
  stagingName: string;
  signal: AbortSignal | undefined;
}

/** A file of the target that was cut. */
interface KnownFile {
  directory: Place;
  name: Uint8Array;
  /** Kept open, so that its content can be read also after it was replaced; undefined once that would be too many. */
  fd: number | undefined;
  readers: number;
}

interface Location {
  file: KnownFile;
  offset: number;
  length: number;
}

/** Other files are cut as long as that is no more work than this many times what is restored, and a bit. */
const othersFactor = 2;
const othersBytesFree = 64 * 1024 * 1024;
const openMax = 128;
const locationsMax = 500_000;
const windowBytesMin = 4 * 1024 * 1024;
const openFlags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY;
const readFrom = promisify(read);

export class TargetBlocks implements BlockSource {
  readonly #options: TargetBlocksOptions;
  readonly #locations = new Map<DigestKey, Location>();
  readonly #open = new Set<KnownFile>();
  readonly #cut = new Set<string>();
  readonly #listed = new Map<Place, Uint8Array[]>();
  #bytesLeft = othersBytesFree;
  #window = Buffer.alloc(0);

  constructor(options: TargetBlocksOptions) {
    this.#options = options;
  }

  /** A file of `size` bytes is to be made: looks at what stands in its place, then at its neighbours. */
  async lookAround(directory: Place, name: Uint8Array, size: number): Promise<void> {
    this.#bytesLeft += size * othersFactor;
    await this.#cutFile(directory, name, Number.POSITIVE_INFINITY);
    const others = this.#listed.get(directory) ?? (await this.#list(directory));
    this.#listed.set(directory, others);
    while (others.length > 0 && this.#bytesLeft > 0) {
      this.#bytesLeft -= await this.#cutFile(directory, others.pop() as Uint8Array, this.#bytesLeft);
    }
  }

  /** Verified; undefined if it is not, or no more, in any file that was looked at. */
  async readBlock(digest: Digest): Promise<Uint8Array | undefined> {
    const location = this.#locations.get(digestKey(digest));
    if (location === undefined) return undefined;
    const { file, offset, length } = location;
    file.readers += 1;
    try {
      const bytes = new Uint8Array(length);
      const count = await this.#read(file, bytes, offset);
      return count === length && digestsEqual(this.#options.digester.digest(bytes), digest) ? bytes : undefined;
    } catch {
      // Whatever happened to the file: others have the block as well.
      return undefined;
    } finally {
      file.readers -= 1;
    }
  }

  close(): void {
    for (const { fd } of this.#open) if (fd !== undefined) closeSync(fd);
    this.#open.clear();
  }

  async #list(directory: Place): Promise<Uint8Array[]> {
    const { handles, stagingName } = this.#options;
    return handles.use(directory, async (fd) => {
      const entries = await readdir(entryPath(fd, Buffer.from('.')), { encoding: 'buffer', withFileTypes: true });
      const isStaging = (name: Buffer) => directory === handles.top && name.toString('latin1') === stagingName;
      return entries.filter((entry) => entry.isFile() && !isStaging(entry.name)).map((entry) => entry.name);
    });
  }

  /** Cuts a file unless that was done; one larger than `bytesMax` is left out. Returns the bytes read. */
  async #cutFile(directory: Place, name: Uint8Array, bytesMax: number): Promise<number> {
    const { handles } = this.#options;
    const { dev, ino, size, fd } = await handles.use(directory, (directoryFd) => openRegular(directoryFd, name));
    if (fd === undefined) return 0;
    const id = `${dev} ${ino}`;
    if (size === 0 || size > bytesMax || this.#cut.has(id)) {
      closeSync(fd);
      return 0;
    }
    this.#cut.add(id);
    const file: KnownFile = { directory, name, fd, readers: 1 };
    this.#open.add(file);
    try {
      return await this.#noteBlocks(file, fd, size);
    } finally {
      file.readers -= 1;
      this.#closeOldest();
    }
  }

  /** Notes where each block of a file is; ends where it cannot be read. */
  async #noteBlocks(file: KnownFile, fd: number, size: number): Promise<number> {
    const { cut, digester, signal } = this.#options;
    if (this.#window.byteLength === 0)
      this.#window = Buffer.allocUnsafeSlow(Math.max(windowBytesMin, 2 * cut.maxBytes));
    let offset = 0;
    while (offset < size && this.#locations.size < locationsMax) {
      checkInterrupted(signal);
      const count = await readAll(
        fd,
        this.#window.subarray(0, Math.min(size - offset, this.#window.byteLength)),
        offset,
      );
      const isLast = offset + count >= size || count < this.#window.byteLength;
      const bytes = this.#window.subarray(0, count);
      let at = 0;
      for (const length of cutBlocks(bytes, cut, isLast)) {
        const key = digestKey(digester.digest(bytes.subarray(at, at + length)));
        if (!this.#locations.has(key)) this.#locations.set(key, { file, offset: offset + at, length });
        at += length;
      }
      offset += at;
      if (isLast || at === 0) break;
    }
    return offset;
  }

  async #read(file: KnownFile, into: Uint8Array, offset: number): Promise<number> {
    if (file.fd !== undefined) return readAll(file.fd, into, offset);
    return this.#options.handles.use(file.directory, async (directoryFd) => {
      const { fd } = openRegular(directoryFd, file.name);
      if (fd === undefined) return 0;
      try {
        return await readAll(fd, into, offset);
      } finally {
        closeSync(fd);
      }
    });
  }

  #closeOldest(): void {
    for (const file of this.#open) {
      if (this.#open.size <= openMax) return;
      if (file.readers > 0 || file.fd === undefined) continue;
      this.#open.delete(file);
      closeSync(file.fd);
      file.fd = undefined;
    }
  }
}

/** Nothing is opened, and `fd` undefined, if no regular file of that name can be read. */
function openRegular(directoryFd: number, name: Uint8Array): { dev: number; ino: number; size: number; fd?: number } {
  const nothing = { dev: 0, ino: 0, size: 0 };
  let fd: number;
  try {
    fd = openSync(entryPath(directoryFd, name), openFlags);
  } catch {
    return nothing;
  }
  const stats = fstatSync(fd);
  if (stats.isFile()) return { dev: stats.dev, ino: stats.ino, size: stats.size, fd };
  closeSync(fd);
  return nothing;
}

/** Fills `into` as far as the file goes; returns how far. */
async function readAll(fd: number, into: Uint8Array, offset: number): Promise<number> {
  let done = 0;
  while (done < into.byteLength) {
    const { bytesRead } = await readFrom(fd, into, done, into.byteLength - done, offset + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return done;
}
