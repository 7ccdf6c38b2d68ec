/** One round: writers at work in a fresh mount, cuts taken in the loop, each read back, read again, and judged. */
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { DataMode } from '../../src/fs/session.ts';
import { CutMount, type OpenSnapshot } from './cut-mount.ts';
import { digestOfImage, readDirectoryImage } from './image.ts';
import { type History, Judge, type TakenCut } from './judge.ts';
import { randomFrom, shared } from './operation.ts';
import { Writers } from './writers.ts';

export interface RoundOptions {
  seed: number;
  dataMode: DataMode;
  writers: number;
  /** Operations of each writer; the round ends when all are done. */
  operations: number;
  /** What the writers rest between, see `WritersOptions`: the longer, the more cuts for their operations. */
  restMaxMs: number;
  /** Cuts taken at most. */
  cutsMax: number;
}

export interface RoundReport {
  cuts: number;
  /** Of them, those that went into a store as `covault snapshot` does it. */
  taken: number;
  /** Done while cuts were taken. */
  operations: number;
  /** Readings of snapshots, and bytes of files in them. */
  readings: number;
  bytesRead: number;
  /** What was wrong, in words. */
  problems: string[];
}

interface Seen extends TakenCut {
  timeNs: bigint;
  title: string;
}

/** Cuts open at once. */
const openMax = 3;
/** One of so many cuts goes into the store. */
const takenEvery = 2;

export async function playRound(options: RoundOptions): Promise<RoundReport> {
  const directory = mkdtempSync(join(realpathSync(tmpdir()), 'covault-cuts-'));
  try {
    await using mount = await CutMount.open(directory, options.dataMode);
    await mount.daemon.index.scan();
    const notes = join(directory, 'notes');
    mkdirSync(notes);
    const { seed, writers: count, operations, restMaxMs } = options;
    const writers = await Writers.prepare({ mountpoint: mount.mountpoint, notes, seed, count, operations, restMaxMs });
    try {
      return await new Round(mount, options).play(writers);
    } finally {
      writers.kill();
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

class Round {
  readonly #mount: CutMount;
  readonly #options: RoundOptions;
  readonly #random: (below: number) => number;
  readonly #seen: Seen[] = [];
  readonly #report: RoundReport = { cuts: 0, taken: 0, operations: 0, readings: 0, bytesRead: 0, problems: [] };

  constructor(mount: CutMount, options: RoundOptions) {
    this.#mount = mount;
    this.#options = options;
    this.#random = randomFrom(options.seed);
  }

  async play(writers: Writers): Promise<RoundReport> {
    writers.begin();
    let isOver = false;
    const ended = writers.ended().finally(() => {
      isOver = true;
    });
    ended.catch(() => undefined);
    const open = new Set<Promise<void>>();
    while (!isOver && this.#report.cuts < this.#options.cutsMax) {
      const one: Promise<void> = this.#oneCut(this.#report.cuts++).finally(() => open.delete(one));
      open.add(one);
      await Promise.race([ended, delay(this.#random(40))]);
      if (open.size >= openMax) await Promise.race(open);
    }
    writers.stop();
    const histories = await ended;
    await Promise.all(open);
    await this.#lookAtTheEnd();
    this.#judge(histories);
    return this.#report;
  }

  async #oneCut(number: number): Promise<void> {
    const isTaken = number % takenEvery === takenEvery - 1;
    const title = `cut ${number}${isTaken ? ', in the store' : ''}`;
    let snapshot: OpenSnapshot | undefined;
    try {
      const begunNs = process.hrtime.bigint();
      snapshot = await (isTaken ? this.#mount.take() : this.#mount.hold());
      const openedNs = process.hrtime.bigint();
      if (isTaken) this.#report.taken += 1;
      for (const exception of snapshot.exceptions) this.#report.problems.push(`${title}: exception ${exception}`);
      await delay(this.#random(60));
      const image = await this.#read(snapshot);
      this.#seen.push({ begunNs, openedNs, image, timeNs: snapshot.timeNs, title });
      await delay(this.#random(250));
      const again = await this.#read(snapshot);
      if (digestOfImage(again) !== digestOfImage(image)) {
        this.#report.problems.push(`${title}: read again it is something else`);
      }
    } catch (error) {
      this.#report.problems.push(`${title}: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      await snapshot?.close();
    }
  }

  async #read(snapshot: OpenSnapshot) {
    const image = await snapshot.read();
    this.#report.readings += 1;
    for (const { content } of image.values()) this.#report.bytesRead += content.byteLength;
    return image;
  }

  /** What all writers have left, on disk and in a last snapshot: there is only one state that this may be. */
  async #lookAtTheEnd(): Promise<void> {
    const begunNs = process.hrtime.bigint();
    const snapshot = await this.#mount.hold();
    const image = await snapshot.read();
    const { timeNs } = snapshot;
    const openedNs = process.hrtime.bigint();
    await snapshot.close();
    this.#seen.push({ begunNs, openedNs, image, timeNs, title: 'the last snapshot' });
    const onDisk = readDirectoryImage(this.#mount.data);
    this.#seen.push({ begunNs, openedNs, image: onDisk, timeNs, title: 'the data directory' });
  }

  #judge(histories: readonly History[]): void {
    const finalLog = readFileSync(join(this.#mount.data, shared.log));
    const judge = new Judge({ dataMode: this.#options.dataMode, histories, finalLog });
    const inOrder = this.#seen.sort((a, b) => Number(a.begunNs - b.begunNs));
    for (const seen of inOrder) {
      for (const problem of judge.judge(seen).problems) this.#report.problems.push(`${seen.title}: ${problem}`);
    }
    for (const { times } of histories) this.#report.operations += times.length;
  }
}
