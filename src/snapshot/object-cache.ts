/**
 * Trees and recipes on their way into the store.
 *
 * They are added as they come, before the blocks below them: the store lets nobody rely on them until a snapshot that
 * refers to them is sealed. So this run, too, relies only on objects that were complete before it began; those it
 * added, and those an interrupted run left behind, it descends into.
 */
import { type Digest, type Digester, digestHex, digestsEqual } from '../core/digest.ts';
import { CovaultError, isCovaultError } from '../core/errors.ts';
import type { ObjectKind, SnapshotSink } from '../core/ports.ts';
import type { BlockAnswer } from './channel.ts';
import { DigestTable } from './digest-table.ts';
import { objectsPerRequestMax } from './messages.ts';
import type { RemoteCut } from './peer.ts';

/** Where objects come from: `RemoteCut.objects`. */
export type ObjectSource = Pick<RemoteCut, 'objects'>;

export class ObjectCache {
  readonly #sink: Pick<SnapshotSink, 'hasObject' | 'readObject' | 'addObject'>;
  readonly #digester: Digester;
  readonly #added: Record<ObjectKind, DigestTable> = { tree: new DigestTable(), recipe: new DigestTable() };
  #fetchedBytes = 0;
  #fetchedCount = 0;

  constructor(sink: Pick<SnapshotSink, 'hasObject' | 'readObject' | 'addObject'>, digester: Digester) {
    this.#sink = sink;
    this.#digester = digester;
  }

  /** Bytes of objects that the source sent. */
  get fetchedBytes(): number {
    return this.#fetchedBytes;
  }

  get fetchedCount(): number {
    return this.#fetchedCount;
  }

  /** It and all below it were in the store before this run. */
  isComplete(kind: ObjectKind, digest: Digest): boolean {
    return this.#added[kind].find(digest) < 0 && this.#sink.hasObject(kind, digest);
  }

  /** An object that is complete or was yielded by `obtain`. */
  read(kind: ObjectKind, digest: Digest): Promise<Uint8Array> {
    return this.#sink.readObject(kind, digest);
  }

  /** Adds an object made here. */
  async add(kind: ObjectKind, bytes: Uint8Array): Promise<Digest> {
    const digest = this.#digester.digest(bytes);
    if (this.isComplete(kind, digest)) return digest;
    await this.#sink.addObject(kind, digest, bytes);
    this.#added[kind].add(digest);
    return digest;
  }

  /**
   * The objects of these digests, in this order: from the store if it has them, else from the source, verified and
   * added to the store.
   *
   * @throws CovaultError `E_CORRUPT` if the source sends something else; `E_NOT_FOUND` if it does not have one.
   */
  async *obtain(
    kind: ObjectKind,
    digests: readonly Digest[],
    source: ObjectSource,
    options: { signal?: AbortSignal },
  ): AsyncGenerator<{ digest: Digest; bytes: Uint8Array }> {
    for (let first = 0; first < digests.length; first += objectsPerRequestMax) {
      const batch = digests.slice(first, first + objectsPerRequestMax);
      const local = await Promise.all(batch.map((digest) => this.#readLocal(kind, digest)));
      const missing = batch.filter((_, index) => local[index] === undefined);
      const fetched = source.objects(kind, missing, options);
      try {
        for (const [index, digest] of batch.entries()) {
          const bytes = local[index] ?? (await this.#takeFetched(kind, digest, fetched));
          local[index] = undefined;
          yield { digest, bytes };
        }
        // To the end of the answer, so that the connection can be used again.
        if (missing.length > 0) await fetched.next();
      } finally {
        await fetched.return(undefined);
      }
    }
  }

  async #readLocal(kind: ObjectKind, digest: Digest): Promise<Uint8Array | undefined> {
    try {
      const bytes = await this.#sink.readObject(kind, digest);
      await this.#sink.addObject(kind, digest, bytes);
      this.#added[kind].add(digest);
      return bytes;
    } catch (error) {
      // What an interrupted run left behind may be there, absent or damaged; only the first is of use.
      if (isCovaultError(error, 'E_NOT_FOUND') || isCovaultError(error, 'E_CORRUPT')) return undefined;
      throw error;
    }
  }

  async #takeFetched(
    kind: ObjectKind,
    digest: Digest,
    fetched: AsyncGenerator<Pick<BlockAnswer, 'bytes' | 'packed'>>,
  ): Promise<Uint8Array> {
    const next = await fetched.next();
    const { bytes, packed } = next.done ? {} : next.value;
    if (bytes === undefined) throw new CovaultError('E_NOT_FOUND', `the cut has no ${kind} ${digestHex(digest)}`);
    if (!digestsEqual(this.#digester.digest(bytes), digest)) {
      throw new CovaultError('E_CORRUPT', `the source sent something else for ${kind} ${digestHex(digest)}`);
    }
    this.#fetchedBytes += bytes.byteLength;
    this.#fetchedCount += 1;
    await this.#sink.addObject(kind, digest, bytes, packed);
    this.#added[kind].add(digest);
    return bytes;
  }
}
