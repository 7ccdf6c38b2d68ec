/**
 * What all members of a domain share: how blocks are cut and named. It belongs to the signature repository and
 * reaches a member when it joins; a member alone (no repository yet) makes its own.
 */
import { digestKeyBytes } from './digest.ts';
import { CovaultError } from './errors.ts';
import { limits } from './limits.ts';
import { asBytes, asCount, asRecord, asText } from './shape.ts';

export interface CutParameters {
  /** Bytes of the smallest, the normal and the largest block; the last block of a file may be smaller. */
  minBytes: number;
  normalBytes: number;
  maxBytes: number;
}

export interface Domain {
  /** 32 hexadecimal digits. */
  id: string;
  /** 32 bytes, secret of the domain's members. */
  digestKey: Uint8Array;
  cut: CutParameters;
}

export const defaultCutParameters: CutParameters = {
  minBytes: 64 * 1024,
  normalBytes: 256 * 1024,
  maxBytes: 1024 * 1024,
};

export function packDomain(domain: Domain): Record<string, unknown> {
  return { id: domain.id, digestKey: domain.digestKey, cut: { ...domain.cut } };
}

/** @throws CovaultError `E_CORRUPT`. */
export function unpackDomain(value: unknown): Domain {
  const fields = asRecord(value, 'domain');
  const cut = asRecord(fields.cut, 'cut parameters');
  const minBytes = asCount(cut.minBytes, 'minBytes', limits.blockBytesMax, 64);
  const normalBytes = asCount(cut.normalBytes, 'normalBytes', limits.blockBytesMax, minBytes);
  const maxBytes = asCount(cut.maxBytes, 'maxBytes', limits.blockBytesMax, normalBytes);
  const digestKey = asBytes(fields.digestKey, 'digest key', digestKeyBytes);
  if (digestKey.byteLength !== digestKeyBytes) throw new CovaultError('E_CORRUPT', 'digest key is too short');
  return {
    id: asText(fields.id, 'domain id', 32),
    digestKey: new Uint8Array(digestKey),
    cut: { minBytes, normalBytes, maxBytes },
  };
}
