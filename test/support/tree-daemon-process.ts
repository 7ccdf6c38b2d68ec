/**
 * Mounts the invented tree at the path in its first argument, at most as many requests at once as its second one says.
 * Prints one JSON line when it is mounted, one when it has ended; unmounts lazily when its stdin closes.
 */
import { mountTree } from '../../src/fs/tree-session.ts';
import { InventedTree } from './invented-tree.ts';

const [, , mountpoint = '', inFlightMax = '128'] = process.argv;
const tree = new InventedTree();

function say(line: unknown): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

try {
  const session = await mountTree(mountpoint, tree, { inFlightMax: Number(inFlightMax) });
  say({ mounted: session.mountpoint });
  process.stdin.resume().once('end', () => void session.unmount({ lazy: true }));
  await session.closed;
  say({ readingMax: tree.readingMax, requests: session.counters().requests });
  process.exit(0);
} catch (error) {
  say({ error: (error as { code?: string }).code, message: String(error) });
  process.exit(1);
}
