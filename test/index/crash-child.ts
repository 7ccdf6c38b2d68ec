/**
 * A process with an open index, for the tests that kill it: opens the index of the data directory given in its first
 * message, scans, then writes files and consumes their mutations until it is killed. Says `ready` when it begins to.
 */
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '../../src/core/clock.ts';
import { openIndex } from '../../src/index/live-index.ts';
import { noise, testDomain } from './index-fixture.ts';
import { RecordedDirectory } from './recorded-directory.ts';

process.once('message', async ({ data, state }: { data: string; state: string }) => {
  const directoryFd = openSync(data, 'r');
  const directory = new RecordedDirectory(data);
  const settle = async () => index.consume(directory.take());
  const index = await openIndex({ stateDirectory: state, directoryFd, domain: testDomain, clock: systemClock, settle });
  closeSync(directoryFd);
  await index.scan();
  process.send?.('ready');
  const round = join('rounds', `${process.pid}`);
  mkdirSync(directory.path(round), { recursive: true });
  index.consume([{ kind: 'subtree', inode: directory.inode('') }]);
  for (let number = 0; ; number++) {
    directory.create(`${round}/${number % 40}`, noise(number, 200 + ((number * 7919) % 50_000)));
    if (number % 3 === 0) directory.rename(`${round}/${number % 40}`, `${round}/renamed-${number % 10}`);
    if (number % 5 === 0) directory.write(`${round}/renamed-0`, 100, noise(number, 300));
    if (number % 2 === 0) index.consume(directory.take());
    if (number % 30 === 29) await index.level();
    else await new Promise((resolve) => setImmediate(resolve));
  }
});
