/** Limits of time: what ends them, and that they leave nothing behind. */
import assert from 'node:assert/strict';
import { EventEmitter, getEventListeners, once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { test } from 'node:test';
import { isCovaultError } from '../../src/core/errors.ts';
import { DeadlineError, withDeadline } from '../../src/remote/deadline.ts';
import { RunningRequests } from '../../src/remote/running-requests.ts';

const aborted = async (signal: AbortSignal) => {
  await once(signal, 'abort');
  throw signal.reason;
};

test('what ends in time keeps its outcome and leaves no listener', async () => {
  const { signal } = new AbortController();
  assert.equal(await withDeadline(60_000, signal, async () => 7), 7);
  await assert.rejects(
    withDeadline(60_000, signal, () => Promise.reject(new RangeError())),
    RangeError,
  );
  assert.equal(getEventListeners(signal, 'abort').length, 0);
});

test('time that is over and an abort are told apart', async () => {
  const controller = new AbortController();
  await assert.rejects(withDeadline(5, controller.signal, aborted), DeadlineError);
  const waiting = withDeadline(60_000, controller.signal, aborted);
  controller.abort(new RangeError());
  await assert.rejects(waiting, RangeError);
  await assert.rejects(
    withDeadline(60_000, controller.signal, async () => 7),
    RangeError,
  );
});

test('a request is aborted when its connection closes early or the server ends it, not when it was answered', () => {
  const running = new RunningRequests();
  const responses = [0, 1, 2].map(() => Object.assign(new EventEmitter(), { writableFinished: false }));
  const [answered, gone, stuck] = responses.map((response) => running.begin(response as unknown as ServerResponse));
  Object.assign(responses[0] as object, { writableFinished: true });
  responses[0]?.emit('close');
  responses[1]?.emit('close');
  assert.deepEqual([answered?.aborted, gone?.aborted, stuck?.aborted], [false, true, false]);
  running.check();
  running.refuseMore();
  assert.throws(
    () => running.check(),
    (error) => isCovaultError(error, 'E_BUSY'),
  );
  running.abortAll();
  assert.deepEqual([answered?.aborted, stuck?.aborted], [false, true]);
});
