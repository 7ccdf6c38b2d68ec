/** Where peers are, while the repository is there and while it is not. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CovaultError, isCovaultError } from '../../src/core/errors.ts';
import type { MemberInfo } from '../../src/remote/repository-messages.ts';
import { PeerDirectory } from '../../src/snapshot/peer-directory.ts';

function member(name: string, url: string | undefined): MemberInfo {
  return { name, role: 'client', url, live: true, load: 0, price: 1, holdings: 0, missing: 0, seenMs: 1 };
}

/** A repository that knows `urls`, or is away while there are none. */
function directoryOf(state: { urls: Record<string, string> | undefined; asked: number }): PeerDirectory {
  return new PeerDirectory(async () => {
    state.asked += 1;
    if (state.urls === undefined) throw new CovaultError('E_UNAVAILABLE', 'the repository is away');
    return new Map(Object.entries(state.urls).map(([name, url]) => [name, member(name, url)]));
  });
}

describe('the directory of peers', () => {
  test('says where all are after the repository was asked once', async () => {
    const state = { urls: { anna: 'https://a:1', ben: 'https://b:1' }, asked: 0 };
    const directory = directoryOf(state);
    await directory.refresh();
    assert.equal(await directory.urlOf('anna'), 'https://a:1');
    assert.equal(await directory.urlOf('ben'), 'https://b:1');
    assert.equal(state.asked, 1);
  });

  test('asks anew for who was lost, and then has the new address', async () => {
    const state = { urls: { anna: 'https://a:1' }, asked: 0 };
    const directory = directoryOf(state);
    assert.equal(await directory.urlOf('anna'), 'https://a:1');
    state.urls = { anna: 'https://a:2' };
    assert.equal(await directory.urlOf('anna'), 'https://a:2');
  });

  test('has the address that was known while the repository is away', async () => {
    const state: { urls: Record<string, string> | undefined; asked: number } = {
      urls: { anna: 'https://a:1' },
      asked: 0,
    };
    const directory = directoryOf(state);
    await directory.refresh();
    state.urls = undefined;
    assert.equal(await directory.urlOf('anna'), 'https://a:1');
    assert.equal(await directory.urlOf('anna'), 'https://a:1');
    assert.equal(state.asked, 2);
    await assert.rejects(directory.urlOf('ben'), (error) => isCovaultError(error, 'E_UNAVAILABLE'));
  });

  test('names a peer that nobody knows', async () => {
    await assert.rejects(directoryOf({ urls: {}, asked: 0 }).urlOf('anna'), /where anna is/);
  });
});
