/**
 * Mounts for tests: each in a process of its own, since a process must not use the mount that it serves.
 *
 *   const sandbox = await createSandbox(t);
 *   const daemon = await sandbox.mount({ dataDirectory: sandbox.data });
 *   await writeFile(join(sandbox.data, 'a'), 'x');
 *   const mutations = await daemon.settle();
 *
 * Whatever happens to the test, at its end the daemons are gone, nothing is mounted, and the directory is removed. Use
 * asynchronous file functions on a mount: should it hang, the test can still time out.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, chown, mkdir, mkdtemp, readFile, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Mutation } from '../../src/core/mutation.ts';
import type { lookInEpoch } from '../../src/fs/epoch.ts';
import { isWithin, parseMountTable } from '../../src/fs/mount-table.ts';
import type { MountCounters } from '../../src/fs/session.ts';
import type { DaemonEpoch, DaemonFailure, DaemonLine, DaemonMountOptions, DaemonRequest } from './mount-protocol.ts';
import { fromJson, toJson } from './mount-protocol.ts';

const execFileAsync = promisify(execFile);
const processPath = fileURLToPath(new URL('./mount-daemon-process.ts', import.meta.url));

/** How long a daemon may take to leave when asked, milliseconds. */
const leaveMs = 5000;

/** An unprivileged account that every Linux has. */
export const ordinaryUser = { uid: 65534, gid: 65534 };

export interface DaemonOptions extends DaemonMountOptions {
  /** Run the daemon as this user (only root can); by default as the test's own. */
  user?: { uid: number; gid: number };
  /** Limit of open files of the daemon, soft and hard. */
  openFilesMax?: number;
}

/** The failure of a request, as the daemon saw it. */
export class DaemonError extends Error {
  readonly code: string | undefined;
  readonly hint: string | undefined;
  constructor({ code, message, hint }: DaemonFailure) {
    super(message);
    this.code = code;
    this.hint = hint;
  }
}

type Call = DaemonRequest extends infer Request ? (Request extends unknown ? Omit<Request, 'id'> : never) : never;

export class MountDaemon {
  readonly pid: number;
  /** Where it is mounted. */
  mountpoint = '';
  dataMode = '';
  transport = '';
  /** Resolves when the mount has ended; rejects if its engine failed. */
  readonly closed: Promise<void>;
  /** Resolves with the exit status or the name of the signal. */
  readonly exited: Promise<number | string>;
  readonly #child: ChildProcess;
  readonly #calls = new Map<number, PromiseWithResolvers<unknown>>();
  readonly #closed = Promise.withResolvers<void>();
  #lastId = 0;
  #said = '';

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.pid = child.pid ?? 0;
    this.closed = this.#closed.promise;
    this.closed.catch(() => undefined);
    this.exited = once(child, 'exit').then(([status, signal]) => {
      this.#failAll(`the daemon has ended (${status ?? signal})${this.#said ? `: ${this.#said}` : ''}`);
      return status ?? signal;
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#said = (this.#said + text).slice(-4096);
    });
    if (child.stdout) createInterface({ input: child.stdout }).on('line', (line) => this.#hear(line));
    child.stdin?.on('error', () => undefined);
  }

  /** @throws DaemonError if mounting fails; the daemon is gone then. */
  static async start({ user, openFilesMax, ...options }: DaemonOptions): Promise<MountDaemon> {
    const command = [process.execPath, processPath];
    if (openFilesMax) command.unshift('prlimit', `--nofile=${openFilesMax}:${openFilesMax}`);
    if (user) command.unshift('setpriv', `--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups');
    const [program = '', ...args] = command;
    const daemon = new MountDaemon(spawn(program, args, { stdio: 'pipe' }));
    try {
      const mounted = (await daemon.#call({ method: 'mount', options })) as Record<
        'mountpoint' | 'dataMode' | 'transport',
        string
      >;
      Object.assign(daemon, mounted);
      return daemon;
    } catch (error) {
      await daemon.leave();
      throw error;
    }
  }

  /** Settles and gives all mutations since the last call of this or `mutations`. */
  async settle(): Promise<Mutation[]> {
    return (await this.#call({ method: 'settle' })) as Mutation[];
  }

  /** The mutations delivered so far, without settling. */
  async mutations(): Promise<Mutation[]> {
    return (await this.#call({ method: 'mutations' })) as Mutation[];
  }

  async counters(): Promise<MountCounters> {
    return (await this.#call({ method: 'counters' })) as MountCounters;
  }

  /** Descriptors that the daemon has open. */
  async openFiles(): Promise<number> {
    return (await this.#call({ method: 'openFiles' })) as number;
  }

  /** Memory that the daemon has in use now, bytes. */
  async residentBytes(): Promise<number> {
    const status = await readFile(`/proc/${this.pid}/status`, 'utf8');
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
  }

  /** Stops the daemon's JavaScript thread for so long, or until this file exists; resolves when it goes on. */
  async block(ms: number, until?: string): Promise<void> {
    await this.#call({ method: 'block', ms, until });
  }

  /** Flushes and makes a cut. */
  async openEpoch(): Promise<DaemonEpoch> {
    return (await this.#call({ method: 'openEpoch' })) as DaemonEpoch;
  }

  async closeEpoch(epoch: number): Promise<void> {
    await this.#call({ method: 'closeEpoch', epoch });
  }

  async epochFailure(epoch: number): Promise<string> {
    return (await this.#call({ method: 'epochFailure', epoch })) as string;
  }

  async lookInEpoch(
    epoch: number,
    directory: bigint,
    path: Uint8Array,
    names: Uint8Array[],
  ): Promise<ReturnType<typeof lookInEpoch>> {
    const answer = await this.#call({ method: 'lookInEpoch', epoch, directory, path, names });
    return answer as ReturnType<typeof lookInEpoch>;
  }

  async namesInEpoch(epoch: number, directory: bigint, path: Uint8Array): Promise<Uint8Array[]> {
    return (await this.#call({ method: 'namesInEpoch', epoch, directory, path })) as Uint8Array[];
  }

  async readInEpoch(epoch: number, path: Uint8Array, inode: bigint): Promise<Uint8Array> {
    return (await this.#call({ method: 'readInEpoch', epoch, path, inode })) as Uint8Array;
  }

  async unmount({ lazy = false } = {}): Promise<void> {
    await this.#call({ method: 'unmount', lazy });
  }

  /** Ends the process at once by process.exit(), without unmounting. */
  async exitWithoutUnmount(): Promise<void> {
    await this.#call({ method: 'exit', unmountFirst: false });
    await this.exited;
  }

  async kill(signal: NodeJS.Signals): Promise<void> {
    this.#child.kill(signal);
    await this.exited;
  }

  /** Ends the daemon, kindly or not. */
  async leave(): Promise<void> {
    this.#child.stdin?.end();
    const waiting = new AbortController();
    await Promise.race([this.exited, delay(leaveMs, undefined, { signal: waiting.signal }).catch(() => undefined)]);
    waiting.abort();
    this.#child.kill('SIGKILL');
    await this.exited;
  }

  async #call(call: Call): Promise<unknown> {
    this.#lastId += 1;
    const answer = Promise.withResolvers<unknown>();
    this.#calls.set(this.#lastId, answer);
    this.#child.stdin?.write(`${toJson({ id: this.#lastId, ...call })}\n`);
    return answer.promise;
  }

  #hear(text: string): void {
    const line = fromJson(text) as DaemonLine;
    if ('event' in line) {
      if (line.error) this.#closed.reject(new DaemonError(line.error));
      else this.#closed.resolve();
      return;
    }
    const answer = this.#calls.get(line.id);
    this.#calls.delete(line.id);
    if ('error' in line) answer?.reject(new DaemonError(line.error));
    else answer?.resolve(line.result);
  }

  #failAll(message: string): void {
    for (const answer of this.#calls.values()) answer.reject(new Error(message));
    this.#calls.clear();
  }
}

export interface Sandbox {
  /** A fresh directory for everything that a test makes, without symlinks. */
  path: string;
  /** An empty directory in it, to be used as a data directory. */
  data: string;
  mount(options: DaemonOptions): Promise<MountDaemon>;
}

/** A place for one test, taken away after it with all that is mounted there. */
export async function createSandbox(t: TestContext, owner?: { uid: number; gid: number }): Promise<Sandbox> {
  const path = await realpath(await mkdtemp(join(tmpdir(), 'covault-fs-')));
  const daemons: MountDaemon[] = [];
  t.after(async () => {
    await Promise.allSettled(daemons.map((daemon) => daemon.leave()));
    await detachAllWithin(path);
    await rm(path, { recursive: true, force: true });
  });
  await chmod(path, 0o755);
  const data = join(path, 'data');
  await mkdir(data);
  if (owner) {
    await chown(path, owner.uid, owner.gid);
    await chown(data, owner.uid, owner.gid);
  }
  return {
    path,
    data,
    async mount(options) {
      const daemon = await MountDaemon.start(options);
      daemons.push(daemon);
      return daemon;
    },
  };
}

/** What is mounted within a directory, uppermost first; never touches the mounts themselves. */
export async function mountsWithin(path: string): Promise<string[]> {
  const table = parseMountTable(await readFile('/proc/self/mountinfo', 'latin1'));
  return table
    .map(({ mountpoint }) => mountpoint)
    .filter((mountpoint) => isWithin(mountpoint, path))
    .reverse();
}

async function detachAllWithin(path: string): Promise<void> {
  for (const mountpoint of await mountsWithin(path)) {
    const [program, ...args] =
      process.geteuid?.() === 0 ? ['umount', '--lazy', mountpoint] : ['fusermount3', '-u', '-z', mountpoint];
    await execFileAsync(program as string, args).catch(() => undefined);
  }
  const left = await mountsWithin(path);
  if (left.length > 0) throw new Error(`still mounted: ${left.join(', ')}`);
}
