/** Kills a daemon at random points while writers work in its mount, and looks at what the index makes of it. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { DataMode } from '../../src/fs/session.ts';
import { CutMount } from '../cuts/cut-mount.ts';
import { randomFrom } from '../cuts/operation.ts';
import { Writers } from '../cuts/writers.ts';
import { assertConverges } from './converges.ts';

const run = promisify(execFile);

export interface KillOptions {
  seed: number;
  dataMode: DataMode;
  kills: number;
  /** Called after each look at the index. */
  onLook: () => void;
}

/** Writers' directories that are kept; older ones are removed through the mount. */
const playgroundsMax = 3;

/** An index with which more starts failed is made anew. */
const killsSinceMax = 3;

export async function killAndLook(options: KillOptions): Promise<void> {
  const directory = mkdtempSync(join(realpathSync(tmpdir()), 'covault-kills-'));
  try {
    await new Kills(directory, options).run();
  } finally {
    await run('umount', ['--lazy', join(directory, 'mountpoint')]).catch(() => undefined);
    rmSync(directory, { recursive: true, force: true });
  }
}

class Kills {
  readonly #directory: string;
  readonly #options: KillOptions;
  readonly #random: (below: number) => number;
  #serial = 0;

  constructor(directory: string, options: KillOptions) {
    this.#directory = directory;
    this.#options = options;
    this.#random = randomFrom(options.seed);
    mkdirSync(join(directory, 'notes'));
  }

  async run(): Promise<void> {
    const { kills, dataMode, onLook } = this.#options;
    let killsSince = 0;
    for (let kill = 0; kill < kills; kill++) {
      await this.#workAndKill();
      killsSince += 1;
      // Sometimes it is killed again before anybody has looked.
      if (this.#random(3) === 0 && killsSince < killsSinceMax && kill < kills - 1) continue;
      const madeOffline = this.#random(2) === 0;
      if (madeOffline) await this.#write(join(this.#directory, 'data'), 40 + this.#random(100));
      await using mount = await CutMount.open(this.#directory, dataMode);
      const title = `seed ${this.#options.seed}, after kill ${kill}${madeOffline ? ' and changes without Covault' : ''}`;
      const { found } = await assertConverges(mount, title);
      assert.equal(found, 'unclean', title);
      onLook();
      killsSince = 0;
    }
  }

  async #workAndKill(): Promise<void> {
    const script = new URL('./daemon-process.ts', import.meta.url);
    const child = fork(script, [this.#directory, this.#options.dataMode], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    const exited = once(child, 'exit');
    let work: Promise<unknown> = Promise.resolve();
    try {
      const ready = await Promise.race([once(child, 'message').then(() => true), exited.then(() => false)]);
      if (!ready) throw new Error('the daemon ended by itself');
      work = this.#workUntilItFails(child);
      await delay(this.#random(4) === 0 ? this.#random(30) : 50 + this.#random(900));
      if (child.exitCode !== null) throw new Error('the daemon ended by itself');
    } finally {
      child.kill('SIGKILL');
      await exited;
      await work;
    }
  }

  /** Work that may end with the mount, at any point. */
  async #workUntilItFails(child: ChildProcess): Promise<void> {
    const mountpoint = join(this.#directory, 'mountpoint');
    try {
      const old = readdirSync(join(this.#directory, 'data')).slice(0, -playgroundsMax);
      for (const name of old) await run('rm', ['-rf', join(mountpoint, name)]);
      await this.#write(mountpoint, 100_000);
    } catch (error) {
      if (child.exitCode === null && child.signalCode === null && !child.killed) throw error;
    }
  }

  /** Lets two writers do so many operations in a directory of their own. */
  async #write(root: string, operations: number): Promise<void> {
    const serial = this.#serial++;
    const place = join(root, `p${String(serial).padStart(6, '0')}`);
    await run('mkdir', [place]);
    const seed = this.#options.seed * 1000 + serial;
    const notes = join(this.#directory, 'notes');
    const count = Math.min(operations, 3000);
    const writers = await Writers.prepare({ mountpoint: place, notes, seed, count: 2, operations: count });
    try {
      writers.begin();
      await writers.ended();
    } finally {
      writers.kill();
    }
  }
}
