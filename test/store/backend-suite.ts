/** What every backend must do. Each implementation, and each decorator, runs this. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import type { Backend } from '../../src/store/backend.ts';

const bytes = (text: string) => new Uint8Array(Buffer.from(text));
const text = (read: Uint8Array) => Buffer.from(read).toString();

/** @param open makes an empty backend for one test. */
export function testBackend(kind: string, open: (t: TestContext) => Promise<Backend>): void {
  const on = (behaviour: string, check: (backend: Backend) => Promise<void>) =>
    test(`${kind}: ${behaviour}`, async (t) => check(await open(t)));

  on('is empty at first', async (backend) => {
    assert.deepEqual(await backend.list(''), []);
    assert.deepEqual(await backend.list('packs/'), []);
    assert.equal(await backend.size('config'), undefined);
    await assert.rejects(backend.read('config'), { code: 'E_NOT_FOUND' });
    await assert.rejects(backend.read('packs/ab/cd', { offset: 0, length: 1 }), { code: 'E_NOT_FOUND' });
  });

  on('gives back what was written, whole and in ranges', async (backend) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ maxLength: 100 }), { maxLength: 5 }),
        fc.nat(400),
        fc.nat(400),
        async (chunks, from, count) => {
          await backend.remove('a/b');
          await backend.write('a/b', chunks);
          const whole = Buffer.concat(chunks);
          assert.deepEqual(Buffer.from(await backend.read('a/b')), whole);
          assert.equal(await backend.size('a/b'), whole.byteLength);
          const offset = from % (whole.byteLength + 1);
          const length = count % (whole.byteLength - offset + 1);
          assert.deepEqual(
            Buffer.from(await backend.read('a/b', { offset, length })),
            whole.subarray(offset, offset + length),
          );
        },
      ),
      { numRuns: 30 },
    );
  });

  on('refuses a range beyond the end', async (backend) => {
    await backend.write('file', [bytes('0123456789')]);
    assert.equal(text(await backend.read('file', { offset: 0, length: 10 })), '0123456789');
    await assert.rejects(backend.read('file', { offset: 0, length: 11 }), { code: 'E_CORRUPT' });
    await assert.rejects(backend.read('file', { offset: 20, length: 1 }), { code: 'E_CORRUPT' });
  });

  on('gives bytes that the caller may change', async (backend) => {
    await backend.write('file', [bytes('kept')]);
    (await backend.read('file')).fill(0);
    (await backend.read('file', { offset: 0, length: 4 })).fill(0);
    assert.equal(text(await backend.read('file')), 'kept');
  });

  on('does not keep the bytes given to it', async (backend) => {
    const given = bytes('given');
    await backend.write('file', [given]);
    given.fill(0);
    assert.equal(text(await backend.read('file')), 'given');
  });

  on('writes equal bytes again without complaint', async (backend) => {
    await backend.write('file', [bytes('one'), bytes('two')]);
    await backend.write('file', [bytes('onetwo')]);
    assert.equal(text(await backend.read('file')), 'onetwo');
  });

  on('never replaces a file by another', async (backend) => {
    await backend.write('file', [bytes('old')]);
    await assert.rejects(backend.write('file', [bytes('new')]), { code: 'E_EXISTS' });
    await assert.rejects(backend.write('file', [bytes('longer')]), { code: 'E_EXISTS' });
    assert.equal(text(await backend.read('file')), 'old');
  });

  on('takes the same file from several writers at once', async (backend) => {
    await Promise.all(Array.from({ length: 8 }, () => backend.write('packs/aa/x', [bytes('same')])));
    assert.deepEqual(await backend.list(''), [{ name: 'packs/aa/x', bytes: 4 }]);
  });

  on('lists what is below a folder, at any depth, in order', async (backend) => {
    for (const name of ['b', 'packs/bb/2', 'packs/aa/1', 'packs/3', 'packsaa', 'a']) {
      await backend.write(name, [bytes(name)]);
    }
    const names = async (prefix: string) => (await backend.list(prefix)).map(({ name }) => name);
    assert.deepEqual(await names(''), ['a', 'b', 'packs/3', 'packs/aa/1', 'packs/bb/2', 'packsaa']);
    assert.deepEqual(await names('packs/'), ['packs/3', 'packs/aa/1', 'packs/bb/2']);
    assert.deepEqual(await backend.list('packs/aa/'), [{ name: 'packs/aa/1', bytes: 10 }]);
  });

  on('removes, and does not mind what is gone', async (backend) => {
    await backend.write('a/file', [bytes('x')]);
    await backend.remove('a/file');
    await backend.remove('a/file');
    assert.deepEqual(await backend.list(''), []);
    await backend.write('a/file', [bytes('y')]);
    assert.equal(text(await backend.read('a/file')), 'y');
  });

  on('refuses names that could lead elsewhere', async (backend) => {
    for (const name of [
      '',
      '/',
      '/a',
      'a/',
      'a//b',
      '.',
      '..',
      '../a',
      'a/../b',
      'A',
      'a b',
      'a\0',
      'ä',
      '.a',
      'a'.repeat(201),
    ]) {
      await assert.rejects(async () => backend.read(name), { code: 'E_BAD_INPUT' }, name);
      await assert.rejects(async () => backend.write(name, []), { code: 'E_BAD_INPUT' }, name);
      await assert.rejects(async () => backend.remove(name), { code: 'E_BAD_INPUT' }, name);
      await assert.rejects(async () => backend.size(name), { code: 'E_BAD_INPUT' }, name);
    }
    for (const prefix of ['packs', '/', '../', 'a/../']) {
      await assert.rejects(async () => backend.list(prefix), { code: 'E_BAD_INPUT' }, prefix);
    }
  });

  on('tells free space and has no leftovers of its own', async (backend) => {
    await backend.write('file', [bytes('x')]);
    assert.ok((await backend.freeBytes()) > 0);
    await backend.removeLeftovers();
    assert.deepEqual(await backend.list(''), [{ name: 'file', bytes: 1 }]);
  });
}
