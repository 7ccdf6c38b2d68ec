/** The worked example of the planner in ARCHITECTURE.md: its figures are what the code gives. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { type Instance, planOf } from './plan-instances.ts';

const peers = ['anna', 'ben', 'cleo'] as const;
/** Blocks of one megabyte, and who holds them besides the source. */
const files = [
  { name: 'photos', blocks: 60, holders: ['anna', 'ben'] },
  { name: 'mail', blocks: 30, holders: ['anna', 'cleo'] },
  { name: 'music', blocks: 10, holders: ['cleo'] },
  { name: 'diary', blocks: 5, holders: [] },
] as const;
const example: Instance = {
  lengths: files.flatMap(({ blocks }) => Array.from({ length: blocks }, () => 1_000_000)),
  holders: files.flatMap(({ blocks, holders }) =>
    Array.from({ length: blocks }, () => holders.map((name) => peers.indexOf(name))),
  ),
  peers: [
    { live: true, bytesPerSecond: 10e6, bytesInFlight: 0 },
    { live: true, bytesPerSecond: 5e6, bytesInFlight: 0 },
    { live: true, bytesPerSecond: 5e6, bytesInFlight: 0, load: 3 },
  ],
};

/** Rows of the table: megabytes of each file that each sends, their sum, and when it is done at what speed. */
function rows(): string[] {
  const plan = planOf(example);
  const fileOf = files.flatMap(({ name, blocks }) => Array.from({ length: blocks }, () => name));
  const row = (who: string, groups: Uint32Array, megabytesPerSecond?: number): string => {
    const blocks = [...groups].flatMap((group) => [
      ...plan.groups.order.subarray(plan.groups.starts[group], plan.groups.starts[group + 1]),
    ]);
    const counts = files.map(({ name }) => blocks.filter((block) => fileOf[block] === name).length);
    const seconds = megabytesPerSecond === undefined ? '' : `${(blocks.length / megabytesPerSecond).toFixed(1)} s`;
    return `| ${[who, ...counts.map((count) => count || ''), blocks.length, seconds].join(' | ')} |`
      .replaceAll('|  |', '| |')
      .replaceAll('|  |', '| |');
  };
  const speeds = [10, 5, 2.5];
  return [
    ...peers.map((name, peer) => row(name, plan.queues[peer] as Uint32Array, speeds[peer])),
    row('the source', plan.source),
  ];
}

test('the worked example in ARCHITECTURE.md has the figures that the planner gives', () => {
  const text = readFileSync(new URL('../../ARCHITECTURE.md', import.meta.url), 'utf8');
  for (const line of rows()) assert.ok(text.includes(line), `ARCHITECTURE.md lacks: ${line}`);
  const seconds = `${planOf(example).seconds.toFixed(1)} s`;
  assert.ok(text.includes(`all peers are done after ${seconds}`), `ARCHITECTURE.md does not say ${seconds}`);
});
