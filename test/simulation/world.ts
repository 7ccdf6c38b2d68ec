/** One simulated domain: a repository, clients with files, secondaries; made from a seed. */
import { digestHex, digestKey } from '../../src/core/digest.ts';
import { decodeTree, type FileEntry } from '../../src/core/tree.ts';
import type { SnapshotOutcome, TakeOptions } from '../../src/snapshot/take.ts';
import { VirtualTime } from '../snapshot/virtual-time.ts';
import { lies, SimClient } from './client.ts';
import { Contents, type PackedFiles, type SimFiles } from './content.ts';
import { SimNetwork } from './network.ts';
import { SeededRandom } from './random.ts';
import { SimRepository } from './repository.ts';
import { SimSecondary } from './secondary.ts';
import { objectKey } from './store.ts';

const sourceName = 'laptop';
const breachesMax = 20;
/** Leases are renewed and feeds level so soon after the last fault, milliseconds. */
const recoveryMs = 40_000;

export class World {
  readonly random: SeededRandom;
  readonly time: VirtualTime;
  readonly network: SimNetwork;
  readonly contents: Contents;
  readonly repository: SimRepository;
  readonly clients = new Map<string, SimClient>();
  readonly secondaries: SimSecondary[] = [];
  readonly source: SimClient;
  /** From then on nothing goes wrong any more. */
  readonly healedMs: number;
  /** Promises that were broken, as sentences. */
  readonly breaches: string[] = [];
  /** Of everything that arrived anywhere, in its order. */
  traceHash = 0x811c9dc5;
  #nextBlock = 1;
  /** When the source's files changed. */
  #sourceChangedAtMs = Number.NEGATIVE_INFINITY;

  constructor(seed: number) {
    this.random = new SeededRandom(seed);
    const { random } = this;
    this.time = new VirtualTime({ isCoarse: random.chance(0.2) });
    this.network = new SimNetwork({
      time: this.time,
      random,
      record: (line) => this.#record(line),
      onDefect: (error, where) => {
        const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
        this.breach(`a defect in ${where}: ${text}`);
      },
    });
    this.healedMs = random.pick([5_000, 20_000, 60_000]);
    this.contents = new Contents(Math.round(random.magnitude(2_000, 300_000)));
    this.repository = new SimRepository(this.network);
    const sourceFiles = this.#sourceFiles();
    this.source = this.#addClient(sourceName, sourceFiles);
    const peerCount = random.between(0, 6);
    for (let peer = 1; peer <= peerCount; peer++) {
      const client = this.#addClient(`peer-${peer}`, this.#similarFiles(sourceFiles));
      if (random.chance(0.15)) client.lie = random.pick(lies);
    }
  }

  breach = (sentence: string): void => {
    if (this.breaches.length < breachesMax) {
      this.breaches.push(`${Math.round(this.time.monotonicMs())} ms: ${sentence}`);
    }
  };

  /** Starts the repository and everybody else. */
  async start(): Promise<void> {
    const { random } = this;
    const count = random.chance(0.3) ? 2 : 1;
    for (let number = 1; number <= count; number++) this.secondaries.push(this.#makeSecondary(`vault-${number}`));
    await this.repository.enrol([...this.clients.values(), ...this.secondaries].map(({ host }) => host));
    this.repository.copy();
    await this.repository.start();
    for (const client of this.clients.values()) client.start(this.repository.host.url);
    for (const secondary of this.secondaries) secondary.start();
  }

  /** Writes, copies and removes some files of a client. */
  changeFiles(client: SimClient): void {
    const { random } = this;
    const changes = new Map<string, readonly number[] | undefined>();
    for (let turn = random.between(1, 4); turn > 0; turn--) {
      const path = random.pick([...client.files.keys(), `new-${random.below(3)}`]);
      const before = client.files.get(path) ?? [];
      const other = random.pick([...this.clients.values()]);
      const kind = random.below(5);
      if (kind === 0) changes.set(path, before.length === 0 ? this.#newBlocks(3) : undefined);
      else if (kind === 1) changes.set(path, [...before, ...this.#newBlocks(2)]);
      else if (kind === 2) changes.set(path, this.#edited(before));
      else if (kind === 3) changes.set(path, client.before.get(path));
      else for (const [theirs, blocks] of random.some([...other.files], 0.2)) changes.set(theirs, blocks);
    }
    if (client === this.source) this.#sourceChangedAtMs = this.time.monotonicMs();
    client.change(changes);
  }

  #record(line: string): void {
    let hash = this.traceHash;
    for (let at = 0; at < line.length; at++) hash = Math.imul(hash ^ line.charCodeAt(at), 0x01000193);
    this.traceHash = hash >>> 0;
  }

  #addClient(name: string, files: SimFiles): SimClient {
    const { random } = this;
    const client = new SimClient(this.network, this.contents, {
      name,
      up: Math.round(random.magnitude(100e3, 5e6)),
      down: Math.round(random.magnitude(500e3, 5e6)),
      files,
      cutsPreserve: random.chance(0.5),
      digestsPerRequest: random.pick([4, 16, 1000]),
    });
    this.clients.set(name, client);
    return client;
  }

  #makeSecondary(name: string): SimSecondary {
    const { random } = this;
    const bounds: NonNullable<TakeOptions['bounds']> = {
      ...(random.chance(0.2) ? { sourceBytesPerSecondMax: random.magnitude(50e3, 5e6) } : {}),
      ...(random.chance(0.1) ? { sourceFreeAtMs: random.below(120_000) } : {}),
      // The usual bound is more than a handful of peers can be asked at once.
      ...(random.chance(0.3) ? { requestsMax: random.between(1, 8) } : {}),
    };
    return new SimSecondary(this.network, {
      name,
      up: Math.round(random.magnitude(500e3, 5e6)),
      down: Math.round(random.magnitude(500e3, 20e6)),
      healedMs: this.healedMs,
      wellFromMs: this.healedMs + recoveryMs,
      mayBePacked: this.contents.mayBePacked,
      source: this.source,
      clients: this.clients,
      repositoryUrl: 'https://repository.sim:9999',
      bounds,
      breach: this.breach,
      // Somebody works on the source's files.
      beforeTake: () => {
        if (random.chance(0.5)) this.changeFiles(this.source);
      },
      onTaken: (secondary, outcome, startMs) => this.#checkTaken(secondary, outcome, startMs),
    });
  }

  /** A sealed snapshot is one of the cuts, but for files that it names. */
  #checkTaken({ name, store }: SimSecondary, { record }: SnapshotOutcome, startMs: number): void {
    const cut = this.source.cutRoots.find(({ root }) => Buffer.compare(root.tree, record.root.tree) === 0);
    if (cut !== undefined) return;
    if (record.exceptions.length === 0) this.breach(`${name} sealed ${digestHex(record.root.tree)}, which is no cut`);
    const isDisturbed =
      this.#sourceChangedAtMs >= startMs || this.source.host.troubles > 0 || this.source.host.troubledAtMs >= startMs;
    if (!isDisturbed) this.breach(`${name} sealed a snapshot with gaps of a source that nothing happened to`);
    const excused = new Set(record.exceptions.map(({ path }) => Buffer.from(path).toString()));
    const possible = new Set(this.source.cutRoots.flatMap((packed) => [...this.#filesOf(packed)]));
    for (const [path, content] of filesBelow(record.root.tree, (digest) => {
      return store.durable.objects.get(objectKey('tree', digest));
    })) {
      if (content === 'missing' ? excused.has(path) : possible.has(`${path} ${content}`)) continue;
      this.breach(
        `${name} sealed ${path} with ${content === 'missing' ? 'an unnamed gap' : 'what it never contained'}`,
      );
    }
  }

  *#filesOf(packed: PackedFiles): Generator<string> {
    const read = (digest: Uint8Array) => packed.trees.get(digestKey(digest));
    for (const [path, content] of filesBelow(packed.root.tree, read)) yield `${path} ${content}`;
  }

  #sourceFiles(): SimFiles {
    const { random } = this;
    const files = new Map<string, readonly number[]>();
    const fileCount = random.pick([0, 5, 15, 40]);
    for (let file = 0; file < fileCount; file++) {
      const directory = random.pick(['', 'a/', 'a/b/', 'c/']);
      files.set(`${directory}file-${file}`, this.#newBlocks(random.pick([1, 4, 12, 12])));
    }
    return files;
  }

  /** What a peer has: some of the source's files, whole or edited, and some of its own. */
  #similarFiles(files: SimFiles): SimFiles {
    const { random } = this;
    const overlap = random.pick([0, 0.5, 0.9, 1]);
    const some = random.some([...files], overlap);
    const copied = some.map(([path, blocks]): [string, readonly number[]] => [
      path,
      random.chance(0.2) ? this.#edited(blocks) : blocks,
    ]);
    return new Map([...copied, [`own-${this.#nextBlock}`, this.#newBlocks(3)]]);
  }

  #newBlocks(most: number): number[] {
    const count = this.random.between(0, most);
    return Array.from({ length: count }, () => (this.random.chance(0.05) ? 0 : this.#nextBlock++));
  }

  #edited(blocks: readonly number[]): readonly number[] {
    const { random } = this;
    return blocks.map((block) => (random.chance(0.3) ? this.#nextBlock++ : block));
  }
}

/** Paths of files below a tree, with their contents as text. */
function* filesBelow(
  root: Uint8Array,
  read: (digest: Uint8Array) => Uint8Array | undefined,
): Generator<[path: string, content: string]> {
  const trees = [{ digest: root, prefix: '' }];
  for (let at = trees.pop(); at !== undefined; at = trees.pop()) {
    for (const entry of decodeTree(read(at.digest) ?? new Uint8Array())) {
      const path = at.prefix + Buffer.from(entry.name).toString();
      if (entry.kind === 'directory') trees.push({ digest: entry.tree, prefix: `${path}/` });
      if (entry.kind === 'file') yield [path, textOf(entry)];
    }
  }
}

function textOf({ content }: FileEntry): string {
  if ('missing' in content) return 'missing';
  if ('recipe' in content) return digestHex(content.recipe);
  return content.segments.map(({ digest, length }) => (digest ? digestHex(digest) : `hole of ${length}`)).join(' ');
}
