/** Which data mode a kernel gets. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dataModeFor } from '../../src/fs/data-mode.ts';

test('writes are gathered where a flush of the mount waits for all of them', () => {
  for (const release of ['6.16.0', '6.18.44-generic', '7.0', '10.1.2-1-amd64']) {
    assert.equal(dataModeFor(release), 'writeback', release);
  }
});

test('writes go through where it does not, or where nothing is known', () => {
  for (const release of ['5.4.0', '6.15.11', '6.1.0-30-amd64', '4.19', '']) {
    assert.equal(dataModeFor(release), 'write-through', release);
  }
});
