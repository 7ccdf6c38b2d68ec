/** `covault mount DATA_DIR`: serves a data directory through the engine and keeps its index. */
import { dirname, resolve } from 'node:path';
import { CovaultError, isCovaultError } from '../core/errors.ts';
import { exitCodes } from '../core/exit-codes.ts';
import { type ClientDaemon, startClientDaemon } from './client-daemon.ts';
import {
  type Call,
  type Command,
  parameter,
  parseListen,
  stateDirectoryOf,
  stateOption,
  textOption,
} from './command.ts';
import { aborted } from './interruption.ts';
import { parseBytes } from './sizes.ts';
import { isStore } from './store-access.ts';

const dataModes = ['writeback', 'write-through'] as const;
const transports = ['auto', 'device', 'io_uring'] as const;
const hashingThreadsMax = 64;

export const mountCommand: Command = {
  name: 'mount',
  summary: 'serve a data directory and keep its index',
  description:
    'Mounts over DATA_DIR itself, so that nobody can go around it, or elsewhere with --at. The files stay plain files, ' +
    'usable without Covault. Works alone; once joined, other members can get blocks from here. Runs until it is stopped ' +
    'or unmounted.',
  parameters: [{ name: 'DATA_DIR', summary: 'the directory with the data' }],
  options: [
    { flags: '--at <directory>', summary: 'an empty directory to mount at instead of DATA_DIR' },
    { flags: '--listen <host:port>', summary: 'where to answer other members', default: '0.0.0.0:0' },
    { flags: '--data-mode <mode>', summary: 'how the kernel hands over writes', choices: dataModes },
    { flags: '--transport <kind>', summary: 'how requests come from the kernel', choices: transports },
    { flags: '--hashing-threads <count>', summary: 'threads that hash, at low priority', default: '1' },
    {
      flags: '--cut-space <size>',
      summary: 'what may be kept of content that changes while snapshots are taken; beyond it they fail',
      default: '10GB',
    },
    {
      flags: '--recheck-per-day <size>',
      summary: 'bytes read again each day, to see whether a change was missed; 0: none',
      default: '10GB',
    },
    stateOption,
  ],
  exitCodes: [exitCodes.notFound, exitCodes.unavailable, exitCodes.io, exitCodes.mount, exitCodes.requirement],
  examples: [
    ['covault mount ~/documents', 'serves the directory in its place'],
    ['covault mount /srv/data --at /mnt --listen 10.0.0.5:7421', 'elsewhere, with a fixed address for other members'],
  ],
  async run(call) {
    const dataDirectory = resolve(parameter(call, 0));
    const at = textOption(call, 'at');
    for (const place of at === undefined ? [dataDirectory] : [dataDirectory, resolve(at)]) await refuseStore(place);
    let endedOutside = false;
    {
      await using daemon = await startClientDaemon({
        dataDirectory,
        at,
        dataMode: dataModes.find((mode) => mode === textOption(call, 'dataMode')),
        transport: transports.find((kind) => kind === textOption(call, 'transport')),
        stateDirectory: stateDirectoryOf(call),
        listen: parseListen(textOption(call, 'listen') ?? '0.0.0.0:0'),
        hashingThreads: parseThreads(textOption(call, 'hashingThreads') ?? '1'),
        cutSpaceBytes: parseBytes(textOption(call, 'cutSpace') ?? '10GB'),
        recheckBytesPerDay: parseBudget(textOption(call, 'recheckPerDay') ?? '0'),
        clock: call.clock,
        log: call.log,
      });
      announce(call, daemon);
      const scan = scanAtStart(call, daemon);
      const ended = daemon.session.closed.then(() => true);
      const stopped = Promise.race([aborted(call.signal), aborted(daemon.stopRequested)]).then(() => false);
      endedOutside = await Promise.race([ended, stopped, scan]);
    }
    if (!endedOutside) call.signal.throwIfAborted();
    return { result: { type: 'unmounted' }, lines: [`${dataDirectory} is no longer mounted`] };
  },
};

/** Resolves never: a scan that ends is no reason to stop. Rejects if the index cannot go on. */
async function scanAtStart(call: Call, { index, network, stopRequested }: ClientDaemon): Promise<never> {
  const signal = AbortSignal.any([call.signal, stopRequested]);
  try {
    const report = await index.scan({
      signal,
      onProgress: ({ files, bytes }) => {
        call.progress.report({ phase: 'scan', done: files, unit: 'files', fields: { bytes } });
      },
    });
    call.progress.end();
    call.log.info({ ...report, isJoined: network !== undefined }, 'scanned the data directory');
  } catch (error) {
    call.progress.end();
    if (!isCovaultError(error, 'E_INTERRUPTED')) throw error;
  }
  return new Promise<never>(() => undefined);
}

function announce(call: Call, { session, network, membership, index }: ClientDaemon): void {
  const { mountpoint, dataMode, transport } = session;
  const name = membership.joined?.identity.name;
  const ready = { type: 'ready', mountpoint, dataMode, transport, pid: process.pid, index: index.found };
  const member = network ? { name, url: network.url } : {};
  call.announce({ ...ready, ...member }, [
    `${mountpoint} is mounted (${dataMode}, ${transport})`,
    network ? `${name} answers other members at ${network.url}` : 'It is alone: join a domain with covault join',
    'Stop it with Ctrl-C, or with covault unmount from elsewhere',
  ]);
}

/** Neither a store nor anything within one may be mounted over: its blocks would be reached through themselves. */
async function refuseStore(place: string): Promise<void> {
  for (let path = place; ; path = dirname(path)) {
    if (await isStore(path)) {
      throw new CovaultError('E_BAD_INPUT', `${place} is in the store ${path}`, {
        hint: 'keep stores outside of data directories and mountpoints',
      });
    }
    if (dirname(path) === path) return;
  }
}

function parseBudget(text: string): number {
  return text === '0' ? 0 : parseBytes(text);
}

function parseThreads(text: string): number {
  const count = Number(text);
  if (Number.isInteger(count) && count >= 1 && count <= hashingThreadsMax) return count;
  throw new CovaultError('E_BAD_INPUT', `not a count of threads from 1 to ${hashingThreadsMax}: ${text}`);
}
