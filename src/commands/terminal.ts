/** The only place that writes to and reads from the terminal. */
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { CovaultError } from '../core/errors.ts';

export interface Terminal {
  /** Results: what a pipe gets. Writes one line. */
  print(line: string): void;
  /** Everything else: errors, hints, notes. Writes one line. */
  note(line: string): void;
  /** Where progress bars and notes go. */
  readonly noteStream: NodeJS.WriteStream;
  readonly isInteractive: boolean;
  /** Asks for a line that is not shown. @throws CovaultError `E_INTERRUPTED`, `E_BAD_INPUT` at the end of input. */
  askSecret(question: string, signal: AbortSignal): Promise<string>;
}

export function openTerminal(): Terminal {
  ignoreClosedPipe(process.stdout);
  ignoreClosedPipe(process.stderr);
  return {
    print: (line) => void process.stdout.write(`${line}\n`),
    note: (line) => void process.stderr.write(`${line}\n`),
    noteStream: process.stderr,
    isInteractive: process.stderr.isTTY === true && process.stdin.isTTY === true,
    askSecret,
  };
}

/** Resolves when all that was printed has left the process, so that it may end. */
export async function drainTerminal(): Promise<void> {
  for (const stream of [process.stdout, process.stderr]) {
    if (stream.writableLength > 0 && !stream.destroyed) await new Promise((resolve) => stream.write('', resolve));
  }
}

/** A reader that goes away (`covault snapshots | head`) is not a failure. */
function ignoreClosedPipe(stream: NodeJS.WriteStream): void {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE' && error.code !== 'EIO') throw error;
  });
}

async function askSecret(question: string, signal: AbortSignal): Promise<string> {
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: silent, terminal: true });
  process.stderr.write(question);
  try {
    return await new Promise<string>((resolve, reject) => {
      const interrupt = () => reject(new CovaultError('E_INTERRUPTED', 'interrupted while asking for a password'));
      signal.addEventListener('abort', interrupt, { once: true });
      // In raw mode the terminal hands Ctrl-C over as a key.
      lines.once('SIGINT', interrupt);
      lines.once('line', resolve);
      lines.once('close', () => reject(new CovaultError('E_BAD_INPUT', 'no password was given')));
    });
  } finally {
    lines.close();
    process.stderr.write('\n');
  }
}
