/** The demo's story: a network of three clients, a snapshot of one, a day's work, a second snapshot. */
import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { formatShare } from '../../src/commands/sizes.ts';
import { openLocalBackend } from '../../src/store/local-backend.ts';
import { openStore } from '../../src/store/store.ts';
import { type Daemon, type Message, type RunOptions, runCovaultWell, startCovault } from '../covault-process.ts';
import { chooseFiles, listRealFiles, pathOnDisk, type RealFile } from './choose-files.ts';
import { addOddities, addOwnFiles, changeThings, copyFiles } from './fill.ts';
import { type ClientName, clientNames, type Level, type Network, startNetwork, waitUntilPublished } from './network.ts';
import { addContents, type KnownContents, nothingKnown } from './only-at-source.ts';
import type { SnapshotStory } from './report.ts';
import type { StageDisplay } from './stage-display.ts';
import { countTreeBytes } from './tree-bytes.ts';

export interface StoryOptions {
  /** Empty; everything is made below it. */
  directory: string;
  /** A folder of real files, copied to the clients. */
  packages: string;
  display: StageDisplay;
  signal: AbortSignal;
}

const source: ClientName = 'laptop';
/** Nothing here is worth protecting. */
const password = 'demo';
const comparePath = fileURLToPath(new URL('compare.ts', import.meta.url));

/** Everything that later steps need of earlier ones. */
interface Scene extends StoryOptions {
  run: RunOptions;
  network: Network;
  store: string;
  files: RealFile[];
  known: KnownContents;
  treesSeen: Set<string>;
}

export async function tellStory(options: StoryOptions): Promise<SnapshotStory[]> {
  const { directory, display, signal } = options;
  const run: RunOptions = { env: { TMPDIR: directory, COVAULT_PASSWORD: password } };
  const daemons: Daemon[] = [];
  try {
    const network = await display.run('starting a repository and three clients', undefined, () =>
      startNetwork(directory, run, (daemon) => daemons.push(daemon)),
    );
    signal.throwIfAborted();
    const files = listRealFiles(options.packages);
    const store = join(directory, 'store');
    const scene = { ...options, run, network, store, files, known: nothingKnown(), treesSeen: new Set<string>() };
    for (const name of clientNames) await fillClient(scene, name);
    await waitForAll(scene);
    await learnOthers(scene);
    const first = await makeSnapshot(scene, []);
    const before = await display.run("a day's work on the laptop", undefined, () =>
      changeThings(network.clients[source].mountpoint, files),
    );
    await waitForAll(scene);
    return [first, await makeSnapshot(scene, before)];
  } finally {
    // The repository last: the clients have things to tell it.
    for (const daemon of daemons.toReversed()) await daemon.stop();
  }
}

async function fillClient(scene: Scene, name: ClientName): Promise<void> {
  const { files, network, display, signal, packages } = scene;
  const shares = { laptop: { ofTen: 10, phase: 0 }, desktop: { ofTen: 7, phase: 3 }, server: { ofTen: 6, phase: 0 } };
  const chosen = chooseFiles(files, shares[name]);
  const { mountpoint } = network.clients[name];
  await display.run(`filling ${name}: ${chosen.length} files`, distinctBytes(chosen), async (stage) => {
    await copyFiles({ directory: mountpoint, source: packages, files: chosen, onFile: stage.add, signal });
    const original = archivedFile(files, clientNames.indexOf(name));
    await addOwnFiles(mountpoint, name, pathOnDisk(packages, original.path));
    if (name === source) await addOddities(mountpoint);
  });
}

function distinctBytes(files: readonly RealFile[]): number {
  return [...new Map(files.map(({ identity, bytes }) => [identity, bytes])).values()].reduce((a, b) => a + b, 0);
}

/** Another large file for each client. */
function archivedFile(files: readonly RealFile[], rank: number): RealFile {
  const distinct = [...new Map(files.map((file) => [file.identity, file])).values()];
  const file = distinct.sort((a, b) => b.bytes - a.bytes)[rank];
  if (file === undefined) throw new Error('there are too few packages: run `npm ci`');
  return file;
}

async function waitForAll({ network, run, display, signal }: Scene): Promise<void> {
  await display.run('indexing, and telling the repository', undefined, async ({ tell }) => {
    for (const name of clientNames) {
      const onLevel = ({ filesWaiting }: Level) => tell(`${name}: ${filesWaiting} files to hash`);
      await waitUntilPublished(network.clients[name].state, { ...run, signal, onLevel });
    }
  });
}

/** What the other clients hold, found without Covault. */
async function learnOthers({ network, known, display, signal }: Scene): Promise<void> {
  await display.run('hashing what the other clients hold, to check against', undefined, async ({ add }) => {
    for (const name of clientNames) {
      if (name !== source) await addContents(network.clients[name].mountpoint, known, { onBytes: add, signal });
    }
  });
}

async function makeSnapshot(scene: Scene, before: readonly string[]): Promise<SnapshotStory> {
  const { network, store, run, display, signal, directory, known } = scene;
  const { mountpoint } = network.clients[source];
  const summary: Message = await display.run(`snapshot of the ${source}`, undefined, (stage) => {
    const words = ['snapshot', source, '--to', store, '--state', network.secondaryState];
    const onMessage = (message: Message) => {
      if (message.type !== 'progress') return;
      if (message.phase === 'pull') stage.set(message.done, message.total, describeShares(message));
      else stage.tell(message.phase);
    };
    return runCovaultWell(words, { ...run, onMessage, signal });
  });
  const compared = await display.run('browsing it and comparing', summary.bytes, async (stage) => {
    const view = join(directory, 'view');
    await mkdir(view, { recursive: true });
    const browser = await startCovault(['browse', store, view], run);
    try {
      return await compareInOwnProcess(mountpoint, join(view, source, 'latest'), stage.set, signal);
    } finally {
      await browser.stop();
    }
  });
  const onlyAtSource = await display.run('hashing what only the laptop holds, to check', undefined, async ({ add }) => {
    const { blockBytes, recipeBytes } = await addContents(mountpoint, known, { onBytes: add, signal });
    return blockBytes + recipeBytes + (await newTreeBytes(scene, summary.snapshot));
  });
  return {
    client: source,
    files: summary.files,
    bytes: summary.bytes,
    bytesFromSource: summary.fromSource,
    bytesFromPeers: summary.peers.reduce((sum: number, { bytes }: { bytes: number }) => sum + bytes, 0),
    bytesOnlyAtSource: onlyAtSource,
    storedBytes: summary.storedBytes,
    seconds: summary.seconds,
    identical: compared.identical === true,
    peers: summary.peers,
    before,
    differences: compared.differences,
  };
}

/** Who has sent how much so far. */
function describeShares({ done, peers, sourceBytes }: Message): string {
  const shares = [...peers, { peer: source, bytes: sourceBytes }];
  return shares
    .map(({ peer, bytes }: { peer: string; bytes: number }) => `${peer} ${formatShare(bytes, done)}`)
    .join(' · ');
}

async function newTreeBytes({ store, treesSeen }: Scene, snapshot: string): Promise<number> {
  const opened = await openStore({ backend: openLocalBackend(store), password });
  try {
    const record = (await opened.listSnapshots()).find(({ id }) => id === snapshot);
    if (record === undefined) throw new Error(`the store does not list snapshot ${snapshot}`);
    return await countTreeBytes(opened, record.root.tree, treesSeen);
  } finally {
    await opened.close();
  }
}

function compareInOwnProcess(
  a: string,
  b: string,
  onBytes: (bytes: number) => void,
  signal: AbortSignal,
): Promise<{ identical: boolean; differences: string[] }> {
  return new Promise((resolve, reject) => {
    let last = '';
    const child = execFile(process.execPath, [comparePath, a, b], { signal, maxBuffer: 1 << 26 }, (error) => {
      if (error) reject(error);
      else resolve(JSON.parse(last));
    });
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
      last = line;
      if (/^\d+$/.test(line)) onBytes(Number(line));
    });
  });
}
