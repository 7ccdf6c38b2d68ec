/** Errors of the system, as they come from Node.js. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { getSystemErrorMap } from 'node:util';
import { ioError, systemErrorCode } from '../../src/core/errors.ts';

/** As Node.js makes it of an errno. */
function systemError(errno: number): Error {
  const code = getSystemErrorMap().get(-errno)?.[0] ?? `Unknown system error -${errno}`;
  return Object.assign(new Error(code), { code, errno: -errno });
}

test('every error of a file system has its name, also where Node.js has none for it', () => {
  const names = { 2: 'ENOENT', 28: 'ENOSPC', 116: 'ESTALE', 117: 'EUCLEAN', 122: 'EDQUOT' };
  for (const [errno, name] of Object.entries(names)) assert.equal(systemErrorCode(systemError(Number(errno))), name);
  assert.equal(systemErrorCode(new Error('of nothing')), undefined);
});

test('a quota that is used up is no space', () => {
  assert.equal(ioError(systemError(122), 'write').code, 'E_NO_SPACE');
});
