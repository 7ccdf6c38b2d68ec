/**
 * A mounted data directory in this process, put together as `covault mount` does it, and its snapshots: by the cut itself,
 * held open and browsed while it is, or by what `covault snapshot` does, over HTTPS into a store in memory. The mount is used
 * by other processes only.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { TreeView } from '../../src/browse/tree-view.ts';
import { type ClientDaemon, startClientDaemon } from '../../src/commands/client-daemon.ts';
import { openLog } from '../../src/commands/logging.ts';
import { saveJoined } from '../../src/commands/membership.ts';
import { type Clock, systemClock } from '../../src/core/clock.ts';
import { createDigester } from '../../src/core/digest.ts';
import type { Domain } from '../../src/core/domain.ts';
import { CovaultError, systemErrorCode } from '../../src/core/errors.ts';
import type { Cut, SnapshotReader } from '../../src/core/ports.ts';
import type { SnapshotRecord } from '../../src/core/snapshot.ts';
import type { DataMode } from '../../src/fs/session.ts';
import { openConnection } from '../../src/remote/client.ts';
import { takeSnapshot } from '../../src/snapshot/take.ts';
import { createStore, type Store } from '../../src/store/store.ts';
import { createTestDomain, type TestDomain } from '../remote/test-domain.ts';
import { openMemoryBackend } from '../store/memory-backend.ts';
import { testKdf, testPassword } from '../store/store-fixture.ts';
import { type Image, readImage } from './image.ts';

const domainId = '0123456789abcdef0123456789abcdef';
const client = 'laptop';
const secondary = 'vault';
/** Small blocks, so that small files have several. */
const cut = { minBytes: 1024, normalBytes: 4096, maxBytes: 16_384 };

/** A snapshot that can be read as often as one likes. */
export interface OpenSnapshot {
  timeNs: bigint;
  /** Paths that are not as they should be, and why. */
  exceptions: string[];
  read(): Promise<Image>;
  close(): Promise<void>;
}

export class CutMount implements AsyncDisposable {
  readonly data: string;
  readonly mountpoint: string;
  readonly daemon: ClientDaemon;
  readonly domain: Domain;
  readonly #members: TestDomain;
  readonly #store: Store;

  private constructor(parts: {
    data: string;
    mountpoint: string;
    daemon: ClientDaemon;
    domain: Domain;
    members: TestDomain;
    store: Store;
  }) {
    this.data = parts.data;
    this.mountpoint = parts.mountpoint;
    this.daemon = parts.daemon;
    this.domain = parts.domain;
    this.#members = parts.members;
    this.#store = parts.store;
  }

  /**
   * @param directory for data, state and mountpoint: those of before are used again.
   * @param options.data another data directory.
   */
  static async open(
    directory: string,
    dataMode: DataMode,
    options: { data?: string; clock?: Clock } = {},
  ): Promise<CutMount> {
    const { data = join(directory, 'data'), clock = systemClock } = options;
    const [mountpoint, state] = [join(directory, 'mountpoint'), join(directory, 'state')];
    for (const path of [data, state]) mkdirSync(path, { recursive: true, mode: 0o700 });
    makeMountpoint(mountpoint);
    const members = await createTestDomain(domainId);
    const domain: Domain = { id: domainId, digestKey: new Uint8Array(32).fill(5), cut };
    // Where nobody listens: a client does not need its repository.
    const joined = { identity: await members.identity(client, 'client'), repositoryUrl: 'https://127.0.0.1:9' };
    await saveJoined(state, { domain, joined });
    const store = await createStore({ backend: openMemoryBackend(), password: testPassword, domain, kdf: testKdf });
    const daemon = await startClientDaemon({
      dataDirectory: data,
      at: mountpoint,
      dataMode,
      transport: undefined,
      stateDirectory: state,
      listen: { host: '127.0.0.1', port: 0 },
      hashingThreads: 1,
      clock,
      log: openLog('error'),
    });
    return new CutMount({ data, mountpoint, daemon, domain, members, store });
  }

  /** A cut, held open until it is closed. */
  async hold(): Promise<OpenSnapshot> {
    const held = await this.daemon.index.openCut();
    const record = { ...emptyRecord, timeNs: held.timeNs, root: held.root };
    const { index } = this.daemon;
    const reader: SnapshotReader = {
      listSnapshots: async () => [record],
      readObject: async (kind, digest) => (await held.readObject(kind, digest)) ?? absent(kind),
      readBlock: (digest) => index.readBlock(digest),
    };
    return opened(reader, record, { exceptions: held.exceptions ?? [], close: () => held.close() });
  }

  /** A snapshot in the store. */
  async take(): Promise<OpenSnapshot> {
    const identity = await this.#members.identity(secondary, 'secondary');
    const url = this.daemon.network?.url ?? '';
    const writer = await this.#store.openWriter();
    try {
      const { record } = await takeSnapshot({
        client,
        connect: async () => openConnection({ identity, url, expect: { name: client, role: 'client' } }),
        holders: { holdersOf: async (digests) => digests.map(() => []), reportMissing: async () => undefined },
        sink: writer,
        digester: createDigester(this.#store.domain.digestKey),
        clock: systemClock,
        puller: secondary,
      });
      const store = this.#store;
      const reader: SnapshotReader = {
        listSnapshots: async () => [record],
        readObject: (kind, digest) => store.readObject(kind, digest),
        readBlock: (digest) => store.readBlock(digest),
      };
      return opened(reader, record, { exceptions: record.exceptions, close: async () => undefined });
    } finally {
      await writer.abandon();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.daemon[Symbol.asyncDispose]();
    await this.#store.close();
  }
}

function opened(
  reader: SnapshotReader,
  record: SnapshotRecord,
  parts: { exceptions: NonNullable<Cut['exceptions']>; close(): Promise<void> },
): OpenSnapshot {
  return {
    timeNs: record.timeNs,
    exceptions: parts.exceptions.map(({ path, reason }) => `${Buffer.from(path)}: ${reason}`),
    // A view of its own each time: nothing is remembered from the reading before.
    read: async () => readSnapshot(reader),
    close: parts.close,
  };
}

async function readSnapshot(reader: SnapshotReader): Promise<Image> {
  const problems: string[] = [];
  const view = new TreeView(reader, { onProblem: (message) => problems.push(message) });
  const [top] = await view.readDirectory(1n);
  const [snapshot] = top ? await view.readDirectory(top.node) : [];
  if (!snapshot) throw new Error('there is no snapshot to be read');
  try {
    return await readImage(view, snapshot.node);
  } catch (error) {
    throw new Error(`a snapshot cannot be read: ${problems.join('; ') || String(error)}`, { cause: error });
  }
}

/** Unless the dead mount of a daemon that was killed is there, which the next one takes away. */
function makeMountpoint(path: string): void {
  try {
    mkdirSync(path, { recursive: true });
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOTCONN' && systemErrorCode(error) !== 'EEXIST') throw error;
  }
}

function absent(kind: string): never {
  throw new CovaultError('E_NOT_FOUND', `the cut lacks a ${kind} of its own`);
}

const emptyRecord = {
  id: '0'.repeat(32),
  client,
  files: 0,
  bytes: 0,
  newBytes: 0,
  bytesFromSource: 0,
  bytesOnlyAtSource: 0,
  peers: [],
  storedBytes: 0,
  seconds: 0,
  exceptions: [],
};
