/** The settings file: every key, every mistake named, and what they mean for who serves. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { openLog } from '../../src/commands/logging.ts';
import { loadSentTotal, SentTotalKeeper } from '../../src/commands/sent-total.ts';
import { loadSettings, parseSettings } from '../../src/commands/settings.ts';
import { openSharing } from '../../src/commands/sharing.ts';
import { systemClock } from '../../src/core/clock.ts';
import { isCovaultError } from '../../src/core/errors.ts';
import { defaultServingSettings } from '../../src/snapshot/serving-policy.ts';

const log = openLog('silent');

function directoryOf(t: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'covault-settings-'));
  t.after(() => rmSync(directory, { recursive: true }));
  return directory;
}

test('without a file the defaults hold', async (t) => {
  const settings = await loadSettings(directoryOf(t));
  assert.deepEqual(settings, {
    serving: defaultServingSettings,
    download: { bytesPerSecond: Number.POSITIVE_INFINITY, windows: [] },
    metered: 'ask',
    reading: 'idle',
  });
});

test('every key is read', () => {
  const all = {
    upload: '10MB',
    uploadByHour: ['08:00-18:00=2MB', '22:00-06:30=unlimited', '23:00-24:00=off'],
    uploadPerMonth: '100GB',
    download: '500kB',
    downloadByHour: ['00:00-12:00=1MB'],
    slots: 4,
    slotsPerPuller: 2,
    onBattery: 'serve',
    onMetered: 'serve',
    metered: 'yes',
    price: 5,
    sourceUpload: '1MB',
    sourceUploadFreeAfter: '2h',
    sourceOnPause: 'pause',
    reading: 'usual',
  };
  assert.deepEqual(parseSettings(JSON.stringify(all), 'settings.json'), {
    serving: {
      upload: {
        bytesPerSecond: 10e6,
        windows: [
          { fromMinute: 480, toMinute: 1080, bytesPerSecond: 2e6 },
          { fromMinute: 1320, toMinute: 390, bytesPerSecond: Number.POSITIVE_INFINITY },
          { fromMinute: 1380, toMinute: 0, bytesPerSecond: 0 },
        ],
      },
      slots: { total: 4, perPuller: 2 },
      pausesOnBattery: false,
      pausesOnMetered: false,
      price: 5,
      monthlyBytesMax: 100e9,
      source: { bytesPerSecond: 1e6, freeAfterMs: 7_200_000, pauses: true },
    },
    download: { bytesPerSecond: 500e3, windows: [{ fromMinute: 0, toMinute: 720, bytesPerSecond: 1e6 }] },
    metered: 'yes',
    reading: 'usual',
  });
});

const mistakes: [string, RegExp][] = [
  ['{', /not a JSON object/],
  ['[]', /not a JSON object/],
  ['{"uplaod": "1MB"}', /no setting "uplaod"/],
  ['{"upload": 5}', /upload is not a text/],
  ['{"upload": "fast"}', /upload: not a size/],
  ['{"download": "5kB"}', /download: a rate of 5kB is too low/],
  ['{"uploadByHour": "08:00-18:00=2MB"}', /uploadByHour is not a list/],
  ['{"uploadByHour": ["8-18=2MB"]}', /uploadByHour: not a rate for some hours: "8-18=2MB"/],
  ['{"uploadByHour": ["08:00-08:00=2MB"]}', /uploadByHour: not a rate/],
  ['{"uploadByHour": ["08:60-09:00=2MB"]}', /uploadByHour: not a rate/],
  ['{"uploadByHour": ["08:00-25:00=2MB"]}', /uploadByHour: not a rate/],
  ['{"downloadByHour": ["08:00-09:00=off"]}', /downloadByHour: "off" is for uploads only/],
  ['{"slots": 0}', /slots is not a whole number from 1/],
  ['{"onBattery": "stop"}', /onBattery is not one of pause, serve/],
  ['{"sourceUploadFreeAfter": "soon"}', /sourceUploadFreeAfter: not a duration/],
  ['{"__proto__x": 1}', /no setting/],
];
for (const [content, message] of mistakes) {
  test(`a mistake is named: ${content}`, () => {
    assert.throws(
      () => parseSettings(content, '/state/settings.json'),
      (error) =>
        isCovaultError(error, 'E_BAD_INPUT') &&
        error.message.startsWith('/state/settings.json') &&
        message.test(error.message),
    );
  });
}

test('settings are read anew, a wrong file leaves those before, and the total is kept', async (t) => {
  const state = directoryOf(t);
  const write = (settings: unknown) => writeFileSync(join(state, 'settings.json'), JSON.stringify(settings));
  write({ slots: 3, metered: 'no', onBattery: 'serve' });
  const sharing = await openSharing(state, { clock: systemClock, log });
  t.after(() => sharing.close());
  assert.equal(sharing.gate.status().slots.total, 3);
  write({ slots: 'many' });
  await assert.rejects(sharing.reload(), { code: 'E_BAD_INPUT' });
  assert.equal(sharing.gate.status().slots.total, 3);
  write({ slots: 5, onBattery: 'serve', metered: 'yes' });
  await sharing.reload();
  assert.equal(sharing.gate.status().slots.total, 5);
  assert.equal(sharing.gate.status().paused?.reason, 'metered');
  for await (const _ of sharing.gate.paced(
    (async function* () {
      yield new Uint8Array(1234);
    })(),
    () => ({ name: 'vault', cutOpenMs: 0 }),
    new AbortController().signal,
  ));
  await sharing.close();
  assert.equal((await loadSentTotal(state, log)).bytes, 1234);
  const again = await openSharing(state, { clock: systemClock, log });
  assert.equal(again.gate.status().month.bytes, 1234);
  await again.close();
});

test('a total that cannot be read begins anew', async (t) => {
  const state = directoryOf(t);
  for (const content of ['', '{', '[]', '{"month": 5}', '{"month": "2026-11", "bytes": -1}']) {
    writeFileSync(join(state, 'sent.json'), content);
    assert.deepEqual(await loadSentTotal(state, log), { month: '', bytes: 0 });
  }
  const keeper = new SentTotalKeeper(state, () => ({ month: '2026-11', bytes: 0 }), log);
  await keeper.close();
});
