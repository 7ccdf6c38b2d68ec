/** Who gave what for a snapshot, and why the source was used, as lines for people. */
import type { SnapshotRecord, SourceUse } from '../core/snapshot.ts';
import { formatBytes, formatSeconds, formatShare, formatTable } from './sizes.ts';

const reasons: Record<keyof SourceUse, string> = {
  onlyHolder: 'blocks that nobody else held',
  holdersFailed: 'blocks that all who held them failed to send',
  notCountedOn: 'blocks whose holders were too busy, slow or broken to be waited for',
  deadline: 'blocks of others too, because its deadline had passed',
  objects: 'trees and recipes',
};

export function shareLines({
  client,
  peers,
  bytesFromSource,
  storedBytes,
  seconds,
  sourceUse,
}: SnapshotRecord): string[] {
  const sent = peers.reduce((sum, { bytes }) => sum + bytes, bytesFromSource);
  const rows = [...peers, { peer: `${client} (the source)`, bytes: bytesFromSource }];
  return [
    ...formatTable(
      rows.map(({ peer, bytes }) => [`  ${peer}`, formatBytes(bytes), formatShare(bytes, sent)]),
      [1, 2],
    ),
    ...(sourceUse === undefined ? [] : sourceUseLines(sourceUse)),
    `${formatBytes(storedBytes)} written in ${formatSeconds(seconds)}`,
  ];
}

function sourceUseLines(use: SourceUse): string[] {
  const used = (Object.keys(reasons) as (keyof SourceUse)[]).filter((reason) => use[reason] > 0);
  return used.map((reason) => `    from the source: ${formatBytes(use[reason])} of ${reasons[reason]}`);
}
