/** The command line as a whole: what is printed where, and the exit status. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Command, parameter, parseListen, textOption } from '../../src/commands/command.ts';
import { runProgram } from '../../src/commands/program.ts';
import { CovaultError } from '../../src/core/errors.ts';
import { fakeCall } from './fake-call.ts';

const copy: Command = {
  name: 'copy',
  summary: 'copies a thing',
  parameters: [{ name: 'THING', summary: 'what' }],
  options: [
    { flags: '--how <way>', summary: 'how', choices: ['well', 'badly'] },
    { flags: '--fail <code>', summary: 'fails' },
  ],
  exitCodes: [4],
  examples: [['covault copy cat', 'copies a cat']],
  async run(call) {
    const fail = textOption(call, 'fail');
    if (fail === 'defect') throw new TypeError('this is not a function');
    if (fail === 'system') throw Object.assign(new Error('EACCES: not allowed'), { code: 'EACCES' });
    if (fail) throw new CovaultError('E_NOT_FOUND', `there is no ${parameter(call, 0)}`, { hint: 'make one' });
    call.announce({ type: 'ready' }, ['ready']);
    const how = textOption(call, 'how') ?? 'somehow';
    return { result: { type: 'summary', how }, lines: [`copied ${parameter(call, 0)} ${how}`], exitCode: 3 };
  },
};
const inner: Command = { ...copy, name: 'copy twice', parameters: [], exitCodes: [], run: async () => done };
const done = { result: { type: 'twice' }, lines: ['twice'] };

async function runWords(...words: string[]): Promise<{ status: number; out: string[]; err: string[] }> {
  const out: string[] = [];
  const err: string[] = [];
  const { terminal, environment } = fakeCall();
  const status = await runProgram({
    commands: [copy, inner],
    environment: { ...environment, words },
    terminal: {
      ...terminal,
      noteStream: { isTTY: false } as NodeJS.WriteStream,
      print: (line) => out.push(line),
      note: (line) => err.push(line),
    },
    version: '1.2.3',
    hardStop: () => assert.fail('nobody sent a signal'),
  });
  return { status, out, err };
}

test('a command gets its parameters and options, and its own exit status counts', async () => {
  assert.deepEqual(await runWords('copy', 'cat', '--how', 'well'), {
    status: 3,
    out: ['ready', 'copied cat well'],
    err: [],
  });
});

test('with --json every line is an object and the result is the last', async () => {
  const { out, err } = await runWords('copy', 'cat', '--json');
  assert.deepEqual(
    out.map((line) => JSON.parse(line)),
    [{ type: 'ready' }, { type: 'summary', how: 'somehow' }],
  );
  assert.deepEqual(err, []);
});

test('a command within a command has options of its own', async () => {
  assert.deepEqual((await runWords('copy', 'twice', '--json')).out, ['{"type":"twice"}']);
});

test('an error is a sentence and a hint on standard error, and has its status', async () => {
  assert.deepEqual(await runWords('copy', 'cat', '--fail', 'yes'), {
    status: 4,
    out: [],
    err: ['error: there is no cat', 'hint: make one'],
  });
});

test('with --json an error is an object on standard output', async () => {
  const { status, out } = await runWords('copy', 'cat', '--fail', 'yes', '--json');
  assert.equal(status, 4);
  const expected = { type: 'error', code: 'E_NOT_FOUND', message: 'there is no cat', hint: 'make one' };
  assert.deepEqual(JSON.parse(out[0] ?? ''), expected);
});

test('a refusal of the system and a defect are told apart', async () => {
  const system = await runWords('copy', 'cat', '--fail', 'system');
  assert.deepEqual([system.status, system.err], [8, ['error: EACCES: not allowed']]);
  const defect = await runWords('copy', 'cat', '--fail', 'defect');
  assert.equal(defect.status, 1);
  assert.match(defect.err.join('\n'), /this is not a function[\s\S]*hint: this is a defect/);
});

for (const words of [
  [],
  ['fly'],
  ['copy'],
  ['copy', 'a', 'b'],
  ['copy', 'a', '--what'],
  ['copy', 'a', '--how', 'so'],
]) {
  test(`"covault ${words.join(' ')}" is a usage error with a hint`, async () => {
    const { status, err } = await runWords(...words);
    assert.equal(status, 2);
    assert.match(err.join('\n'), /^error: [\s\S]*hint: .*--help/m);
    const asJson = await runWords(...words, '--json');
    assert.equal(asJson.status, 2);
    assert.equal(JSON.parse(asJson.out.at(-1) ?? '').code, 'E_BAD_INPUT');
  });
}

test('help names parameters, options, examples and exit statuses, and is no error', async () => {
  const { status, out, err } = await runWords('copy', '--help');
  assert.equal(status, 0);
  assert.deepEqual(err, []);
  for (const part of ['<THING>', '--how <way>', '--json', '$ covault copy cat', 'Exit status:', '  4  ', '  130  ']) {
    assert.ok(out.join('\n').includes(part), part);
  }
});

test('the version is printed', async () => assert.deepEqual((await runWords('--version')).out, ['1.2.3']));

test('an unknown log level is a usage error', async () => {
  assert.equal((await runWords('copy', 'cat', '--log-level', 'loud')).status, 2);
});

test('addresses to listen on', () => {
  assert.deepEqual(parseListen('127.0.0.1:0'), { host: '127.0.0.1', port: 0 });
  assert.deepEqual(parseListen('[::1]:7420'), { host: '::1', port: 7420 });
  assert.deepEqual(parseListen(':7420'), { host: '0.0.0.0', port: 7420 });
  for (const text of ['', '7420', 'a:b', '::1:7420', 'a:70000', '[::1]', 'a:1:2']) {
    assert.throws(() => parseListen(text), { code: 'E_BAD_INPUT' }, text);
  }
});
