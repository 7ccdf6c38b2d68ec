/** Battery and metered links, from what kernels and NetworkManager print. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  isMeteredByDevices,
  isMeteredByProperty,
  isOnBattery,
  type PowerSupply,
  SurroundingsWatch,
} from '../../src/commands/surroundings.ts';

const supply = (fields: Partial<PowerSupply>): PowerSupply => ({
  type: '',
  online: '',
  status: '',
  scope: '',
  ...fields,
});
const discharging = supply({ type: 'Battery', status: 'Discharging', scope: 'System' });

test('a machine runs on battery if its own battery discharges and nothing else has power', () => {
  assert.equal(isOnBattery([]), false, 'a desktop has no supplies to show');
  assert.equal(isOnBattery([discharging]), true);
  assert.equal(isOnBattery([discharging, supply({ type: 'Mains', online: '0' })]), true);
  assert.equal(isOnBattery([discharging, supply({ type: 'Mains', online: '1' })]), false);
  assert.equal(isOnBattery([discharging, supply({ type: 'USB', online: '1' })]), false, 'charged over USB-C');
  assert.equal(isOnBattery([supply({ type: 'Battery', status: 'Full' })]), false);
  assert.equal(isOnBattery([supply({ type: 'Battery', status: 'Discharging', scope: 'Device' })]), false, 'a mouse');
});

test('what NetworkManager says is understood, and anything else is not known', () => {
  assert.deepEqual(['u 0', 'u 1', 'u 2', 'u 3', 'u 4\n'].map(isMeteredByProperty), [
    undefined,
    true,
    false,
    true,
    false,
  ]);
  for (const odd of ['', 'u 5', 'Failed to get property', 'u 11']) assert.equal(isMeteredByProperty(odd), undefined);
  assert.equal(isMeteredByDevices('no\n\nyes (guessed)\n'), true);
  assert.equal(isMeteredByDevices('no (guessed)\n\nunknown\n'), false);
  assert.equal(isMeteredByDevices('unknown\n\n'), undefined);
  assert.equal(isMeteredByDevices('Error: NetworkManager is not running.'), undefined);
});

test('the state of the machine is read from files, and a setting speaks for the network', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'covault-power-'));
  t.after(() => rmSync(directory, { recursive: true }));
  mkdirSync(join(directory, 'BAT0'));
  writeFileSync(join(directory, 'BAT0', 'type'), 'Battery\n');
  writeFileSync(join(directory, 'BAT0', 'status'), 'Discharging\n');
  const watch = await SurroundingsWatch.start('yes', directory);
  t.after(() => watch.close());
  assert.deepEqual(watch.state(), { isOnBattery: true, isMetered: true });
  writeFileSync(join(directory, 'BAT0', 'status'), 'Charging\n');
  await watch.look('no');
  assert.deepEqual(watch.state(), { isOnBattery: false, isMetered: false });
});
