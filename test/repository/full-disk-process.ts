/** Fills the map store in the given directory until a write fails; prints how, and what the store has then, as JSON. */
import { isCovaultError } from '../../src/core/errors.ts';
import { openLmdbMapStore } from '../../src/repository/lmdb-map-store.ts';
import { digestOf } from './digest-of.ts';

const directory = process.argv[2];
if (directory === undefined) throw new Error('give a directory');
const store = await openLmdbMapStore(directory);
const history = 'a'.repeat(32);
let acknowledged = 0;
let code = '';
while (code === '') {
  const gained = Array.from({ length: 1000 }, (_, i) => digestOf(acknowledged * 1000 + i));
  try {
    await store.applyChanges(1, { gained, lost: [], position: { history, sequence: acknowledged + 1 } });
    acknowledged += 1;
  } catch (error) {
    code = isCovaultError(error) ? error.code : String(error);
  }
}
await store.close();
process.stdout.write(JSON.stringify({ code, acknowledged }));
