/**
 * Entry of the index's threads: reads the data directory and answers; never touches the tables. One request at a time,
 * answered by `{ answer }` or, for a defect, `{ error }`.
 */
import { closeSync, constants, fstatSync, readSync } from 'node:fs';
import { setPriority } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { compressHere } from '../core/compression.ts';
import { createDigester, digestsEqual } from '../core/digest.ts';
import type { PackedBlock } from '../core/ports.ts';
import { openInEpoch } from '../fs/epoch.ts';
import { openNode, setIdleIo } from '../fs/native.ts';
import { type HashTools, hashContent } from './content-hash.ts';
import { presentContent } from './content-reader.ts';
import { codeOf, DataDirectory, isGone } from './data-directory.ts';
import { isOver, PastDirectory } from './past-directory.ts';
import { Recut } from './recut.ts';
import type {
  AnswerTo,
  FileTimes,
  HashFile,
  HashOutcome,
  ReadRequest,
  WorkerRequest,
  WorkerSettings,
} from './worker-protocol.ts';

class Stopped extends Error {}

const settings = workerData as WorkerSettings;
const directory = new DataDirectory(settings.directoryFd);
let past: PastDirectory | undefined;
const tools: HashTools = {
  digester: createDigester(settings.digestKey),
  cut: settings.cut,
  buffer: Buffer.allocUnsafeSlow(256 * 1024),
  zeros: Buffer.alloc(settings.cut.minBytes),
  checkStopped() {
    if (Atomics.load(settings.stop, 0) !== 0) throw new Stopped();
  },
};

/** What blocks are read into, one after the other: as large as the largest so far. */
let readBuffer = Buffer.allocUnsafeSlow(0);

/** The window is given back when it has grown beyond this many bytes. */
const bufferBytesKept = 8 * 1024 * 1024;

try {
  // On Linux the priority is the calling thread's own.
  if (settings.niceness > 0) setPriority(settings.niceness);
  if (settings.hasIdleIo) setIdleIo();
} catch {
  // Only politeness.
}

parentPort?.on('message', (request: WorkerRequest) => {
  try {
    const answer = answerTo(request);
    parentPort?.postMessage({ answer }, request.kind === 'read' ? ownedBy(answer as AnswerTo['read']) : []);
  } catch (error) {
    parentPort?.postMessage({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  }
});

function answerTo(request: WorkerRequest): unknown {
  switch (request.kind) {
    case 'hash':
      return request.files.map((file) => hash(file, request.epoch));
    case 'look':
      return request.directories.map((each) => at(request.epoch).look(each));
    case 'list':
      return at(request.epoch).list(request);
    case 'read':
      return readBlock(request);
  }
}

function readBlock({ fd, offset, length, digest, isToBePacked }: ReadRequest): PackedBlock | undefined {
  if (readBuffer.byteLength < length) readBuffer = Buffer.allocUnsafeSlow(length);
  const bytes = readBuffer.subarray(0, length);
  for (let done = 0; done < length; ) {
    const count = readSync(fd, bytes, done, length - done, offset + done);
    if (count === 0) return undefined;
    done += count;
  }
  if (!digestsEqual(tools.digester.digest(bytes), digest)) return undefined;
  const packed = isToBePacked ? compressHere(bytes) : undefined;
  // In memory of its own, which is handed over.
  return { length, bytes: new Uint8Array(packed ?? bytes), isCompressed: packed !== undefined };
}

function ownedBy(block: PackedBlock | undefined): ArrayBuffer[] {
  return block === undefined ? [] : [block.bytes.buffer as ArrayBuffer];
}

/** The directory as it is, or as it was at a cut. */
function at(epoch: number | undefined): DataDirectory | PastDirectory {
  if (epoch === undefined) return directory;
  if (past?.epoch !== epoch) past = new PastDirectory(epoch);
  return past;
}

function hash(file: HashFile, epoch: number | undefined): HashOutcome {
  const { inode } = file;
  try {
    tools.checkStopped();
    if (epoch !== undefined) return hashPast(file, epoch);
    const fd = openNode(settings.directoryFd, file.path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      return hashOpen(fd, file);
    } finally {
      closeSync(fd);
      if (tools.buffer.byteLength > bufferBytesKept) tools.buffer = Buffer.allocUnsafeSlow(256 * 1024);
    }
  } catch (error) {
    if (error instanceof Stopped || isOver(error)) return { inode, kind: 'stopped' };
    return isGone(error) ? { inode, kind: 'gone' } : { inode, kind: 'failed', code: codeOf(error) };
  }
}

function hashOpen(fd: number, { inode, old }: HashFile): HashOutcome {
  const stats = fstatSync(fd, { bigint: true });
  if (stats.ino !== inode || !stats.isFile()) return { inode, kind: 'gone' };
  const before = timesOf(stats);
  const recut = old && new Recut(old, { unit: tools.cut.minBytes, newSize: before.size });
  const content = hashContent(presentContent(fd), before.size, recut, tools);
  return { inode, kind: 'read', before, after: timesOf(fstatSync(fd, { bigint: true })), ...content };
}

/** A file of a cut does not change. */
function hashPast({ inode, path, old }: HashFile, epoch: number): HashOutcome {
  const file = openInEpoch(epoch, path, inode);
  try {
    const { size, mtimeNs, ctimeNs } = file.attributes();
    const times = { size, mtimeNs, ctimeNs };
    const recut = old && new Recut(old, { unit: tools.cut.minBytes, newSize: size });
    const content = hashContent(file, size, recut, tools);
    return { inode, kind: 'read', before: times, after: times, ...content };
  } finally {
    file.close();
    if (tools.buffer.byteLength > bufferBytesKept) tools.buffer = Buffer.allocUnsafeSlow(256 * 1024);
  }
}

function timesOf(stats: { size: bigint; mtimeNs: bigint; ctimeNs: bigint }): FileTimes {
  return { size: Number(stats.size), mtimeNs: stats.mtimeNs, ctimeNs: stats.ctimeNs };
}
