/** Who gets into a domain, and who does not. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { makeStage } from './stage.ts';

test('the first start prints a token that lets one client in, once; later starts print none', async (t) => {
  const stage = makeStage(t);
  const repository = await stage.startRepository();
  const token = String(repository.ready.token);
  const join = (state: string, name: string) =>
    stage.run(['join', stage.repositoryUrl, '--token', token, '--name', name, '--state', stage.path(state)]);
  const first = await join('first', 'laptop');
  assert.deepEqual([first.exitCode, first.last.name, first.last.role], [0, 'laptop', 'client']);
  const again = await join('second', 'desktop');
  assert.deepEqual([again.exitCode, again.last.code], [5, 'E_AUTH']);
  assert.equal((await repository.stop()).exitCode, 130);
  assert.equal((await stage.startRepository()).ready.token, undefined);
});

test('a token for one name or of another domain lets nobody else in', async (t) => {
  const [stage, elsewhere] = [makeStage(t), makeStage(t)];
  await stage.startRepository();
  await elsewhere.startRepository();
  const invitation = ['repository', 'invite', '--role', 'client', '--name', 'laptop'];
  const { token } = await stage.do([...invitation, '--state', stage.stateOf('repository')]);
  const words = ['join', stage.repositoryUrl, '--token', String(token), '--state', stage.path('state')];
  const otherName = await stage.run([...words, '--name', 'desktop']);
  assert.notEqual(otherName.exitCode, 0, 'another name is refused');

  const foreign = await elsewhere.do([...invitation, '--state', elsewhere.stateOf('repository')]);
  const wrong = await stage.run([
    'join',
    stage.repositoryUrl,
    '--token',
    String(foreign.token),
    '--state',
    stage.path('s'),
  ]);
  assert.deepEqual([wrong.exitCode, wrong.last.code], [5, 'E_AUTH']);
});

test('a member joins with a token from a file, and only once in one state directory', async (t) => {
  const stage = makeStage(t);
  await stage.startRepository();
  const invite = [
    'repository',
    'invite',
    '--role',
    'secondary',
    '--name',
    'vault',
    '--state',
    stage.stateOf('repository'),
  ];
  const { token } = await stage.do(invite);
  writeFileSync(stage.path('token'), `${token}\n`);
  const words = ['join', stage.repositoryUrl, '--token-file', stage.path('token'), '--state', stage.path('state')];
  assert.equal((await stage.do(words)).role, 'secondary');
  const again = await stage.run(words);
  assert.deepEqual([again.exitCode, again.last.code], [2, 'E_EXISTS']);
  const neither = await stage.run(['join', stage.repositoryUrl, '--state', stage.path('other')]);
  assert.deepEqual([neither.exitCode, neither.last.code], [2, 'E_BAD_INPUT']);
});

test('without a repository there is nothing to join, to invite to, or to make a snapshot with', async (t) => {
  const stage = makeStage(t);
  const invite = await stage.run(['repository', 'invite', '--role', 'client', '--state', stage.path('none')]);
  assert.deepEqual([invite.exitCode, invite.last.code], [4, 'E_NOT_FOUND']);
  const repository = await stage.startRepository();
  const state = await stage.join('vault', 'secondary');
  const { token } = await stage.do([
    'repository',
    'invite',
    '--role',
    'client',
    '--state',
    stage.stateOf('repository'),
  ]);
  await repository.stop();
  const words = ['--token', String(token), '--name', 'laptop', '--state', stage.path('laptop')];
  const join = await stage.run(['join', stage.repositoryUrl, ...words]);
  assert.deepEqual([join.exitCode, join.last.code], [6, 'E_UNAVAILABLE']);
  const snapshot = await stage.run(['snapshot', 'laptop', '--to', stage.path('store'), '--state', state]);
  assert.deepEqual([snapshot.exitCode, snapshot.last.code], [6, 'E_UNAVAILABLE']);
});
