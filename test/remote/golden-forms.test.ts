/** Bytes of version 1 of the wire as they were first written: what another release may send must go on being read. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decode, encode } from '../../src/core/codec.ts';
import { decodeFrames, encodeFrames, type Frame } from '../../src/remote/framing.ts';
import { packHolderRuns, unpackHolderRuns } from '../../src/remote/holder-runs.ts';
import { formatJoinToken, parseJoinToken } from '../../src/remote/join-token.ts';

const frameBytes = Buffer.from('010000000200000003616263020000012c00000000040000000200000000', 'hex');
const tokenText =
  'covault1-lcQgAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQHEIAICAgICAgICAgICAgICAgICAgICAgICAgICAgI' +
  'CAgICqXNlY29uZGFyecDLQnoxhcUAAAA';
const holderBytes = Buffer.from('9392a161a1629392000190910196020001010102', 'hex');

test('frames of version 1', async () => {
  const frames: Frame[] = [
    { kind: 'item', position: 2, bytes: Buffer.from('abc') },
    { kind: 'absent', position: 300 },
  ];
  const chunks: Uint8Array[] = [];
  for await (const chunk of encodeFrames(frames)) chunks.push(chunk);
  assert.deepEqual(Buffer.concat(chunks), frameBytes);
  const stream = (async function* () {
    yield frameBytes;
  })();
  const read: Frame[] = [];
  for await (const frame of decodeFrames(stream, { payloadBytesMax: 3, positions: 301 })) read.push(frame);
  assert.deepEqual(read, frames);
});

test('a join token of version 1', () => {
  const token = {
    secret: new Uint8Array(32).fill(1),
    fingerprint: new Uint8Array(32).fill(2),
    role: 'secondary' as const,
    name: undefined,
    expiresMs: 1_800_000_000_000,
  };
  assert.equal(formatJoinToken(token), tokenText);
  assert.deepEqual(parseJoinToken(tokenText), token);
});

test('holders of version 1', () => {
  const holders = [['a', 'b'], ['a', 'b'], [], ['b']];
  assert.deepEqual(Buffer.from(encode(packHolderRuns(holders))), holderBytes);
  assert.deepEqual(unpackHolderRuns(decode(holderBytes, 'holders'), 4), holders);
});
