/**
 * How many bytes nobody but the source holds, found by cutting and hashing every file of every client: the figure that
 * the snapshot's own account is held against. Shares nothing with the index, the repository or the planner but the
 * cutter.
 */
import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { defaultCutParameters as cut } from '../../src/core/domain.ts';
import { limits } from '../../src/core/limits.ts';
import { encodeRecipe } from '../../src/core/recipe.ts';
import { cutBlocks, nextDataRange } from '../../src/fs/native.ts';
import { listRealFiles, pathOnDisk } from './choose-files.ts';

export interface OnlyAtSource {
  /** Bytes of distinct blocks that no other client has. */
  blockBytes: number;
  /** Bytes of recipe objects for contents that no other client has. */
  recipeBytes: number;
}

interface FileContent {
  /** Of each block, in order. */
  digests: string[];
  lengths: number[];
}

const windowBytes = 8 * 1024 * 1024;

/** What has been seen so far. */
export interface KnownContents {
  blocks: Set<string>;
  /** Of whole files. */
  contents: Set<string>;
}

export function nothingKnown(): KnownContents {
  return { blocks: new Set(), contents: new Set() };
}

/** Adds everything in `directory` to `known` and tells what was new. */
export async function addContents(
  directory: string,
  known: KnownContents,
  options: { onBytes(bytes: number): void; signal: AbortSignal },
): Promise<OnlyAtSource> {
  const found: OnlyAtSource = { blockBytes: 0, recipeBytes: 0 };
  for await (const content of contentsOf(directory, options.onBytes, options.signal)) {
    for (const [position, digest] of content.digests.entries()) {
      if (!known.blocks.has(digest)) found.blockBytes += content.lengths[position] ?? 0;
      known.blocks.add(digest);
    }
    const name = content.digests.join();
    if (content.digests.length > limits.inlineSegmentsMax && !known.contents.has(name)) {
      found.recipeBytes += recipeBytes(content.lengths);
    }
    known.contents.add(name);
  }
  return found;
}

async function* contentsOf(
  directory: string,
  onBytes: (bytes: number) => void,
  signal: AbortSignal,
): AsyncGenerator<FileContent> {
  const seen = new Set<string>();
  const window = Buffer.allocUnsafe(windowBytes);
  for (const { path, kind, identity, bytes } of listRealFiles(directory)) {
    signal.throwIfAborted();
    if (kind !== 'file' || bytes === 0 || seen.has(identity)) continue;
    seen.add(identity);
    const file = await open(pathOnDisk(directory, path), constants.O_RDONLY);
    try {
      yield await readContent(file, window, onBytes);
    } finally {
      await file.close();
    }
  }
}

async function readContent(file: FileHandle, window: Buffer, onBytes: (bytes: number) => void): Promise<FileContent> {
  const content: FileContent = { digests: [], lengths: [] };
  let range = nextDataRange(file.fd, 0);
  while (range !== undefined) {
    onBytes(await readRange(file, range, window, content));
    range = nextDataRange(file.fd, range.end);
  }
  return content;
}

/** @returns the bytes read. */
async function readRange(
  file: FileHandle,
  range: { start: number; end: number },
  window: Buffer,
  content: FileContent,
): Promise<number> {
  let undecided = 0;
  let position = range.start;
  while (position < range.end || undecided > 0) {
    const wanted = Math.min(windowBytes - undecided, range.end - position);
    const { bytesRead } = wanted > 0 ? await file.read(window, undecided, wanted, position) : { bytesRead: 0 };
    position = bytesRead === wanted ? position + bytesRead : range.end;
    const filled = window.subarray(0, undecided + bytesRead);
    let at = 0;
    for (const length of cutBlocks(filled, cut, position >= range.end)) {
      content.digests.push(
        createHash('sha256')
          .update(filled.subarray(at, at + length))
          .digest('base64'),
      );
      content.lengths.push(length);
      at += length;
    }
    window.copyWithin(0, at, filled.length);
    undecided = filled.length - at;
  }
  return range.end - range.start;
}

/** The size of the encoded recipe does not depend on the digests in it. */
function recipeBytes(lengths: readonly number[]): number {
  const segments = lengths.map((length) => ({ digest: new Uint8Array(32), length }));
  return encodeRecipe({ size: lengths.reduce((sum, length) => sum + length, 0), segments }).byteLength;
}
