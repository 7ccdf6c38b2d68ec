/** What the demo found out: as a table that a person enjoys, and as the JSON object that a machine reads. */
import { formatBytes, formatCount, formatSeconds, formatShare, formatTable } from '../../src/commands/sizes.ts';

/** The fields of the JSON object, in its order. */
export interface SnapshotFigures {
  client: string;
  files: number;
  bytes: number;
  bytesFromSource: number;
  bytesFromPeers: number;
  bytesOnlyAtSource: number;
  storedBytes: number;
  seconds: number;
  identical: boolean;
}

export interface SnapshotStory extends SnapshotFigures {
  peers: readonly { peer: string; bytes: number }[];
  /** What had happened on the client before. */
  before: readonly string[];
  /** Differences found, if any. */
  differences: readonly string[];
}

export interface DemoResult {
  ok: boolean;
  snapshots: SnapshotFigures[];
}

/** The first snapshot may take this much more from the source than what only the source has. */
export const sourceTolerance = 0.02;

const barWidth = 30;
const differencesShown = 10;

export function demoResult(stories: readonly SnapshotStory[]): DemoResult {
  const [first] = stories;
  const spared = first !== undefined && first.bytesFromSource <= first.bytesOnlyAtSource * (1 + sourceTolerance);
  return {
    ok: spared && stories.length === 2 && stories.every(({ identical }) => identical),
    snapshots: stories.map(({ peers: _peers, before: _before, differences: _differences, ...figures }) => figures),
  };
}

export function describeSnapshot(story: SnapshotStory, position: number): string[] {
  const { client, bytesFromSource, bytesFromPeers } = story;
  const sent = bytesFromSource + bytesFromPeers;
  const rows = [...story.peers, { peer: `${client} (the source)`, bytes: bytesFromSource }].map(({ peer, bytes }) => [
    `  ${peer}`,
    formatBytes(bytes),
    formatShare(bytes, sent),
    '█'.repeat(sent === 0 ? 0 : Math.round((barWidth * bytes) / sent)),
  ]);
  return [
    '',
    `Snapshot ${position} of ${client}: ${formatCount(story.files)} files, ${formatBytes(story.bytes)}`,
    ...story.before.map((line) => `  · ${line}`),
    '',
    ...formatTable([['  from', 'sent', 'share', ''], ...rows], [1, 2]),
    '',
    ...formatTable([
      ['  only the source has', formatBytes(story.bytesOnlyAtSource)],
      ['  written to the store', `${formatBytes(story.storedBytes)}, compressed and encrypted`],
      ['  time', formatSeconds(story.seconds)],
      [
        '  compared with the client',
        story.identical ? 'identical, byte for byte and attribute by attribute' : 'DIFFERS',
      ],
    ]),
    ...story.differences.slice(0, differencesShown).map((difference) => `    ${difference}`),
  ];
}
