/** The writers of a test: processes of their own, each doing its operations in a mount. */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { generateOperations } from './generate.ts';
import type { History, Times } from './judge.ts';
import { homeOf, type Operation, recordBytes, recordsPerWriter, shared } from './operation.ts';

const script = fileURLToPath(new URL('./writer.py', import.meta.url));

export interface WritersOptions {
  mountpoint: string;
  /** Outside of the mount, for their lists and notes. */
  notes: string;
  seed: number;
  count: number;
  /** Operations of each. */
  operations: number;
  /** After every eighth operation each rests for a random time of at most this, milliseconds; 0 = as fast as it can. */
  restMaxMs?: number;
}

export class Writers {
  readonly #members: Writer[];

  private constructor(members: Writer[]) {
    this.#members = members;
  }

  /** Makes what they share, and starts them; they wait for `begin`. */
  static async prepare(options: WritersOptions): Promise<Writers> {
    const { mountpoint, count } = options;
    const homes = Array.from({ length: count }, (_, writer) => homeOf(writer));
    const directories = [...homes, shared.directory, shared.names, shared.aside].join(' ');
    const size = count * recordsPerWriter * recordBytes;
    const commands = `umask 022; mkdir ${directories}; truncate -s ${size} ${shared.records}; : > ${shared.log}`;
    await promisify(execFile)('sh', ['-ec', commands], { cwd: mountpoint });
    const members = homes.map((_, writer) => new Writer(writer, options));
    const writers = new Writers(members);
    try {
      for (const member of members) await member.ready();
    } catch (error) {
      writers.kill();
      throw error;
    }
    return writers;
  }

  begin(): void {
    for (const member of this.#members) member.begin();
  }

  /** Resolves when all are done. @throws Error if an operation of one of them failed. */
  async ended(): Promise<History[]> {
    return await Promise.all(this.#members.map((member) => member.ended()));
  }

  /** Lets them stop after what they are doing. */
  stop(): void {
    for (const member of this.#members) member.stop();
  }

  kill(): void {
    for (const member of this.#members) member.kill();
  }
}

class Writer {
  readonly #writer: number;
  readonly #operations: Operation[];
  readonly #timesPath: string;
  readonly #child: ChildProcess;
  readonly #exited: Promise<number | string>;
  #dayOffsetNs = 0n;
  #said = '';

  constructor(writer: number, { mountpoint, notes, seed, operations, restMaxMs = 0 }: WritersOptions) {
    this.#writer = writer;
    this.#operations = generateOperations({ seed, writer, count: operations });
    const operationsPath = join(notes, `operations-${writer}`);
    this.#timesPath = join(notes, `times-${writer}`);
    writeFileSync(operationsPath, this.#operations.map((operation) => `${JSON.stringify(operation)}\n`).join(''));
    const words = [script, mountpoint, String(writer), operationsPath, this.#timesPath, String(restMaxMs)];
    this.#child = spawn('python3', words, { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#said += text;
    });
    this.#child.stdin?.on('error', () => undefined);
    this.#exited = once(this.#child, 'close').then(([status, signal]) => status ?? signal);
  }

  async ready(): Promise<void> {
    const lines = createInterface({ input: this.#child.stdout as NodeJS.ReadableStream });
    const first = await Promise.race([once(lines, 'line'), this.#exited]);
    const match = Array.isArray(first) ? /^ready (-?\d+)$/.exec(String(first[0])) : null;
    if (!match?.[1]) throw new Error(`writer ${this.#writer} did not start: ${this.#said}`);
    this.#dayOffsetNs = BigInt(match[1]);
  }

  begin(): void {
    this.#child.stdin?.write('begin\n');
  }

  stop(): void {
    this.#child.stdin?.end();
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  async ended(): Promise<History> {
    const status = await this.#exited;
    if (status !== 0) throw new Error(`writer ${this.#writer} ended with ${status}: ${this.#said}`);
    const bytes = readFileSync(this.#timesPath);
    const times = Array.from({ length: bytes.byteLength / 16 }, (_, order): Times => {
      return { issued: bytes.readBigUInt64LE(order * 16), returned: bytes.readBigUInt64LE(order * 16 + 8) };
    });
    const operations = this.#operations.slice(0, times.length);
    return { writer: this.#writer, operations, times, dayOffsetNs: this.#dayOffsetNs };
  }
}
