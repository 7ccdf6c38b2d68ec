/** The heap of a daemon stays near what it holds. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';

const run = promisify(execFile);
const mebibyte = 1024 * 1024;

/** Holds a little and makes much garbage that has lived for a while; prints how large its heap was at most, in bytes. */
const program = `
import { getHeapStatistics } from 'node:v8';
import { keepHeapSmall } from ${JSON.stringify(new URL('../../src/commands/heap.ts', import.meta.url).href)};
if (process.argv[1] === 'small') keepHeapSmall();
const held = [];
let most = 0;
for (let number = 0; number < 4_000_000; number++) {
  held[number % 40_000] = { number: BigInt(number), text: [number, number + 1] };
  if (number % 10_000 === 0) most = Math.max(most, getHeapStatistics().total_heap_size);
}
console.log(most);
`;

async function heapMost(mode: 'small' | 'plain'): Promise<number> {
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', program, mode]);
  return Number(stdout) / mebibyte;
}

// Without the settings it becomes 140 MiB, with them 30.
test('a heap that holds little does not become large because much comes and goes', async () => {
  const most = await heapMost('small');
  assert.ok(most < 80, `${most} MiB`);
});
