/**
 * Making a snapshot: cut, walk, find holders, plan, pull, settle, seal.
 *
 * The client keeps what the cut had until it is closed, so a block is gone only if a file changed beside the mount, or
 * could not be read. Then another cut is made, of which only what differs is fetched: a round. What never settles is named
 * in the record and has no content.
 */
import { type Clock, randomId } from '../core/clock.ts';
import type { Digester } from '../core/digest.ts';
import { CovaultError, checkInterrupted, isCovaultError } from '../core/errors.ts';
import type { HolderLookup, SnapshotSink } from '../core/ports.ts';
import type { SnapshotException, SnapshotRecord } from '../core/snapshot.ts';
import { pause, systemTimers, type Timers } from '../core/timers.ts';
import type { Connection } from '../remote/client.ts';
import { findHolders } from './find-holders.ts';
import { NeededGatherer } from './needed-blocks.ts';
import { ObjectCache } from './object-cache.ts';
import { Pace } from './pacing.ts';
import { openRemoteCut, PeerConnections, type RemoteCut } from './peer.ts';
import type { PeerState } from './peer-directory.ts';
import type { DropReason } from './peer-health.ts';
import { mayPass, type Patience, persist } from './persist.ts';
import { makePlan, type NeededBlocks, type Plan, type PlanPeer } from './plan.ts';
import { planPeers } from './plan-peers.ts';
import { type PlanSummary, summarizePlan } from './plan-summary.ts';
import { type PullOptions, type PullProgress, pull } from './pull.ts';
import { calendarAt, type RateSchedule, rateAt } from './serving-policy.ts';
import { settleTrees } from './settle-trees.ts';
import { SnapshotShares } from './snapshot-shares.ts';
import { walkTrees } from './walk-trees.ts';

export interface SealingSink extends SnapshotSink {
  seal(record: SnapshotRecord, options?: { signal?: AbortSignal }): Promise<SnapshotRecord>;
}

export interface TakeOptions {
  /** Name of the client whose data directory is copied. */
  client: string;
  /** Opens a connection to a member by its name; asked again when one is lost. The connections are closed here. */
  connect(peer: string): Promise<Connection>;
  holders: HolderLookup;
  /** While it is still being opened, the first cut is made. */
  sink: SealingSink | Promise<SealingSink>;
  digester: Digester;
  clock: Clock;
  timers?: Timers;
  signal?: AbortSignal;
  /** Who makes the snapshot: two of different names ask peers in different orders. */
  puller?: string;
  /** Cuts made at most before files that go on changing are given up. */
  roundsMax?: number;
  /** How long the client and the repository may be away, milliseconds. */
  patienceMs?: number;
  /** Bytes per second of peers as measured earlier: the plan begins with them. */
  peerSpeeds?: ReadonlyMap<string, number>;
  /** How much peers have to do and what they cost, asked for each plan; without it, or if it fails, all count alike. */
  peerStates?(options: { signal?: AbortSignal }): Promise<ReadonlyMap<string, PeerState>>;
  /** Bounds the speed at which blocks come in, of all peers together; by default there is no bound. */
  download?: RateSchedule;
  /** Bounds of the pull. */
  bounds?: Pick<PullOptions, 'pipeline' | 'requestsMax' | 'sourceBytesPerSecondMax' | 'sourceFreeAtMs' | 'healthTimes'>;
  onProgress?(progress: SnapshotProgress): void;
  /** Told in each round when it is known what must be pulled from whom. */
  onPlanned?(summary: PlanSummary): void;
}

/** The same without a seal: a plan ends before. */
export type PlanOptions = Omit<TakeOptions, 'sink'> & { sink: SnapshotSink };

type Seal = SealingSink['seal'];

interface Planned {
  planned: { needed: NeededBlocks; plan: Plan; peers: readonly PlanPeer[] } | undefined;
  summary: PlanSummary;
}

/** What is being done; `round` counts from 1. */
export type SnapshotProgress =
  /** The client flushes and hashes what was written lately. */
  | { stage: 'cut'; round: number }
  /** Trees and recipes fetched so far, and what is known to be needed. */
  | { stage: 'trees'; round: number; objects: number; objectBytes: number; blocks: number; bytes: number }
  /** Blocks whose holders are known. */
  | { stage: 'holders'; round: number; blocks: number; blocksTotal: number }
  | ({ stage: 'pull'; round: number } & PullProgress)
  | { stage: 'seal' };

export interface SnapshotOutcome {
  /** As sealed. With exceptions the snapshot is made, but incomplete. */
  record: SnapshotRecord;
  rounds: number;
  /** Peers that were not asked any more, and why. */
  dropped: { peer: string; reason: DropReason }[];
  /** Peers that lacked blocks which the map says they hold, and how many: met and reported. */
  stale: { peer: string; blocks: number }[];
  /** Bytes of blocks that came twice. */
  wastedBytes: number;
  /** Bytes per second of peers, for the plan of another snapshot. */
  speeds: ReadonlyMap<string, number>;
}

const defaults = { roundsMax: 5, patienceMs: 60_000 } as const;
/** Before the second, third … round: files that are being written may settle. */
const roundPausesMs = [250, 1_000, 2_000, 4_000];

/**
 * Makes a snapshot of `client` in the sink and seals it. Interrupted or failed at any point it can be run again: what
 * has come is kept and not pulled again, and nothing half-made is ever listed.
 *
 * @throws CovaultError `E_UNAVAILABLE` if the client or the repository cannot be reached, or nobody who is left sends a
 *   block that is needed; `E_INTERRUPTED`; `E_CORRUPT` if the client sends what cannot be true; `E_NO_SPACE` if it
 *   could not keep the cut; what the sink throws.
 */
export async function takeSnapshot(options: TakeOptions): Promise<SnapshotOutcome> {
  const connections = new PeerConnections(options.connect, { passes: downloadPace(options) });
  try {
    const firstCut = options.sink instanceof Promise ? openCut(options, connections) : undefined;
    const sink = await sinkBeside(options.sink, firstCut);
    try {
      return await new Take({ ...options, sink }, connections, firstCut).run((record, how) => sink.seal(record, how));
    } catch (error) {
      // What has come is of use to the next run; that it cannot be written is not what went wrong first.
      await sink.flush().catch(() => undefined);
      throw error;
    }
  } catch (error) {
    checkInterrupted(options.signal);
    throw error;
  } finally {
    await connections.close();
  }
}

/** The sink, once it is open; if that fails, the cut is closed. */
async function sinkBeside(
  sink: SealingSink | Promise<SealingSink>,
  cut: Promise<RemoteCut> | undefined,
): Promise<SealingSink> {
  // Whether the cut failed is looked at when it is needed.
  cut?.catch(() => undefined);
  try {
    return await sink;
  } catch (error) {
    await cut?.then(
      (opened) => opened.close(),
      () => undefined,
    );
    throw error;
  }
}

async function openCut(
  { client, timers = systemTimers, signal }: Pick<TakeOptions, 'client' | 'timers' | 'signal'>,
  connections: PeerConnections,
): Promise<RemoteCut> {
  const connection = await connections.to(client);
  return await openRemoteCut(connection, { timers, ...(signal ? { signal } : {}) });
}

/**
 * What a snapshot would pull from whom, as of a cut that is closed again. Adds trees and recipes to the sink, no blocks:
 * with `drySink` nothing is stored.
 *
 * @throws CovaultError as `takeSnapshot`.
 */
export async function planSnapshot(
  options: PlanOptions,
): Promise<PlanSummary & { exceptions: readonly SnapshotException[] }> {
  const connections = new PeerConnections(options.connect);
  try {
    return await new Take(options, connections).plan();
  } catch (error) {
    checkInterrupted(options.signal);
    throw error;
  } finally {
    await connections.close();
  }
}

function downloadPace({ download, clock, timers = systemTimers }: TakeOptions) {
  const pace = new Pace({ clock, timers });
  return async (bytes: number, signal: AbortSignal): Promise<void> => {
    if (download === undefined) return;
    await pace.pass(bytes, rateAt(download, calendarAt(clock.nowMs()).minute), signal);
  };
}

class Take {
  readonly #options: PlanOptions;
  readonly #connections: PeerConnections;
  readonly #objects: ObjectCache;
  readonly #shares = new SnapshotShares();
  readonly #puller: string;
  readonly #patience: Patience;
  readonly #startMs: number;
  /** The first cut, if it was begun before; used once. */
  #begun: Promise<RemoteCut> | undefined;

  constructor(options: PlanOptions, connections: PeerConnections, begun?: Promise<RemoteCut>) {
    this.#options = options;
    this.#connections = connections;
    this.#begun = begun;
    this.#objects = new ObjectCache(options.sink, options.digester);
    this.#puller = options.puller ?? randomId();
    this.#startMs = options.clock.monotonicMs();
    this.#patience = {
      clock: options.clock,
      timers: this.#timers,
      patienceMs: options.patienceMs ?? defaults.patienceMs,
      ...this.#signal,
    };
  }

  async plan(): Promise<PlanSummary & { exceptions: readonly SnapshotException[] }> {
    const { cut, needed } = await this.#cutAndWalk(1);
    try {
      const { summary } = await this.#plan(cut, needed, 1);
      return { ...summary, exceptions: cut.exceptions };
    } finally {
      await cut.close();
    }
  }

  async run(seal: Seal): Promise<SnapshotOutcome> {
    const roundsMax = this.#options.roundsMax ?? defaults.roundsMax;
    for (let round = 1; ; round++) {
      const { cut, needed } = await this.#cutAndWalk(round);
      let lostCount: number;
      try {
        lostCount = await this.#pull(cut, needed, round);
        if (lostCount > 0) await cut.checkKept();
      } finally {
        await cut.close();
      }
      if (lostCount === 0 || round >= roundsMax) return this.#seal(cut, round, seal);
      await pause(
        this.#timers,
        roundPausesMs[Math.min(round, roundPausesMs.length) - 1] as number,
        this.#options.signal,
      );
    }
  }

  get #timers(): Timers {
    return this.#options.timers ?? systemTimers;
  }

  get #signal(): { signal?: AbortSignal } {
    return this.#options.signal ? { signal: this.#options.signal } : {};
  }

  /** Opens a cut and fetches what the store lacks of its trees; begins anew if the client is lost on the way. */
  async #cutAndWalk(round: number): Promise<{ cut: RemoteCut; needed: NeededGatherer }> {
    const { client } = this.#options;
    const attempt = async () => {
      this.#options.onProgress?.({ stage: 'cut', round });
      try {
        const begun = this.#begun;
        this.#begun = undefined;
        const cut = await (begun ?? openCut(this.#options, this.#connections));
        return { cut, needed: await this.#walk(cut, round) };
      } catch (error) {
        this.#connections.retire(client);
        throw error;
      }
    };
    try {
      return await persist(attempt, this.#patience);
    } catch (error) {
      if (!isCovaultError(error, 'E_UNAVAILABLE')) throw error;
      throw new CovaultError('E_UNAVAILABLE', `client ${client} cannot be reached: ${error.message}`, {
        cause: error,
        hint: 'check that it is mounted and joined, and take the snapshot again',
      });
    }
  }

  async #walk(cut: RemoteCut, round: number): Promise<NeededGatherer> {
    const { sink, client, onProgress } = this.#options;
    const needed = new NeededGatherer(sink);
    const objects = this.#objects;
    try {
      await walkTrees(cut.root.tree, {
        source: cut,
        objects,
        needed,
        ...this.#signal,
        onProgress: () =>
          onProgress?.({
            stage: 'trees',
            round,
            objects: objects.fetchedCount,
            objectBytes: objects.fetchedBytes,
            blocks: needed.count,
            bytes: needed.bytes,
          }),
      });
      return needed;
    } catch (error) {
      await cut.close();
      if (!isCovaultError(error, 'E_NOT_FOUND')) throw error;
      throw new CovaultError('E_UNAVAILABLE', `a cut of ${client} was lost: ${error.message}`, { cause: error });
    }
  }

  /** Who is to send what; `planned` is undefined if nothing is needed. */
  async #plan(cut: RemoteCut, gathered: NeededGatherer, round: number): Promise<Planned> {
    const planned = gathered.count === 0 ? undefined : await this.#planBlocks(gathered, round);
    const { fetchedCount: objects, fetchedBytes: objectBytes } = this.#objects;
    const summary = summarizePlan(planned, { timeNs: cut.timeNs, objects, objectBytes });
    this.#options.onPlanned?.(summary);
    return { planned, summary };
  }

  async #planBlocks(gathered: NeededGatherer, round: number): Promise<NonNullable<Planned['planned']>> {
    const { client, holders, onProgress } = this.#options;
    const leftOut = new Set([client, ...this.#untrusted()]);
    const asking = this.#peerStates();
    const needed = await persist(
      () =>
        findHolders(gathered, holders, {
          leftOut,
          ...this.#signal,
          onProgress: (blocks) => onProgress?.({ stage: 'holders', round, blocks, blocksTotal: gathered.count }),
        }),
      this.#patience,
    );
    const speeds = new Map([...(this.#options.peerSpeeds ?? []), ...this.#shares.speeds]);
    const peers = planPeers(needed.sets.names(), { speeds, states: await asking });
    return { needed, plan: makePlan(needed, { peers, puller: this.#puller }), peers };
  }

  /** None if the repository is away: the plan does without, and the lookup beside it says so. */
  async #peerStates(): Promise<ReadonlyMap<string, PeerState>> {
    try {
      return (await this.#options.peerStates?.(this.#signal)) ?? new Map();
    } catch (error) {
      if (mayPass(error)) return new Map();
      throw error;
    }
  }

  /** Pulls what is needed; returns how many blocks nobody had. */
  async #pull(cut: RemoteCut, gathered: NeededGatherer, round: number): Promise<number> {
    const { planned } = await this.#plan(cut, gathered, round);
    if (!planned) return 0;
    const { needed, plan } = planned;
    const { client, holders, sink, digester, clock, onProgress, bounds } = this.#options;
    const result = await pull(needed, plan, {
      ...bounds,
      ...this.#signal,
      source: client,
      channel: this.#connections,
      sink,
      digester,
      holders,
      clock,
      timers: this.#timers,
      onProgress: (progress) => onProgress?.({ stage: 'pull', round, ...progress }),
    });
    this.#shares.add(needed, plan, result);
    return result.lost.length;
  }

  /** Peers that are not asked again in a later round; one that was only out of reach may be back. */
  *#untrusted(): Generator<string> {
    for (const [peer, { kind }] of this.#shares.dropped) if (kind !== 'unreachable') yield peer;
  }

  async #seal(cut: RemoteCut, rounds: number, seal: Seal): Promise<SnapshotOutcome> {
    const { client, sink, clock, onProgress } = this.#options;
    onProgress?.({ stage: 'seal' });
    const settled = await settleTrees(cut.root, { objects: this.#objects, sink, ...this.#signal });
    await sink.flush();
    const shares = this.#shares;
    const { fetchedBytes } = this.#objects;
    const record: SnapshotRecord = {
      id: randomId(),
      client,
      timeNs: cut.timeNs,
      root: settled.root,
      files: settled.files,
      bytes: settled.bytes,
      newBytes: shares.newBytes,
      bytesFromSource: shares.sourceBytes + fetchedBytes,
      bytesOnlyAtSource: shares.onlyAtSourceBytes + fetchedBytes,
      sourceUse: { ...shares.sourceUse, objects: fetchedBytes },
      peers: shares.peers(),
      storedBytes: sink.storedBytes(),
      seconds: (clock.monotonicMs() - this.#startMs) / 1000,
      exceptions: mergeExceptions(settled.missing, cut.exceptions),
    };
    return {
      record: await seal(record, this.#signal),
      rounds,
      dropped: [...shares.dropped].map(([peer, reason]) => ({ peer, reason })),
      stale: [...shares.lacked].map(([peer, blocks]) => ({ peer, blocks })),
      wastedBytes: shares.wastedBytes,
      speeds: shares.speeds,
    };
  }
}

/** Each path once, with the client's own reason if it gave one. */
function mergeExceptions(
  missing: readonly SnapshotException[],
  ofCut: readonly SnapshotException[],
): SnapshotException[] {
  const byPath = new Map<string, SnapshotException>();
  for (const exception of [...missing, ...ofCut]) {
    byPath.set(Buffer.from(exception.path).toString('latin1'), exception);
  }
  return [...byPath.values()];
}
