/** Routes that answer who holds what, and that take corrections. */
import { limits } from '../core/limits.ts';
import { packHolderRuns } from '../remote/holder-runs.ts';
import { repositoryPaths, unpackHoldersRequest, unpackMissingRequest } from '../remote/repository-messages.ts';
import { type Route, route } from '../remote/route.ts';
import type { MapStore, MemberNumber } from './map-store.ts';
import type { Roster } from './roster.ts';

export function lookupRoutes(context: { store: MapStore; roster: Roster }): Route[] {
  const { store, roster } = context;
  return [
    route({
      method: 'POST',
      path: repositoryPaths.holders,
      roles: ['client', 'secondary', 'administrator'],
      bodyBytesMax: limits.requestBytesMax,
      parse: unpackHoldersRequest,
      async handle({ body }) {
        return { body: packHolderRuns(liveHolders(await store.holdersOf(body.digests), roster)) };
      },
    }),
    route({
      method: 'POST',
      path: repositoryPaths.missing,
      roles: ['client', 'secondary'],
      bodyBytesMax: limits.requestBytesMax,
      parse: unpackMissingRequest,
      async handle({ body }) {
        const removed = await store.removeMissing(roster.named(body.peer).number, body.digests);
        return { body: { removed } };
      },
    }),
  ];
}

/** The names of live holders; neighbours with the same holders share one list. */
function liveHolders(holders: readonly MemberNumber[][], roster: Roster): string[][] {
  const live = roster.liveNames();
  let before: MemberNumber[] = [];
  let names: string[] = [];
  return holders.map((numbers) => {
    if (!equal(numbers, before)) {
      names = numbers.flatMap((number) => live.get(number) ?? []);
      before = numbers;
    }
    return names;
  });
}

function equal(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((number, at) => number === b[at]);
}
