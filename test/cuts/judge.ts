/**
 * Says whether what a snapshot shows is a state that the recorded history allows.
 *
 * The engine puts all changes into one order, and a cut is one moment T of it. For each writer, whose operations follow one
 * another, the snapshot must be the state after its first j operations, so T lies between when operation j was issued and
 * when the next one returned. Late writes may be missing until something that was done before T asked for them; what had
 * returned when the cut began must be there in any case. T must be the same for all writers, for the shared log and for
 * the name they compete for, and lie between the cut's beginning and its end.
 */
import type { DataMode } from '../../src/fs/session.ts';
import { Comparison } from './compare.ts';
import type { Image } from './image.ts';
import type { Span } from './node.ts';
import { type Operation, pageBytes } from './operation.ts';
import { currentSpans, logSpans } from './shared-files.ts';
import { WriterModel } from './writer-model.ts';

/** Nanoseconds of the monotonic clock. */
export interface Times {
  issued: bigint;
  returned: bigint;
}

export interface History {
  writer: number;
  /** Those that were done, and as many times. */
  operations: readonly Operation[];
  times: readonly Times[];
  /** To be added to the monotonic clock for the time of day. */
  dayOffsetNs: bigint;
}

export interface TakenCut {
  /** Monotonic; nothing issued after `openedNs` may be in. */
  begunNs: bigint;
  openedNs: bigint;
  image: Image;
}

export interface Verdict {
  /** In words; none if the snapshot is allowed. */
  problems: string[];
  /** The moments of which it may be. */
  moments: Span[];
}

/** File systems take the time of day from a clock that ticks a few milliseconds apart. */
const clockSlackNs = 30_000_000n;

const problemsShown = 6;

/** Judges cuts in the order in which they were begun. */
export class Judge {
  readonly #dataMode: DataMode;
  readonly #histories: readonly History[];
  readonly #writers: WriterJudge[];
  /** What the shared log has in the end. */
  readonly #finalLog: Buffer;

  constructor(options: { dataMode: DataMode; histories: readonly History[]; finalLog: Buffer }) {
    this.#dataMode = options.dataMode;
    this.#histories = options.histories;
    this.#finalLog = options.finalLog;
    this.#writers = options.histories.map((history) => new WriterJudge(history, options.dataMode));
  }

  judge(cut: TakenCut): Verdict {
    const problems: string[] = [];
    let moments: Span[] = [{ from: cut.begunNs, to: cut.openedNs }];
    const limit = (found: { spans: Span[]; problem: string | undefined }, of: string) => {
      const common = intersect(moments, found.spans);
      if (found.problem) problems.push(found.problem);
      else if (common.length === 0)
        problems.push(`${of} is of ${say(found.spans, cut)}, the rest of ${say(moments, cut)}`);
      moments = common.length > 0 ? common : moments;
    };
    for (const writer of this.#writers) limit(writer.spans(cut), `writer ${writer.number}`);
    const histories = this.#histories;
    limit(currentSpans(histories, cut.image), 'the name that all compete for');
    limit(logSpans(histories, cut, { finalLog: this.#finalLog, dataMode: this.#dataMode }), 'the shared log');
    return { problems, moments };
  }
}

class WriterJudge {
  readonly #history: History;
  readonly #dataMode: DataMode;
  /** The state after everything before `#applied`. */
  readonly #base: WriterModel;
  #applied = 0;

  constructor(history: History, dataMode: DataMode) {
    this.#history = history;
    this.#dataMode = dataMode;
    this.#base = new WriterModel(history.writer, dataMode);
  }

  get number(): number {
    return this.#history.writer;
  }

  /** The moments of which the writer's part may be. */
  spans(cut: TakenCut): { spans: Span[]; problem: string | undefined } {
    const { operations, times } = this.#history;
    while (this.#applied < times.length && (times[this.#applied] as Times).returned < cut.begunNs) {
      this.#apply(this.#base, this.#applied++, 'at once');
    }
    const model = this.#base.clone();
    const comparison = new Comparison(cut.image, this.number);
    const spans: Span[] = [];
    let nearest: { order: number; differences: string[] } | undefined;
    for (let done = this.#applied; ; done++) {
      const differences = comparison.differences(model);
      if (differences.length === 0) spans.push(this.#spanAfter(done, cut));
      if (differences.length < (nearest?.differences.length ?? Number.POSITIVE_INFINITY)) {
        nearest = { order: done, differences };
      }
      const next = times[done];
      if (operations[done] === undefined || next === undefined || next.issued > cut.openedNs) break;
      const part = this.#firstPart(operations[done] as Operation, model);
      if (part) {
        const parted = model.clone();
        this.#apply(parted, done, 'later', part);
        if (comparison.differences(parted).length === 0) spans.push({ from: next.issued, to: next.returned });
      }
      this.#apply(model, done, 'later');
    }
    return { spans, problem: spans.length > 0 ? undefined : this.#describe(nearest) };
  }

  /**
   * In write-through mode the kernel hands over the part of a write that ends the first page before the rest, if it does
   * not know that page. A cut between the two has the first part, as a power cut has.
   */
  #firstPart(operation: Operation, model: WriterModel): Operation | undefined {
    if (this.#dataMode !== 'write-through' || (operation.act !== 'write' && operation.act !== 'append'))
      return undefined;
    const offset = operation.act === 'write' ? operation.offset : model.at(operation.path).content.data.byteLength;
    const length = pageBytes - (offset % pageBytes);
    return length < pageBytes && length < operation.length ? { ...operation, length } : undefined;
  }

  #apply(
    model: WriterModel,
    order: number,
    arrives: 'later' | 'at once',
    operation = this.#history.operations[order] as Operation,
  ): void {
    const { issued, returned } = this.#history.times[order] as Times;
    const { dayOffsetNs } = this.#history;
    const when = { from: issued + dayOffsetNs - clockSlackNs, to: returned + dayOffsetNs + clockSlackNs };
    model.apply(order, operation, when, arrives);
  }

  #spanAfter(done: number, cut: TakenCut): Span {
    const { times } = this.#history;
    return {
      from: done === this.#applied ? cut.begunNs : (times[done - 1] as Times).issued,
      to: times[done]?.returned ?? cut.openedNs,
    };
  }

  #describe(nearest: { order: number; differences: string[] } | undefined): string {
    const { order = 0, differences = [] } = nearest ?? {};
    const around = this.#history.operations
      .slice(Math.max(0, order - 3), order + 3)
      .map((operation, at) => `${Math.max(0, order - 3) + at} ${JSON.stringify(operation)}`);
    const shown = differences.slice(0, problemsShown).join('; ');
    return (
      `writer ${this.number} has no such state; nearest after ${order} operations, with ${differences.length} ` +
      `differences: ${shown}; operations around it: ${around.join(' ')}`
    );
  }
}

export function intersect(some: readonly Span[], others: readonly Span[]): Span[] {
  return some.flatMap((one) =>
    others
      .map((other) => ({
        from: one.from > other.from ? one.from : other.from,
        to: one.to < other.to ? one.to : other.to,
      }))
      .filter(({ from, to }) => from <= to),
  );
}

/** In microseconds since the cut began. */
function say(spans: readonly Span[], cut: TakenCut): string {
  const at = (ns: bigint) => `${(ns - cut.begunNs) / 1000n}`;
  return spans.map(({ from, to }) => `${at(from)} to ${at(to)} µs`).join(' or ') || 'no moment';
}
