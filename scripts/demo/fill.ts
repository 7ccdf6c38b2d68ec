/** Fills a client's mounted data directory with real files, some of its own, and what real directories also have. */
import { execFileSync } from 'node:child_process';
import { createReadStream, createWriteStream } from 'node:fs';
import * as fs from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { setTimes, writeXattr } from '../../src/fs/native.ts';
import { pathOnDisk, type RealFile } from './choose-files.ts';

export interface Filling {
  /** The mountpoint. */
  directory: string;
  /** Where `files` are relative to. */
  source: string;
  files: readonly RealFile[];
  onFile(bytes: number): void;
  signal: AbortSignal;
}

/** Copies the files through the mount with their modes and times; names of one file become names of one file. */
export async function copyFiles({ directory, source, files, onFile, signal }: Filling): Promise<void> {
  const copied = new Map<string, Buffer>();
  const made = new Set<string>();
  for (const file of files) {
    signal.throwIfAborted();
    const original = pathOnDisk(source, file.path);
    const target = pathOnDisk(join(directory, 'packages'), file.path);
    const folder = dirname(file.path);
    if (!made.has(folder)) await fs.mkdir(pathOnDisk(join(directory, 'packages'), folder), { recursive: true });
    made.add(folder);
    const first = copied.get(file.identity);
    if (file.kind === 'symlink') await fs.symlink(await fs.readlink(original, 'buffer'), target);
    else if (first !== undefined) await fs.link(first, target);
    else await copyFile(original, target);
    copied.set(file.identity, target);
    onFile(first === undefined ? file.bytes : 0);
  }
}

async function copyFile(from: Buffer, to: Buffer): Promise<void> {
  const { mode, atimeNs, mtimeNs } = await fs.stat(from, { bigint: true });
  await fs.copyFile(from, to);
  await fs.chmod(to, Number(mode) & 0o7777);
  setTimes(to, atimeNs, mtimeNs);
}

/** Files that no other client has: a compressed archive of `original`, and notes. */
export async function addOwnFiles(directory: string, name: string, original: Buffer): Promise<void> {
  const own = join(directory, `${name}'s own`);
  await fs.mkdir(own);
  await pipeline(
    createReadStream(original),
    createGzip({ level: 1 }),
    createWriteStream(join(own, 'archive.gz'), { flags: 'wx' }),
  );
  // The name in every line keeps the clients' notes apart, block for block.
  for (let day = 1; day <= 31; day++) {
    const lines = Array.from({ length: 200 }, (_, line) => `${name}, day ${day}, line ${line}: all is well\n`);
    await fs.writeFile(join(own, `note-${String(day).padStart(2, '0')}.txt`), lines.join(''));
  }
}

/** What a careless backup loses: links, attributes, holes, odd names, empty things, special files and bits. */
export async function addOddities(directory: string): Promise<void> {
  const odd = join(directory, 'oddities');
  await fs.mkdir(join(odd, 'empty directory'), { recursive: true });
  await fs.writeFile(join(odd, 'one file'), 'with three names\n');
  await fs.link(join(odd, 'one file'), join(odd, 'the same file'));
  await fs.link(join(odd, 'one file'), join(directory, 'the same file from afar'));
  await fs.symlink('one file', join(odd, 'symlink'));
  await fs.symlink('nowhere/at all', join(odd, 'dangling symlink'));
  await fs.writeFile(join(odd, 'empty file'), '');
  await fs.writeFile(join(odd, 'described'), 'with extended attributes\n');
  writeXattr(join(odd, 'described'), Buffer.from('user.comment'), Buffer.from('kept with the file'));
  writeXattr(join(odd, 'described'), Buffer.from('user.binary'), Buffer.from([0, 255, 10, 0]));
  await addSparseFile(join(odd, 'sparse'));
  for (const name of ['new\nline', ' spaces ', '-rf', '"quoted"', 'ünïcödé 日本語 🙂', 'x'.repeat(255)]) {
    await fs.writeFile(join(odd, name), `${name}\n`);
  }
  const bytes = Buffer.concat([Buffer.from(`${odd}/not UTF-8 `), Buffer.from([0xff, 0xfe, 0x80])]);
  await fs.writeFile(bytes, 'any byte but two may be in a name\n');
  execFileSync('mkfifo', [join(odd, 'fifo')]);
  await fs.writeFile(join(odd, 'setuid program'), '#!/bin/sh\n');
  await fs.chmod(join(odd, 'setuid program'), 0o4755);
  await fs.mkdir(join(odd, 'shared, sticky'));
  await fs.chmod(join(odd, 'shared, sticky'), 0o3777);
  await fs.writeFile(join(odd, 'read-only'), 'keep out\n', { mode: 0o400 });
  if (process.getuid?.() === 0) {
    await fs.writeFile(join(odd, "somebody else's"), 'owned by another\n');
    await fs.chown(join(odd, "somebody else's"), 1234, 5678);
    await fs.lchown(join(odd, 'dangling symlink'), 1234, 5678);
  }
  setTimes(join(odd, 'empty file'), undefined, 999_999_999_999_999_999n);
  setTimes(join(odd, 'symlink'), undefined, -1n);
}

async function addSparseFile(path: string): Promise<void> {
  const file = await fs.open(path, 'wx');
  try {
    await file.truncate(64 * 1024 * 1024);
    await file.write('an island in the hole\n', 32 * 1024 * 1024);
  } finally {
    await file.close();
  }
}

/** An ordinary day's work on the laptop: what the second snapshot has to notice. */
export async function changeThings(directory: string, files: readonly RealFile[]): Promise<string[]> {
  const at = (path: string) => pathOnDisk(join(directory, 'packages'), path);
  const regular = files.filter(({ kind }) => kind === 'file').sort((a, b) => b.bytes - a.bytes);
  const [largest, second, third] = regular;
  if (!largest || !second || !third) throw new Error('there are too few files to change some');
  await appendTo(at(largest.path), 'a few words at the end\n');
  await overwrite(at(second.path), Math.floor(second.bytes / 2), 'a few words in the middle\n');
  await insertAtStart(at(third.path), 'a few words at the start, which move everything after them\n');
  await fs.rename(join(directory, 'packages'), join(directory, 'renamed packages'));
  await fs.rm(join(directory, 'oddities', 'read-only'));
  await fs.chmod(join(directory, 'oddities', 'described'), 0o640);
  writeXattr(join(directory, 'oddities', 'described'), Buffer.from('user.comment'), Buffer.from('changed'));
  await fs.writeFile(join(directory, 'oddities', 'new today'), 'news\n');
  return [
    `appended to ${largest.path}`,
    `overwrote the middle of ${second.path}`,
    `inserted at the start of ${third.path}`,
    'renamed the directory with all packages',
    'removed, added and changed small things',
  ];
}

async function appendTo(path: Buffer, text: string): Promise<void> {
  await fs.appendFile(path, text);
}

async function overwrite(path: Buffer, position: number, text: string): Promise<void> {
  const file = await fs.open(path, 'r+');
  try {
    await file.write(text, position);
  } finally {
    await file.close();
  }
}

/** As editors do it: a new file takes the old one's name. */
async function insertAtStart(path: Buffer, text: string): Promise<void> {
  const fresh = Buffer.concat([path, Buffer.from('.new')]);
  await fs.writeFile(fresh, Buffer.concat([Buffer.from(text), await fs.readFile(path)]));
  await fs.rename(fresh, path);
}
