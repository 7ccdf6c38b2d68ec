/** File operations that Node.js cannot do, through Python (which building the addon needs anyway). */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

/** Flags of renameat2(2). */
export const renameFlags = { noReplace: 1, exchange: 2 } as const;

/** Modes of fallocate(2). */
export const allocateModes = { keepSize: 1, punchHole: 3, zeroRange: 16 } as const;

/** `whence` of lseek(2). */
export const seekWhence = { data: 3, hole: 4 } as const;

export interface Syscalls {
  rename(from: string, to: string, flags: number): Promise<void>;
  allocate(path: string, mode: number, offset: number, length: number): Promise<void>;
  copyRange(from: string, to: string, length: number, fromOffset: number, toOffset: number): Promise<number>;
  /** Makes a file without a name (O_TMPFILE) in a directory, writes to it and gives it a name. */
  makeUnnamed(directory: string, content: string, name: string): Promise<void>;
  /** Stores text through a shared mapping and flushes it. */
  mapAndStore(path: string, offset: number, text: string): Promise<void>;
  append(path: string, text: string): Promise<number>;
  seek(path: string, offset: number, whence: number): Promise<number>;
}

/** Errors are as those of Node.js: `code` is the errno's name. The process ends with the test. */
export function startSyscalls(t: TestContext): Syscalls {
  const script = fileURLToPath(new URL('./syscalls.py', import.meta.url));
  const child = spawn('python3', [script], { stdio: ['pipe', 'pipe', 'inherit'] });
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  t.after(async () => {
    if (child.exitCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  });
  let before: Promise<unknown> = Promise.resolve();
  const call = (name: string, args: unknown[]): Promise<unknown> => {
    const answer = before.then(async () => {
      child.stdin.write(`${JSON.stringify([name, ...args])}\n`);
      const { value, done } = await answers.next();
      if (done) throw new Error('python3 has ended');
      const { result, error } = JSON.parse(value) as { result?: unknown; error?: string };
      if (error) throw Object.assign(new Error(`${error}, ${name} ${args.join(' ')}`), { code: error });
      return result;
    });
    before = answer.catch(() => undefined);
    return answer;
  };
  return new Proxy({} as Syscalls, {
    get: (_, name: string) => (name === 'then' ? undefined : (...args: unknown[]) => call(name, args)),
  });
}
