/**
 * A process that mounts one data directory and does what `MountDaemon` asks of it. It unmounts and ends when its stdin
 * closes, so that a test which is killed leaves no mount.
 */
import { existsSync, readdirSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { isCovaultError, systemErrorCode } from '../../src/core/errors.ts';
import type { Mutation } from '../../src/core/mutation.ts';
import { type Epoch, lookInEpoch, namesInEpoch, openInEpoch } from '../../src/fs/epoch.ts';
import { type MountSession, mountDataDirectory } from '../../src/fs/session.ts';
import {
  type DaemonEpoch,
  type DaemonFailure,
  type DaemonLine,
  type DaemonRequest,
  fromJson,
  toJson,
} from './mount-protocol.ts';

let session: MountSession | undefined;
let mutations: Mutation[] = [];
const epochs = new Map<number, Epoch>();
/** The mutations before each cut, by its number. */
const beforeCuts = new Map<bigint, Mutation[]>();
let lastCut = 0n;

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
      const onCut = (number: bigint) => beforeCuts.set(number, takeMutations());
      session = await mountDataDirectory({ ...options, keepOut, onMutations, onCut });
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
    case 'openEpoch':
      return await openEpoch();
    case 'closeEpoch':
      await epochs.get(request.epoch)?.close();
      return undefined;
    case 'epochFailure':
      return epochs.get(request.epoch)?.failure();
    case 'lookInEpoch':
      return lookInEpoch(request.epoch, request.directory, request.path, request.names);
    case 'namesInEpoch':
      return namesInEpoch(request.epoch, request.directory, request.path);
    case 'readInEpoch':
      return await readInEpoch(request.epoch, request.path, request.inode);
    case 'block':
      block(request.ms, request.until);
      return undefined;
    case 'unmount':
      return mounted().unmount({ lazy: request.lazy });
    case 'exit':
      if (request.unmountFirst) await session?.dispose();
      return undefined;
  }
}

function block(ms: number, until: string | undefined): void {
  const never = new Int32Array(new SharedArrayBuffer(4));
  if (until === undefined) {
    Atomics.wait(never, 0, 0, ms);
    return;
  }
  for (const end = Date.now() + ms; Date.now() < end && !existsSync(until); ) Atomics.wait(never, 0, 0, 5);
}

/** Flushes first, as a cut does. */
async function openEpoch(): Promise<DaemonEpoch> {
  await mounted().settle();
  const number = ++lastCut;
  const epoch = await mounted().openEpoch(number);
  epochs.set(epoch.id, epoch);
  const before = beforeCuts.get(number);
  beforeCuts.delete(number);
  if (!before) throw new Error('the cut was not delivered when it was open');
  return { id: epoch.id, timeNs: epoch.timeNs, heldNs: epoch.heldNs, before };
}

/** Everything in one piece; holes are asked for as well, and must be zeros. */
async function readInEpoch(epoch: number, path: Uint8Array, inode: bigint): Promise<Uint8Array> {
  const file = openInEpoch(epoch, path, inode);
  try {
    const { size } = file.attributes();
    const content = await file.readLater(0, size);
    if (content.byteLength !== size) throw new Error(`${content.byteLength} bytes of ${size}`);
    let position = 0;
    for (let data = file.nextData(0); data; data = file.nextData(data.end)) {
      if (content.subarray(position, data.start).some((byte) => byte !== 0)) throw new Error('a hole is not empty');
      position = data.end;
    }
    return content;
  } finally {
    file.close();
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
