/** Finding a domain's authority by its fingerprint, before anything else is known or said. */
import { connect, type TLSSocket } from 'node:tls';
import { CovaultError } from '../core/errors.ts';
import { checkedOrigin } from './client.ts';
import { connectionError } from './connection-error.ts';
import { withDeadline } from './deadline.ts';
import { certificateFingerprint, certificatePem } from './read-certificate.ts';

const chainLengthMax = 4;
const handshakeMs = 10_000;

/**
 * Asks the server at `url` for its certificates and returns the one with this SHA-256 fingerprint, PEM. Sends nothing
 * but the TLS handshake. That the server holds a key certified by it is not checked here: open a connection with it.
 *
 * @throws CovaultError `E_AUTH` if the server has no such certificate, `E_UNAVAILABLE`, `E_INTERRUPTED`.
 */
export async function fetchAuthority(
  url: string,
  fingerprint: Uint8Array,
  options: { signal?: AbortSignal } = {},
): Promise<string> {
  const origin = checkedOrigin(url);
  const socket = openSocket(new URL(origin));
  try {
    await withDeadline(handshakeMs, options.signal, (signal) => connected(socket, signal));
    const authority = findInChain(socket, fingerprint);
    if (authority !== undefined) return authority;
  } catch (error) {
    throw connectionError(error, { where: origin, caller: options.signal });
  } finally {
    socket.destroy();
  }
  throw new CovaultError('E_AUTH', `${origin} is not the repository that made this token`, {
    hint: 'check the address, or ask for a new token',
  });
}

function openSocket(url: URL): TLSSocket {
  return connect({
    host: url.hostname.replace(/^\[|\]$/g, ''),
    port: Number(url.port || 443),
    minVersion: 'TLSv1.3',
    // The fingerprint decides, for which the certificates must be seen first.
    rejectUnauthorized: false,
  });
}

function connected(socket: TLSSocket, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    // After a failure, the socket may fail again; the listener stays.
    socket.on('error', reject);
    socket.once('secureConnect', resolve);
  });
}

function findInChain(socket: TLSSocket, fingerprint: Uint8Array): string | undefined {
  let certificate = socket.getPeerX509Certificate();
  for (let length = 0; certificate && length < chainLengthMax; length += 1) {
    if (Buffer.compare(certificateFingerprint(certificate.raw), fingerprint) === 0) {
      return certificatePem(certificate.raw);
    }
    certificate = certificate.issuerCertificate;
  }
  return undefined;
}
