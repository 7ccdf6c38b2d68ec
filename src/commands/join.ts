/** `covault join URL`: becomes a member of a domain. */
import { readFile } from 'node:fs/promises';
import { CovaultError, ioError } from '../core/errors.ts';
import { exitCodes } from '../core/exit-codes.ts';
import { checkedOrigin } from '../remote/client.ts';
import { join } from '../remote/join.ts';
import { type Call, type Command, parameter, stateDirectoryOf, stateOption, textOption } from './command.ts';
import { loadMembership, saveJoined } from './membership.ts';
import { lockStateDirectory } from './state-directory.ts';

export const joinCommand: Command = {
  name: 'join',
  summary: 'become a member of a domain',
  description:
    'Asks the signature repository for a certificate. The token, which `covault repository invite` prints, lets in once; ' +
    'it also tells the right repository from any other. A mounted data directory joins when it is mounted the next time.',
  parameters: [{ name: 'URL', summary: 'where the repository is: https://HOST:PORT' }],
  options: [
    { flags: '--token <token>', summary: 'the token' },
    {
      flags: '--token-file <file>',
      summary: 'read the token from a file, which keeps it out of the list of processes',
    },
    { flags: '--name <name>', summary: 'what to be called, if the token was not made for one name' },
    stateOption,
  ],
  exitCodes: [exitCodes.denied, exitCodes.unavailable, exitCodes.io],
  examples: [['covault join https://vault.example:7420 --token covault1-… --name laptop', 'joins as laptop']],
  async run(call) {
    const url = checkedOrigin(parameter(call, 0));
    const token = await readToken(call);
    const stateDirectory = stateDirectoryOf(call);
    const locked = await lockStateDirectory(stateDirectory);
    try {
      await checkNotJoined(stateDirectory);
      const name = textOption(call, 'name');
      const options = { url, token, signal: call.signal, ...(name === undefined ? {} : { name }) };
      const { identity, domain } = await join(options);
      await saveJoined(stateDirectory, { domain, joined: { identity, repositoryUrl: url } });
      return {
        result: { type: 'joined', name: identity.name, role: identity.role, domain: domain.id, url },
        lines: [`joined the domain of ${url} as ${identity.role} ${identity.name}`],
      };
    } finally {
      await locked.release();
    }
  },
};

async function checkNotJoined(stateDirectory: string): Promise<void> {
  const joined = (await loadMembership(stateDirectory))?.joined;
  if (joined === undefined) return;
  const { identity, repositoryUrl } = joined;
  throw new CovaultError('E_EXISTS', `${stateDirectory} belongs to ${identity.name}, who has joined ${repositoryUrl}`, {
    hint: 'give a state directory of its own with --state',
  });
}

async function readToken(call: Call): Promise<string> {
  const token = textOption(call, 'token');
  const file = textOption(call, 'tokenFile');
  if ((token === undefined) === (file === undefined)) {
    throw new CovaultError('E_BAD_INPUT', 'give the token with either --token or --token-file');
  }
  if (token !== undefined) return token;
  try {
    return await readFile(String(file), 'utf8');
  } catch (error) {
    throw ioError(error, `read the token from ${file}`);
  }
}
