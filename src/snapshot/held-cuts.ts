/**
 * Cuts that are open for others, each on a lease: a secondary that dies must not hold a cut for ever, since an open cut
 * keeps old state alive.
 */
import { CovaultError } from '../core/errors.ts';
import type { Cut, CutSource } from '../core/ports.ts';
import { pause, type Timers } from '../core/timers.ts';
import { type CutState, cutLeaseMs } from './messages.ts';

const cutsMax = 16;
const cutsPerOwnerMax = 4;

interface HeldCut {
  owner: string;
  opening: Promise<Cut>;
  cut: Cut | undefined;
  abort: AbortController;
  cancelExpiry: () => void;
}

export class HeldCuts {
  readonly #source: CutSource;
  readonly #timers: Timers;
  readonly #cuts = new Map<string, HeldCut>();
  readonly #closing = new Set<Promise<void>>();

  constructor(source: CutSource, timers: Timers) {
    this.#source = source;
    this.#timers = timers;
  }

  get count(): number {
    return this.#cuts.size;
  }

  /** Whether `owner` has a cut, open or being made. */
  holds(owner: string): boolean {
    return [...this.#cuts.values()].some((held) => held.owner === owner);
  }

  /**
   * Begins to make a cut, unless this owner has one of that id already: asking twice does no harm.
   *
   * @param id chosen by the owner, who may not have heard the answer.
   * @throws CovaultError `E_BUSY` if this owner, or all together, have too many; `E_EXISTS` if the id is another's.
   */
  open(owner: string, id: string): void {
    const known = this.#cuts.get(id);
    if (known?.owner === owner) return;
    if (known) throw new CovaultError('E_EXISTS', `cut ${id} is somebody else's`);
    const owned = [...this.#cuts.values()].filter((held) => held.owner === owner).length;
    if (owned >= cutsPerOwnerMax || this.#cuts.size >= cutsMax) {
      throw new CovaultError('E_BUSY', 'too many cuts are open here', {
        hint: 'try again in a minute, when those that nobody uses are closed',
      });
    }
    const abort = new AbortController();
    const opening = this.#source.openCut({ signal: abort.signal });
    const held: HeldCut = { owner, opening, cut: undefined, abort, cancelExpiry: () => undefined };
    this.#cuts.set(id, held);
    this.#renew(id, held);
    opening.then(
      (cut) => {
        held.cut = cut;
      },
      // Whoever holds the cut is told; that it failed is no reason to fail here.
      () => undefined,
    );
  }

  /**
   * Extends the lease and says how the cut is; waits up to `waitMs` for it to be open.
   *
   * @throws CovaultError `E_NOT_FOUND` if this owner has no such cut (any more); what made the cut fail, also later.
   */
  async hold(owner: string, id: string, options: { waitMs: number; signal: AbortSignal }): Promise<CutState> {
    const held = this.#get(owner, id);
    if (held.cut === undefined) {
      const enough = new AbortController();
      const waited = pause(this.#timers, options.waitMs, AbortSignal.any([options.signal, enough.signal]));
      try {
        await Promise.race([held.opening, waited]);
      } catch (error) {
        if (!options.signal.aborted) await this.close(owner, id);
        throw error;
      } finally {
        enough.abort();
        waited.catch(() => undefined);
      }
    }
    if (held.cut === undefined) return { state: 'opening' };
    held.cut.renew?.();
    const { timeNs, root, exceptions = [] } = held.cut;
    return { state: 'open', timeNs, root, exceptions: [...exceptions] };
  }

  /** The open cut; extends its lease. @throws CovaultError `E_NOT_FOUND`, `E_BUSY` while it is being made. */
  use(owner: string, id: string): Cut {
    const held = this.#get(owner, id);
    if (held.cut === undefined) throw new CovaultError('E_BUSY', `cut ${id} is still being made`);
    return held.cut;
  }

  /** Closes a cut; does nothing if this owner has none of that id. */
  async close(owner: string, id: string): Promise<void> {
    const held = this.#cuts.get(id);
    if (held?.owner !== owner) return;
    this.#cuts.delete(id);
    held.cancelExpiry();
    held.abort.abort();
    const closing: Promise<void> = held.opening
      .then((cut) => cut.close())
      .catch(() => undefined)
      .finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
    await closing;
  }

  /** Closes all cuts. */
  async closeAll(): Promise<void> {
    await Promise.all([...this.#cuts].map(([id, held]) => this.close(held.owner, id)));
    await Promise.all(this.#closing);
  }

  #get(owner: string, id: string): HeldCut {
    const held = this.#cuts.get(id);
    if (held?.owner !== owner) {
      throw new CovaultError('E_NOT_FOUND', `there is no cut ${id} any more`, { hint: 'open a new one' });
    }
    this.#renew(id, held);
    return held;
  }

  #renew(id: string, held: HeldCut): void {
    held.cancelExpiry();
    held.cancelExpiry = this.#timers.after(cutLeaseMs, () => void this.close(held.owner, id));
  }
}
