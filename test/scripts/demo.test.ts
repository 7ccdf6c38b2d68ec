/** The parts of the demo that decide what it says: who holds what, what only the source has, what counts as well. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { chooseFiles, listRealFiles, pathOnDisk, type RealFile } from '../../scripts/demo/choose-files.ts';
import { addContents, nothingKnown } from '../../scripts/demo/only-at-source.ts';
import { demoResult, describeSnapshot, type SnapshotStory } from '../../scripts/demo/report.ts';
import { contentOf } from '../e2e/files.ts';

function makeFolder(t: TestContext): string {
  const folder = fs.mkdtempSync(join(tmpdir(), 'covault-demo-'));
  t.after(() => fs.rmSync(folder, { recursive: true }));
  return folder;
}

function fileOf(number: number, bytes: number): RealFile {
  return { path: `file-${number}`, kind: 'file', bytes, identity: String(number) };
}

test('a share of files is chosen evenly, the same each time, and all names of a file go together', () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(1_000_000), { maxLength: 300 }),
      fc.integer({ min: 0, max: 10 }),
      fc.nat(9),
      (sizes, ofTen, phase) => {
        const files = sizes.flatMap((bytes, number) => {
          const file = fileOf(number, bytes);
          return number % 7 === 0 ? [file, { ...file, path: `${file.path} again` }] : [file];
        });
        const chosen = chooseFiles(files, { ofTen, phase });
        assert.deepEqual(chooseFiles([...files].reverse(), { ofTen, phase }).reverse(), chosen);
        const identities = new Set(chosen.map(({ identity }) => identity));
        assert.ok(Math.abs(identities.size - (sizes.length * ofTen) / 10) <= 1);
        assert.deepEqual(
          chosen,
          files.filter(({ identity }) => identities.has(identity)),
        );
      },
    ),
  );
});

test('files are listed with links, names of any bytes, and the identity of hard links', (t) => {
  const folder = makeFolder(t);
  const odd = Buffer.concat([Buffer.from(`${folder}/`), Buffer.from([0xff, 0x41])]);
  fs.writeFileSync(odd, 'abc');
  fs.linkSync(odd, join(folder, 'same'));
  fs.symlinkSync('same', join(folder, 'symlink'));
  const files = listRealFiles(folder);
  assert.deepEqual(
    files.map(({ kind, bytes }) => [kind, bytes]),
    [
      ['file', 3],
      ['symlink', 0],
      ['file', 3],
    ],
  );
  assert.equal(files[0]?.identity, files[2]?.identity);
  assert.equal(fs.readFileSync(pathOnDisk(folder, files[2]?.path ?? ''), 'utf8'), 'abc');
});

test('only what was not seen before counts as new, block by block', async (t) => {
  const [other, source] = [makeFolder(t), makeFolder(t)];
  const options = { onBytes: () => undefined, signal: new AbortController().signal };
  const common = contentOf('common', 3_000_000);
  fs.writeFileSync(join(other, 'common'), common);
  fs.writeFileSync(join(source, 'common'), common);
  fs.writeFileSync(join(source, 'own'), contentOf('own', 1000));
  fs.writeFileSync(join(source, 'own again'), contentOf('own', 1000));
  const changed = Buffer.concat([common, Buffer.from('and a little more')]);
  fs.writeFileSync(join(source, 'changed'), changed);
  fs.truncateSync(join(source, 'own'), 1_000_000);

  const known = nothingKnown();
  assert.ok((await addContents(other, known, options)).blockBytes === common.length);
  const { blockBytes, recipeBytes } = await addContents(source, known, options);
  assert.ok(blockBytes > 1000 && blockBytes < 1000 + 1024 * 1024 + 8192, `${blockBytes}`);
  assert.ok(recipeBytes > 0, 'the changed file has a recipe that nobody else has');
  assert.deepEqual(await addContents(source, known, options), { blockBytes: 0, recipeBytes: 0 });
});

const story: SnapshotStory = {
  client: 'laptop',
  files: 10,
  bytes: 1000,
  bytesFromSource: 102,
  bytesFromPeers: 898,
  bytesOnlyAtSource: 100,
  storedBytes: 500,
  seconds: 1,
  identical: true,
  peers: [{ peer: 'desktop', bytes: 898 }],
  before: [],
  differences: [],
};

test('the demo is well only if both snapshots are identical and the source was spared in the first', () => {
  assert.equal(demoResult([story, story]).ok, true);
  assert.equal(demoResult([story]).ok, false);
  assert.equal(demoResult([{ ...story, bytesFromSource: 103 }, story]).ok, false);
  assert.equal(demoResult([story, { ...story, bytesFromSource: 900 }]).ok, true);
  assert.equal(demoResult([story, { ...story, identical: false }]).ok, false);
});

test('the JSON has the promised fields and no others', () => {
  const fields = 'client files bytes bytesFromSource bytesFromPeers bytesOnlyAtSource storedBytes seconds identical';
  assert.deepEqual(Object.keys(demoResult([story, story]).snapshots[0] ?? {}), fields.split(' '));
});

test('the table shows shares, and differences if there are any', () => {
  const good = describeSnapshot(story, 1).join('\n');
  assert.match(good, /desktop +898 B +89\.8 %/);
  assert.match(good, /identical/);
  assert.match(
    describeSnapshot({ ...story, identical: false, differences: ['a: mode'] }, 1).join('\n'),
    /DIFFERS\n +a: mode/,
  );
});
