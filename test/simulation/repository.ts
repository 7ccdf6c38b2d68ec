/** A simulated repository: the project's own routes over a map that survives crashes as LMDB's does. */
import { defaultCutParameters } from '../../src/core/domain.ts';
import type { MapStore, MemberNumber } from '../../src/repository/map-store.ts';
import { repositoryRoutes } from '../../src/repository/repository.ts';
import { Roster } from '../../src/repository/roster.ts';
import { createMemoryMapStore, emptyMapState, type MapState } from '../repository/memory-map-store.ts';
import type { Host, SimNetwork } from './network.ts';
import { SimProcess } from './process.ts';

const leaseTtlMs = 30_000;
const diskMsMax = 40;

export class SimRepository {
  readonly host: Host;
  readonly #network: SimNetwork;
  /** On disk. */
  #state: MapState = emptyMapState();
  /** An older copy of the tables, as a backup has it. */
  #copy: MapState | undefined;
  #process: SimProcess | undefined;

  constructor(network: SimNetwork) {
    this.#network = network;
    this.host = network.addHost({ name: 'repository', role: 'repository', up: 50e6, down: 50e6 });
  }

  get isRunning(): boolean {
    return this.#process !== undefined;
  }

  /** Lets these hosts be members. */
  async enrol(hosts: readonly Host[]): Promise<void> {
    const store = createMemoryMapStore(this.#state);
    for (const { name, role, fingerprint } of hosts) {
      await store.putMember({ name, role, fingerprint, joinedMs: this.#network.time.nowMs() });
    }
  }

  async start(): Promise<void> {
    const process = new SimProcess(this.#network.time);
    this.#process = process;
    const store = this.#onDisk(process);
    const clock = this.#network.time;
    const roster = await process.guard(Roster.load(store, { clock, leaseTtlMs }));
    const domain = { id: '0'.repeat(32), digestKey: new Uint8Array(32), cut: defaultCutParameters };
    const authority = { certificatePem: '', privateKeyPem: '' };
    const domainAuthority = { domain, authority, fingerprint: new Uint8Array(32) };
    const routes = repositoryRoutes({ store, roster, domainAuthority, clock });
    this.#network.listen(this.host, {
      process,
      routes: new Map(routes.map((route) => [route.path, route])),
      admit: (caller) => roster.admit(caller),
    });
  }

  kill(): void {
    this.#process?.kill();
    this.#process = undefined;
  }

  /** Keeps a copy of what is on disk. */
  copy(): void {
    this.#copy = structuredClone(this.#state);
  }

  /** Goes back to the copy, as somebody does who has lost the disk. Only while it does not run. */
  restoreCopy(): void {
    if (this.#copy !== undefined) this.#state = structuredClone(this.#copy);
  }

  /** What the map says of a member. */
  holdingsOf(name: string): ReadonlySet<string> {
    const number = this.#state.members.get(name)?.number;
    return (number === undefined ? undefined : this.#state.held.get(number)) ?? new Set();
  }

  /** The store as the running process sees it: slow; and a crash may leave a part of a change behind, as promised. */
  #onDisk(process: SimProcess): MapStore {
    const { random } = this.#network;
    const disk = createMemoryMapStore(this.#state);
    const slowly = async <T>(work: () => Promise<T>): Promise<T> => {
      await process.work(random.below(diskMsMax));
      return process.guard(work());
    };
    const store = Object.fromEntries(
      Object.entries(disk).map(([name, method]) => [
        name,
        (...parameters: unknown[]) => slowly(() => (method as (...all: unknown[]) => Promise<unknown>)(...parameters)),
      ]),
    ) as unknown as MapStore;
    const orPart = async (apply: (part: number) => void, whole: () => Promise<void>) => {
      const forget = process.onKill(() => apply(random.below(11) / 10));
      await process.work(random.below(diskMsMax));
      forget();
      await process.guard(whole());
    };
    return {
      ...store,
      applyChanges: (member, changes) =>
        orPart(
          (part) => this.#applyPart(member, random.some(changes.gained, part), random.some(changes.lost, part)),
          () => disk.applyChanges(member, changes),
        ),
      replaceRange: (member, range) =>
        orPart(
          (part) => this.#applyPart(member, random.some(range.digests, part), []),
          () => disk.replaceRange(member, range),
        ),
    };
  }

  #applyPart(member: MemberNumber, gained: readonly Uint8Array[], lost: readonly Uint8Array[]): void {
    const position = this.#state.positions.get(member);
    if (position !== undefined) void createMemoryMapStore(this.#state).applyChanges(member, { gained, lost, position });
  }
}
