/**
 * Random operations on a real directory, reported exactly, late, twice or coarsely: the index must come to the very
 * trees, blocks and feed that an index made afresh of the directory has.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { digestHex } from '../../src/core/digest.ts';
import type { Mutation } from '../../src/core/mutation.ts';
import type { LiveIndex } from '../../src/index/live-index.ts';
import { type Fixture, makeFixture, noise, sightOf } from './index-fixture.ts';
import { RecordedDirectory } from './recorded-directory.ts';

/** One operation; the numbers choose among what there is. */
interface Step {
  act: (typeof acts)[number];
  a: number;
  b: number;
  size: number;
}

const acts = [
  'create',
  'create',
  'write',
  'write',
  'append',
  'truncate',
  'sparse',
  'zero',
  'mkdir',
  'mkdir',
  'symlink',
  'link',
  'remove',
  'rename',
  'rename',
  'replace',
  'exchange',
  'mode',
  'time',
  'xattr',
  'deliver',
  'deliver twice',
  'deliver coarsely',
  'deliver coarsely',
  'level',
  'yield',
] as const;

const steps = fc.array(
  fc.record<Step>({
    act: fc.constantFrom(...acts),
    a: fc.nat(1000),
    b: fc.nat(1000),
    size: fc.oneof(fc.nat(200), fc.nat(60_000)),
  }),
  { minLength: 20, maxLength: 60, size: 'max' },
);

test('whatever is done and however it is reported, the index equals one made afresh', {
  timeout: 240_000,
}, async (t) => {
  await fc.assert(
    fc.asyncProperty(steps, async (script) => {
      await play(t, script);
    }),
    { numRuns: 10 },
  );
});

async function play(t: TestContext, script: readonly Step[]): Promise<void> {
  const fixture = await makeFixture(t);
  const player = new Player(fixture);
  const index = await fixture.open({ settle: async () => player.deliver(player.directory.take()) });
  player.index = index;
  player.directory.makeDirectory('d');
  player.directory.create('d/first', noise(1, 20_000));
  await index.scan();
  for (const step of script) await player.step(step);
  const sight = await sightOf(index);
  assert.deepEqual(sight, await fixture.fresh());
  // The feed, folded from its beginning, gives the holdings.
  const { gained, lost, upTo } = index.feed.changesAfter(0, 1_000_000);
  const held = new Set(sight.holdings);
  assert.deepEqual(
    lost.map(digestHex).filter((digest) => held.has(digest)),
    [],
  );
  assert.deepEqual(gained.map(digestHex).sort(), sight.holdings);
  assert.equal(upTo, index.feed.lastSequence());
  assert.equal(index.status().misses, 0);
  await index.close();
}

class Player {
  readonly directory: RecordedDirectory;
  index: LiveIndex | undefined;
  #serial = 0;

  constructor(fixture: Fixture) {
    this.directory = new RecordedDirectory(fixture.data);
  }

  deliver(mutations: readonly Mutation[]): void {
    this.index?.consume(mutations);
  }

  async step(step: Step): Promise<void> {
    const all = this.directory.list();
    const files = all.filter(({ kind }) => kind === 'file').map(({ path }) => path);
    const directories = ['', ...all.filter(({ kind }) => kind === 'directory').map(({ path }) => path)];
    switch (step.act) {
      case 'deliver':
        return this.deliver(this.directory.take());
      case 'deliver twice': {
        const batch = this.directory.take();
        this.deliver(batch);
        return this.deliver(batch);
      }
      case 'deliver coarsely':
        return this.deliver(this.directory.take().flatMap(coarser));
      case 'level':
        await this.index?.level();
        return;
      case 'yield':
        return await new Promise((resolve) => setTimeout(resolve, step.a % 7));
      default:
        if (files.length > 0 && changesFile(this.directory, step, pick(files, step.a))) return;
        this.#changeNames(step, { all: all.map(({ path }) => path), files, directories });
    }
  }

  #changeNames(
    { act, a, b, size }: Step,
    { all, files, directories }: { all: string[]; files: string[]; directories: string[] },
  ): void {
    const { directory } = this;
    const fresh = inside(pick(directories, b), `n${this.#serial++}`);
    const one = all.length > 0 ? pick(all, a) : undefined;
    if (act === 'create') directory.create(a % 5 === 0 && files.length > 0 ? pick(files, b) : fresh, noise(a, size));
    if (act === 'mkdir') directory.makeDirectory(fresh);
    if (act === 'symlink') directory.symlink(fresh, `to/${size}`);
    if (act === 'link' && files.length > 0) directory.link(pick(files, a), fresh);
    if (one === undefined) return;
    if (act === 'rename' && !isWithin(fresh, one)) directory.rename(one, fresh);
    const hasAttributes = files.includes(one) || directories.includes(one);
    if (act === 'mode' && hasAttributes)
      directory.changeMode(one, 0o600 + (b % 64) + (directories.includes(one) ? 0o100 : 0));
    if (act === 'time') directory.setTime(one, size);
    if (act === 'xattr' && hasAttributes) directory.setXattr(one, 'user.x', `${b}`);
    if (act === 'remove' && !all.some((path) => path !== one && isWithin(path, one))) directory.remove(one);
    const other = pick(all, b);
    if (isWithin(other, one) || isWithin(one, other)) return;
    if (act === 'replace' && files.includes(one) && files.includes(other)) directory.rename(one, other);
    if (act === 'exchange') directory.exchange(one, other);
  }
}

/** @returns whether the step was one that changes a file's content. */
function changesFile(directory: RecordedDirectory, { act, b, size }: Step, path: string): boolean {
  const { size: bytes } = directory.stat(path);
  if (act === 'write') directory.write(path, bytes === 0 ? 0 : (b * 7919) % bytes, noise(b, 1 + (size % 3000)));
  else if (act === 'append') directory.write(path, bytes, noise(b, 1 + size));
  else if (act === 'truncate') directory.truncate(path, size);
  else if (act === 'sparse') directory.write(path, bytes + size * 3, noise(b, 1 + (b % 500)));
  else if (act === 'zero') directory.write(path, bytes === 0 ? 0 : (b * 7919) % bytes, Buffer.alloc(1 + size));
  else return false;
  return true;
}

/** What the engine makes of a mutation when it has no room. */
function coarser(mutation: Mutation): Mutation[] {
  switch (mutation.kind) {
    case 'create':
    case 'link':
    case 'unlink':
      return [
        { kind: 'subtree', inode: mutation.parent },
        { kind: 'inode', inode: mutation.inode },
      ];
    case 'rename':
      return [
        { kind: 'subtree', inode: mutation.parent },
        { kind: 'subtree', inode: mutation.newParent },
      ];
    default:
      return [{ kind: 'inode', inode: mutation.inode }];
  }
}

function pick<T>(items: readonly T[], number: number): T {
  return items[number % items.length] as T;
}

function inside(directory: string, name: string): string {
  return directory === '' ? name : `${directory}/${name}`;
}

function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`);
}
