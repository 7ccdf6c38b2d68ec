/** Where a store's password comes from. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { readPassword } from '../../src/commands/password.ts';
import { fakeCall } from './fake-call.ts';

const existing = { store: 'the store', isNew: false };

test('the first line of a file is the password, its line end is not', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'covault-password-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const passwordFile = join(directory, 'password');
  writeFileSync(passwordFile, ' with spaces \r\nsecond line\n');
  assert.equal(await readPassword(fakeCall({ options: { passwordFile } }), existing), ' with spaces ');
});

test('a password for a new store is made and written to a new file, which gives it from then on', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'covault-password-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const newPasswordFile = join(directory, 'password');
  const isNew = { ...existing, isNew: true };
  const made = await readPassword(fakeCall({ options: { newPasswordFile } }), isNew);
  assert.equal(statSync(newPasswordFile).mode & 0o777, 0o600);
  assert.equal(await readPassword(fakeCall({ options: { passwordFile: newPasswordFile } }), existing), made);
  for (const options of [existing, isNew]) {
    const again = readPassword(fakeCall({ options: { newPasswordFile } }), options);
    await assert.rejects(again, { code: 'E_EXISTS', hint: /--password-file/ });
  }
  assert.equal(readFileSync(newPasswordFile, 'utf8'), `${made}\n`);
});

test('a command gives the password; its failure does not show it', async () => {
  const options = { passwordCommand: "printf 'secret\\nmore\\n'" };
  assert.equal(await readPassword(fakeCall({ options }), existing), 'secret');
  const failing = fakeCall({ options: { passwordCommand: 'echo secret; echo secret >&2; exit 1' } });
  await assert.rejects(readPassword(failing, existing), (error: Error) => !/secret/.test(error.message));
});

test('an option comes before the environment, the environment before a question', async () => {
  const options = { passwordCommand: 'echo from-command' };
  assert.equal(await readPassword(fakeCall({ options, password: 'from-environment' }), existing), 'from-command');
  assert.equal(
    await readPassword(fakeCall({ password: 'from-environment', answers: ['x'] }), existing),
    'from-environment',
  );
});

test('a person is asked once for an existing store and twice for a new one', async () => {
  assert.equal(await readPassword(fakeCall({ answers: ['a'] }), existing), 'a');
  assert.equal(await readPassword(fakeCall({ answers: ['a', 'a'] }), { ...existing, isNew: true }), 'a');
  const different = readPassword(fakeCall({ answers: ['a', 'b'] }), { ...existing, isNew: true });
  await assert.rejects(different, { code: 'E_BAD_INPUT', message: /differ/ });
});

test('without anybody to ask the ways to give it are named', async () => {
  await assert.rejects(readPassword(fakeCall(), existing), { code: 'E_BAD_INPUT', hint: /COVAULT_PASSWORD/ });
});

test('an empty password, a missing file and two sources are refused', async () => {
  await assert.rejects(readPassword(fakeCall({ password: '' }), existing), { code: 'E_BAD_INPUT' });
  const missing = fakeCall({ options: { passwordFile: join(tmpdir(), 'covault-no-such-file') } });
  await assert.rejects(readPassword(missing, existing), { code: 'E_NOT_FOUND' });
  const both = fakeCall({ options: { passwordFile: 'a', passwordCommand: 'b' } });
  await assert.rejects(readPassword(both, existing), { code: 'E_BAD_INPUT' });
});
