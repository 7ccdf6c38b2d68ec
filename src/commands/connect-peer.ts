/** Connections to other clients of the domain, wherever the repository says that they are. */
import { type Connection, openConnection } from '../remote/client.ts';
import type { Identity } from '../remote/identity.ts';
import type { PeerDirectory } from '../snapshot/peer-directory.ts';

/** @throws CovaultError `E_UNAVAILABLE` if nobody knows where `peer` is. */
export async function connectPeer(
  peer: string,
  { directory, identity }: { directory: PeerDirectory; identity: Identity },
): Promise<Connection> {
  return openConnection({ identity, url: await directory.urlOf(peer), expect: { name: peer, role: 'client' } });
}
