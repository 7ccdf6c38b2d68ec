/** The gate in virtual time: rates that hold over all requests, pauses that begin midway, totals that are kept. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isCovaultError } from '../../src/core/errors.ts';
import { type Guest, ServingGate } from '../../src/snapshot/serving-gate.ts';
import { defaultServingSettings, type ServingSettings } from '../../src/snapshot/serving-policy.ts';
import { VirtualTime } from './virtual-time.ts';

const other: Guest = { name: 'vault', cutOpenMs: undefined };
const signal = new AbortController().signal;

function gateOf(settings: Partial<ServingSettings>, more: Partial<ConstructorParameters<typeof ServingGate>[0]> = {}) {
  const time = new VirtualTime();
  const gate = new ServingGate({
    settings: { ...defaultServingSettings, ...settings },
    clock: time,
    timers: time,
    ...more,
  });
  return { time, gate };
}

async function* chunks(count: number, bytes: number): AsyncGenerator<Uint8Array> {
  for (let chunk = 0; chunk < count; chunk++) yield new Uint8Array(bytes).fill(chunk);
}

async function send(gate: ServingGate, guest: () => Guest, bytes: number): Promise<Buffer> {
  const sent: Uint8Array[] = [];
  for await (const piece of gate.paced(chunks(4, bytes / 4), guest, signal)) sent.push(piece);
  return Buffer.concat(sent);
}

test('several answers together keep to the rate, and come whole', async () => {
  const { time, gate } = gateOf({ upload: { bytesPerSecond: 100_000, windows: [] } });
  const answers = await time.run(Promise.all([1, 2, 3].map(() => send(gate, () => other, 400_000))), 1e6);
  for (const answer of answers) {
    assert.equal(answer.byteLength, 400_000);
    assert.deepEqual(
      [0, 100_000, 399_999].map((at) => answer[at]),
      [0, 1, 3],
    );
  }
  assert.ok(time.monotonicMs() > 11_000 && time.monotonicMs() <= 12_000, `${time.monotonicMs()} ms`);
  assert.equal(gate.sent.bytes, 1_200_000);
});

test('copies of this client keep to their own rate until they have taken too long', async () => {
  const source = { bytesPerSecond: 50_000, freeAfterMs: 10_000, pauses: false };
  const { time, gate } = gateOf({ upload: { bytesPerSecond: 1_000_000, windows: [] }, source });
  const guest = () => ({ name: 'vault', cutOpenMs: time.monotonicMs() });
  await time.run(send(gate, guest, 2_500_000), 1e6);
  // Ten seconds at 50 kB/s, the rest at 1 MB/s.
  assert.ok(time.monotonicMs() > 11_500 && time.monotonicMs() < 12_500, `${time.monotonicMs()} ms`);
});

test('a pause refuses others with its reason and a time, and copies of this client only if that is set', () => {
  const surroundings = { isOnBattery: true, isMetered: false };
  const { gate } = gateOf({}, { surroundings: () => surroundings });
  const source: Guest = { name: 'vault', cutOpenMs: 5 };
  assert.throws(
    () => gate.enter(other),
    (error) => isCovaultError(error, 'E_BUSY') && /battery/.test(error.message) && error.retryAfterMs === 300_000,
  );
  assert.equal(gate.status().paused?.reason, 'battery');
  assert.equal(gate.status().bytesPerSecond, 0);
  gate.enter(source)();
  gate.configure({ ...defaultServingSettings, source: { ...defaultServingSettings.source, pauses: true } });
  assert.throws(() => gate.enter(source), { code: 'E_BUSY' });
  surroundings.isOnBattery = false;
  gate.enter(other)();
  assert.equal(gate.status().paused, undefined);
});

test('other settings hold at once: slots, and the rate of what is being sent', async () => {
  const { time, gate } = gateOf({ upload: { bytesPerSecond: 10_000, windows: [] } });
  gate.enter(other);
  const sending = send(gate, () => other, 1_000_000);
  time.after(10_000, () => gate.configure({ ...defaultServingSettings, slots: { total: 1, perPuller: 1 } }));
  await time.run(sending, 1e6);
  assert.ok(time.monotonicMs() >= 10_000 && time.monotonicMs() < 11_500, `${time.monotonicMs()} ms`);
  assert.throws(() => gate.enter(other), { code: 'E_BUSY' });
});

test('what was sent earlier this month counts, and what was sent in another one does not', async () => {
  const monthly = { monthlyBytesMax: 1_000_000 };
  const { time } = gateOf({});
  const month = gateOf({}).gate.sent.month;
  const { gate } = gateOf(monthly, { sent: { month, bytes: 900_000 } });
  gate.enter(other)();
  await time.run(
    send(gate, () => other, 200_000),
    1e6,
  );
  assert.throws(() => gate.enter(other), { code: 'E_BUSY', message: /this month/ });
  assert.deepEqual(gate.sent, { month, bytes: 1_100_000 });
  gateOf(monthly, { sent: { month: '1999-12', bytes: 9e9 } }).gate.enter(other)();
});
