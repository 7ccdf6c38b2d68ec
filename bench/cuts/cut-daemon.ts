/**
 * The engine alone, with cuts on demand: `cut-daemon.ts DATA_DIR MOUNTPOINT [MODE]`, told by messages of the process that
 * started it. It leaves when that one does.
 */
import { argv } from 'node:process';
import { setTimeout as delay } from 'node:timers/promises';
import { type MountOptions, mountDataDirectory } from '../../src/fs/session.ts';

/** `cut`: flush, cut, stay open for so long, close. `open`, `close`: the same in two steps. */
export type Order = { kind: 'cut'; openMs: number } | { kind: 'open' } | { kind: 'close' } | { kind: 'stop' };

export interface CutReport {
  flushMs: number;
  heldMs: number;
  /** The longest that one change waited so far. */
  waitedMaxMs: number;
  /** Content kept when it was closed, bytes. */
  keptBytes: number;
  /** Why it failed while it was open, or empty. */
  failure: string;
}

const [, , dataDirectory = '', at = '', mode] = argv;
const options: MountOptions = { dataDirectory, at, keepOut: [], onMutations: () => undefined };
if (mode) options.dataMode = mode as NonNullable<MountOptions['dataMode']>;
const session = await mountDataDirectory(options);
let last = 0n;
let opened: { report: Pick<CutReport, 'flushMs' | 'heldMs'>; epoch: Awaited<ReturnType<typeof open>> } | undefined;

async function open() {
  return await session.openEpoch(++last);
}

async function begin(): Promise<void> {
  await session.settle();
  const { flushLastMs } = session.counters().cuts;
  const epoch = await open();
  opened = { epoch, report: { flushMs: flushLastMs, heldMs: epoch.heldNs / 1e6 } };
}

async function end(): Promise<CutReport> {
  if (!opened) throw new Error('no cut is open');
  const { epoch, report } = opened;
  const { spaceBytes: keptBytes, waitedMaxNs } = session.counters().cuts;
  const failure = epoch.failure();
  await epoch.close();
  opened = undefined;
  return { ...report, waitedMaxMs: waitedMaxNs / 1e6, keptBytes, failure };
}

async function obey(order: Order): Promise<CutReport | undefined> {
  switch (order.kind) {
    case 'cut':
      await begin();
      await delay(order.openMs);
      return await end();
    case 'open':
      await begin();
      return undefined;
    case 'close':
      return await end();
    case 'stop':
      await session.unmount({ lazy: true });
      return undefined;
  }
}

process.on('message', (order: Order) => {
  void obey(order).then((report) => {
    process.send?.(report ?? {});
    if (order.kind === 'stop') process.disconnect();
  });
});
process.once('disconnect', () => void session.unmount({ lazy: true }));
process.send?.({});
await session.closed;
