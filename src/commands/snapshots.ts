/** `covault snapshots STORE`: what is in a store. */
import { listNamedSnapshots } from '../browse/find-snapshot.ts';
import { digestHex } from '../core/digest.ts';
import { exitCodes } from '../core/exit-codes.ts';
import type { SnapshotRecord } from '../core/snapshot.ts';
import { type Command, flagOption, parameter, textOption } from './command.ts';
import { passwordOptions } from './password.ts';
import { shareLines } from './share-lines.ts';
import { formatBytes, formatCount, formatShare, formatTable } from './sizes.ts';
import { openExistingStore } from './store-access.ts';

export const snapshotsCommand: Command = {
  name: 'snapshots',
  summary: 'list the snapshots of a store',
  parameters: [{ name: 'STORE', summary: 'the directory of the store' }],
  options: [
    { flags: '--client <name>', summary: 'only those of this client' },
    { flags: '--details', summary: 'also who gave what for each of them, and why the client itself was asked' },
    ...passwordOptions,
  ],
  exitCodes: [exitCodes.notFound, exitCodes.denied, exitCodes.corrupt, exitCodes.io],
  examples: [['covault snapshots /backups/vault', 'lists all snapshots, oldest first, by client']],
  async run(call) {
    const store = await openExistingStore(call, parameter(call, 0));
    try {
      const client = textOption(call, 'client');
      const named = (await listNamedSnapshots(store)).filter(
        ({ record }) => client === undefined || record.client === client,
      );
      return {
        result: {
          type: 'snapshots',
          snapshots: named.map(({ name, record }) => ({ name, ...describeRecord(record) })),
        },
        lines: named.length === 0 ? ['no snapshots'] : flagOption(call, 'details') ? details(named) : table(named),
      };
    } finally {
      await store.close();
    }
  },
};

/** A record for JSON: digests in hexadecimal, times as text, paths as UTF-8 text. */
export function describeRecord(record: SnapshotRecord): Record<string, unknown> {
  const { root, timeNs, exceptions, id, ...figures } = record;
  return {
    snapshot: id,
    ...figures,
    time: new Date(Number(timeNs / 1_000_000n)).toISOString(),
    timeNs: String(timeNs),
    tree: digestHex(root.tree),
    exceptions: exceptions.map(({ path, reason }) => ({ path: Buffer.from(path).toString(), reason })),
  };
}

function table(named: readonly { name: string; record: SnapshotRecord }[]): string[] {
  const rows = named.map(({ name, record }) => [
    record.client,
    name,
    record.id.slice(0, 8),
    formatCount(record.files),
    formatBytes(record.bytes),
    formatBytes(record.storedBytes),
    shareOfPeers(record),
    record.exceptions.length === 0 ? '' : `${record.exceptions.length} exceptions`,
  ]);
  const heading = ['client', 'time (UTC)', 'id', 'files', 'size', 'stored', 'from peers', ''];
  return formatTable([heading, ...rows], [3, 4, 5, 6]);
}

function details(named: readonly { name: string; record: SnapshotRecord }[]): string[] {
  return named.flatMap(({ name, record }) => [
    `${record.client}/${name} (${record.id.slice(0, 8)}): ${formatCount(record.files)} files, ${formatBytes(record.bytes)}`,
    ...shareLines(record),
  ]);
}

function shareOfPeers({ peers, bytesFromSource }: SnapshotRecord): string {
  const fromPeers = peers.reduce((sum, { bytes }) => sum + bytes, 0);
  return formatShare(fromPeers, fromPeers + bytesFromSource);
}
