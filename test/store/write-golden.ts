/**
 * Writes the golden store of the present format version. To be run once for each version of the format, never again
 * for one that has been released: stores like it exist.
 *
 *     node test/store/write-golden.ts test/store/golden/v1
 */
import { readdir } from 'node:fs/promises';
import { openLocalBackend } from '../../src/store/local-backend.ts';
import { createStore } from '../../src/store/store.ts';
import { goldenDirectories, goldenPassword } from './golden-content.ts';
import { takeTestSnapshot, testDomain, testKdf } from './store-fixture.ts';

const [directory] = process.argv.slice(2);
if (!directory) throw new Error('name the directory to write to');
const present = await readdir(directory).catch(() => []);
if (present.length > 0) throw new Error(`${directory} is not empty`);

const backend = openLocalBackend(directory);
const store = await createStore({ backend, password: goldenPassword, domain: testDomain, kdf: testKdf });
for (const [position, content] of goldenDirectories.entries()) await takeTestSnapshot(store, content, position + 1);
await store.close();
