/** How fast new files are indexed: by the clock, and by the processor time that the daemon took. */
import { mkdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { runCovaultWell, startCovault } from '../../scripts/covault-process.ts';

export interface Indexing {
  bytes: number;
  seconds: number;
  megabytesPerSecond: number;
  /** Bytes by seconds of processor time of the whole daemon: what one core does that has nothing else to do. */
  megabytesPerSecondOfCore: number;
  indexBytesPerMillionBlocks: number;
}

const pollMs = 50;

/** Mounts `data`, of which nothing is indexed yet, with one hashing thread, and waits until all of it is. */
export async function measureIndexing(data: string, place: string): Promise<Indexing> {
  const state = join(place, 'state');
  const mountpoint = join(place, 'mount');
  await mkdir(mountpoint);
  const daemon = await startCovault(['mount', data, '--at', mountpoint, '--state', state, '--hashing-threads', '1']);
  try {
    const pid = Number(daemon.ready.pid);
    const startMs = performance.now();
    const before = await processorSeconds(pid);
    let index = await indexStatus(state);
    while (index.isLevel !== true) {
      await sleep(pollMs);
      index = await indexStatus(state);
    }
    const seconds = (performance.now() - startMs) / 1000;
    const ofCore = (await processorSeconds(pid)) - before;
    const bytes = Number(index.bytesHashed);
    const indexBytes = (await stat(join(state, 'index', 'data.mdb'))).blocks * 512;
    return {
      bytes,
      seconds,
      megabytesPerSecond: bytes / 1e6 / seconds,
      megabytesPerSecondOfCore: bytes / 1e6 / ofCore,
      indexBytesPerMillionBlocks: (indexBytes / Number(index.blockPlaces)) * 1e6,
    };
  } finally {
    await daemon.stop();
  }
}

async function indexStatus(state: string): Promise<Record<string, unknown>> {
  const { index } = await runCovaultWell(['status', '--state', state]);
  return index;
}

/** Of all threads, user and system. */
async function processorSeconds(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8');
  // The second field, the program's name in parentheses, may have spaces; the ticks are a hundredth of a second.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
