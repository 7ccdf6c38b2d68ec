/** A client whose data directory is a map in memory, served over real HTTPS. */
import type { TestContext } from 'node:test';
import { randomId } from '../../src/core/clock.ts';
import { type Digest, type Digester, type DigestKey, digestKey } from '../../src/core/digest.ts';
import type { BlockSource, Cut, CutSource } from '../../src/core/ports.ts';
import { encodeRecipe, type Recipe } from '../../src/core/recipe.ts';
import { type DirectoryEntry, encodeTree, type TreeEntry } from '../../src/core/tree.ts';
import { type Server, startServer } from '../../src/remote/server.ts';
import { openServing, type Serving, type ServingOptions } from '../../src/snapshot/serve.ts';
import type { TestDomain } from '../remote/test-domain.ts';

export const blockBytes = 4096;
const inlineMax = 4;

/** Paths with "/" between names, and contents. Blocks are cut every `blockBytes`. */
export type Files = Map<string, Uint8Array>;

export interface PackedFiles {
  root: DirectoryEntry;
  trees: Map<DigestKey, Uint8Array>;
  recipes: Map<DigestKey, Uint8Array>;
  blocks: Map<DigestKey, Uint8Array>;
}

export class FakeClient implements BlockSource, CutSource {
  readonly name: string;
  readonly files: Files;
  readonly #digester: Digester;
  /** Called before a block is read. */
  beforeRead: (digest: Digest) => void | Promise<void> = () => undefined;
  /** Called before a cut is made. */
  beforeCut: () => void | Promise<void> = () => undefined;
  /** What becomes of a block's bytes before they are sent. */
  spoil: (bytes: Uint8Array) => Uint8Array | undefined = (bytes) => bytes;
  /** Digests that were asked for and sent, with repetitions. */
  readonly sent: DigestKey[] = [];
  /** Requests for a block that have begun. */
  readsBegun = 0;
  cutCount = 0;
  openCutCount = 0;
  /** Blocks of the files as they are; made anew when `files` was changed through `write`. */
  #held: Map<DigestKey, Uint8Array> | undefined;

  constructor(name: string, files: Files, digester: Digester) {
    this.name = name;
    this.files = files;
    this.#digester = digester;
  }

  write(path: string, content: Uint8Array): void {
    this.files.set(path, content);
    this.#held = undefined;
  }

  async readBlock(digest: Digest): Promise<Uint8Array | undefined> {
    this.readsBegun += 1;
    await this.beforeRead(digest);
    this.#held ??= packFiles(this.files, this.#digester).blocks;
    const bytes = this.#held.get(digestKey(digest));
    const sent = bytes && this.spoil(bytes);
    if (sent) this.sent.push(digestKey(digest));
    return sent && new Uint8Array(sent);
  }

  async openCut(): Promise<Cut> {
    await this.beforeCut();
    const packed = packFiles(this.files, this.#digester);
    this.cutCount += 1;
    this.openCutCount += 1;
    return {
      id: randomId(),
      timeNs: BigInt(this.cutCount) * 1_000_000_000n,
      root: packed.root,
      readObject: async (kind, digest) => {
        const bytes = (kind === 'tree' ? packed.trees : packed.recipes).get(digestKey(digest));
        return bytes && new Uint8Array(bytes);
      },
      close: async () => {
        this.openCutCount -= 1;
      },
    };
  }

  /** Digests of blocks and recipes that it holds now. */
  holdings(): Set<DigestKey> {
    const packed = packFiles(this.files, this.#digester);
    return new Set([...packed.blocks.keys(), ...packed.recipes.keys()]);
  }
}

/** A fake client with a server; `restart` gives it another port. */
export class ServedClient {
  readonly client: FakeClient;
  readonly #domain: TestDomain;
  readonly #options: Partial<ServingOptions>;
  #serving: Serving | undefined;
  #server: Server | undefined;

  constructor(client: FakeClient, domain: TestDomain, options: Partial<ServingOptions> = {}) {
    this.client = client;
    this.#domain = domain;
    this.#options = options;
  }

  /** Where it listens, undefined if it does not. */
  get url(): string | undefined {
    return this.#server?.url;
  }

  get serving(): Serving | undefined {
    return this.#serving;
  }

  async start(t: TestContext): Promise<this> {
    this.#serving = openServing({ blocks: this.client, cuts: this.client, ...this.#options });
    this.#server = await startServer({
      identity: await this.#domain.identity(this.client.name, 'client'),
      host: '127.0.0.1',
      port: 0,
      routes: this.#serving.routes,
      closeGraceMs: 0,
    });
    t.after(() => this.stop());
    return this;
  }

  async stop(): Promise<void> {
    const [server, serving] = [this.#server, this.#serving];
    this.#server = undefined;
    this.#serving = undefined;
    await server?.close();
    await serving?.close();
  }
}

export function packFiles(files: Files, digester: Digester): PackedFiles {
  const packed: PackedFiles = {
    root: directory('', new Uint8Array(32)),
    trees: new Map(),
    recipes: new Map(),
    blocks: new Map(),
  };
  packed.root.tree = packTree(files, '', packed, digester);
  return packed;
}

function packTree(files: Files, prefix: string, packed: PackedFiles, digester: Digester): Digest {
  const entries: TreeEntry[] = [];
  const directories = new Set<string>();
  for (const [path, content] of files) {
    if (!path.startsWith(prefix)) continue;
    const [name = '', ...below] = path.slice(prefix.length).split('/');
    if (below.length > 0) directories.add(name);
    else entries.push(packFile(name, content, packed, digester));
  }
  for (const name of directories) entries.push(directory(name, packTree(files, `${prefix}${name}/`, packed, digester)));
  const bytes = encodeTree(entries);
  const digest = digester.digest(bytes);
  packed.trees.set(digestKey(digest), bytes);
  return digest;
}

function packFile(name: string, content: Uint8Array, packed: PackedFiles, digester: Digester): TreeEntry {
  const recipe: Recipe = { size: content.byteLength, segments: [] };
  for (let start = 0; start < content.byteLength; start += blockBytes) {
    const bytes = content.subarray(start, start + blockBytes);
    const digest = digester.digest(bytes);
    packed.blocks.set(digestKey(digest), bytes);
    recipe.segments.push({ digest, length: bytes.byteLength });
  }
  const file = { ...attributes(name), kind: 'file' as const, size: recipe.size };
  if (recipe.segments.length <= inlineMax) return { ...file, content: { segments: recipe.segments } };
  const bytes = encodeRecipe(recipe);
  const digest = digester.digest(bytes);
  packed.recipes.set(digestKey(digest), bytes);
  return { ...file, content: { recipe: digest } };
}

function directory(name: string, tree: Digest): DirectoryEntry {
  return { ...attributes(name), kind: 'directory', tree };
}

function attributes(name: string) {
  return { name: Buffer.from(name), mode: 0o644, uid: 1000, gid: 1000, mtimeNs: 1n, xattrs: [] };
}
