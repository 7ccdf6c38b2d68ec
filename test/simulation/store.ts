/** A simulated store: what is durable survives its writer; what is not, goes with it. Notes every promise broken. */
import { type Digest, type DigestKey, digestHex, digestKey, digestsEqual } from '../../src/core/digest.ts';
import { CovaultError } from '../../src/core/errors.ts';
import type { ObjectKind, SnapshotSink } from '../../src/core/ports.ts';
import { type Block, decodeRecipe, isBlock, type Segment } from '../../src/core/recipe.ts';
import type { SnapshotRecord } from '../../src/core/snapshot.ts';
import { decodeTree } from '../../src/core/tree.ts';
import { simDigester } from './content.ts';
import type { SimProcess } from './process.ts';
import type { SeededRandom } from './random.ts';

interface Kept {
  blocks: Set<DigestKey>;
  objects: Map<string, Uint8Array>;
}

const packBytes = 1024 * 1024;

export class SimStore {
  readonly durable: Kept = { blocks: new Set(), objects: new Map() };
  readonly records: SnapshotRecord[] = [];
  /** Objects below which everything is there. */
  readonly complete = new Set<string>();
  /** Whether there is room on the disk. */
  isFull = false;
  storingMost = 0;
  readonly random: SeededRandom;
  readonly breach: (sentence: string) => void;

  constructor(random: SeededRandom, breach: (sentence: string) => void) {
    this.random = random;
    this.breach = breach;
  }

  openWriter(process: SimProcess): SimWriter {
    return new SimWriter(this, process);
  }

  /** What a sealed snapshot refers to and the store lacks; everything found is complete from then on. */
  missingBelow(root: Digest): string | undefined {
    const objects: { kind: ObjectKind; digest: Digest }[] = [{ kind: 'tree', digest: root }];
    const found: string[] = [];
    for (let at = objects.pop(); at !== undefined; at = objects.pop()) {
      const key = objectKey(at.kind, at.digest);
      const bytes = this.durable.objects.get(key);
      if (bytes === undefined) return `${at.kind} ${digestHex(at.digest)}`;
      found.push(key);
      const segments: Segment[] = at.kind === 'recipe' ? decodeRecipe(bytes).segments : [];
      if (at.kind === 'tree') {
        for (const entry of decodeTree(bytes)) {
          if (entry.kind === 'directory') objects.push({ kind: 'tree', digest: entry.tree });
          if (entry.kind !== 'file' || 'missing' in entry.content) continue;
          if ('recipe' in entry.content) objects.push({ kind: 'recipe', digest: entry.content.recipe });
          else segments.push(...entry.content.segments);
        }
      }
      const lacking = segments.find(
        (segment) => isBlock(segment) && !this.durable.blocks.has(digestKey(segment.digest)),
      );
      if (lacking?.digest) return `block ${digestHex(lacking.digest)}`;
    }
    for (const key of found) this.complete.add(key);
    return undefined;
  }
}

export class SimWriter implements SnapshotSink {
  readonly #store: SimStore;
  readonly #process: SimProcess;
  #fresh: Kept = { blocks: new Set(), objects: new Map() };
  readonly #added = new Set<string>();
  #freshBytes = 0;
  #storing = 0;
  #storedBytes = 0;

  constructor(store: SimStore, process: SimProcess) {
    this.#store = store;
    this.#process = process;
  }

  hasBlock(digest: Digest): boolean {
    const key = digestKey(digest);
    return this.#store.durable.blocks.has(key) || this.#fresh.blocks.has(key);
  }

  hasObject(kind: ObjectKind, digest: Digest): boolean {
    const key = objectKey(kind, digest);
    return this.#added.has(key) || this.#store.complete.has(key);
  }

  async readObject(kind: ObjectKind, digest: Digest): Promise<Uint8Array> {
    const key = objectKey(kind, digest);
    const bytes = this.#fresh.objects.get(key) ?? this.#store.durable.objects.get(key);
    if (bytes === undefined) throw new CovaultError('E_NOT_FOUND', `no ${kind} ${digestHex(digest)}`);
    return bytes;
  }

  async addBlock(block: Block, bytes: Uint8Array): Promise<void> {
    const { breach } = this.#store;
    if (bytes.byteLength !== block.length || !digestsEqual(simDigester.digest(bytes), block.digest)) {
      breach(`wrong bytes are stored for block ${digestHex(block.digest)}`);
    }
    if (this.hasBlock(block.digest)) breach(`block ${digestHex(block.digest)} is stored twice`);
    this.#storing += 1;
    this.#store.storingMost = Math.max(this.#store.storingMost, this.#storing);
    await this.#write(bytes.byteLength);
    this.#storing -= 1;
    this.#fresh.blocks.add(digestKey(block.digest));
    if (this.#freshBytes >= packBytes) this.#makeDurable(this.#fresh);
  }

  async addObject(kind: ObjectKind, digest: Digest, bytes: Uint8Array): Promise<void> {
    if (!digestsEqual(simDigester.digest(bytes), digest)) {
      this.#store.breach(`wrong bytes are stored for ${kind} ${digestHex(digest)}`);
    }
    await this.#write(bytes.byteLength);
    const key = objectKey(kind, digest);
    this.#fresh.objects.set(key, Uint8Array.from(bytes));
    this.#added.add(key);
  }

  async flush(): Promise<void> {
    const before = this.#fresh;
    const begun: Kept = { blocks: new Set(before.blocks), objects: new Map(before.objects) };
    await this.#write(0);
    this.#makeDurable(begun);
  }

  storedBytes(): number {
    return this.#storedBytes;
  }

  async seal(record: SnapshotRecord): Promise<SnapshotRecord> {
    await this.flush();
    const missing = this.#store.missingBelow(record.root.tree);
    if (missing !== undefined) {
      this.#store.breach(`a snapshot is to be sealed without ${missing}`);
      throw new CovaultError('E_CORRUPT', `${missing} is missing`);
    }
    await this.#write(100);
    this.#store.records.push(record);
    return record;
  }

  async #write(bytes: number): Promise<void> {
    const { random } = this.#store;
    // Mostly at once; now and then a disk thinks about it.
    if (random.chance(0.1)) await this.#process.work(random.magnitude(1, 300));
    else await this.#process.guard(Promise.resolve());
    if (this.#store.isFull) throw new CovaultError('E_NO_SPACE', 'the simulated disk is full');
    this.#freshBytes += bytes;
    this.#storedBytes += bytes;
  }

  #makeDurable(kept: Kept): void {
    const { durable } = this.#store;
    for (const key of kept.blocks) durable.blocks.add(key);
    for (const [key, bytes] of kept.objects) durable.objects.set(key, bytes);
    if (kept !== this.#fresh) {
      for (const key of kept.blocks) this.#fresh.blocks.delete(key);
      for (const key of kept.objects.keys()) this.#fresh.objects.delete(key);
    } else {
      this.#fresh = { blocks: new Set(), objects: new Map() };
    }
    this.#freshBytes = 0;
  }
}

export function objectKey(kind: ObjectKind, digest: Digest): string {
  return `${kind} ${digestKey(digest)}`;
}
