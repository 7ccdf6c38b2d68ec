/**
 * What knowing the changes costs: few files of many, a large file with small writes, a renamed directory, and new files.
 * Covault's time is that from the start of `covault snapshot` until it says what must be pulled; restic's and Borg's that
 * of a further backup of the same data directory, without Covault in between, into a repository on the same disk.
 */
import { mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { median } from '../measure.ts';
import { changeSmallFiles, makeLargeFiles, makeSmallFiles, writeRandomly } from './data.ts';
import { BenchDomain, type Planned } from './domain.ts';
import { measureIndexing } from './indexing.ts';
import { peersFor } from './peers.ts';

export interface ChangesBenchOptions {
  json: boolean;
  /** Small files; a third of them is in the directory that is renamed. */
  files: number;
  /** Bytes of the large file, and of the new files. */
  largeBytes: number;
  streamBytes: number;
  rounds: number;
  directory: string | undefined;
  only: string;
  /** The store has a password as people think of them, not one that was made for it. */
  hasPersonsPassword: boolean;
}

/** Of these many small files so many change. */
const filesChanged = 100;
const writes = { count: 1000, bytesEach: 4096 };

interface Context extends ChangesBenchOptions {
  scratch: string;
}

const parts: Record<string, (context: Context) => Promise<Record<string, unknown>>> = {
  small: benchSmallFiles,
  bigFile: benchLargeFile,
  indexing: benchIndexing,
};

export async function benchChanges(options: ChangesBenchOptions): Promise<void> {
  const results: Record<string, unknown> = {};
  for (const [name, bench] of Object.entries(parts)) {
    if (!name.includes(options.only)) continue;
    const scratch = await mkdtemp(join(options.directory ?? tmpdir(), 'covault-bench-'));
    try {
      Object.assign(results, await bench({ ...options, scratch }));
    } finally {
      await rm(scratch, { recursive: true, force: true });
    }
  }
  if (options.json) process.stdout.write(`${JSON.stringify(results)}\n`);
}

function note(text: string): void {
  process.stderr.write(`${text}\n`);
}

function notePlan(what: string, { planSeconds, seconds, steps, plan }: Planned): void {
  note(`${what}: plan after ${planSeconds.toFixed(2)} s, sealed after ${seconds.toFixed(2)} s, ${plan.bytes} bytes`);
  note(`  ${steps.join(', ')}`);
}

/** `few` and `rename`, over the same tree. */
async function benchSmallFiles(context: Context): Promise<Record<string, unknown>> {
  const { scratch, files, rounds } = context;
  const data = join(scratch, 'data');
  await mkdir(data);
  await makeSmallFiles(data, files);
  note(`made ${files} files`);
  const peers = peersFor(data, scratch);
  for (const peer of peers) await peer.begin();
  const domain = await BenchDomain.start(scratch, data, context.hasPersonsPassword);
  try {
    notePlan('first snapshot', await domain.snapshot());
    const seconds: Record<string, number[]> = { covault: [], covaultSealed: [], restic: [], borg: [] };
    for (let round = 0; round < rounds; round++) {
      await changeSmallFiles(domain.mountpoint, files, filesChanged, `round ${round}`);
      const planned = await domain.snapshot();
      notePlan('few', planned);
      seconds.covault?.push(planned.planSeconds);
      seconds.covaultSealed?.push(planned.seconds);
      for (const peer of peers) {
        const each = await peer.again();
        seconds[peer.name]?.push(each);
        note(`few: ${peer.name} ${each.toFixed(2)} s`);
      }
    }
    for (const peer of peers) await peer.remove();
    const few = Object.fromEntries(Object.entries(seconds).map(([name, all]) => [name, median(all)]));
    const { blockPlaces = 0 } = await domain.indexStatus();
    const indexBytesPerMillionBlocks = { smallFiles: ((await domain.indexBytes()) / blockPlaces) * 1e6 };
    return { few, rename: await benchRename(domain, context), indexBytesPerMillionBlocks };
  } finally {
    await domain.stop();
  }
}

/** Directories `d0`, `d1` … have 10,000 files each: as many as make a third of all are moved as one. */
async function benchRename(domain: BenchDomain, { files }: Context): Promise<Record<string, unknown>> {
  const moved = Math.max(1, Math.round(files / 3 / 10_000));
  const within = (name: string) => join(domain.mountpoint, name);
  await mkdir(within('many'));
  for (let number = 0; number < moved; number++) await rename(within(`d${number}`), within(`many/d${number}`));
  await domain.snapshot();
  const { bytesHashed: before = 0 } = await domain.indexStatus();
  await rename(within('many'), within('renamed'));
  const planned = await domain.snapshot();
  notePlan('rename', planned);
  const { bytesHashed = 0 } = await domain.indexStatus();
  return { covault: planned.planSeconds, bytesHashed: bytesHashed - before, files: Math.min(files, moved * 10_000) };
}

/** One after the other, each from its own first backup, so that the disk need not hold all copies at once. */
async function benchLargeFile(context: Context): Promise<Record<string, unknown>> {
  const { scratch, largeBytes } = context;
  const data = join(scratch, 'data');
  await mkdir(data);
  await makeLargeFiles(data, largeBytes, largeBytes);
  const change = (path: string, round: string) =>
    writeRandomly(join(path, 'large-0'), { fileBytes: largeBytes, ...writes, round });
  const figures: Record<string, unknown> = {};
  const domain = await BenchDomain.start(scratch, data, context.hasPersonsPassword);
  try {
    await domain.snapshot();
    const { bytesHashed: before = 0 } = await domain.indexStatus();
    await change(domain.mountpoint, 'covault');
    const planned = await domain.snapshot();
    notePlan('bigFile', planned);
    const { bytesHashed = 0 } = await domain.indexStatus();
    Object.assign(figures, { covault: planned.planSeconds, covaultSealed: planned.seconds });
    Object.assign(figures, { bytesReread: bytesHashed - before, bytesPulled: planned.plan.bytes });
  } finally {
    await domain.stop();
  }
  await rm(join(scratch, 'store'), { recursive: true, force: true });
  for (const peer of peersFor(data, scratch)) {
    await peer.begin();
    await change(data, peer.name);
    figures[peer.name] = await peer.again();
    note(`bigFile: ${peer.name} ${Number(figures[peer.name]).toFixed(2)} s`);
    await peer.remove();
  }
  return { bigFile: figures };
}

async function benchIndexing({ scratch, streamBytes }: Context): Promise<Record<string, unknown>> {
  const data = join(scratch, 'data');
  await mkdir(data);
  await makeLargeFiles(data, streamBytes, 1024 * 1024);
  const indexing = await measureIndexing(data, scratch);
  note(`indexing: ${JSON.stringify(indexing)}`);
  return { indexing };
}
