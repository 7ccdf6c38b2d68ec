/** One daemon for each state directory, and how commands speak with it. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { askDaemon, serveControl } from '../../src/commands/control.ts';
import { controlSocketPath, lockStateDirectory } from '../../src/commands/state-directory.ts';

function stateDirectory(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'covault-control-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

const noChecks = { checkIndex: async () => ({}), rebuildIndex: async () => ({}) };
const handlers = { reload: async () => undefined, stop: () => undefined, ...noChecks };

test('a state directory is made, locked, and free again after its release', async (t) => {
  const path = join(stateDirectory(t), 'a', 'b');
  const first = await lockStateDirectory(path);
  assert.equal(statSync(path).mode & 0o777, 0o700);
  await assert.rejects(lockStateDirectory(path), { code: 'E_BUSY' });
  await first.release();
  await (await lockStateDirectory(path)).release();
});

test('the daemon answers its status and is told to stop', async (t) => {
  const path = stateDirectory(t);
  let stops = 0;
  const server = await serveControl(path, {
    status: async () => ({ mountpoint: '/a' }),
    ...handlers,
    stop: () => (stops += 1),
  });
  t.after(() => server.close());
  assert.equal(statSync(controlSocketPath(path)).mode & 0o777, 0o600);
  assert.deepEqual(await askDaemon(path, 'status'), { mountpoint: '/a' });
  assert.deepEqual(await askDaemon(path, 'stop'), {});
  assert.equal(stops, 1);
});

test('a failing status is an error for who asked, not for the daemon', async (t) => {
  const path = stateDirectory(t);
  const status = async () => {
    throw new Error('no index');
  };
  const server = await serveControl(path, { status, ...handlers });
  t.after(() => server.close());
  await assert.rejects(askDaemon(path, 'status'), { code: 'E_UNAVAILABLE', message: /no index/ });
  assert.deepEqual(await askDaemon(path, 'stop'), {});
});

test('what takes long tells its progress, and ends when the asker goes', async (t) => {
  const path = stateDirectory(t);
  const ended = Promise.withResolvers<void>();
  const server = await serveControl(path, {
    ...handlers,
    status: async () => ({}),
    checkIndex: async ({ onProgress }) => {
      onProgress({ phase: 'check index', done: 1, total: 2, unit: 'bytes' });
      return { misses: 0 };
    },
    rebuildIndex: ({ signal, onProgress }) => {
      onProgress({ phase: 'index', done: 1, unit: 'files' });
      return new Promise((_, reject) => {
        signal.addEventListener('abort', () => {
          ended.resolve();
          reject(new Error('gone'));
        });
      });
    },
  });
  t.after(() => server.close());
  const told: unknown[] = [];
  const onProgress = (report: unknown) => told.push(report);
  const { signal } = new AbortController();
  assert.deepEqual(await askDaemon(path, 'check-index', { signal, onProgress }), { misses: 0 });
  assert.deepEqual(told, [{ phase: 'check index', done: 1, total: 2, unit: 'bytes' }]);
  const stop = new AbortController();
  const asked = askDaemon(path, 'rebuild-index', { signal: stop.signal, onProgress: () => stop.abort() });
  await assert.rejects(asked, { code: 'E_INTERRUPTED' });
  await ended.promise;
});

test('nonsense on the socket is refused and does not end the daemon', async (t) => {
  const path = stateDirectory(t);
  const server = await serveControl(path, { status: async () => ({}), ...handlers });
  t.after(() => server.close());
  for (const nonsense of ['\n', 'x\n', '{"request":"fly"}\n', '[]\n', '\0\xff\n', 'x'.repeat(100_000)]) {
    const answer = await new Promise<string>((resolve) => {
      let text = '';
      const socket = createConnection(controlSocketPath(path));
      socket.on('data', (chunk) => (text += chunk)).on('error', () => undefined);
      socket.on('close', () => resolve(text));
      socket.write(nonsense, 'latin1');
    });
    if (answer !== '') assert.equal(JSON.parse(answer).ok, false, JSON.stringify(nonsense.slice(0, 40)));
  }
  assert.deepEqual(await askDaemon(path, 'status'), {});
});

test('no daemon, a dead socket and an overlong path are told apart from a daemon that fails', async (t) => {
  const path = stateDirectory(t);
  await assert.rejects(askDaemon(path, 'status'), { code: 'E_NOT_FOUND', hint: /covault mount/ });
  writeFileSync(controlSocketPath(path), '');
  await assert.rejects(askDaemon(path, 'status'), { code: 'E_NOT_FOUND' });
  await assert.rejects(askDaemon(join(path, 'x'.repeat(120)), 'status'), { code: 'E_BAD_INPUT' });
});

test('a socket that a killed daemon left behind does not keep the next one out', async (t) => {
  const path = stateDirectory(t);
  writeFileSync(controlSocketPath(path), '');
  const server = await serveControl(path, { status: async () => ({ alive: true }), ...handlers });
  t.after(() => server.close());
  assert.deepEqual(await askDaemon(path, 'status'), { alive: true });
});

test('a daemon that dies with the request unread did not answer', async (t) => {
  const path = stateDirectory(t);
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    // By then the request has come; what is not read makes the end a reset.
    setTimeout(() => socket.destroy(), 100);
  });
  await new Promise<void>((resolve) => server.listen(controlSocketPath(path), resolve));
  t.after(() => server.close());
  await assert.rejects(askDaemon(path, 'status'), { code: 'E_UNAVAILABLE' });
});
