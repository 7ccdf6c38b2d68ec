/** Certificates that were replaced or whose members were removed: what one member has been told of them. */
import { CovaultError } from '../core/errors.ts';
import type { Caller } from './route.ts';

/** A part of the repository's list, which only grows: what follows on the entries before it. */
export interface RevokedPart {
  /** SHA-256 of certificates, 64 hexadecimal digits. */
  fingerprints: string[];
  /** Entries of the list up to the end of this part. */
  upTo: number;
}

export class RevokedCertificates {
  readonly #fingerprints = new Set<string>();
  #upTo = 0;

  /** How much of the list is known. */
  get upTo(): number {
    return this.#upTo;
  }

  /** Takes in a part. A list that has become shorter is another one: it is read from its start, nothing is forgotten. */
  add({ fingerprints, upTo }: RevokedPart): void {
    for (const fingerprint of fingerprints) this.#fingerprints.add(fingerprint);
    this.#upTo = upTo;
  }

  /** @throws CovaultError `E_AUTH` for a certificate that was revoked. */
  admit(caller: Caller): void {
    if (!this.#fingerprints.has(caller.fingerprint)) return;
    throw new CovaultError('E_AUTH', `the certificate of ${caller.name} was revoked`, {
      hint: 'it was replaced or the member was removed: join again with a new token',
    });
  }
}
