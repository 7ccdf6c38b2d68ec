/**
 * A process that mounts one data directory and does what `MountDaemon` asks of it. It unmounts and ends when its stdin
 * closes, so that a test which is killed leaves no mount.
 */
import { readdirSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { isCovaultError, systemErrorCode } from '../../src/core/errors.ts';
import type { Mutation } from '../../src/core/mutation.ts';
import { type MountSession, mountDataDirectory } from '../../src/fs/session.ts';
import { type DaemonFailure, type DaemonLine, type DaemonRequest, fromJson, toJson } from './mount-protocol.ts';

let session: MountSession | undefined;
let mutations: Mutation[] = [];

function say(line: DaemonLine): void {
  process.stdout.write(`${toJson(line)}\n`);
}

function failureOf(error: unknown): DaemonFailure {
  const hint = isCovaultError(error) ? error.hint : undefined;
  const code = isCovaultError(error) ? error.code : systemErrorCode(error);
  return { code, hint, message: error instanceof Error ? error.message : String(error) };
}

function mounted(): MountSession {
  if (!session) throw new Error('nothing is mounted');
  return session;
}

function takeMutations(): Mutation[] {
  const taken = mutations;
  mutations = [];
  return taken;
}

async function perform(request: DaemonRequest): Promise<unknown> {
  switch (request.method) {
    case 'mount': {
      const { keepOut = [], keepMutations = true, ...options } = request.options;
      const onMutations = (batch: Mutation[]) => {
        if (!keepMutations) return;
        for (const mutation of batch) mutations.push(mutation);
      };
      session = await mountDataDirectory({ ...options, keepOut, onMutations });
      session.closed.then(
        () => say({ event: 'closed' }),
        (error: unknown) => say({ event: 'closed', error: failureOf(error) }),
      );
      return { mountpoint: session.mountpoint, dataMode: session.dataMode, transport: session.transport };
    }
    case 'settle':
      await mounted().settle();
      return takeMutations();
    case 'mutations':
      return takeMutations();
    case 'counters':
      return mounted().counters();
    case 'openFiles':
      return readdirSync('/proc/self/fd').length;
    case 'block':
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, request.ms);
      return undefined;
    case 'unmount':
      return mounted().unmount({ lazy: request.lazy });
    case 'exit':
      if (request.unmountFirst) await session?.dispose();
      return undefined;
  }
}

async function handle(line: string): Promise<void> {
  const request = fromJson(line) as DaemonRequest;
  try {
    say({ id: request.id, result: await perform(request) });
  } catch (error) {
    say({ id: request.id, error: failureOf(error) });
  }
  if (request.method === 'exit') process.exit(0);
}

const lines = createInterface({ input: process.stdin });
lines.on('line', (line) => void handle(line));
lines.once('close', () => {
  const end = () => process.exit(0);
  if (session) session.dispose().then(end, end);
  else end();
});
