/**
 * Carries mutations from a log to their consumer: batches, in order, on the JavaScript thread, never two at once.
 *
 * While mutations keep coming, the log is looked at again after a pause instead of waking for each of them; a quiet
 * log wakes at once.
 */
import type { Mutation } from '../core/mutation.ts';
import { loadAddon, type MutationLog, type MutationLogStatistics } from './addon.ts';
import { createMutationDecoder, type MutationBatch } from './mutation-codec.ts';

/** Between two looks at a busy log, milliseconds: long enough to gather a batch, short enough for an index to be level. */
const pauseMs = 10;

/** Waiting bytes from which on the next look comes without a pause. */
const busyBytes = 32 * 1024;

export interface DeliveryOptions {
  rootInode: bigint;
  onMutations(batch: Mutation[]): void;
  onCut(number: bigint): void;
  /** For tests: sizes of the log. */
  chunkBytes?: number;
  chunksMax?: number;
  coarseRecordsMax?: number;
}

export class MutationDelivery {
  readonly log: MutationLog;
  readonly #decode: (batch: Uint8Array) => MutationBatch;
  readonly #onMutations: (batch: Mutation[]) => void;
  readonly #onCut: (number: bigint) => void;
  #delivered = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor({ onMutations, onCut, ...options }: DeliveryOptions) {
    const addon = loadAddon();
    this.#decode = createMutationDecoder(addon.mutationLayout);
    this.#onMutations = onMutations;
    this.#onCut = onCut;
    this.log = new addon.MutationLog(options, () => this.#look());
  }

  /** Gives the consumer everything reported before this call. */
  async deliverAll(): Promise<void> {
    const mark = this.log.mark();
    while (this.#delivered < mark && this.#deliverBatch()) {
      // Between two batches the thread belongs to others.
      if (this.#delivered < mark) await new Promise<void>((resolve) => setImmediate(resolve));
    }
  }

  statistics(): MutationLogStatistics {
    return this.log.statistics();
  }

  /** No more is delivered. Idempotent. */
  close(): void {
    clearTimeout(this.#timer);
    this.log.close();
  }

  #look(): void {
    clearTimeout(this.#timer);
    // Nothing waiting arms the log, and it will call again.
    if (!this.#deliverBatch()) return;
    const wait = this.log.statistics().bytesWaiting < busyBytes ? pauseMs : 0;
    this.#timer = setTimeout(() => this.#look(), wait).unref();
  }

  #deliverBatch(): boolean {
    const bytes = this.log.take();
    if (bytes === undefined) return false;
    const { sequence, mutations } = this.#decode(bytes);
    this.#delivered = sequence;
    let batch: Mutation[] = [];
    for (const mutation of mutations) {
      if (mutation.kind !== 'cut') {
        batch.push(mutation);
        continue;
      }
      if (batch.length > 0) this.#onMutations(batch);
      batch = [];
      this.#onCut(mutation.number);
    }
    if (batch.length > 0) this.#onMutations(batch);
    return true;
  }
}
