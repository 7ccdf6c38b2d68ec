/**
 * Routes by which a member keeps the map level with its feed.
 *
 * The position says up to where the map follows; it moves only after the changes are durable, and only from where the
 * changes begin. All requests of one member take effect one after the other.
 */
import { randomId } from '../core/clock.ts';
import { CovaultError } from '../core/errors.ts';
import { limits } from '../core/limits.ts';
import type { Role } from '../remote/member.ts';
import {
  type ChangesRequest,
  type ResyncBegin,
  type ResyncPage,
  repositoryPaths,
  unpackChangesRequest,
  unpackResyncBegin,
  unpackResyncId,
  unpackResyncPage,
} from '../remote/repository-messages.ts';
import { callerOf, parseNothing, type Route, route } from '../remote/route.ts';
import { Exclusive } from './exclusive.ts';
import type { FeedPosition, MapStore, MemberNumber, Resync } from './map-store.ts';
import type { Roster } from './roster.ts';

const holderRoles: readonly Role[] = ['client', 'secondary'];
const smallBytes = 1024;

export function feedRoutes(context: { store: MapStore; roster: Roster }): Route[] {
  const { store, roster } = context;
  const turns = new Map<MemberNumber, Exclusive>();
  const inTurn = <T>(name: string, act: (member: MemberNumber) => Promise<T>): Promise<T> => {
    const { number } = roster.named(name);
    const turn = turns.get(number) ?? new Exclusive();
    turns.set(number, turn);
    return turn.run(() => act(number));
  };
  const feedRoute = <T>(
    path: string,
    bodyBytesMax: number,
    parse: (body: unknown) => T,
    act: (member: MemberNumber, body: T) => Promise<unknown>,
  ): Route =>
    route<T>({
      method: 'POST',
      path,
      roles: holderRoles,
      bodyBytesMax,
      parse,
      handle: async (call) => ({
        body: await inTurn(callerOf(call).name, (member) => act(member, call.body)),
      }),
    });

  return [
    feedRoute(repositoryPaths.feedPosition, smallBytes, parseNothing, (member) => knownPosition(store, member)),
    feedRoute(repositoryPaths.feedChanges, limits.requestBytesMax, unpackChangesRequest, (member, body) =>
      applyChanges(store, member, body),
    ),
    feedRoute(repositoryPaths.resyncBegin, smallBytes, unpackResyncBegin, (member, body) =>
      beginResync(store, member, body),
    ),
    feedRoute(repositoryPaths.resyncPage, limits.requestBytesMax, unpackResyncPage, (member, body) =>
      applyPage(store, member, body),
    ),
    feedRoute(repositoryPaths.resyncFinish, smallBytes, unpackResyncId, (member, body) =>
      finishResync(store, member, body.resync),
    ),
  ];
}

async function knownPosition(store: MapStore, member: MemberNumber): Promise<unknown> {
  const position = await store.position(member);
  return position !== undefined && 'sequence' in position
    ? { history: position.history, sequence: position.sequence }
    : { history: null };
}

async function applyChanges(store: MapStore, member: MemberNumber, changes: ChangesRequest): Promise<unknown> {
  const position = await store.position(member);
  if (position === undefined || !('sequence' in position) || position.history !== changes.history) {
    return { sequence: null };
  }
  // Ahead: these changes arrived before, and the answer was lost; the member goes on from where we are.
  if (changes.from < position.sequence) return { sequence: position.sequence };
  // Behind: what was acknowledged is not here (an older copy of the tables).
  if (changes.from > position.sequence) return { sequence: null };
  const { gained, lost, history, to } = changes;
  await store.applyChanges(member, { gained, lost, position: { history, sequence: to } });
  return { sequence: to };
}

async function beginResync(store: MapStore, member: MemberNumber, begin: ResyncBegin): Promise<unknown> {
  const id = randomId();
  const { history, sequence } = begin;
  await store.putPosition(member, { history, resync: { id, sequence, after: undefined } });
  return { resync: id };
}

async function applyPage(store: MapStore, member: MemberNumber, page: ResyncPage): Promise<unknown> {
  const { history, resync } = await runningResync(store, member, page.resync);
  const upTo = page.digests.at(-1);
  if (upTo === undefined || sameDigest(resync.after, upTo)) return {};
  if (!sameDigest(resync.after, page.after)) {
    throw new CovaultError('E_BAD_INPUT', 'the page does not follow on the one before');
  }
  const position: FeedPosition = { history, resync: { ...resync, after: upTo } };
  await store.replaceRange(member, { after: page.after, upTo, digests: page.digests, position });
  return {};
}

async function finishResync(store: MapStore, member: MemberNumber, id: string): Promise<unknown> {
  const { history, resync } = await runningResync(store, member, id);
  const position = { history, sequence: resync.sequence };
  await store.replaceRange(member, { after: resync.after, upTo: undefined, digests: [], position });
  return { sequence: resync.sequence };
}

async function runningResync(
  store: MapStore,
  member: MemberNumber,
  id: string,
): Promise<{ history: string; resync: Resync }> {
  const position = await store.position(member);
  if (position !== undefined && 'resync' in position && position.resync.id === id) return position;
  throw new CovaultError('E_NOT_FOUND', 'this resync is not under way', { hint: 'begin it anew' });
}

function sameDigest(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a === undefined || b === undefined ? a === b : Buffer.compare(a, b) === 0;
}
