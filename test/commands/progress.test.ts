/** What is told of progress, and how often. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { progressAsBar, progressAsLines } from '../../src/commands/progress.ts';

function manualClock() {
  return { ms: 0, nowMs: () => 0, monotonicMs: () => clockMs.value };
}
const clockMs = { value: 0 };

test('reports of one phase are thinned out, and its last one is never lost', () => {
  const lines: { phase: string; done: number }[] = [];
  const progress = progressAsLines((line) => lines.push(JSON.parse(line)), manualClock());
  for (let done = 1; done <= 1000; done += 1) {
    clockMs.value += 1;
    progress.report({ phase: 'pull', done, total: 1000, unit: 'bytes' });
  }
  progress.report({ phase: 'seal', done: 0, unit: 'snapshots' });
  progress.end();
  const pulls = lines.filter(({ phase }) => phase === 'pull');
  assert.ok(pulls.length >= 4 && pulls.length <= 6, `${pulls.length} lines`);
  assert.equal(pulls.at(-1)?.done, 1000);
  assert.equal(lines.at(-1)?.phase, 'seal');
});

test('a line has the figures and further fields, and leaves out what is unknown', () => {
  const lines: string[] = [];
  const progress = progressAsLines((line) => lines.push(line), manualClock());
  progress.report({ phase: 'pull', done: 1, unit: 'bytes', fields: { peers: [] }, note: 'not for machines' });
  assert.deepEqual(JSON.parse(lines[0] ?? ''), { type: 'progress', phase: 'pull', done: 1, unit: 'bytes', peers: [] });
});

test('a bar is told figures for people and is removed at the end', () => {
  const shown: unknown[][] = [];
  const progress = progressAsBar({ show: (...words) => shown.push(words), clear: () => shown.push([]) });
  progress.report({ phase: 'pull', done: 1500, total: 3000, unit: 'bytes', note: 'desktop 1.5 kB' });
  progress.report({ phase: 'scan', done: 1500, unit: 'files' });
  progress.end();
  assert.deepEqual(shown, [
    ['pull', 1500, 3000, '1.5 kB of 3.0 kB  desktop 1.5 kB'],
    ['scan', 1500, undefined, '1 500 files'],
    [],
  ]);
});
