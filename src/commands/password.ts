/** The password of a store: from a file, a command, the environment, or a person. */
import { execFile } from 'node:child_process';
import { readFile, stat } from 'node:fs/promises';
import { promisify } from 'node:util';
import { writeFileAtomic } from '../core/atomic-file.ts';
import { CovaultError, systemErrorCode } from '../core/errors.ts';
import { generatePassword } from '../store/generated-password.ts';
import { type Call, type Option, textOption } from './command.ts';

export const newPasswordOption: Option = {
  flags: '--new-password-file <file>',
  summary: 'for a new store: make a password and write it to this new file',
};

export const passwordOptions: readonly Option[] = [
  { flags: '--password-file <file>', summary: "read the store's password from the first line of a file" },
  { flags: '--password-command <command>', summary: "read the store's password from a shell command's first line" },
];

const secretBytesMax = 64 * 1024;

/**
 * @param options.isNew the store is being created: a person is asked twice.
 * @throws CovaultError `E_BAD_INPUT` if there is none, it is empty, or the two answers differ; `E_EXISTS` if a new one is wanted
 *   and there is a store or a file already.
 */
export async function readPassword(call: Call, options: { store: string; isNew: boolean }): Promise<string> {
  const newFile = textOption(call, 'newPasswordFile');
  const password = newFile === undefined ? await findPassword(call, options) : await makePassword(newFile, options);
  if (password.length > 0) return password;
  throw new CovaultError('E_BAD_INPUT', `the password for ${options.store} is empty`);
}

/** A password that nobody has to think of or type. */
async function makePassword(path: string, { store, isNew }: { store: string; isNew: boolean }): Promise<string> {
  const hint = `use --password-file ${path}`;
  if (!isNew) throw new CovaultError('E_EXISTS', `${store} is a store already and has its password`, { hint });
  const isThere = await stat(path).then(
    () => true,
    () => false,
  );
  if (isThere) throw new CovaultError('E_EXISTS', `${path} exists already`, { hint: `${hint}, or name another file` });
  const password = generatePassword();
  await writeFileAtomic(path, `${password}\n`);
  return password;
}

async function findPassword(call: Call, { store, isNew }: { store: string; isNew: boolean }): Promise<string> {
  const file = textOption(call, 'passwordFile');
  const command = textOption(call, 'passwordCommand');
  if (file !== undefined && command !== undefined) {
    throw new CovaultError('E_BAD_INPUT', '--password-file and --password-command exclude each other');
  }
  if (file !== undefined) return firstLine(await readSecretFile(file));
  if (command !== undefined) return firstLine(await runSecretCommand(command, call.signal));
  if (call.environment.password !== undefined) return call.environment.password;
  if (!call.terminal.isInteractive) {
    throw new CovaultError('E_BAD_INPUT', `no password for ${store}`, {
      hint: 'set COVAULT_PASSWORD, or give --password-file or --password-command',
    });
  }
  const password = await call.terminal.askSecret(`${isNew ? 'New password' : 'Password'} for ${store}: `, call.signal);
  if (isNew && password !== (await call.terminal.askSecret('The same again: ', call.signal))) {
    throw new CovaultError('E_BAD_INPUT', 'the two passwords differ');
  }
  return password;
}

async function readSecretFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    const code = systemErrorCode(cause) === 'ENOENT' ? 'E_NOT_FOUND' : 'E_IO';
    throw new CovaultError(code, `cannot read the password file ${path}`, { cause });
  }
}

async function runSecretCommand(command: string, signal: AbortSignal): Promise<string> {
  try {
    const options = { signal, maxBuffer: secretBytesMax };
    return (await promisify(execFile)('sh', ['-c', command], options)).stdout;
  } catch {
    // Neither its output nor its words are shown: both may hold the secret.
    throw new CovaultError('E_BAD_INPUT', 'the password command failed', { hint: 'run it by hand to see why' });
  }
}

function firstLine(text: string): string {
  return text.split(/\r?\n/, 1)[0] ?? '';
}
