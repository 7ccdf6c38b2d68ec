/**
 * Run by a test as a process of its own: serves a made-up store at the mountpoint given until its input ends.
 * Arguments: mountpoint, "automatic" or "fuse-native". Prints one line of JSON when it is mounted.
 */
import { browseStore } from '../../src/browse/serve-browse.ts';
import { storeToBrowse } from './browsed-store.ts';

const [mountpoint, through] = process.argv.slice(2) as [string, 'automatic' | 'fuse-native'];
const session = await browseStore({
  reader: storeToBrowse(),
  mountpoint,
  through,
  onProblem: (message) => process.stderr.write(`${message}\n`),
});
process.stdout.write(`${JSON.stringify({ mountpoint: session.mountpoint, through: session.through })}\n`);
process.stdin.resume();
const ended = new Promise((resolve) => process.stdin.once('end', resolve));
await Promise.race([ended, session.closed]);
await session.unmount({ lazy: true });
process.stdout.write('unmounted\n');
process.exit(0);
