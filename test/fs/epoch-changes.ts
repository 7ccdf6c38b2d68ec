/**
 * Changes of every kind to a directory, with what they find there. Also a program, for another user:
 *
 *   node epoch-changes.ts prepare|change DIRECTORY
 */
import { execFile } from 'node:child_process';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { argv } from 'node:process';
import { promisify } from 'node:util';
import { writeXattr } from '../../src/fs/native.ts';

const run = promisify(execFile);

export const unit = 64 * 1024;

/** Bytes that differ from place to place and from seed to seed. */
export function bytes(length: number, seed: number): Buffer {
  const content = Buffer.alloc(length);
  for (let at = 0; at < length; at++) content[at] = (at * 31 + (at >> 8) * 7 + seed * 101) & 255;
  return content;
}

export interface Change {
  title: string;
  before(place: string): Promise<unknown>;
  after(place: string): Promise<unknown>;
}

export const overwrite = async (path: string, position: number, content: Buffer) => {
  await using file = await fs.open(path, 'r+');
  await file.write(content, 0, content.byteLength, position);
};
const large = 5 * unit + 1000;

/** Each gets a directory of its own; `after` is done while the epoch is open. */
export const changes: Change[] = [
  {
    title: 'overwriting a few bytes, twice',
    before: (place) => fs.writeFile(join(place, 'a'), bytes(large, 1)),
    after: async (place) => {
      await overwrite(join(place, 'a'), unit + 5, bytes(10, 2));
      await overwrite(join(place, 'a'), unit + 7, bytes(2 * unit, 3));
    },
  },
  {
    title: 'writing beyond the end',
    before: (place) => fs.writeFile(join(place, 'a'), bytes(100, 1)),
    after: async (place) => {
      await fs.appendFile(join(place, 'a'), bytes(large, 2));
      await overwrite(join(place, 'a'), 50, bytes(large, 3));
    },
  },
  {
    title: 'truncating and growing again',
    before: (place) => fs.writeFile(join(place, 'a'), bytes(large, 1)),
    after: async (place) => {
      await fs.truncate(join(place, 'a'), unit + 17);
      await fs.truncate(join(place, 'a'), 3 * unit);
      await overwrite(join(place, 'a'), 2 * unit, bytes(unit, 2));
    },
  },
  {
    title: 'writing a file anew',
    before: (place) => fs.writeFile(join(place, 'a'), bytes(large, 1)),
    after: (place) => fs.writeFile(join(place, 'a'), bytes(200, 2)),
  },
  {
    title: 'punching a hole and zeroing',
    before: (place) => fs.writeFile(join(place, 'a'), bytes(large, 1)),
    after: async (place) => {
      await run('fallocate', ['--punch-hole', '--offset', '70000', '--length', '140000', join(place, 'a')]);
    },
  },
  {
    title: 'writing into a hole',
    before: async (place) => {
      await fs.writeFile(join(place, 'a'), bytes(10, 1));
      await fs.truncate(join(place, 'a'), 40 * unit);
    },
    after: (place) => overwrite(join(place, 'a'), 20 * unit + 3, bytes(unit, 2)),
  },
  {
    title: 'renaming over a file',
    before: async (place) => {
      await fs.writeFile(join(place, 'small'), bytes(10, 1));
      await fs.writeFile(join(place, 'large'), bytes(large, 2));
    },
    after: async (place) => {
      for (const name of ['small', 'large']) {
        await fs.writeFile(join(place, 'new'), bytes(77, 3));
        await fs.rename(join(place, 'new'), join(place, name));
        await fs.appendFile(join(place, name), 'more');
      }
    },
  },
  {
    title: 'removing files, symlinks, FIFOs and directories',
    before: async (place) => {
      await fs.writeFile(join(place, 'small'), bytes(10, 1));
      await fs.writeFile(join(place, 'large'), bytes(large, 2));
      await fs.symlink('large', join(place, 'link'));
      await run('mkfifo', [join(place, 'fifo')]);
      await fs.mkdir(join(place, 'd/e'), { recursive: true });
      await fs.writeFile(join(place, 'd/e/f'), bytes(unit, 3));
    },
    after: async (place) => {
      await overwrite(join(place, 'large'), 3, bytes(5, 4));
      await overwrite(join(place, 'd/e/f'), 3, bytes(5, 4));
      for (const name of await fs.readdir(place)) await fs.rm(join(place, name), { recursive: true });
      // Numbers that were given back are used again.
      for (let count = 0; count < 20; count++) await fs.writeFile(join(place, `new${count}`), bytes(count, 5));
      await fs.mkdir(join(place, 'd'));
      await fs.writeFile(join(place, 'd/e'), 'a file now');
    },
  },
  {
    title: 'removing a file that is open, and writing to it',
    before: async (place) => {
      await fs.writeFile(join(place, 'large'), bytes(large, 2));
      await fs.writeFile(join(place, 'small'), bytes(500, 2));
    },
    after: async (place) => {
      for (const name of ['large', 'small']) {
        await using file = await fs.open(join(place, name), 'r+');
        await fs.rm(join(place, name));
        await file.write(bytes(300, 3), 0, 300, 100);
        await file.truncate(150);
      }
    },
  },
  {
    title: 'hard links that come and go',
    before: async (place) => {
      await fs.writeFile(join(place, 'a'), bytes(large, 1));
      await fs.link(join(place, 'a'), join(place, 'b'));
      await fs.writeFile(join(place, 'c'), bytes(10, 2));
    },
    after: async (place) => {
      await fs.rm(join(place, 'a'));
      await fs.link(join(place, 'c'), join(place, 'd'));
      await fs.rm(join(place, 'c'));
      await overwrite(join(place, 'b'), 9, bytes(9, 3));
      await fs.rm(join(place, 'b'));
    },
  },
  {
    title: 'permissions, times and extended attributes',
    before: async (place) => {
      await fs.writeFile(join(place, 'a'), bytes(10, 1));
      writeXattr(join(place, 'a'), 'user.one', 'first');
      await fs.mkdir(join(place, 'd'));
    },
    after: async (place) => {
      await fs.chmod(join(place, 'a'), 0o751);
      await fs.utimes(join(place, 'a'), 1, 2);
      writeXattr(join(place, 'a'), 'user.one', 'second');
      writeXattr(join(place, 'a'), 'user.two', 'new');
      writeXattr(join(place, 'd'), 'user.three', 'new');
      await fs.chmod(join(place, 'd'), 0o700);
    },
  },
  {
    title: 'directories that move about',
    before: async (place) => {
      await fs.mkdir(join(place, 'a/b/c'), { recursive: true });
      await fs.mkdir(join(place, 'x/y'), { recursive: true });
      await fs.writeFile(join(place, 'a/b/c/deep'), bytes(large, 1));
      await fs.writeFile(join(place, 'x/y/other'), bytes(10, 2));
    },
    after: async (place) => {
      await fs.rename(join(place, 'a/b'), join(place, 'x/y/b'));
      await fs.rename(join(place, 'x'), join(place, 'z'));
      await overwrite(join(place, 'z/y/b/c/deep'), 1000, bytes(10, 3));
      await fs.rename(join(place, 'z/y/b/c/deep'), join(place, 'z/deeper'));
      await fs.mkdir(join(place, 'x'));
      await fs.writeFile(join(place, 'x/y'), 'not a directory');
      await fs.rm(join(place, 'z'), { recursive: true });
    },
  },
  {
    title: 'names that change places',
    before: async (place) => {
      await fs.writeFile(join(place, 'a'), bytes(large, 1));
      await fs.writeFile(join(place, 'b'), bytes(unit + 9, 2));
    },
    after: async (place) => {
      await fs.rename(join(place, 'a'), join(place, 'c'));
      await fs.rename(join(place, 'b'), join(place, 'a'));
      await fs.rename(join(place, 'c'), join(place, 'b'));
      await overwrite(join(place, 'a'), 0, bytes(20, 3));
      await overwrite(join(place, 'b'), 0, bytes(20, 3));
    },
  },
];

export async function prepare(root: string): Promise<void> {
  for (const [number, { before }] of changes.entries()) {
    await fs.mkdir(join(root, String(number)));
    await before(join(root, String(number)));
  }
}

export async function changeAll(root: string): Promise<void> {
  for (const [number, { after }] of changes.entries()) await after(join(root, String(number)));
}

if (import.meta.main) {
  const [, , what, root = ''] = argv;
  await (what === 'prepare' ? prepare(root) : changeAll(root));
}
