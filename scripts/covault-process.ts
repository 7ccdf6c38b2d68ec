/** Runs `covault` as a person would, in processes of its own, and reads what it says with `--json`. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const launcherPath = fileURLToPath(new URL('../bin/covault.mjs', import.meta.url));

/** A JSON line. */
// biome-ignore lint/suspicious/noExplicitAny: fields are asserted where they are used.
export type Message = Record<string, any>;

export interface RunOptions {
  env?: Record<string, string>;
  onMessage?(message: Message): void;
  /** Told the process id before anything is said. */
  onStart?(pid: number): void;
  signal?: AbortSignal;
  /** Words before the command, of a program that becomes it (`exec`): `nsenter --net=…`. */
  within?: readonly string[];
}

export interface Finished {
  exitCode: number | null;
  signal: NodeJS.Signals | null;
  messages: Message[];
  /** The last JSON line: the result, or the error. */
  last: Message;
  standardError: string;
}

export interface Daemon {
  child: ChildProcess;
  /** The ready line. */
  ready: Message;
  /** Resolves when the process has ended. */
  finished: Promise<Finished>;
  /** Asks it to end and waits. Idempotent. */
  stop(signal?: NodeJS.Signals): Promise<Finished>;
}

/** A command that does something and ends. Adds `--json`. Resolves whatever the exit code is. */
export function runCovault(words: readonly string[], options: RunOptions = {}): Promise<Finished> {
  return start(words, options).finished;
}

/** The same, for what must go well. @throws Error with what it said. */
export async function runCovaultWell(words: readonly string[], options: RunOptions = {}): Promise<Message> {
  const finished = await runCovault(words, options);
  if (finished.exitCode === 0) return finished.last;
  throw new Error(`covault ${words[0]} ended with ${describeEnd(finished)}`);
}

/** A command that goes on until it is stopped. Resolves when it is ready. @throws Error if it ends before. */
export async function startCovault(words: readonly string[], options: RunOptions = {}): Promise<Daemon> {
  const { child, finished, onceReady } = start(words, options);
  const ready = await Promise.race([onceReady, finished]);
  if ('exitCode' in ready) throw new Error(`covault ${words[0]} ended with ${describeEnd(ready as Finished)}`);
  return {
    child,
    ready,
    finished,
    stop(signal = 'SIGTERM') {
      child.kill(signal);
      return finished;
    },
  };
}

function start(words: readonly string[], options: RunOptions) {
  const [program, ...parameters] = [...(options.within ?? []), process.execPath, launcherPath, ...words, '--json'];
  const child = spawn(program as string, parameters, {
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(options.signal ? { signal: options.signal, killSignal: 'SIGTERM' } : {}),
  });
  if (child.pid !== undefined) options.onStart?.(child.pid);
  const messages: Message[] = [];
  let standardError = '';
  let tellReady: (message: Message) => void;
  const onceReady = new Promise<Message>((resolve) => {
    tellReady = resolve;
  });
  createInterface({ input: child.stdout }).on('line', (line) => {
    const message = parseLine(line);
    messages.push(message);
    if (message.type === 'ready') tellReady(message);
    options.onMessage?.(message);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    // The end is where the reason is.
    standardError = (standardError + text).slice(-64_000);
  });
  child.on('error', () => undefined);
  const finished = once(child, 'close').then(
    ([exitCode, signal]): Finished => ({ exitCode, signal, messages, last: messages.at(-1) ?? {}, standardError }),
  );
  return { child, finished, onceReady };
}

function parseLine(line: string): Message {
  try {
    return JSON.parse(line);
  } catch {
    return { type: 'text', line };
  }
}

function describeEnd({ exitCode, signal, last, standardError }: Finished): string {
  const said = last.message === undefined ? '' : `: ${last.message}${last.hint ? ` (${last.hint})` : ''}`;
  return `${signal ?? `status ${exitCode}`}${said}${standardError ? `\n${standardError.trim()}` : ''}`;
}
