/** `covault repository`: runs the signature repository of a domain; `repository invite` lets members in. */
import { existsSync } from 'node:fs';
import { timeName } from '../browse/snapshot-names.ts';
import { CovaultError } from '../core/errors.ts';
import { exitCodes } from '../core/exit-codes.ts';
import { createJoinToken } from '../repository/join-tokens.ts';
import { startRepository } from '../repository/repository.ts';
import { mapDirectory } from '../repository/state-directory.ts';
import {
  type Call,
  type Command,
  neededOption,
  parseListen,
  stateDirectoryOf,
  stateOption,
  textOption,
} from './command.ts';
import { parseDuration } from './durations.ts';
import { aborted } from './interruption.ts';

const defaultListen = '127.0.0.1:7420';
const defaultValid = '1h';
/** The roles that a token may give. */
const invitedRoles = ['client', 'secondary', 'administrator'] as const;

export const repositoryCommand: Command = {
  name: 'repository',
  summary: 'run the signature repository of a domain',
  description:
    'Keeps the map of which client holds which block, and is the authority that certifies the members. Runs until it is ' +
    'stopped. The first start makes the domain and prints a token with which a first client can join.',
  parameters: [],
  options: [
    stateOption,
    { flags: '--listen <host:port>', summary: 'where to answer', default: defaultListen },
    { flags: '--lease <duration>', summary: 'how long a member counts as live without news of it', default: '30s' },
  ],
  exitCodes: [exitCodes.unavailable, exitCodes.corrupt, exitCodes.io],
  examples: [
    ['covault repository --listen 0.0.0.0:7420', 'answers on all addresses of this machine'],
    ['covault repository invite --role client --name laptop', 'prints a token for one more member'],
  ],
  async run(call) {
    const stateDirectory = stateDirectoryOf(call);
    const isNew = !existsSync(mapDirectory(stateDirectory));
    const repository = await startRepository({
      stateDirectory,
      ...parseListen(textOption(call, 'listen') ?? defaultListen),
      leaseTtlMs: parseDuration(textOption(call, 'lease') ?? '30s'),
      clock: call.clock,
      onDefect: (error, path) => call.log.error({ error, path }, 'a request failed unexpectedly'),
    });
    try {
      const token = isNew ? await createJoinToken({ stateDirectory, role: 'client', clock: call.clock }) : undefined;
      announce(call, { url: repository.url, fingerprint: repository.authorityFingerprint, token });
      await aborted(call.signal);
    } finally {
      await repository.close();
    }
    throw call.signal.reason;
  },
};

function announce(call: Call, ready: { url: string; fingerprint: string; token: string | undefined }): void {
  const { url, fingerprint, token } = ready;
  const tokenLines = [
    'A first client joins within the hour, once, with',
    `  covault join ${url} --token ${token} --name NAME`,
  ];
  call.announce({ type: 'ready', ...ready, pid: process.pid }, [
    `The repository answers at ${url}`,
    `Its authority has the fingerprint ${fingerprint}`,
    ...(token === undefined ? [] : tokenLines),
    'Further members: covault repository invite --role ROLE --name NAME',
  ]);
}

export const inviteCommand: Command = {
  name: 'repository invite',
  summary: 'print a token with which one member can join, once',
  description: 'Works while the repository runs and while it does not. The token is a secret until it is used.',
  parameters: [],
  options: [
    { flags: '--role <role>', summary: 'what the member may do', choices: invitedRoles },
    { flags: '--name <name>', summary: 'the only name that may join with it; also lets a known member join anew' },
    { flags: '--valid <duration>', summary: 'how long it is good, at most 30d', default: defaultValid },
    stateOption,
  ],
  exitCodes: [exitCodes.notFound, exitCodes.corrupt, exitCodes.io],
  examples: [
    ['covault repository invite --role secondary --name vault --valid 1d', 'lets the machine vault make backups'],
  ],
  async run(call) {
    const wanted = neededOption(call, 'role');
    const role = invitedRoles.find((known) => known === wanted);
    if (role === undefined) throw new CovaultError('E_BAD_INPUT', `unknown role ${wanted}`);
    const name = textOption(call, 'name');
    const validMs = parseDuration(textOption(call, 'valid') ?? defaultValid);
    const token = await createJoinToken({
      stateDirectory: stateDirectoryOf(call),
      role,
      validMs,
      clock: call.clock,
      ...(name === undefined ? {} : { name }),
    });
    const expires = timeName(BigInt(Math.round(call.clock.nowMs() + validMs)) * 1_000_000n);
    return {
      result: { type: 'invitation', token, role, ...(name === undefined ? {} : { name }), expires },
      lines: [token],
    };
  },
};
