/**
 * Programs that are asked again and again, through a shell that is started once: a process that holds open files of a disk
 * that hangs cannot start another, as the files are closed in that one before its program runs, and closing waits for the
 * disk. So whoever opens files of a data directory starts this before.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** A line that ends an answer, and that no program asked here prints. */
const endOfAnswer = '== covault: end of answer ==';

export class Questions {
  readonly #shell: ChildProcess;
  readonly #count: number;
  #answer: { lines: string[]; tell: (text: string) => void } | undefined;
  #isBusy = false;

  /** @param commands each a line for sh(1); its number is its place. */
  constructor(commands: readonly string[]) {
    const cases = commands.map((command, number) => `${number}) ${command} ;;`).join('\n');
    const script = `while read -r number; do case $number in\n${cases}\nesac; echo '${endOfAnswer}'; done`;
    this.#count = commands.length;
    this.#shell = spawn('/bin/sh', ['-c', script], {
      cwd: '/',
      stdio: ['pipe', 'pipe', 'ignore'],
      detached: true,
    });
    const close = () => this.#finish();
    this.#shell.once('error', close).once('exit', close);
    this.#shell.stdin?.on('error', close);
    if (this.#shell.stdout) createInterface({ input: this.#shell.stdout }).on('line', (line) => this.#hear(line));
    // Nobody waits for it at the end: it ends with whoever asks.
    this.#shell.unref();
    for (const stream of [this.#shell.stdin, this.#shell.stdout]) (stream as { unref?(): void } | null)?.unref?.();
  }

  /** What a command prints within `limitMs`; "" if that takes longer, or if an earlier one still runs. Never rejects. */
  async ask(number: number, limitMs: number): Promise<string> {
    if (this.#isBusy || number >= this.#count || !this.#shell.stdin?.writable) return '';
    this.#isBusy = true;
    const { promise, resolve } = Promise.withResolvers<string>();
    this.#answer = { lines: [], tell: resolve };
    const timer = setTimeout(() => {
      this.#answer = undefined;
      resolve('');
    }, limitMs);
    this.#shell.stdin.write(`${number}\n`);
    const text = await promise;
    clearTimeout(timer);
    return text;
  }

  /** Ends the shell with what it runs. */
  close(): void {
    if (this.#shell.pid === undefined || this.#shell.exitCode !== null || this.#shell.signalCode !== null) return;
    // It leads a group of its own.
    process.kill(-this.#shell.pid, 'SIGKILL');
  }

  #hear(line: string): void {
    if (line === endOfAnswer) this.#finish();
    else this.#answer?.lines.push(line);
  }

  #finish(): void {
    this.#isBusy = false;
    this.#answer?.tell(this.#answer.lines.join('\n'));
    this.#answer = undefined;
  }
}
