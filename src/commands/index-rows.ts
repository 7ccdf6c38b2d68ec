/** The index's part of `covault status`: how it is, how it came to that, and what is wrong. */
import { asCount, asList, asRecord, asText } from '../core/shape.ts';
import type { IndexStatus } from '../index/index-status.ts';
import { formatBytes, formatCount, formatShare } from './sizes.ts';

type Fields = Record<string, unknown>;

/** Files that cannot be read, named for people; JSON has a few more. */
const unreadableShown = 5;

/** What must not be overlooked, before everything else; empty if all is well. */
export function alarmLines(index: Fields): string[] {
  const missed = asCount(index.missesOpen, 'missesOpen');
  const lines: string[] = [];
  if (missed > 0) {
    lines.push(
      `THE INDEX HAD MISSED ${formatCount(missed)} CHANGES, mended since: run covault check --index, and report it`,
    );
  }
  if (typeof index.failure === 'string') lines.push(`THE INDEX HAS STOPPED: ${index.failure}`);
  return lines;
}

export function indexRows(index: Fields): string[][] {
  const count = (name: keyof IndexStatus) => asCount(index[name], name);
  const waiting = count('filesDirty') + count('filesBeingHashed');
  const state = index.isLevel === true ? 'level' : `behind: ${formatCount(waiting)} files to hash`;
  const failure = typeof index.failure === 'string' ? `STOPPED: ${index.failure}` : state;
  const troubles = (['unreadable', 'unsettled', 'misses'] as const)
    .filter((name) => count(name) > 0)
    .map((name) => `${formatCount(count(name))} ${name}`);
  const files = `${formatCount(count('files'))} files, ${formatBytes(count('bytes'))}`;
  return [
    ['index', failure],
    ['', `${files}, ${formatCount(count('directories'))} directories`],
    ['', howItCame(index)],
    ['', rollingRow(asRecord(index.rolling, 'rolling'), count('files'))],
    ...(troubles.length > 0 ? [['', `trouble: ${troubles.join(', ')}`]] : []),
    ...unreadableRows(asList(index.unreadablePaths, 'unreadablePaths')),
  ];
}

const foundWords: Record<IndexStatus['found'], string> = {
  fresh: 'made new',
  clean: 'opened clean',
  unclean: 'opened after an unclean stop',
  damaged: 'made anew, since the last one was damaged',
  discarded: 'made anew on request',
  foreign: 'made anew for another domain or directory',
  outdated: 'made anew in a new format',
};

/** "opened clean, scanned 12 345 files in 1.2 s, 3 of them new or changed; 5.0 MB hashed since the start". */
function howItCame(index: Fields): string {
  const found = foundWords[index.found as IndexStatus['found']] ?? asText(index.found, 'found');
  const hashed = `${formatBytes(asCount(index.bytesHashed, 'bytesHashed'))} hashed since the start`;
  if (index.lastScan === undefined) return `${found}, scanning; ${hashed}`;
  const { files, filesChanged, seconds } = asRecord(index.lastScan, 'lastScan');
  const scanned = `scanned ${formatCount(Number(files))} files in ${Number(seconds).toFixed(1)} s`;
  return `${found}, ${scanned}, ${formatCount(Number(filesChanged))} of them new or changed; ${hashed}`;
}

function rollingRow(rolling: Fields, filesInAll: number): string {
  const { bytesPerDay, files, rounds } = rolling;
  const budget = Number(bytesPerDay);
  if (budget === 0) return 'nothing is read again in the background';
  const round = Number(rounds);
  const earlier = round === 0 ? '' : `, ${formatCount(round)} times before`;
  return `${formatShare(Number(files), filesInAll)} read again in the background, ${formatBytes(budget)} a day${earlier}`;
}

function unreadableRows(paths: readonly unknown[]): string[][] {
  return paths.slice(0, unreadableShown).map((each) => {
    const { path, code } = asRecord(each, 'unreadable path');
    return ['', `cannot be read (${asText(code, 'code')}): ${asText(path, 'path')}`];
  });
}
