/**
 * A process that keeps an index as the daemon does, for tests that damage its tables. Says `level` when it is; told
 * `rescan` it scans, gets level and says so again; told `close` it ends in order.
 */
import { openSync } from 'node:fs';
import { systemClock } from '../../src/core/clock.ts';
import { KeptIndex } from '../../src/index/kept-index.ts';
import { testDomain } from './index-fixture.ts';

process.once('message', async ({ data, state }: { data: string; state: string }) => {
  const directoryFd = openSync(data, 'r');
  const index = await KeptIndex.open({
    stateDirectory: state,
    directoryFd,
    domain: testDomain,
    clock: systemClock,
    onNotice: () => undefined,
  });
  const sayLevel = async () => {
    await index.scan();
    await index.level();
    process.send?.('level');
  };
  process.on('message', async (word) => {
    if (word === 'rescan') return await sayLevel();
    await index.close();
    process.exit(0);
  });
  await sayLevel();
});
