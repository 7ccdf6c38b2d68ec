/** Every bound of the system that more than one stage relies on, with its unit and reason. */
import { invariant } from './errors.ts';

export const limits = {
  /** Largest block a domain may be configured to cut, in bytes; what a reader of blocks must be ready to hold. */
  blockBytesMax: 4 * 1024 * 1024,
  /** Largest tree or recipe object, in bytes: a directory of a million entries fits. */
  objectBytesMax: 256 * 1024 * 1024,
  /** Blocks asked of one peer in one request. */
  blocksPerRequestMax: 4096,
  /** Digests in one lookup or one page of the feed. */
  digestsPerRequestMax: 65_536,
  /** Largest body of any request, in bytes: `digestsPerRequestMax` digests with room for their framing. */
  requestBytesMax: 4 * 1024 * 1024,
  /** Largest answer that is one message, in bytes: a full lookup with a hundred holders of each block. */
  answerBytesMax: 32 * 1024 * 1024,
  /** Length of a name within a directory, in bytes: what Linux allows. */
  nameBytesMax: 255,
  /** Length of a client's or secondary's name, in characters. */
  peerNameCharsMax: 63,
  /** Extended attribute value, in bytes: what Linux allows. */
  xattrBytesMax: 65_536,
  /** Recipes with at most this many segments stand in the tree entry itself. */
  inlineSegmentsMax: 4,
} as const;

invariant(limits.digestsPerRequestMax * 40 <= limits.requestBytesMax, 'a full lookup fits into a request');
invariant(limits.blocksPerRequestMax <= limits.digestsPerRequestMax, 'blocks asked for are a lookup at most');
