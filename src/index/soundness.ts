/**
 * Whether the tables' file can be used at all. LMDB maps the file into memory and trusts it: reading one that was cut
 * short or overwritten can end the process, so that is found out before it is opened, the rest in a process of its own.
 */
import { fork } from 'node:child_process';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { systemErrorCode } from '../core/errors.ts';
import type { ProbeRequest } from './table-probe.ts';
import { dataFileName } from './tables.ts';

/**
 * Where LMDB's first two pages, which describe the rest, have what is checked: little endian, as on all machines that
 * Covault runs on; 64-bit sizes. From its header file (`MDB_page`, `MDB_meta`).
 */
const page = { magic: 24, pageBytes: 48, lastPage: 144, transaction: 152, bytes: 160 };
const magic = 0xbeefc0de;

/**
 * What is wrong with the file, as far as its first pages tell; undefined: nothing, or there is no file.
 *
 * @param hasLostPower the newest commits may speak of pages that the disk never got; they will be left out.
 */
export async function findDamage(directory: string, hasLostPower: boolean): Promise<string | undefined> {
  let file: FileHandle;
  try {
    file = await open(join(directory, dataFileName), 'r');
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const { size } = await file.stat();
    if (size === 0) return undefined;
    const first = await readPage(file, 0);
    if (!first) return 'its file does not begin as it must';
    const second = await readPage(file, first.pageBytes);
    if (!second) return 'the second page of its file is not what it must be';
    const flushed = hasLostPower ? await readFlushed(file, first.pageBytes) : undefined;
    const bytes = ((flushed ?? Math.max(first.lastPage, second.lastPage)) + 1) * first.pageBytes;
    return size < bytes ? `its file has ${size} bytes of ${bytes}` : undefined;
  } finally {
    await file.close();
  }
}

async function readPage(
  file: FileHandle,
  position: number,
): Promise<{ pageBytes: number; lastPage: number } | undefined> {
  const bytes = Buffer.alloc(page.bytes);
  const { bytesRead } = await file.read(bytes, 0, bytes.byteLength, position);
  if (bytesRead < bytes.byteLength || bytes.readUInt32LE(page.magic) !== magic) return undefined;
  return { pageBytes: bytes.readUInt32LE(page.pageBytes), lastPage: Number(bytes.readBigUInt64LE(page.lastPage)) };
}

/**
 * The last page of the newest commit that is known to be on the disk, or undefined if there is none. lmdb-js keeps that in
 * the second half of the first page, without the magic number.
 */
async function readFlushed(file: FileHandle, pageBytes: number): Promise<number | undefined> {
  const bytes = Buffer.alloc(page.bytes);
  await file.read(bytes, 0, bytes.byteLength, pageBytes / 2);
  return bytes.readBigUInt64LE(page.transaction) === 0n ? undefined : Number(bytes.readBigUInt64LE(page.lastPage));
}

/** Milliseconds that reading all tables may take; an index of tens of millions of blocks needs a few minutes. */
const probeMsMax = 30 * 60_000;

/** Reads and compares all tables in a process of its own. @returns whether that went well. */
export function probe(request: ProbeRequest): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const child = fork(new URL('./table-probe.ts', import.meta.url), {
      stdio: 'ignore',
      timeout: probeMsMax,
      serialization: 'advanced',
    });
    child.on('error', reject);
    child.on('exit', (code) => resolve(code === 0));
    child.send(request);
  });
}
