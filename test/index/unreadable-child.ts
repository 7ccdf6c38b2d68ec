/** Run by a test as another user: opens an index over a directory that this user cannot read all of, and tells what it says. */
import { closeSync, openSync } from 'node:fs';
import { systemClock } from '../../src/core/clock.ts';
import { openIndex } from '../../src/index/live-index.ts';
import { entriesOf, testDomain } from './index-fixture.ts';

const [data, state] = process.argv.slice(2) as [string, string];
const directoryFd = openSync(data, 'r');
const index = await openIndex({ stateDirectory: state, directoryFd, domain: testDomain, clock: systemClock });
closeSync(directoryFd);
const cut = await index.openCut();
const exceptions = (cut.exceptions ?? []).map(({ path, reason }) => `${Buffer.from(path)}: ${reason}`).sort();
const entries = await entriesOf(cut);
const file = entries.get('secret');
const isMissing = file?.kind === 'file' && 'missing' in file.content;
await cut.close();
const { unreadable, unreadablePaths } = index.status();
await index.close();
process.stdout.write(
  JSON.stringify({ exceptions, names: [...entries.keys()].sort(), isMissing, unreadable, unreadablePaths }),
);
