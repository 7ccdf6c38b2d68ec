/** Directories opened name by name below a given one. */
import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { DirectoryHandles, entryPath, type Place, pathOf } from '../../src/browse/directory-handles.ts';
import { temporaryDirectory } from './model-on-disk.ts';

async function handlesOf(t: TestContext, path: string, openMax = 128): Promise<DirectoryHandles> {
  const handles = new DirectoryHandles(await open(path, 'r'), { openMax });
  t.after(() => handles.close());
  return handles;
}

function below(parent: Place, ...names: string[]): Place {
  return names.reduce<Place>((place, name) => ({ parent: place, name: Buffer.from(name) }), parent);
}

const namesAt = (handles: DirectoryHandles, place: Place) =>
  handles.use(place, (fd) => readdir(entryPath(fd, Buffer.from('.'))));

function openDescriptors(): number {
  return readdirSync('/proc/self/fd').length;
}

describe('directories below a given one', () => {
  it('are reached by their names', async (t) => {
    const top = temporaryDirectory(t);
    mkdirSync(join(top, 'a/b'), { recursive: true });
    writeFileSync(join(top, 'a/b/file'), '');
    const handles = await handlesOf(t, top);
    const place = below(handles.top, 'a', 'b');
    assert.deepEqual(await namesAt(handles, place), ['file']);
    assert.equal(pathOf(place).toString(), 'a/b');
    assert.equal(pathOf(handles.top).toString(), '');
  });

  it('are never reached through a symlink or a file, also one that came meanwhile', async (t) => {
    const top = temporaryDirectory(t);
    for (const path of ['outside/b', 'tree/a/b']) mkdirSync(join(top, path), { recursive: true });
    writeFileSync(join(top, 'outside/b/secret'), '');
    symlinkSync('../outside', join(top, 'tree/link'));
    writeFileSync(join(top, 'tree/file'), '');
    const handles = await handlesOf(t, join(top, 'tree'));
    for (const name of ['link', 'file']) {
      await assert.rejects(namesAt(handles, below(handles.top, name)), { code: /ENOTDIR|ELOOP/ });
      await assert.rejects(namesAt(handles, below(handles.top, name, 'b')), { code: /ENOTDIR|ELOOP/ });
    }
    const a = below(handles.top, 'a');
    assert.deepEqual(await namesAt(handles, a), ['b']);
    renameSync(join(top, 'tree/a'), join(top, 'tree/was-a'));
    symlinkSync('../outside', join(top, 'tree/a'));
    assert.deepEqual(await namesAt(handles, below(a, 'b')), [], 'the directory that was opened, not the link');
    await assert.rejects(namesAt(handles, below(handles.top, 'a', 'b')), { code: /ENOTDIR|ELOOP/ });
  });

  it('are kept open in a bounded number, none after the end', async (t) => {
    const top = temporaryDirectory(t);
    const names = Array.from({ length: 60 }, (_, number) => `d${number}`);
    for (const name of names) mkdirSync(join(top, name));
    const before = openDescriptors();
    const handles = await handlesOf(t, top, 10);
    await Promise.all(names.map((name) => namesAt(handles, below(handles.top, name))));
    for (const name of names) {
      await namesAt(handles, below(handles.top, name));
      assert.ok(openDescriptors() <= before + 11, `${openDescriptors() - before} are open`);
    }
    await handles.close();
    assert.equal(openDescriptors(), before);
  });

  it('may be used while one of them cannot be opened', async (t) => {
    const top = temporaryDirectory(t);
    mkdirSync(join(top, 'there'));
    const handles = await handlesOf(t, top);
    const missing = below(handles.top, 'missing');
    const outcomes = await Promise.allSettled([
      namesAt(handles, missing),
      namesAt(handles, missing),
      namesAt(handles, below(handles.top, 'there')),
    ]);
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['rejected', 'rejected', 'fulfilled'],
    );
    mkdirSync(join(top, 'missing'));
    assert.deepEqual(await namesAt(handles, missing), [], 'a failure is not remembered');
  });
});
