/**
 * How commands speak with the daemon of the same user: one JSON line asked, one JSON line answered, over a socket in
 * the state directory. Who may open the socket may stop the daemon: it is closed to everybody but its owner.
 */
import { chmod, rm } from 'node:fs/promises';
import { createConnection, createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { CovaultError, systemErrorCode } from '../core/errors.ts';
import { asOneOf, asRecord, asText } from '../core/shape.ts';
import { controlSocketPath } from './state-directory.ts';

const requests = ['status', 'reload', 'stop'] as const;
export type ControlRequest = (typeof requests)[number];

export interface ControlHandlers {
  status(): Promise<Record<string, unknown>>;
  /** Reads the settings anew. */
  reload(): Promise<void>;
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
  const answer = await answerTo(await readLine(socket, lineCharsMax), handlers);
  socket.end(`${JSON.stringify(answer)}\n`);
}

async function answerTo(line: string | undefined, handlers: ControlHandlers): Promise<Record<string, unknown>> {
  try {
    const { request } = asRecord(JSON.parse(line ?? ''), 'control request');
    const known = asOneOf(request, 'request', requests);
    if (known === 'status') return { ok: true, ...(await handlers.status()) };
    if (known === 'reload') await handlers.reload();
    else handlers.stop();
    return { ok: true };
  } catch (error) {
    return { ok: false, message: error instanceof Error ? error.message : String(error) };
  }
}

/**
 * Asks the daemon that uses `stateDirectory`.
 *
 * @throws CovaultError `E_NOT_FOUND` if none runs, `E_UNAVAILABLE` if it does not answer.
 */
export async function askDaemon(stateDirectory: string, request: ControlRequest): Promise<Record<string, unknown>> {
  const path = checkedSocketPath(stateDirectory);
  const socket = createConnection(path);
  try {
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
    socket.setTimeout(answerTimeoutMs, () => socket.destroy());
    socket.on('error', () => socket.destroy());
    socket.write(`${JSON.stringify({ request })}\n`);
    const line = await readLine(socket, answerCharsMax);
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
    socket.destroy();
  }
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
    socket.on('data', (chunk: Buffer) => {
      received += chunk.length;
      if (received > charsMax) socket.destroy();
    });
    lines.once('line', resolve);
    lines.once('close', () => resolve(undefined));
  });
}
