/**
 * A mounted data directory with all that belongs to it: engine session, index, and (once joined) the network. Parts
 * start one after the other and end in the opposite order:
 *
 *   state directory locked ▸ mounted ▸ index open ▸ network ▸ control socket (which closes last but one)
 *
 * The mount is there before the index, so that no change can slip in between; mutations wait until the index is open.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Clock } from '../core/clock.ts';
import type { Mutation } from '../core/mutation.ts';
import {
  type DataMode,
  type MountOptions,
  type MountSession,
  mountDataDirectory,
  type TransportChoice,
} from '../fs/session.ts';
import { KeptIndex } from '../index/kept-index.ts';
import type { ServingGate } from '../snapshot/serving-gate.ts';
import { ClientNetwork } from './client-network.ts';
import { type ControlServer, serveControl } from './control.ts';
import { keepHeapSmall } from './heap.ts';
import { checkIndex, rebuildIndex } from './index-care.ts';
import type { Logger } from './logging.ts';
import { loadOrMakeMembership, type Membership } from './membership.ts';
import { openSharing } from './sharing.ts';
import { lockStateDirectory } from './state-directory.ts';

/** How long the index of a data directory that hangs may take to close, milliseconds. */
const hungIndexMs = 5000;

export interface ClientDaemonOptions {
  dataDirectory: string;
  at: string | undefined;
  dataMode: DataMode | undefined;
  transport: TransportChoice | undefined;
  stateDirectory: string;
  listen: { host: string; port: number };
  hashingThreads: number;
  /** What open cuts may keep of content that changes, bytes; undefined: the default. */
  cutSpaceBytes?: number | undefined;
  /** Bytes read again each day, to see whether a change was missed; 0 or undefined: none. */
  recheckBytesPerDay?: number;
  clock: Clock;
  log: Logger;
}

export interface ClientDaemon extends AsyncDisposable {
  readonly session: MountSession;
  readonly index: KeptIndex;
  readonly membership: Membership;
  /** Undefined for a member alone. */
  readonly network: ClientNetwork | undefined;
  /** Aborted when somebody asked through the control socket to stop. */
  readonly stopRequested: AbortSignal;
  status(): Promise<Record<string, unknown>>;
}

/** @throws CovaultError what its parts throw; then nothing is left behind. */
export async function startClientDaemon(options: ClientDaemonOptions): Promise<ClientDaemon> {
  const { stateDirectory, clock, log } = options;
  keepHeapSmall();
  await using stack = new AsyncDisposableStack();
  const locked = await lockStateDirectory(stateDirectory);
  stack.defer(() => locked.release());
  // Closed late: whoever waits for the daemon's end waits for its socket to go.
  let control: ControlServer | undefined;
  stack.defer(async () => {
    await control?.close();
  });
  const membership = await loadOrMakeMembership(stateDirectory);
  const sharing = await openSharing(stateDirectory, { clock, log });
  stack.defer(() => sharing.close());
  const waiting: Mutation[] = [];
  let consume = (batch: readonly Mutation[]): void => {
    waiting.push(...batch);
  };
  let reachCut = (_number: bigint): void => undefined;
  const session = await mount(options, {
    onMutations: (batch) => consume(batch),
    onCut: (number) => reachCut(number),
  });
  stack.defer(() => session.dispose());
  const index = await KeptIndex.open({
    stateDirectory,
    directoryFd: session.directoryFd,
    domain: membership.domain,
    clock,
    workers: options.hashingThreads,
    readsIdly: sharing.settings.reading === 'idle',
    settle: () => session.settle(),
    epochs: session,
    rollingBytesPerDay: options.recheckBytesPerDay ?? 0,
    onMiss: (path, what) => log.error({ path: Buffer.from(path).toString(), what }, 'the index had missed a change'),
    onNotice: (text) => log.warn({}, text),
  });
  stack.defer(() => closeIndex(index, session, log));
  index.consume(waiting.splice(0));
  consume = (batch) => index.consume(batch);
  reachCut = (number) => index.reachCut(number);
  // Ends the mount first, so that the last mutations reach the index before it closes.
  stack.defer(() => session.unmount({ lazy: true }));
  const stop = new AbortController();
  const parts = { session, index, membership, stopRequested: stop.signal };
  const network = await startNetwork(options, membership, { index, gate: sharing.gate });
  if (network) stack.defer(() => network.close());
  const status = () => describe(parts, network);
  control = await serveControl(stateDirectory, {
    status,
    reload: () => sharing.reload(),
    stop: () => stop.abort(),
    checkIndex: (options) => checkIndex(index, options),
    rebuildIndex: (options) => rebuildIndex(index, options),
  });
  const owned = stack.move();
  return { ...parts, network, status, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Closes the index, unless its threads read from a data directory that hangs: it is then as after a kill. */
async function closeIndex(index: KeptIndex, session: MountSession, log: Logger): Promise<void> {
  const closed = index.close();
  if (!session.isHung) return closed;
  const isClosed = await Promise.race([closed.then(() => true), delay(hungIndexMs, false)]);
  if (!isClosed) log.warn({}, 'the data directory does not answer; the index is left as it is');
}

function mount(
  options: ClientDaemonOptions,
  consumer: Pick<MountOptions, 'onMutations' | 'onCut'>,
): Promise<MountSession> {
  const { dataDirectory, at, dataMode, transport, stateDirectory, cutSpaceBytes } = options;
  return mountDataDirectory({
    dataDirectory,
    keepOut: [stateDirectory],
    spareDirectory: stateDirectory,
    ...consumer,
    ...(cutSpaceBytes === undefined ? {} : { cutSpaceBytes }),
    ...(at === undefined ? {} : { at }),
    ...(dataMode === undefined ? {} : { dataMode }),
    ...(transport === undefined ? {} : { transport }),
  });
}

async function startNetwork(
  { listen, clock, log }: ClientDaemonOptions,
  { joined }: Membership,
  parts: { index: KeptIndex; gate: ServingGate },
): Promise<ClientNetwork | undefined> {
  return joined && ClientNetwork.start({ ...joined, ...parts, listen, clock, log });
}

async function describe(
  { session, index, membership }: Pick<ClientDaemon, 'session' | 'index' | 'membership'>,
  network: ClientNetwork | undefined,
): Promise<Record<string, unknown>> {
  return {
    pid: process.pid,
    mountpoint: session.mountpoint,
    dataMode: session.dataMode,
    transport: session.transport,
    domain: membership.domain.id,
    member: membership.joined ? { name: membership.joined.identity.name, url: network?.url } : null,
    mount: session.counters(),
    index: index.status(),
    repository: network ? await network.status() : null,
  };
}
