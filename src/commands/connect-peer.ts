/** Connections to other clients of the domain, wherever the repository says that they are. */
import { CovaultError } from '../core/errors.ts';
import { type Connection, openConnection } from '../remote/client.ts';
import type { Identity } from '../remote/identity.ts';
import type { RepositoryClient } from '../remote/repository-client.ts';

/** @throws CovaultError `E_UNAVAILABLE` if nobody knows where `peer` is. */
export async function connectPeer(
  peer: string,
  { repository, identity }: { repository: RepositoryClient; identity: Identity },
): Promise<Connection> {
  const url = (await repository.peers()).get(peer)?.url;
  if (url === undefined) {
    throw new CovaultError('E_UNAVAILABLE', `the repository does not know where ${peer} is`, {
      hint: `is it mounted? \`covault status\` on ${peer} tells`,
    });
  }
  return openConnection({ identity, url, expect: { name: peer, role: 'client' } });
}
