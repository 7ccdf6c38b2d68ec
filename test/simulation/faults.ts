/** What goes wrong in a simulated world, and when: chosen by the seed, over by a known time. */
import { type Lie, lies, type SimClient } from './client.ts';
import type { Host, Pair } from './network.ts';
import type { World } from './world.ts';

export interface Fault {
  name: string;
  atMs: number;
  forMs: number;
  begin(): void;
  end(): void;
}

type Effect = Pick<Fault, 'name' | 'begin' | 'end'>;
type Maker = (world: World) => Effect;

const nothing = () => undefined;

/** Machines that are down, with how many faults keep them so. */
const downs = new WeakMap<Host, number>();

function down(host: Host, kill: () => void, start: () => void, isDark: boolean): Pick<Effect, 'begin' | 'end'> {
  return {
    begin() {
      downs.set(host, (downs.get(host) ?? 0) + 1);
      host.isDark = isDark;
      kill();
    },
    end() {
      const left = (downs.get(host) ?? 1) - 1;
      downs.set(host, left);
      if (left === 0) start();
    },
  };
}

const makers: readonly Maker[] = [
  crash,
  crash,
  crashRepository,
  crashSecondary,
  interrupt,
  part,
  part,
  lose,
  slow,
].concat([change, change, lie, busy, fullDisk, falseClaims, forgetFeed, copyMap]);

/** Faults between now and `untilMs`; at most `count`, none at all for some seeds. */
export function planFaults(world: World, count: number, untilMs: number): Fault[] {
  const { random } = world;
  return Array.from({ length: count }, () => {
    const effect = random.pick(makers)(world);
    const atMs = random.below(untilMs);
    return { ...effect, atMs, forMs: Math.min(untilMs - atMs, Math.round(random.magnitude(50, 60_000))) };
  });
}

function anyClient({ random, clients }: World): SimClient {
  return random.pick([...clients.values()]);
}

function crash(world: World): Effect {
  const client = anyClient(world);
  const isDark = world.random.chance(0.5);
  const isNewIndex = world.random.chance(0.2);
  const machine = down(
    client.host,
    () => client.kill(),
    () => {
      if (isNewIndex) client.feed.startOver();
      client.start(world.repository.host.url);
    },
    isDark,
  );
  return troubling(world, [client.host], { name: `${client.name} crashes${isDark ? ', dark' : ''}`, ...machine });
}

function crashRepository(world: World): Effect {
  const { repository, random } = world;
  const isOldCopy = random.chance(0.3);
  const machine = down(
    repository.host,
    () => repository.kill(),
    () => {
      if (isOldCopy) repository.restoreCopy();
      void repository.start();
    },
    random.chance(0.5),
  );
  return { name: `the repository crashes${isOldCopy ? ', back with an older copy' : ''}`, ...machine };
}

function crashSecondary(world: World): Effect {
  const secondary = world.random.pick(world.secondaries);
  const isDark = world.random.chance(0.5);
  const machine = down(
    secondary.host,
    () => secondary.kill(),
    () => secondary.start(),
    isDark,
  );
  const effect = { name: `${secondary.name} crashes${isDark ? ', dark' : ''}`, ...machine };
  // Clients keep slots for a puller that went without a word.
  return isDark
    ? troubling(
        world,
        [...world.clients.values()].map(({ host }) => host),
        effect,
      )
    : effect;
}

function interrupt(world: World): Effect {
  const secondary = world.random.pick(world.secondaries);
  return { name: `${secondary.name} is interrupted`, begin: () => secondary.interrupt(), end: nothing };
}

/** Some hosts cannot reach the others. */
function part(world: World): Effect {
  const { network, random } = world;
  const hosts = [...network.hosts.values()];
  const some = random.some(hosts, random.pick([0.2, 0.5]));
  const others = hosts.filter((host) => !some.includes(host));
  const pairs = some.flatMap((one) => others.map((other) => network.pair(one, other)));
  return troubling(world, pairs.length === 0 ? [] : hosts, {
    name: `${some.map(({ name }) => name).join(', ')} are cut off`,
    begin() {
      for (const pair of pairs) network.cut(pair);
    },
    end() {
      for (const pair of pairs) network.heal(pair);
    },
  });
}

function lose(world: World): Effect {
  const share = world.random.magnitude(0.02, 0.5);
  return between(world, `loss of ${share.toFixed(2)}`, (pair, isOn) => {
    pair.lossShare = isOn ? share : 0;
  });
}

function slow(world: World): Effect {
  const share = world.random.pick([0.5, 0.05, 0.005]);
  return between(world, `a speed of ${share}`, (pair, isOn) => {
    pair.speedShare = isOn ? share : 1;
    // What waited before a slow link does not hold up others once the link is quick again.
    if (!isOn) pair.freeAtMs = 0;
  });
}

/** Something about the links of one host. */
function between(world: World, name: string, set: (pair: Pair, isOn: boolean) => void): Effect {
  const { network, random } = world;
  const one = random.pick([...network.hosts.values()]);
  const others = random.some(
    [...network.hosts.values()].filter((host) => host !== one),
    0.6,
  );
  const pairs = others.map((other) => network.pair(one, other));
  return troubling(world, [one, ...others], {
    name: `${name} between ${one.name} and ${others.map((other) => other.name).join(', ')}`,
    begin() {
      for (const pair of pairs) set(pair, true);
    },
    end() {
      for (const pair of pairs) set(pair, false);
    },
  });
}

function change(world: World): Effect {
  const client = anyClient(world);
  const begin = () => world.changeFiles(client);
  return troubling(world, [client.host], { name: `${client.name} changes files`, begin, end: nothing });
}

/** A peer lies for good, the source for a while: otherwise nothing could ever be whole. */
function lie(world: World): Effect {
  const client = anyClient(world);
  const kind = world.random.pick(lies);
  const set = (value: Lie | undefined) => () => {
    client.lie = value;
  };
  const end = client === world.source ? set(undefined) : nothing;
  return troubling(world, [client.host], { name: `${client.name} lies: ${kind}`, begin: set(kind), end });
}

function busy(world: World): Effect {
  const client = anyClient(world);
  return troubling(world, [client.host], {
    name: `${client.name} is busy`,
    begin() {
      client.busyUntilMs = Number.POSITIVE_INFINITY;
    },
    end() {
      client.busyUntilMs = 0;
    },
  });
}

function fullDisk(world: World): Effect {
  const { store, name } = world.random.pick(world.secondaries);
  const set = (isFull: boolean) => () => {
    store.isFull = isFull;
  };
  return { name: `the disk of ${name} is full`, begin: set(true), end: set(false) };
}

/** The feed names blocks that the client does not have. */
function falseClaims(world: World): Effect {
  const client = anyClient(world);
  const claimed = world.random.some([...world.source.feed.held()], 0.5);
  return troubling(world, [client.host], {
    name: `${client.name} claims what it does not hold`,
    begin: () => client.feed.gain(...claimed),
    end: nothing,
  });
}

function forgetFeed(world: World): Effect {
  const client = anyClient(world);
  return { name: `the feed of ${client.name} forgets`, begin: () => client.feed.forget(), end: nothing };
}

function copyMap(world: World): Effect {
  return { name: 'the map is copied', begin: () => world.repository.copy(), end: nothing };
}

function troubling(world: World, hosts: readonly Host[], effect: Effect): Effect {
  return {
    name: effect.name,
    begin() {
      world.network.trouble(hosts, 1);
      effect.begin();
    },
    end() {
      effect.end();
      world.network.trouble(hosts, -1);
    },
  };
}
