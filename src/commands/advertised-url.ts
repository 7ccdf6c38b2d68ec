/** Under which address other members find this one. */
import { createConnection } from 'node:net';
import { hostname } from 'node:os';

const probeMs = 5000;
const wildcards = ['0.0.0.0', '::', ''];

/**
 * The URL to advertise for a server that listens on `host` and `port`. Where it listens on all addresses, the one by
 * which this machine reaches the repository is taken, or the machine's name if the repository cannot be reached.
 */
export async function advertisedUrl(listening: { host: string; port: number }, repositoryUrl: string): Promise<string> {
  const { host, port } = listening;
  const found = wildcards.includes(host) ? ((await localAddressTowards(repositoryUrl)) ?? hostname()) : host;
  return `https://${found.includes(':') ? `[${found}]` : found}:${port}`;
}

/** The local end of a connection to `url`; nothing is sent. */
function localAddressTowards(url: string): Promise<string | undefined> {
  const { hostname: host, port } = new URL(url);
  return new Promise((resolve) => {
    const socket = createConnection({
      host: host.replace(/^\[|\]$/g, ''),
      port: Number(port || 443),
      timeout: probeMs,
    });
    const finish = (address: string | undefined) => {
      socket.destroy();
      resolve(address);
    };
    socket.once('connect', () => finish(socket.localAddress?.replace(/^::ffff:/, '')));
    socket.once('error', () => finish(undefined));
    socket.once('timeout', () => finish(undefined));
  });
}
