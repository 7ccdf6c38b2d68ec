/**
 * Names and attributes beneath the data directory as they were at a cut: synchronous, for a worker thread. Says the same as
 * `DataDirectory` says of the present.
 */
import { systemErrorCode } from '../core/errors.ts';
import { type EpochAttributes, lookInEpoch, namesInEpoch } from '../fs/epoch.ts';
import { codeOf, firstAfter, foreignState, isGone } from './data-directory.ts';
import { asBuffer } from './layout.ts';
import { kindOf, type NodeState } from './node-state.ts';
import type { ListOutcome, ListRequest, LookDirectory, LookOutcome } from './worker-protocol.ts';

/** Whether a call failed because the epoch is not open any more: no word on what was asked. */
export function isOver(error: unknown): boolean {
  return systemErrorCode(error) === 'ECANCELED';
}

export class PastDirectory {
  readonly epoch: number;
  /** The names of the directory that is being listed in pages. */
  #listing: { directory: bigint; names: Buffer[] } | undefined;

  constructor(epoch: number) {
    this.epoch = epoch;
  }

  look({ directory, path, names }: LookDirectory): LookOutcome {
    try {
      const { self, states } = this.#seen(directory, path, names);
      return { directory, kind: 'seen', self, states };
    } catch (error) {
      if (isGone(error) || isOver(error)) return { directory, kind: 'gone' };
      return { directory, kind: 'failed', code: codeOf(error) };
    }
  }

  list({ directory, path, after, entriesMax }: ListRequest): ListOutcome {
    try {
      const names = this.#names(directory, path, after);
      const from = after === undefined ? 0 : firstAfter(names, asBuffer(after));
      const page = names.slice(from, from + entriesMax);
      const more = from + page.length < names.length;
      if (!more) this.#listing = undefined;
      const { self, states } = this.#seen(directory, path, page);
      const entries = page.flatMap((name, number) => {
        const state = states[number];
        return state === undefined ? [] : [{ name, state }];
      });
      return { kind: 'listed', self, entries, last: page.at(-1), more };
    } catch (error) {
      return isGone(error) || isOver(error) ? { kind: 'gone' } : { kind: 'failed', code: codeOf(error) };
    }
  }

  #names(directory: bigint, path: Uint8Array, after: Uint8Array | undefined): Buffer[] {
    if (after !== undefined && this.#listing?.directory === directory) return this.#listing.names;
    const names = namesInEpoch(this.epoch, directory, path).map(asBuffer);
    this.#listing = { directory, names };
    return names;
  }

  #seen(
    directory: bigint,
    path: Uint8Array,
    names: readonly Uint8Array[],
  ): { self: NodeState; states: (NodeState | undefined)[] } {
    const seen = lookInEpoch(this.epoch, directory, path, names);
    const states = names.map((name, number) => {
      const attributes = seen.states[number];
      if (!attributes) return undefined;
      const state = stateAt(attributes);
      return state && attributes.isForeign ? foreignState(state, directory, name) : state;
    });
    return { self: stateAt(seen.self) as NodeState, states };
  }
}

function stateAt(attributes: EpochAttributes): NodeState | undefined {
  const kind = attributes.isForeign ? 'directory' : kindOf(attributes);
  if (kind === undefined) return undefined;
  const { inode, uid, gid, mtimeNs, ctimeNs, nlink, xattrs } = attributes;
  if (xattrs.length > 1) xattrs.sort((a, b) => Buffer.compare(a.name, b.name));
  return {
    inode,
    kind,
    mode: attributes.mode & 0o7777,
    uid,
    gid,
    size: kind === 'file' ? attributes.size : 0,
    mtimeNs,
    ctimeNs,
    nlink,
    rdev: kind === 'char' || kind === 'block' ? attributes.rdev : 0n,
    target: attributes.target,
    xattrs: attributes.isForeign ? [] : xattrs,
    isForeign: false,
  };
}
