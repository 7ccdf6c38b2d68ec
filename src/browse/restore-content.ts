/**
 * Writes the contents of files into the staging directory. Files are gathered into batches; each block of a batch is
 * had once and written everywhere it belongs: from what is in the target already, else from whoever the fetcher asks,
 * else from the store in the order in which it packed them. Holes stay holes.
 */
import { closeSync, constants, ftruncateSync, openSync, write, writeSync } from 'node:fs';
import { promisify } from 'node:util';
import { type DigestKey, digestKey } from '../core/digest.ts';
import { checkInterrupted } from '../core/errors.ts';
import type { BlockFetcher, BlockSource, SnapshotReader } from '../core/ports.ts';
import { type Block, isBlock } from '../core/recipe.ts';
import { ContentReader } from './content-reader.ts';
import { forEachBounded } from './for-each-bounded.ts';
import type { LocatedRecipe } from './recipe-ranges.ts';
import { reasonOf } from './restore-report.ts';

export interface FileToWrite {
  recipe: LocatedRecipe;
  /** Where the content goes: a name that is free. */
  path: Buffer;
  /** All bytes are in the file, which is still open. Its descriptor is valid until this returns. */
  written(fd: number): Promise<void> | void;
  /** Its content could not be written; the file at `path` may be there. */
  failed(reason: string): void;
}

interface OpenFile {
  file: FileToWrite;
  /** Undefined if it could not be opened. */
  fd: number | undefined;
  /** Blocks that wait in the batch. */
  waiting: number;
  /** All its blocks have been put into a batch. */
  isQueued: boolean;
  failure: string | undefined;
}

interface WaitingBlock {
  block: Block;
  targets: { open: OpenFile; offset: number }[];
}

export interface ContentWriterOptions {
  signal?: AbortSignal | undefined;
  onWritten: (bytes: number) => void;
  /** What is in the target already. */
  present?: BlockSource | undefined;
  /** Asked before the store is. */
  fetcher?: BlockFetcher | undefined;
  /** Told of each block where it came from, if not from the fetcher. */
  onBlock?: (from: 'target' | 'store', bytes: number) => void;
  /** Bounds of a batch; defaults 512 files (each is open until it is written) and 8192 blocks. */
  filesMax?: number;
  blocksMax?: number;
}

/** Bytes of blocks fetched ahead of those being written. */
const windowBytes = 8 * 1024 * 1024;

/** Blocks written at one time. */
const blocksAtOnce = 6;

/** Bytes that are written without a thread. */
const writtenAtOnceMax = 32 * 1024;

const writeInThread = promisify(write);

const createFlags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

export class ContentWriter {
  readonly #reader: SnapshotReader;
  /** Only its cache: blocks that a later batch needs again. */
  readonly #blocks: ContentReader;
  readonly #options: ContentWriterOptions;
  readonly #open = new Set<OpenFile>();
  #waiting = new Map<DigestKey, WaitingBlock>();

  constructor(reader: SnapshotReader, options: ContentWriterOptions) {
    this.#reader = reader;
    this.#blocks = new ContentReader(reader);
    this.#options = options;
  }

  /** Queues a file; writes the batch when it is full. @throws what is not about one file, such as `ENOSPC`. */
  async add(file: FileToWrite): Promise<void> {
    const opened: OpenFile = { file, fd: undefined, waiting: 0, isQueued: false, failure: undefined };
    this.#open.add(opened);
    try {
      opened.fd = openSync(file.path, createFlags, 0o600);
      if (file.recipe.size > 0) ftruncateSync(opened.fd, file.recipe.size);
    } catch (error) {
      opened.failure = reasonOf(error);
    }
    for (const [position, segment] of file.recipe.segments.entries()) {
      if (opened.failure !== undefined) break;
      if (!isBlock(segment)) continue;
      this.#queue(opened, segment, file.recipe.starts[position] as number);
      if (this.#waiting.size >= (this.#options.blocksMax ?? 8192)) await this.#writeBlocks();
    }
    opened.isQueued = true;
    if (this.#open.size >= (this.#options.filesMax ?? 512)) await this.flush();
  }

  /** Writes everything queued; afterwards each file was told `written` or `failed`. */
  async flush(): Promise<void> {
    await this.#writeBlocks();
    for (const opened of this.#open) await this.#finish(opened);
  }

  /** Closes what is open, after an error. */
  close(): void {
    for (const { fd } of this.#open) if (fd !== undefined) closeSync(fd);
    this.#open.clear();
  }

  #queue(opened: OpenFile, block: Block, offset: number): void {
    const key = digestKey(block.digest);
    const waiting = this.#waiting.get(key) ?? { block, targets: [] };
    this.#waiting.set(key, waiting);
    waiting.targets.push({ open: opened, offset });
    opened.waiting += 1;
  }

  /** Writes the waiting blocks: those that are here, those that others send, and the rest from the store. */
  async #writeBlocks(): Promise<void> {
    const waiting = this.#waiting;
    this.#waiting = new Map();
    await this.#takePresent(waiting);
    await this.#takeFetched(waiting);
    await this.#takeStored([...waiting.values()]);
  }

  async #takePresent(waiting: Map<DigestKey, WaitingBlock>): Promise<void> {
    const { present, onBlock, signal } = this.#options;
    if (present === undefined) return;
    await forEachBounded([...waiting], blocksAtOnce, async ([key, one]) => {
      checkInterrupted(signal);
      const bytes = await present.readBlock(one.block.digest);
      if (bytes?.byteLength !== one.block.length) return;
      waiting.delete(key);
      onBlock?.('target', bytes.byteLength);
      await this.#deliver(one, bytes);
    });
  }

  async #takeFetched(waiting: Map<DigestKey, WaitingBlock>): Promise<void> {
    const { fetcher, signal } = this.#options;
    if (fetcher === undefined) return;
    const wanted = [...waiting.values()].filter(({ targets }) =>
      targets.some(({ open }) => open.failure === undefined),
    );
    if (wanted.length === 0) return;
    await fetcher.fetch(
      wanted.map(({ block }) => block),
      {
        take: async (block, bytes) => {
          const key = digestKey(block.digest);
          const one = waiting.get(key);
          waiting.delete(key);
          if (one !== undefined) await this.#deliver(one, bytes);
        },
        ...(signal === undefined ? {} : { signal }),
      },
    );
  }

  /** Window by window; while one is written the next is fetched. */
  async #takeStored(blocks: WaitingBlock[]): Promise<void> {
    const windows = windowsOf(inReadOrder(blocks, this.#reader));
    let ahead = this.#prefetch(windows[0]);
    for (const [position, window] of windows.entries()) {
      await ahead;
      ahead = this.#prefetch(windows[position + 1]);
      await forEachBounded(window, blocksAtOnce, (waiting) => this.#takeFromStore(waiting));
    }
  }

  /** Never rejects: what cannot be fetched is met again when it is written. */
  async #prefetch(window: readonly WaitingBlock[] | undefined): Promise<void> {
    if (window === undefined || this.#reader.prefetch === undefined) return;
    const { signal } = this.#options;
    const digests = window.map(({ block }) => block.digest);
    await this.#reader.prefetch(digests, signal === undefined ? {} : { signal }).catch(() => undefined);
  }

  async #takeFromStore(waiting: WaitingBlock): Promise<void> {
    checkInterrupted(this.#options.signal);
    const wanted = waiting.targets.filter(({ open: { failure } }) => failure === undefined);
    let bytes: Uint8Array | undefined;
    try {
      bytes = wanted.length === 0 ? undefined : await this.#blocks.block(waiting.block);
      if (bytes !== undefined) this.#options.onBlock?.('store', bytes.byteLength);
    } catch (error) {
      const reason = reasonOf(error);
      for (const { open: opened } of wanted) opened.failure ??= reason;
    }
    await this.#deliver(waiting, bytes);
  }

  /** Writes a block everywhere it belongs (undefined: it could not be had), and finishes files that have all of theirs. */
  async #deliver({ targets }: WaitingBlock, bytes: Uint8Array | undefined): Promise<void> {
    for (const { open: opened, offset } of targets) {
      if (bytes !== undefined && opened.failure === undefined) await this.#writeInto(opened, bytes, offset);
    }
    for (const { open: opened } of targets) {
      opened.waiting -= 1;
      if (opened.isQueued && opened.waiting === 0) await this.#finish(opened);
    }
  }

  async #writeInto(opened: OpenFile, bytes: Uint8Array, offset: number): Promise<void> {
    if (opened.fd === undefined) return;
    try {
      await writeAt(opened.fd, bytes, offset);
      this.#options.onWritten(bytes.byteLength);
    } catch (error) {
      opened.failure ??= reasonOf(error);
    }
  }

  async #finish(opened: OpenFile): Promise<void> {
    if (!this.#open.delete(opened)) return;
    const { file, fd, failure } = opened;
    try {
      if (failure !== undefined || fd === undefined) file.failed(failure ?? 'it was not opened');
      else await file.written(fd);
    } finally {
      if (fd !== undefined) closeSync(fd);
    }
  }
}

/** Writes all of `bytes`. Small ones at once: a thread would take longer to be asked than to write them. */
async function writeAt(fd: number, bytes: Uint8Array, offset: number): Promise<void> {
  for (let done = 0; done < bytes.byteLength; ) {
    const left = bytes.byteLength - done;
    if (left <= writtenAtOnceMax) done += writeSync(fd, bytes, done, left, offset + done);
    else done += (await writeInThread(fd, bytes, done, left, offset + done)).bytesWritten;
  }
}

/** Sorts in place, if the reader knows an order. */
function inReadOrder(blocks: WaitingBlock[], reader: SnapshotReader): WaitingBlock[] {
  if (reader.readOrder === undefined) return blocks;
  const order = new Map(blocks.map((one) => [one, reader.readOrder?.(one.block.digest) ?? Number.MAX_VALUE]));
  return blocks.sort((a, b) => (order.get(a) as number) - (order.get(b) as number));
}

/** Consecutive runs of about `windowBytes`. */
function windowsOf(blocks: readonly WaitingBlock[]): WaitingBlock[][] {
  const windows: WaitingBlock[][] = [];
  let bytes = windowBytes;
  for (const waiting of blocks) {
    if (bytes >= windowBytes) {
      windows.push([]);
      bytes = 0;
    }
    windows.at(-1)?.push(waiting);
    bytes += waiting.block.length;
  }
  return windows;
}
