/** Run by a test as another user: restores into the given directory, is interrupted, continues, tells how it went. */
import { restoreSnapshot } from '../../src/browse/restore.ts';
import { isCovaultError } from '../../src/core/errors.ts';
import { MemoryStore } from './memory-store.ts';
import { attributes, directory, file } from './tree-model.ts';

const target = process.argv[2] as string;
const store = new MemoryStore();
const many = (first: number) =>
  Object.fromEntries(
    Array.from({ length: 300 }, (_, number) => [`f${number}`, file([new Uint8Array(first + number).fill(number)])]),
  );
const snapshot = store.add(
  'laptop',
  0n,
  directory({
    // Finished with the first 512 files, before the interruption.
    closed: directory(many(100), { mode: 0 }),
    closer: directory(many(1000), { mode: 0o500 }),
    device: { ...attributes(), kind: 'char', rdev: 0x103n },
    foreign: file('foreign', { uid: 12, gid: 34, mode: 0o4755 }),
    list: directory({}, { uid: 12, gid: 34 }),
    mine: file('mine', { mode: 0o4755 }),
  }),
);
const controller = new AbortController();
let count = 0;
store.beforeBlock = () => {
  count += 1;
  if (count === 550) controller.abort();
};
let first: unknown;
try {
  await restoreSnapshot({ reader: store, snapshot, target, signal: controller.signal });
} catch (error) {
  first = isCovaultError(error) ? error.code : String(error);
}
const second = await restoreSnapshot({ reader: store, snapshot, target });
const exceptions = second.exceptions.map(({ path, reason }) => [Buffer.from(path).toString(), reason]);
process.stdout.write(JSON.stringify({ first, second: { ...second, exceptions: exceptions.sort() } }));
