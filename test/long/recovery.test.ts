/** Kills and power cuts by the hundred: `COVAULT_KILLS` in each data mode (150), `COVAULT_POWER_CUTS` on each file system (30). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randomBelow } from '../../src/core/clock.ts';
import { needsDiskImages } from '../recovery/disk-images.ts';
import { killAndLook } from '../recovery/kills.ts';
import { cutPowerAndLook } from '../recovery/power-cuts.ts';
import { createProgress } from '../support/long-run.ts';
import { needsMount } from '../support/requirements.ts';

const kills = Number(process.env.COVAULT_KILLS ?? 150);
const powerCuts = Number(process.env.COVAULT_POWER_CUTS ?? 30);
const seed = Number(process.env.COVAULT_SEED ?? randomBelow(1_000_000));

for (const dataMode of ['write-through', 'writeback'] as const) {
  test(`the index survives ${kills} kills (${dataMode})`, { skip: needsMount() }, async (t) => {
    const tell = createProgress(`looks after kills, ${dataMode}, seed ${seed}`);
    let looks = 0;
    await killAndLook({ seed, dataMode, kills, onLook: () => tell(++looks) });
    t.diagnostic(`${looks} looks`);
  });
}

for (const kind of ['ext4', 'xfs', 'btrfs'] as const) {
  const skip = needsMount() || (await needsDiskImages(kind));
  test(`the index survives ${powerCuts} power cuts (${kind})`, { skip }, async () => {
    const tell = createProgress(`power cuts, ${kind}, seed ${seed}`, powerCuts);
    let looks = 0;
    const dataMode = kind === 'xfs' ? 'writeback' : 'write-through';
    await cutPowerAndLook({ seed, kind, dataMode, cuts: powerCuts, onLook: () => tell(++looks) });
    assert.equal(looks, powerCuts);
  });
}
