/** Of which moments the files may be that all writers write: the log, and the name for which they compete. */
import type { DataMode } from '../../src/fs/session.ts';
import type { Image } from './image.ts';
import type { History, TakenCut, Times } from './judge.ts';
import { endOfTime, type Span } from './node.ts';
import { authorOf, contentOf, type Operation, recordBytes, shared } from './operation.ts';

interface Finding {
  spans: Span[];
  problem: string | undefined;
}

const anyTime: Span = { from: 0n, to: endOfTime };

function no(problem: string): Finding {
  return { spans: [], problem };
}

/** The times of one kind of operation, in order, by writer. */
function timesOf(histories: readonly History[], act: Operation['act']): Map<number, Map<number, Times>> {
  return new Map(
    histories.map(({ writer, operations, times }) => [
      writer,
      new Map(times.flatMap((time, order) => (operations[order]?.act === act ? [[order, time] as const] : []))),
    ]),
  );
}

/**
 * The name holds what one operation published, and none that certainly came after it: of those that were issued after it
 * had returned, none was in.
 */
export function currentSpans(histories: readonly History[], image: Image): Finding {
  const published = timesOf(histories, 'publish');
  const all = [...published.values()].flatMap((times) => [...times.values()]);
  const content = image.get(shared.current)?.content;
  if (content === undefined) return { spans: [{ from: 0n, to: earliestReturn(all) }], problem: undefined };
  if (content.byteLength !== recordBytes) return no(`${shared.current} has ${content.byteLength} bytes`);
  const { writer, order } = authorOf(content);
  const own = published.get(writer)?.get(order);
  if (!own || !content.equals(contentOf(writer, order, recordBytes))) {
    return no(`nobody published what ${shared.current} holds (writer ${writer}, operation ${order})`);
  }
  const later = all.filter(({ issued }) => issued > own.returned);
  return { spans: [{ from: own.issued, to: earliestReturn(later) }], problem: undefined };
}

function earliestReturn(times: readonly Times[]): bigint {
  return times.reduce((least, { returned }) => (returned < least ? returned : least), endOfTime);
}

/**
 * The log is a beginning of what it became. In writeback mode what was appended lately may be missing page by page;
 * there the log only says that nothing from before the cut is missing.
 */
export function logSpans(
  histories: readonly History[],
  cut: TakenCut,
  { finalLog, dataMode }: { finalLog: Buffer; dataMode: DataMode },
): Finding {
  const found = cut.image.get(shared.log)?.content;
  if (!found) return no(`${shared.log} is not there`);
  if (found.byteLength > finalLog.byteLength) return no(`${shared.log} is longer than it ever was`);
  const appended = timesOf(histories, 'log');
  const records: Times[] = [];
  for (let at = 0; at < finalLog.byteLength; at += recordBytes) {
    const record = finalLog.subarray(at, at + recordBytes);
    const { writer, order } = authorOf(record);
    const times = appended.get(writer)?.get(order);
    if (!times || !record.equals(contentOf(writer, order, recordBytes)))
      return no(`record ${at / recordBytes} of the final log is nobody's`);
    records.push(times);
  }
  return dataMode === 'writeback' ? lateLog(found, records, cut, finalLog) : exactLog(found, records, finalLog);
}

function exactLog(found: Buffer, records: readonly Times[], finalLog: Buffer): Finding {
  const count = found.byteLength / recordBytes;
  if (!Number.isInteger(count)) return no(`${shared.log} ends within a record`);
  if (!found.equals(finalLog.subarray(0, found.byteLength)))
    return no(`${shared.log} is no beginning of what it became`);
  const from = records
    .slice(0, count)
    .reduce((latest, { issued }) => (issued > latest ? issued : latest), anyTime.from);
  return { spans: [{ from, to: earliestReturn(records.slice(count)) }], problem: undefined };
}

function lateLog(found: Buffer, records: readonly Times[], cut: TakenCut, finalLog: Buffer): Finding {
  const isDue = (times: Times | undefined) => times !== undefined && times.returned < cut.begunNs;
  for (let at = 0; at < finalLog.byteLength; at++) {
    const record = records[Math.floor(at / recordBytes)];
    if (at >= found.byteLength) {
      if (isDue(record)) return no(`${shared.log} lacks what was appended before the cut, at ${at}`);
    } else if (found[at] !== finalLog[at] && (found[at] !== 0 || isDue(record))) {
      return no(`${shared.log} has other bytes at ${at}`);
    }
  }
  const count = Math.ceil(found.byteLength / recordBytes);
  const isEarly = records.slice(0, count).every(({ issued }) => issued <= cut.openedNs);
  return isEarly ? { spans: [anyTime], problem: undefined } : no(`${shared.log} has what was appended after the cut`);
}
