/** Takes snapshot after snapshot into a store until it is killed; tells of each when it is sealed. For tests. */
import { openLocalBackend } from '../../src/store/local-backend.ts';
import { killedDirectory } from './killed-content.ts';
import { openTestStore, takeTestSnapshot } from './store-fixture.ts';

const [directory = '', first = '1'] = process.argv.slice(2);
const store = await openTestStore(openLocalBackend(directory), { packBytes: 20_000 });
for (let number = Number(first); ; number++) {
  await takeTestSnapshot(store, killedDirectory(number), number);
  process.send?.(number);
}
