/** From what a person types to a snapshot and to entries within it. */
import { CovaultError } from '../core/errors.ts';
import type { SnapshotReader } from '../core/ports.ts';
import type { SnapshotRecord } from '../core/snapshot.ts';
import type { TreeEntry } from '../core/tree.ts';
import { groupByClient, type NamedSnapshot } from './snapshot-list.ts';
import { SnapshotNames } from './snapshot-names.ts';
import { findEntry, SnapshotObjects } from './snapshot-objects.ts';

/** Candidates that an error message lists. */
const candidatesShown = 5;

export interface SnapshotChoice {
  /** Only snapshots of this client; all clients if absent. */
  client?: string;
  /**
   * `latest`, a time name as `browse` shows it, or the beginning of a time name or of an id; `<client>/` may stand
   * before it instead of `client`.
   */
  snapshot: string;
}

/** All snapshots with their names: clients in the order of their names, the snapshots of each oldest first. */
export async function listNamedSnapshots(reader: SnapshotReader): Promise<NamedSnapshot[]> {
  const records = await reader.listSnapshots();
  const names = new SnapshotNames();
  names.add(records);
  const byClient = [...groupByClient(records, names)].sort(([a], [b]) => (a < b ? -1 : 1));
  return byClient.flatMap(([, snapshots]) => snapshots);
}

/**
 * The one snapshot that a choice means.
 *
 * @throws CovaultError `E_NOT_FOUND` if there is none, `E_BAD_INPUT` if several are meant.
 */
export async function resolveSnapshot(reader: SnapshotReader, choice: SnapshotChoice): Promise<NamedSnapshot> {
  return chooseSnapshot(await listNamedSnapshots(reader), choice);
}

/** `resolveSnapshot` over a list that was read already. */
export function chooseSnapshot(snapshots: readonly NamedSnapshot[], choice: SnapshotChoice): NamedSnapshot {
  const { client, wanted } = splitChoice(choice);
  const ofClient = snapshots.filter(({ record }) => client === undefined || record.client === client);
  if (ofClient.length === 0) {
    throw new CovaultError(
      'E_NOT_FOUND',
      client === undefined ? 'the store has no snapshot yet' : `the store has no snapshot of client ${client}`,
      { hint: 'see which there are with: covault snapshots STORE' },
    );
  }
  const exact = ofClient.filter(({ name, record }) => name === wanted || record.id === wanted);
  const meant =
    exact.length > 0 ? exact : wanted === 'latest' ? newestOfEach(ofClient) : beginningWith(ofClient, wanted);
  const [only] = meant;
  if (only === undefined) {
    throw new CovaultError('E_NOT_FOUND', `no snapshot ${JSON.stringify(wanted)}`, {
      hint: 'see which there are with: covault snapshots STORE',
    });
  }
  if (meant.length > 1) {
    const shown = meant.slice(0, candidatesShown).map(({ name, record }) => `${record.client}/${name} (${record.id})`);
    throw new CovaultError(
      'E_BAD_INPUT',
      `${JSON.stringify(wanted)} means ${meant.length} snapshots: ${shown.join(', ')}`,
      {
        hint: 'name the client, or give more of the time or of the id',
      },
    );
  }
  return only;
}

function splitChoice({ client, snapshot }: SnapshotChoice): { client: string | undefined; wanted: string } {
  const slash = snapshot.lastIndexOf('/');
  if (slash < 0) return { client, wanted: snapshot };
  const before = snapshot.slice(0, slash);
  if (client !== undefined && client !== before) {
    throw new CovaultError('E_BAD_INPUT', `${snapshot} is not a snapshot of client ${client}`);
  }
  return { client: before, wanted: snapshot.slice(slash + 1) };
}

function newestOfEach(snapshots: readonly NamedSnapshot[]): NamedSnapshot[] {
  return [...new Map(snapshots.map((snapshot) => [snapshot.record.client, snapshot])).values()];
}

function beginningWith(snapshots: readonly NamedSnapshot[], beginning: string): NamedSnapshot[] {
  if (beginning === '') return [];
  return snapshots.filter(({ name, record }) => name.startsWith(beginning) || record.id.startsWith(beginning));
}

/**
 * The names along a path; empty ones and "." are left out, so "/a//b/" is "a/b".
 *
 * @throws CovaultError `E_BAD_INPUT` if ".." or a zero byte is in it.
 */
export function splitPath(path: Uint8Array): Uint8Array[] {
  const names: Uint8Array[] = [];
  let start = 0;
  for (let end = 0; end <= path.byteLength; end += 1) {
    if (end < path.byteLength && path[end] !== 0x2f) continue;
    const name = path.subarray(start, end);
    start = end + 1;
    if (name.byteLength === 0 || (name.byteLength === 1 && name[0] === 0x2e)) continue;
    if ((name.byteLength === 2 && name[0] === 0x2e && name[1] === 0x2e) || name.includes(0)) {
      throw new CovaultError('E_BAD_INPUT', `not a path within a snapshot: ${shownPath(path)}`);
    }
    names.push(name);
  }
  return names;
}

/** A path for messages; bytes that are not UTF-8 are replaced. */
export function shownPath(path: Uint8Array): string {
  return Buffer.from(path).toString();
}

/**
 * The entry at a path within a snapshot; the root for an empty path. Symlinks are not followed.
 *
 * @throws CovaultError `E_NOT_FOUND`; `E_CORRUPT` or `E_VERSION` if a tree cannot be read.
 */
export async function entryAt(
  reader: SnapshotReader | SnapshotObjects,
  snapshot: SnapshotRecord,
  path: Uint8Array,
): Promise<TreeEntry> {
  const objects = reader instanceof SnapshotObjects ? reader : new SnapshotObjects(reader);
  let entry: TreeEntry = snapshot.root;
  for (const name of splitPath(path)) {
    const next: TreeEntry | undefined =
      entry.kind === 'directory' ? findEntry(await objects.tree(entry.tree), name) : undefined;
    if (next === undefined) throw new CovaultError('E_NOT_FOUND', `the snapshot has no ${shownPath(path)}`);
    entry = next;
  }
  return entry;
}

/** The entries of a directory, or the one entry that is no directory. @throws as `entryAt`. */
export async function listDirectory(
  reader: SnapshotReader | SnapshotObjects,
  snapshot: SnapshotRecord,
  path: Uint8Array,
): Promise<readonly TreeEntry[]> {
  const objects = reader instanceof SnapshotObjects ? reader : new SnapshotObjects(reader);
  const entry = await entryAt(objects, snapshot, path);
  return entry.kind === 'directory' ? objects.tree(entry.tree) : [entry];
}
