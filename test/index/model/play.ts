/** Random work in a directory in memory beside its index, which is killed and opened again; says what the index missed. */
import type { Clock } from '../../../src/core/clock.ts';
import type { Mutation } from '../../../src/core/mutation.ts';
import { randomFrom } from '../../cuts/operation.ts';
import type { Committed } from './memory-tables.ts';
import { ModelDirectory, rootInode } from './model-directory.ts';
import { ModelIndex } from './model-index.ts';

const names = ['a', 'b', 'c', 'd', 'e'];
const inodesMax = 40;

export interface PlayReport {
  operations: number;
  cuts: number;
  kills: number;
  problems: string[];
}

/** @param options.lives times that the index is opened. */
export async function play(seed: number, options: { lives: number; cuts: number }): Promise<PlayReport> {
  return await new Player(seed).play(options);
}

class Player {
  readonly #random: (below: number) => number;
  readonly #directory = new ModelDirectory();
  readonly #report: PlayReport = { operations: 0, cuts: 0, kills: 0, problems: [] };
  readonly #clock: Clock;
  #nowMs = 1_700_000_000_000;
  #index: ModelIndex | undefined;
  /** Operations still to be done; without an end the index might never get level, since each of its steps lets some happen. */
  #left = 0;
  /** Of so many chances to do something, one is taken. */
  #rarity = 10;

  constructor(seed: number) {
    this.#random = randomFrom(seed);
    this.#clock = { nowMs: () => this.#nowMs, monotonicMs: () => this.#nowMs++ };
  }

  async play({ lives, cuts }: { lives: number; cuts: number }): Promise<PlayReport> {
    let committed: Committed | undefined;
    for (let life = 0; life < lives; life++) {
      for (let count = this.#random(80); count > 0; count--) this.#act();
      committed = await this.#live({ life, cuts, committed });
      this.#report.kills++;
    }
    return this.#report;
  }

  /** @returns what was committed when it was killed. */
  async #live(how: { life: number; cuts: number; committed: Committed | undefined }): Promise<Committed> {
    const { life, cuts, committed } = how;
    this.#rarity = 2 + this.#random(40);
    const index = new ModelIndex({
      directory: this.#directory,
      random: this.#random,
      clock: this.#clock,
      ...(committed ? { committed } : {}),
      between: () => this.#between(),
    });
    this.#index = index;
    this.#left = this.#random(100);
    try {
      await index.begin();
      for (let cut = 0; cut < cuts; cut++) {
        await index.cut(`life ${life}, cut ${cut}`);
        this.#report.cuts++;
        if (index.problems.length > 0) break;
        this.#left = this.#random(3) * this.#random(60);
        for (let steps = this.#random(4); steps > 0; steps--) {
          this.#between();
          await new Promise((resolve) => setImmediate(resolve));
        }
      }
      this.#left = 0;
      const killed = index.commits[this.#random(index.commits.length)] as Committed;
      await index.cut(`life ${life}, at rest`);
      await index.rest();
      await index.end();
      return killed;
    } finally {
      this.#left = 0;
      this.#report.problems.push(...index.problems);
      this.#index = undefined;
    }
  }

  #between(): void {
    if (this.#left === 0 || this.#random(this.#rarity) > 0) return;
    for (let count = Math.min(this.#left, 1 + this.#random(3)); count > 0; count--) {
      this.#left--;
      this.#act();
    }
    if (this.#random(3) === 0) this.#index?.tell(1 + this.#random(8));
  }

  #act(): void {
    this.#report.operations++;
    this.#nowMs += this.#random(50) === 0 ? 3000 : this.#random(3);
    const mutations = this.#change();
    if (mutations.length > 0) this.#index?.report(mutations);
  }

  #change(): Mutation[] {
    const directory = this.#directory;
    const timeNs = BigInt(Math.floor(this.#nowMs / 4) * 4) * 1_000_000n;
    const directories = directory.directories();
    const places = directory.places();
    const parent = (this.#pick(directories) as { inode: bigint }).inode;
    const name = this.#pick(names) as string;
    const there = directory.node(parent).entries.get(name);
    const one = this.#pick(places);
    const act = this.#random(12);
    if (there === undefined && directory.nodes.size < inodesMax) {
      if (act <= 1) return directory.create('directory', parent, name, timeNs);
      if (act <= 3) {
        const created = directory.create('file', parent, name, timeNs);
        const inode = created[0]?.inode as bigint;
        return this.#random(4) === 0 ? created : [...created, ...directory.write(inode, this.#random(3000), timeNs)];
      }
    }
    if (!one) return [];
    const node = directory.node(one.inode);
    if (act === 4 && node.kind === 'file') {
      return directory.write(one.inode, this.#random(2) ? node.size : this.#random(3000), timeNs);
    }
    if (act === 5) return directory.changeMode(one.inode, 0o600 + this.#random(64), timeNs);
    if (act === 6 && node.kind === 'file' && there === undefined)
      return directory.link(one.inode, parent, name, timeNs);
    if (act === 7 && node.entries.size === 0) return directory.remove(one.parent, one.name, timeNs);
    if (act >= 8) return this.#move({ one, parent, name, there, timeNs, act });
    return [];
  }

  #move(how: {
    one: { parent: bigint; name: string; inode: bigint };
    parent: bigint;
    name: string;
    there: bigint | undefined;
    timeNs: bigint;
    act: number;
  }): Mutation[] {
    const { one, parent, name, there, timeNs, act } = how;
    const directory = this.#directory;
    const node = directory.node(one.inode);
    if (there === one.inode || (node.kind === 'directory' && directory.isWithin(parent, one.inode))) return [];
    const to = { parent, name };
    if (there === undefined) return directory.rename(one, to, timeNs);
    const other = directory.node(there);
    const isFree = other.kind === node.kind && other.entries.size === 0;
    if (act >= 10 && isFree) return directory.rename(one, to, timeNs);
    if (other.kind === 'directory' && directory.isWithin(one.parent, there)) return [];
    return there === rootInode ? [] : directory.exchange(one, to, timeNs);
  }

  #pick<T>(items: readonly T[]): T | undefined {
    return items[this.#random(Math.max(1, items.length))];
  }
}
