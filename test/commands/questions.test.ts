/** Programs asked again and again through one shell. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { Questions } from '../../src/commands/questions.ts';

const plentyMs = 30_000;

test('each question is answered with what its command prints, again and again', async (t) => {
  const questions = new Questions(['echo one; echo two', 'echo other', 'no-such-program-at-all']);
  t.after(() => questions.close());
  assert.equal(await questions.ask(0, plentyMs), 'one\ntwo');
  assert.equal(await questions.ask(1, plentyMs), 'other');
  assert.equal(await questions.ask(2, plentyMs), '');
  assert.equal(await questions.ask(0, plentyMs), 'one\ntwo');
  assert.equal(await questions.ask(3, plentyMs), '');
});

test('a command that takes too long says nothing, and its late words answer no other question', async (t) => {
  const questions = new Questions(['sleep 1; echo late', 'echo other']);
  t.after(() => questions.close());
  assert.equal(await questions.ask(0, 20), '');
  assert.equal(await questions.ask(1, plentyMs), '', 'it still runs');
  for (;;) {
    const said = await questions.ask(1, plentyMs);
    assert.notEqual(said, 'late');
    if (said === 'other') break;
    await delay(50);
  }
});

test('who is closed says nothing more', async () => {
  const questions = new Questions(['sleep 600']);
  const asked = questions.ask(0, plentyMs);
  questions.close();
  assert.equal(await asked, '');
  assert.equal(await questions.ask(0, plentyMs), '');
});
