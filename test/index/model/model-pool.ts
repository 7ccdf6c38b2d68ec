/** Answers as the index's threads do, from a directory in memory, which may change between any two answers. */
import { createDigester } from '../../../src/core/digest.ts';
import { type HashTools, hashContent } from '../../../src/index/content-hash.ts';
import type { NodeState } from '../../../src/index/node-state.ts';
import { Recut } from '../../../src/index/recut.ts';
import type { WorkerPool } from '../../../src/index/worker-pool.ts';
import type {
  AnswerTo,
  HashFile,
  HashOutcome,
  ListOutcome,
  ListRequest,
  LookDirectory,
  LookOutcome,
  WorkerRequest,
} from '../../../src/index/worker-protocol.ts';
import { noise, testDomain } from '../index-fixture.ts';
import type { ModelDirectory, Node } from './model-directory.ts';

const tools: HashTools = {
  digester: createDigester(testDomain.digestKey),
  cut: testDomain.cut,
  buffer: Buffer.alloc(1024),
  zeros: Buffer.alloc(testDomain.cut.minBytes),
  checkStopped: () => undefined,
};

/** What the index should say of a file's content. */
export function contentOf({ content, size }: Node) {
  return hashContent(fileOf(noise(content, size)), size, undefined, tools);
}

export interface PoolOptions {
  /** As it is now, or as it was at a cut. */
  at(epoch: number | undefined): ModelDirectory;
  /** Called between two looks. */
  between(): void;
}

export class ModelPool {
  readonly #options: PoolOptions;
  readonly #listings = new Map<bigint, Buffer[]>();
  #unanswered = 0;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  get pool(): WorkerPool {
    return this as unknown as WorkerPool;
  }

  get room(): number {
    return Math.max(0, 2 - this.#unanswered);
  }

  async run<K extends WorkerRequest['kind']>(request: Extract<WorkerRequest, { kind: K }>): Promise<AnswerTo[K]> {
    this.#unanswered++;
    await null;
    const answer = this.#answer(request);
    this.#options.between();
    this.#unanswered--;
    return answer as AnswerTo[K];
  }

  #answer(request: WorkerRequest): unknown {
    switch (request.kind) {
      case 'look':
        return request.directories.map((each) => this.#look(each, request.epoch));
      case 'list':
        return this.#list(request);
      case 'hash':
        return request.files.map((file) => this.#hash(file, request.epoch));
      case 'read':
        return undefined;
    }
  }

  #directory(path: Uint8Array, inode: bigint, epoch: number | undefined): Node | undefined {
    this.#options.between();
    const node = this.#options.at(epoch).at(Buffer.from(path).toString());
    return node?.inode === inode && node.kind === 'directory' ? node : undefined;
  }

  #look({ directory, path, names }: LookDirectory, epoch: number | undefined): LookOutcome {
    if (!this.#directory(path, directory, epoch)) return { directory, kind: 'gone' };
    const states = names.map((name) => this.#stateIn(directory, Buffer.from(name), epoch));
    const self = this.#options.at(epoch).nodes.get(directory);
    return self ? { directory, kind: 'seen', self: stateOf(self), states } : { directory, kind: 'gone' };
  }

  #list({ directory, path, after, entriesMax, epoch }: ListRequest): ListOutcome {
    const opened = this.#directory(path, directory, epoch);
    if (!opened) return { kind: 'gone' };
    const cached = after && this.#listings.get(directory);
    const names = cached ?? [...opened.entries.keys()].map((name) => Buffer.from(name)).sort(Buffer.compare);
    this.#listings.set(directory, names);
    const rest = after ? names.filter((name) => Buffer.compare(name, after) > 0) : names;
    const page = rest.slice(0, entriesMax);
    const entries = page.flatMap((name) => {
      const state = this.#stateIn(directory, name, epoch);
      return state ? [{ name, state }] : [];
    });
    const self = this.#options.at(epoch).nodes.get(directory);
    if (!self) return { kind: 'gone' };
    return { kind: 'listed', self: stateOf(self), entries, last: page.at(-1), more: page.length < rest.length };
  }

  #stateIn(directory: bigint, name: Buffer, epoch: number | undefined): NodeState | undefined {
    this.#options.between();
    const present = this.#options.at(epoch);
    const inode = present.nodes.get(directory)?.entries.get(name.toString());
    const node = inode === undefined ? undefined : present.nodes.get(inode);
    return node && stateOf(node);
  }

  #hash({ inode, path, old }: HashFile, epoch: number | undefined): HashOutcome {
    this.#options.between();
    const node = this.#options.at(epoch).at(Buffer.from(path).toString());
    if (node?.inode !== inode || node.kind !== 'file') return { inode, kind: 'gone' };
    const before = timesOf(node);
    this.#options.between();
    const bytes = noise(node.content, node.size);
    const recut = old && new Recut(old, { unit: tools.cut.minBytes, newSize: before.size });
    const content = hashContent(fileOf(bytes), before.size, recut, tools);
    this.#options.between();
    return { inode, kind: 'read', before, after: timesOf(node), ...content };
  }
}

function fileOf(bytes: Buffer) {
  return {
    read: (into: Uint8Array, at: number, length: number, position: number) =>
      bytes.copy(into, at, position, Math.min(bytes.byteLength, position + length)),
    nextData: (position: number) =>
      position < bytes.byteLength ? { start: position, end: bytes.byteLength } : undefined,
  };
}

function timesOf({ size, mtimeNs, ctimeNs }: Node) {
  return { size, mtimeNs, ctimeNs };
}

function stateOf({ inode, kind, mode, size, mtimeNs, ctimeNs, nlink }: Node): NodeState {
  const none = { uid: 0, gid: 0, rdev: 0n, target: undefined, xattrs: [], isForeign: false };
  return { ...none, inode, kind, mode, size, mtimeNs, ctimeNs, nlink };
}
