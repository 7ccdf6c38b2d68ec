/**
 * Messages between who makes a snapshot and the peers that serve it: paths, bodies and their checks, for both sides.
 * Tables are in `docs/design/snapshot.md`.
 */
import { type Digest, digestBytes } from '../core/digest.ts';
import { CovaultError } from '../core/errors.ts';
import { limits } from '../core/limits.ts';
import type { ObjectKind } from '../core/ports.ts';
import { asBytes, asCount, asInt64, asList, asOneOf, asRecord, asText } from '../core/shape.ts';
import type { SnapshotException } from '../core/snapshot.ts';
import { type DirectoryEntry, packEntry, unpackEntry } from '../core/tree.ts';
import { unpackDigests } from '../remote/digest-list.ts';

export const paths = {
  openCut: '/v1/cut/open',
  holdCut: '/v1/cut/hold',
  closeCut: '/v1/cut/close',
  objects: '/v1/objects',
  blocks: '/v1/blocks',
} as const;

/** A cut that nobody asked about for this long is closed by who serves it, milliseconds. */
export const cutLeaseMs = 60_000;
/** Longest that `holdCut` keeps an answer back while the cut is being made, milliseconds. */
export const holdWaitMsMax = 10_000;
/** Trees or recipes asked for at once. */
export const objectsPerRequestMax = 1024;

/** Bytes of paths and reasons in the list of a cut's exceptions. */
const exceptionBytesMax = 4 * 1024 * 1024;

/** Bytes of the largest body of these routes, with room for the encoding. */
export const bodyBytesMax = limits.blocksPerRequestMax * digestBytes + 1024;

const objectKinds: readonly ObjectKind[] = ['tree', 'recipe'];

/** A cut as its owner sees it. */
export type CutState = { state: 'opening' } | OpenCut;

export interface OpenCut {
  state: 'open';
  timeNs: bigint;
  root: DirectoryEntry;
  exceptions: SnapshotException[];
}

/** @throws CovaultError `E_CORRUPT` unless it is 32 hexadecimal digits. */
export function unpackCutId(body: unknown): string {
  const id = asText(asRecord(body, 'request').cut, 'cut', 32);
  if (!/^[0-9a-f]{32}$/.test(id)) throw new CovaultError('E_CORRUPT', 'cut is not 32 hexadecimal digits');
  return id;
}

export function unpackHoldRequest(body: unknown): { cut: string; waitMs: number } {
  const waitMs = asCount(asRecord(body, 'request').waitMs, 'waitMs', holdWaitMsMax);
  return { cut: unpackCutId(body), waitMs };
}

/** `packed`: items may come as packed frames. */
export function unpackObjectsRequest(body: unknown): {
  cut: string;
  kind: ObjectKind;
  digests: Digest[];
  packed: boolean;
} {
  const fields = asRecord(body, 'request');
  return {
    cut: unpackCutId(body),
    kind: asOneOf(fields.kind, 'kind', objectKinds),
    digests: unpackDigests(fields.digests, 'digests', objectsPerRequestMax),
    packed: fields.packed === true,
  };
}

/** `packed`: items may come as packed frames. */
export function unpackBlocksRequest(body: unknown): { digests: Digest[]; packed: boolean } {
  const fields = asRecord(body, 'request');
  const digests = unpackDigests(fields.digests, 'digests', limits.blocksPerRequestMax);
  return { digests, packed: fields.packed === true };
}

/** Exceptions beyond `exceptionBytesMax` are left out: a list that long says enough. */
export function packCutState(state: CutState): Record<string, unknown> {
  if (state.state === 'opening') return { state: 'opening' };
  let bytes = 0;
  const exceptions = state.exceptions
    .filter(({ path, reason }) => {
      bytes += path.byteLength + reason.length;
      return bytes <= exceptionBytesMax;
    })
    .map(({ path, reason }) => [path, reason]);
  return { state: 'open', timeNs: state.timeNs, root: packEntry(state.root), exceptions };
}

/** @throws CovaultError `E_CORRUPT`. */
export function unpackCutState(value: unknown): CutState {
  const fields = asRecord(value, 'cut');
  const state = asOneOf(fields.state, 'state', ['opening', 'open']);
  if (state === 'opening') return { state };
  const root = unpackEntry(fields.root);
  if (root.kind !== 'directory') throw new CovaultError('E_CORRUPT', 'the root of a cut is not a directory');
  const exceptions = asList(fields.exceptions, 'exceptions').map((item) => {
    const [path, reason] = asList(item, 'exception', 2);
    return { path: asBytes(path, 'path'), reason: asText(reason, 'reason') };
  });
  return { state, timeNs: asInt64(fields.timeNs, 'time'), root, exceptions };
}
