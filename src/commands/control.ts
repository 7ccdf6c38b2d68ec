/**
 * How commands speak with the daemon of the same user: one JSON line asked, one JSON line answered, over a socket in
 * the state directory. What takes long has lines `{"progress": …}` before the answer, and ends when the asker goes. Who may open the socket may stop the daemon: it is closed to everybody but its owner.
 */
import { chmod, rm } from 'node:fs/promises';
import { createConnection, createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { systemClock } from '../core/clock.ts';
import { CovaultError, checkInterrupted, systemErrorCode } from '../core/errors.ts';
import { asOneOf, asRecord, asText } from '../core/shape.ts';
import type { ProgressReport } from './progress.ts';
import { controlSocketPath } from './state-directory.ts';

const requests = ['status', 'reload', 'stop', 'check-index', 'rebuild-index'] as const;
export type ControlRequest = (typeof requests)[number];

/** How something long is told of, and ended. */
export interface LongOptions {
  signal: AbortSignal;
  onProgress(report: ProgressReport): void;
}

export interface ControlHandlers {
  status(): Promise<Record<string, unknown>>;
  /** Reads the settings anew. */
  reload(): Promise<void>;
  checkIndex(options: LongOptions): Promise<Record<string, unknown>>;
  rebuildIndex(options: LongOptions): Promise<Record<string, unknown>>;
  /** Answers at once; the daemon then ends. */
  stop(): void;
}

export interface ControlServer {
  close(): Promise<void>;
}

const lineCharsMax = 4096;
const answerCharsMax = 16 * 1024 * 1024;
/** A daemon that does not answer for so long is not well, milliseconds. */
const answerTimeoutMs = 30_000;
/** Longest path that fits into a socket address. */
const socketPathBytesMax = 107;

/** The caller has locked the state directory, so that a socket found there is a dead one. */
export async function serveControl(stateDirectory: string, handlers: ControlHandlers): Promise<ControlServer> {
  const path = checkedSocketPath(stateDirectory);
  await rm(path, { force: true });
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.on('close', () => open.delete(socket)).on('error', () => socket.destroy());
    void answerOne(socket, handlers);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => reject(new CovaultError('E_IO', `cannot listen on ${path}`, { cause })));
    server.listen(path, resolve);
  });
  await chmod(path, 0o600);
  return {
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of open) socket.destroy();
      await closed;
      await rm(path, { force: true });
    },
  };
}

async function answerOne(socket: Socket, handlers: ControlHandlers): Promise<void> {
  const line = await readLine(socket, lineCharsMax);
  const gone = new AbortController();
  socket.on('close', () => gone.abort());
  if (socket.destroyed) gone.abort();
  const told = throttled(progressMs, (report: ProgressReport) =>
    socket.write(`${JSON.stringify({ progress: report })}\n`),
  );
  const answer = await answerTo(line, handlers, { signal: gone.signal, onProgress: told });
  socket.end(`${JSON.stringify(answer)}\n`);
}

async function answerTo(
  line: string | undefined,
  handlers: ControlHandlers,
  options: LongOptions,
): Promise<Record<string, unknown>> {
  try {
    const { request } = asRecord(JSON.parse(line ?? ''), 'control request');
    switch (asOneOf(request, 'request', requests)) {
      case 'status':
        return { ok: true, ...(await handlers.status()) };
      case 'check-index':
        return { ok: true, ...(await handlers.checkIndex(options)) };
      case 'rebuild-index':
        return { ok: true, ...(await handlers.rebuildIndex(options)) };
      case 'reload':
        await handlers.reload();
        return { ok: true };
      case 'stop':
        handlers.stop();
        return { ok: true };
    }
  } catch (error) {
    return { ok: false, message: error instanceof Error ? error.message : String(error) };
  }
}

/** Milliseconds between two lines of progress. */
const progressMs = 200;

/** The same function, called at most once within `ms` for each phase. */
function throttled(ms: number, act: (report: ProgressReport) => void): (report: ProgressReport) => void {
  let last = { phase: '', ms: 0 };
  return (report) => {
    const now = systemClock.monotonicMs();
    if (report.phase === last.phase && now - last.ms < ms) return;
    last = { phase: report.phase, ms: now };
    act(report);
  };
}

/**
 * Asks the daemon that uses `stateDirectory`. With `long` the answer may take any time, and is given up when its signal
 * is aborted.
 *
 * @throws CovaultError `E_NOT_FOUND` if none runs, `E_UNAVAILABLE` if it does not answer, `E_INTERRUPTED`.
 */
export async function askDaemon(
  stateDirectory: string,
  request: ControlRequest,
  long?: LongOptions,
): Promise<Record<string, unknown>> {
  const path = checkedSocketPath(stateDirectory);
  const socket = createConnection(path);
  const onAbort = () => socket.destroy();
  long?.signal.addEventListener('abort', onAbort, { once: true });
  try {
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    if (!long) socket.setTimeout(answerTimeoutMs, () => socket.destroy());
    socket.on('error', () => socket.destroy());
    socket.write(`${JSON.stringify({ request })}\n`);
    const line = await readAnswer(socket, long);
    checkInterrupted(long?.signal);
    if (line === undefined) throw new CovaultError('E_UNAVAILABLE', `the daemon at ${path} did not answer`);
    const { ok, message, ...answer } = asRecord(JSON.parse(line), 'answer of the daemon');
    if (ok !== true) throw new CovaultError('E_UNAVAILABLE', `the daemon refused: ${asText(message, 'message')}`);
    return answer;
  } catch (cause) {
    if (!['ENOENT', 'ECONNREFUSED'].includes(systemErrorCode(cause) ?? '')) throw cause;
    throw new CovaultError('E_NOT_FOUND', `no daemon runs with the state directory ${stateDirectory}`, {
      hint: 'start one with `covault mount`, or name its state directory with --state',
    });
  } finally {
    long?.signal.removeEventListener('abort', onAbort);
    socket.destroy();
  }
}

/** The first line that is no progress; undefined if the other side closes first or sends too much. */
function readAnswer(socket: Socket, long: LongOptions | undefined): Promise<string | undefined> {
  return new Promise((resolve) => {
    let received = 0;
    const lines = createInterface({ input: socket });
    socket.on('data', (chunk: Buffer) => {
      received += chunk.length;
      if (received > answerCharsMax) socket.destroy();
    });
    // It tells the socket's errors once more.
    lines.on('error', () => lines.close());
    lines.on('line', (line) => {
      received = 0;
      if (!long || !line.startsWith('{"progress":')) resolve(line);
      else long.onProgress(asRecord(JSON.parse(line), 'progress').progress as ProgressReport);
    });
    // A socket that was destroyed has no end.
    for (const over of [lines, socket]) over.once('close', () => resolve(undefined));
  });
}

function checkedSocketPath(stateDirectory: string): string {
  const path = controlSocketPath(stateDirectory);
  if (Buffer.byteLength(path) <= socketPathBytesMax) return path;
  throw new CovaultError('E_BAD_INPUT', `the path of the state directory is too long for a socket: ${stateDirectory}`, {
    hint: `use one of at most ${socketPathBytesMax - '/control.sock'.length} bytes`,
  });
}

/** The first line; undefined if the other side closes first or sends more than `charsMax` without one. */
function readLine(socket: Socket, charsMax: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    let received = 0;
    const lines = createInterface({ input: socket });
    // It tells the socket's errors once more.
    lines.on('error', () => lines.close());
    socket.on('data', (chunk: Buffer) => {
      received += chunk.length;
      if (received > charsMax) socket.destroy();
    });
    lines.once('line', resolve);
    lines.once('close', () => resolve(undefined));
  });
}
