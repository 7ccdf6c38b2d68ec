/** The part of a check that looks at snapshots: every tree and recipe can be read, every block is there. */
import type { Digest } from '../core/digest.ts';
import { digestHex } from '../core/digest.ts';
import { checkInterrupted } from '../core/errors.ts';
import type { ObjectKind } from '../core/ports.ts';
import { decodeRecipe, isBlock, type Segment } from '../core/recipe.ts';
import type { SnapshotRecord } from '../core/snapshot.ts';
import { decodeTree, type FileEntry, type TreeEntry } from '../core/tree.ts';
import type { CheckOptions, CheckParts } from './check-parts.ts';
import { addAffected, type CheckFinding, type CheckFindings } from './check-report.ts';
import { saysDamage } from './damage.ts';
import { RowSet } from './entry-table.ts';
import { packName, snapshotName } from './layout.ts';
import { SnapshotList } from './snapshots.ts';

export async function checkSnapshots(
  parts: CheckParts,
  options: CheckOptions,
  findings: CheckFindings,
): Promise<{ snapshots: number; objects: number }> {
  const list = new SnapshotList(parts.backend, parts.keys);
  const records = await list.read();
  for (const { file, message } of list.notices) findings.damage(file, message);
  const walk = new SnapshotWalk(parts, options, findings);
  for (const [position, record] of records.entries()) {
    options.onProgress?.({ stage: 'snapshots', done: position, total: records.length });
    await walk.snapshot(record);
  }
  options.onProgress?.({ stage: 'snapshots', done: records.length, total: records.length });
  return { snapshots: records.length, objects: walk.objects };
}

/** What snapshots share is walked once if it is whole, and for each of them if not, to name their paths. */
class SnapshotWalk {
  readonly #parts: CheckParts;
  readonly #options: CheckOptions;
  readonly #findings: CheckFindings;
  /** Objects below which everything is there. */
  readonly #whole: Record<ObjectKind, RowSet> = { tree: new RowSet(), recipe: new RowSet() };
  #record: SnapshotRecord | undefined;

  constructor(parts: CheckParts, options: CheckOptions, findings: CheckFindings) {
    this.#parts = parts;
    this.#options = options;
    this.#findings = findings;
  }

  get objects(): number {
    return this.#whole.tree.size + this.#whole.recipe.size;
  }

  async snapshot(record: SnapshotRecord): Promise<void> {
    this.#record = record;
    await this.#tree(record.root.tree, Buffer.alloc(0));
  }

  /** Whether everything below a tree is there. `path` is that of its directory. */
  async #tree(digest: Digest, path: Buffer): Promise<boolean> {
    checkInterrupted(this.#options.signal);
    if (this.#isWhole('tree', digest)) return true;
    const bytes = await this.#object('tree', digest, path);
    const entries = bytes && this.#decoded('tree', digest, path, () => decodeTree(bytes));
    if (!entries) return false;
    await this.#prefetch(entries);
    let whole = true;
    for (const entry of entries) {
      const name = path.byteLength === 0 ? entry.name : Buffer.concat([path, Buffer.from('/'), entry.name]);
      if (entry.kind === 'directory') whole = (await this.#tree(entry.tree, Buffer.from(name))) && whole;
      else if (entry.kind === 'file') whole = (await this.#file(entry, Buffer.from(name))) && whole;
    }
    if (whole) this.#markWhole('tree', digest);
    return whole;
  }

  async #file(entry: FileEntry, path: Buffer): Promise<boolean> {
    const { content } = entry;
    if ('missing' in content) return true;
    if ('segments' in content) return this.#segments(content.segments, path);
    const digest = content.recipe;
    if (this.#isWhole('recipe', digest)) return true;
    const bytes = await this.#object('recipe', digest, path);
    const recipe = bytes && this.#decoded('recipe', digest, path, () => decodeRecipe(bytes));
    if (!recipe || !this.#segments(recipe.segments, path)) return false;
    this.#markWhole('recipe', digest);
    return true;
  }

  /** Whether all blocks are there; a path is named once for each damage that touches it. */
  #segments(segments: readonly Segment[], path: Buffer): boolean {
    const touching = new Set<CheckFinding>();
    for (const segment of segments) {
      if (!isBlock(segment)) continue;
      const { digest } = segment;
      const loss = this.#findings.lossOf('block', digest);
      if (loss) touching.add(loss);
      else if (this.#parts.catalog.rowOfHeld('block', digest) < 0) touching.add(this.#absent('block', digest));
    }
    for (const finding of touching) this.#affect(finding, path);
    return touching.size === 0;
  }

  /** The bytes of an object; undefined, with the path named, if it cannot be read. */
  async #object(kind: ObjectKind, digest: Digest, path: Buffer): Promise<Uint8Array | undefined> {
    const loss = this.#findings.lossOf(kind, digest);
    if (loss) {
      this.#affect(loss, path);
      return undefined;
    }
    try {
      const bytes = await this.#parts.reader.read(kind, digest);
      if (!bytes) this.#affect(this.#absent(kind, digest), path);
      return bytes;
    } catch (error) {
      this.#lose(kind, digest, path, error);
      return undefined;
    }
  }

  #decoded<T>(kind: ObjectKind, digest: Digest, path: Buffer, decode: () => T): T | undefined {
    try {
      return decode();
    } catch (error) {
      this.#lose(kind, digest, path, error);
      return undefined;
    }
  }

  #lose(kind: ObjectKind, digest: Digest, path: Buffer, error: unknown): void {
    if (!saysDamage(error)) throw error;
    const pack = this.#parts.catalog.find(kind, digest)?.pack.hash;
    const finding = this.#findings.damage(pack ? packName(pack) : kind, error.message);
    this.#findings.lose(kind, digest, finding);
    this.#affect(finding, path);
  }

  /** The damage of something that is referred to and was never found; one for each entry. */
  #absent(kind: ObjectKind | 'block', digest: Digest): CheckFinding {
    const file = snapshotName(this.#record?.id ?? '');
    const finding = this.#findings.damage(file, `${kind} ${digestHex(digest)} is not in the store`);
    this.#findings.lose(kind, digest, finding);
    return finding;
  }

  #affect(finding: CheckFinding, path: Buffer): void {
    if (!this.#record) return;
    const { id, client, timeNs } = this.#record;
    addAffected(finding, { snapshot: id, client, timeNs, path: new Uint8Array(path) });
  }

  async #prefetch(entries: readonly TreeEntry[]): Promise<void> {
    const trees = entries.flatMap((entry) => (entry.kind === 'directory' ? [entry.tree] : []));
    const recipes = entries.flatMap((entry) =>
      entry.kind === 'file' && 'recipe' in entry.content ? [entry.content.recipe] : [],
    );
    const fresh = (kind: ObjectKind) => (digest: Digest) => !this.#isWhole(kind, digest);
    await this.#parts.reader.prefetch('tree', trees.filter(fresh('tree')), this.#options);
    await this.#parts.reader.prefetch('recipe', recipes.filter(fresh('recipe')), this.#options);
  }

  #isWhole(kind: ObjectKind, digest: Digest): boolean {
    const row = this.#parts.catalog.tables[kind].find(digest);
    return row >= 0 && this.#whole[kind].has(row);
  }

  #markWhole(kind: ObjectKind, digest: Digest): void {
    const row = this.#parts.catalog.tables[kind].find(digest);
    if (row >= 0) this.#whole[kind].add(row);
  }
}
