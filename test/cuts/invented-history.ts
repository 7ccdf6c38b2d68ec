/** Histories that nobody lived through, and images of any of their states, right and wrong: to judge the judge. */
import type { DataMode } from '../../src/fs/session.ts';
import { generateOperations } from './generate.ts';
import type { Image, ImageNode } from './image.ts';
import type { History, Judge, TakenCut, Times } from './judge.ts';
import type { Node } from './node.ts';
import { contentOf, homeOf, type Operation, recordBytes, recordsPerWriter, shared } from './operation.ts';
import { WriterModel } from './writer-model.ts';

/** Nanoseconds between two operations of a writer, and how long each takes. */
export const stepNs = 1_000_000n;
export const takesNs = 700_000n;
const startNs = 5_000_000_000n;
const dayOffsetNs = 1_700_000_000_000_000_000n;

export function inventHistories(writers: number, count: number, seed = 1): History[] {
  return Array.from({ length: writers }, (_, writer) =>
    inventHistory(writer, generateOperations({ seed, writer, count })),
  );
}

/** Operation n is issued n steps after the start; writers are a tenth of a step apart. */
export function inventHistory(writer: number, operations: readonly Operation[]): History {
  const times = operations.map((_, order): Times => {
    const issued = startNs + BigInt(order) * stepNs + (BigInt(writer) * stepNs) / 10n;
    return { issued, returned: issued + takesNs };
  });
  return { writer, operations, times, dayOffsetNs };
}

/** Of one moment: begins with operation `from` of the first writer and ends with its operation `to`. */
export function cutBetween(histories: readonly History[], from: number, to: number, image: Image): TakenCut {
  const times = (histories[0] as History).times;
  return { begunNs: (times[from] as Times).issued, openedNs: (times[to] as Times).issued, image };
}

export interface Sight {
  /** Operations done, by writer. */
  done: readonly number[];
  /** Records of the final log that are there; by default those of the operations done. */
  logged?: number;
  /** Who published last; by default the latest of the operations done. */
  published?: { writer: number; order: number } | undefined;
}

export function finalLogOf(histories: readonly History[]): Buffer {
  return Buffer.concat(doneOf(histories, 'log').map(({ writer, order }) => contentOf(writer, order, recordBytes)));
}

/** What a snapshot shows when so many operations of each writer are done, everything having arrived. */
export function imageOf(histories: readonly History[], sight: Sight, dataMode: DataMode = 'write-through'): Image {
  const image: Image = new Map();
  const plain = { nlink: 1, mtimeNs: 0n, xattrs: [], target: '' } satisfies Partial<ImageNode>;
  const file = (path: string, number: bigint, content: Buffer) =>
    image.set(path, { ...plain, kind: 'file', mode: 0o644, number, content });
  const records = Buffer.alloc(histories.length * recordsPerWriter * recordBytes);
  const numbers = new Map<Node, bigint>();
  for (const history of histories) {
    const model = stateAfter(history, sight.done[history.writer] as number, dataMode);
    const add = (path: string, node: Node) => {
      if (!numbers.has(node)) numbers.set(node, BigInt(numbers.size + 100));
      image.set(path, shown(node, numbers.get(node) as bigint));
    };
    add(homeOf(history.writer), model.home);
    for (const { path, node } of model.list()) add(path, node);
    model.records.forEach(({ data }, place) => {
      data.copy(records, (history.writer * recordsPerWriter + place) * recordBytes);
    });
  }
  const isDone = ({ writer, order }: { writer: number; order: number }) => order < (sight.done[writer] as number);
  const log = doneOf(histories, 'log');
  const final = finalLogOf(histories);
  file(shared.records, 1n, records);
  file(shared.log, 2n, final.subarray(0, (sight.logged ?? log.filter(isDone).length) * recordBytes));
  const last = 'published' in sight ? sight.published : doneOf(histories, 'publish').filter(isDone).at(-1);
  if (last) file(shared.current, 3n, contentOf(last.writer, last.order, recordBytes));
  return image;
}

/** The operations of one kind, as they returned. */
export function doneOf(
  histories: readonly History[],
  act: Operation['act'],
): { writer: number; order: number; times: Times }[] {
  return histories
    .flatMap(({ writer, operations, times }) =>
      operations.flatMap((operation, order) =>
        operation.act === act ? [{ writer, order, times: times[order] as Times }] : [],
      ),
    )
    .sort((a, b) => Number(a.times.returned - b.times.returned));
}

export function stateAfter(history: History, done: number, dataMode: DataMode = 'write-through'): WriterModel {
  const model = new WriterModel(history.writer, dataMode);
  for (let order = 0; order < done; order++) {
    const { issued, returned } = history.times[order] as Times;
    const when = { from: issued + history.dayOffsetNs, to: returned + history.dayOffsetNs };
    model.apply(order, history.operations[order] as Operation, when);
  }
  return model;
}

function shown(node: Node, number: bigint): ImageNode {
  return {
    kind: node.kind,
    mode: node.mode,
    nlink: node.kind === 'directory' ? 1 : node.names,
    number,
    // Late writes set it when they arrive: the earliest possible time.
    mtimeNs: node.times.at(-1)?.from ?? 0n,
    xattrs: [...node.xattrs].sort(([a], [b]) => (a < b ? -1 : 1)),
    content: node.kind === 'file' ? node.content.data : Buffer.alloc(0),
    target: node.target,
  };
}

export function problemsOf(judge: Judge, cut: TakenCut): string[] {
  return judge.judge(cut).problems;
}
