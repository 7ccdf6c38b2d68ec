/**
 * What a client answers to those who make snapshots: cuts of its own data directory for secondaries, and blocks, of
 * whatever snapshot, for every member that pulls.
 */
import { type Clock, systemClock } from '../core/clock.ts';
import type { Digest } from '../core/digest.ts';
import { isCovaultError } from '../core/errors.ts';
import type { BlockSource, CutSource } from '../core/ports.ts';
import { systemTimers, type Timers } from '../core/timers.ts';
import { encodeFrames, type Frame, type PackedFrame, packItem, type Wait } from '../remote/framing.ts';
import type { Role } from '../remote/member.ts';
import { callerOf, type Route, route } from '../remote/route.ts';
import { unlessAborted } from './channel.ts';
import { HeldCuts } from './held-cuts.ts';
import {
  bodyBytesMax,
  packCutState,
  paths,
  unpackBlocksRequest,
  unpackCutId,
  unpackHoldRequest,
  unpackObjectsRequest,
} from './messages.ts';
import { type GateStatus, ServingGate } from './serving-gate.ts';
import { SourceGuests } from './source-guests.ts';

export interface ServingOptions {
  blocks: BlockSource;
  cuts: CutSource;
  /** What may be sent, and how fast; by default as the defaults of `serving-policy.ts` say. */
  gate?: ServingGate;
  clock?: Clock;
  timers?: Timers;
}

/** What one puller got. */
export interface Served {
  peer: string;
  blocks: number;
  bytes: number;
  /** Blocks that were asked for and not held. */
  lacked: number;
  /** Trees and recipes. */
  objectBytes: number;
}

export interface ServingStatus extends GateStatus {
  openCuts: number;
  /** Requests for blocks being answered now. */
  uploads: number;
  /** Since the start, by puller. */
  served: Served[];
}

export interface Serving {
  routes: Route[];
  status(): ServingStatus;
  /** Closes the cuts that are open for others. The server with the routes must be closed before. Idempotent. */
  close(): Promise<void>;
}

/** Who may ask for cuts, which show everything a client has. */
const cutRoles: readonly Role[] = ['secondary', 'administrator'];
/** Who may ask for blocks by their digests. */
const blockRoles: readonly Role[] = ['client', 'secondary', 'administrator'];
/** Blocks read from disk before the connection has taken those in front of them. */
const readAhead = 2;

export function openServing(options: ServingOptions): Serving {
  const cuts = new HeldCuts(options.cuts, options.timers ?? systemTimers);
  const gate = options.gate ?? new ServingGate();
  const guests = new SourceGuests(options.clock ?? systemClock, (name) => cuts.holds(name));
  const counts = new Map<string, Served>();
  const countOf = (peer: string): Served => {
    const known = counts.get(peer) ?? { peer, blocks: 0, bytes: 0, lacked: 0, objectBytes: 0 };
    counts.set(peer, known);
    return known;
  };
  return {
    routes: [
      ...cutRoutes(cuts, (name) => gate.check(guests.guest(name))),
      objectsRoute(cuts, countOf, { gate, guests }),
      blocksRoute(options.blocks, countOf, { gate, guests }),
    ],
    status: () => ({
      ...gate.status(),
      openCuts: cuts.count,
      uploads: gate.uploads,
      served: [...counts.values()].map((served) => ({ ...served })),
    }),
    close: () => cuts.closeAll(),
  };
}

/** Who is let in, and what is sent to them how fast. */
interface Door {
  gate: ServingGate;
  guests: SourceGuests;
}

/** @param check throws if who has just opened a cut may not have anything now. */
function cutRoutes(cuts: HeldCuts, check: (name: string) => void): Route[] {
  const common = { method: 'POST', roles: cutRoles, bodyBytesMax: 1024 } as const;
  return [
    route({
      ...common,
      path: paths.openCut,
      parse: unpackCutId,
      handle: async (call) => {
        const { name } = callerOf(call);
        cuts.open(name, call.body);
        try {
          check(name);
        } catch (error) {
          await cuts.close(name, call.body);
          throw error;
        }
        return { body: {} };
      },
    }),
    route({
      ...common,
      path: paths.holdCut,
      parse: unpackHoldRequest,
      handle: async (call) => {
        const { cut, waitMs } = call.body;
        const state = await cuts.hold(callerOf(call).name, cut, { waitMs, signal: call.signal });
        return { body: packCutState(state) };
      },
    }),
    route({
      ...common,
      path: paths.closeCut,
      parse: unpackCutId,
      handle: async (call) => {
        await cuts.close(callerOf(call).name, call.body);
        return { body: {} };
      },
    }),
  ];
}

function objectsRoute(cuts: HeldCuts, countOf: (peer: string) => Served, door: Door): Route {
  return route({
    method: 'POST',
    path: paths.objects,
    roles: cutRoles,
    bodyBytesMax,
    parse: unpackObjectsRequest,
    handle: async (call) => {
      const { name } = callerOf(call);
      const { cut, kind, digests, packed } = call.body;
      // Asked for anew for each object, which keeps the lease from ending while a slow reader is served.
      const read = async (digest: Digest, position: number) => {
        const bytes = await cuts.use(name, cut).readObject(kind, digest);
        return bytes && (packed ? packItem({ position, bytes }) : ({ kind: 'item', position, bytes } as const));
      };
      cuts.use(name, cut);
      const count = (bytes: number | undefined) => {
        countOf(name).objectBytes += bytes ?? 0;
      };
      const frames = encodeFrames(framesOf(digests, { read, count, signal: call.signal }));
      return { stream: door.gate.paced(frames, () => door.guests.guest(name), call.signal) };
    },
  });
}

function blocksRoute(blocks: BlockSource, countOf: (peer: string) => Served, { gate, guests }: Door): Route {
  return route({
    method: 'POST',
    path: paths.blocks,
    roles: blockRoles,
    bodyBytesMax,
    parse: unpackBlocksRequest,
    handle: async (call) => {
      const { name } = callerOf(call);
      const count = (bytes: number | undefined) => {
        const served = countOf(name);
        if (bytes === undefined) served.lacked += 1;
        else {
          served.blocks += 1;
          served.bytes += bytes;
        }
      };
      const guest = () => guests.guest(name);
      const { digests, packed } = call.body;
      const read = async (digest: Digest, position: number) => {
        // Asked at each block: what begins while a long answer goes out holds for its rest.
        gate.check(guest());
        return unlessUnreadable(packed ? readPacked(blocks, digest, position) : readPlain(blocks, digest, position));
      };
      const frames = encodeFrames(framesOf(digests, { read, count, signal: call.signal }));
      return { stream: inSlot(() => gate.enter(guest()), gate.paced(frames, guest, call.signal)) };
    },
  });
}

/** Chunks within a slot, taken at the first step and given back at the end, however it comes. */
async function* inSlot(enter: () => () => void, chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const giveBack = enter();
  try {
    yield* chunks;
  } finally {
    giveBack();
  }
}

async function readPlain(blocks: BlockSource, digest: Digest, position: number): Promise<Frame | undefined> {
  const bytes = await blocks.readBlock(digest);
  return bytes && { kind: 'item', position, bytes };
}

async function readPacked(blocks: BlockSource, digest: Digest, position: number): Promise<Item | undefined> {
  if (blocks.readPacked === undefined) {
    const bytes = await blocks.readBlock(digest);
    return bytes && (await packItem({ position, bytes }));
  }
  const block = await blocks.readPacked(digest);
  if (block === undefined) return undefined;
  const { length, bytes, isCompressed } = block;
  return isCompressed ? { kind: 'packed', position, length, packed: bytes } : { kind: 'item', position, bytes };
}

/** A block that cannot be read is one that is not held: somebody else may have it. */
async function unlessUnreadable(reading: Promise<Item | undefined>): Promise<Item | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (isCovaultError(error, 'E_IO') || isCovaultError(error, 'E_CORRUPT') || isCovaultError(error, 'E_NOT_FOUND')) {
      return undefined;
    }
    throw error;
  }
}

type Item = Frame | PackedFrame;

interface Reading {
  read(digest: Digest, position: number): Promise<Item | undefined>;
  /** Told what is sent: the bytes of an item, undefined for what is not held. */
  count(bytes: number | undefined): void;
  signal: AbortSignal;
}

/** Answers in the order asked, reading and compressing a little ahead of who takes them. */
async function* framesOf(digests: readonly Digest[], { read, count, signal }: Reading): AsyncGenerator<Item | Wait> {
  const ahead: Promise<Item>[] = [];
  const ready = new WeakSet<Promise<Item>>();
  for (let position = 0; position < digests.length; position++) {
    while (ahead.length <= readAhead && position + ahead.length < digests.length && !signal.aborted) {
      const at = position + ahead.length;
      const next = itemOf(read(digests[at] as Digest, at), at);
      // Awaited in its turn; until then a failure is nobody's yet.
      next.then(
        () => ready.add(next),
        () => undefined,
      );
      ahead.push(next);
    }
    signal.throwIfAborted();
    const next = ahead.shift() as Promise<Item>;
    if (!ready.has(next)) yield { kind: 'wait' };
    // A disk that hangs must not keep what the caller, long gone, had taken.
    const frame = await unlessAborted(next, signal);
    count(lengthOf(frame));
    yield frame;
  }
}

async function itemOf(reading: Promise<Item | undefined>, position: number): Promise<Item> {
  return (await reading) ?? { kind: 'absent', position };
}

function lengthOf(frame: Item): number | undefined {
  if (frame.kind === 'absent') return undefined;
  return frame.kind === 'item' ? frame.bytes.byteLength : frame.length;
}
