/** Speeds of peers from one pull to the next: `peer-speeds.json` in the state directory. Losing it costs nothing but time. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomic } from '../core/atomic-file.ts';
import { CovaultError } from '../core/errors.ts';
import { limits } from '../core/limits.ts';
import { asCount, asList, asRecord, asText } from '../core/shape.ts';
import { type PeerSpeed, rememberSpeeds } from '../snapshot/peer-speeds.ts';
import type { Logger } from './logging.ts';

const entriesMax = 10_000;

/** What is remembered; nothing if there is no file or it cannot be read. */
export async function loadPeerSpeeds(stateDirectory: string, log: Logger): Promise<PeerSpeed[]> {
  const path = pathIn(stateDirectory);
  const content = await readFile(path, 'utf8').catch(() => undefined);
  if (content === undefined) return [];
  try {
    const fields = asRecord(JSON.parse(content), path);
    if (fields.version !== 1) throw new CovaultError('E_VERSION', `${path} has an unknown version`);
    return asList(fields.peers, 'peers', entriesMax).map((item) => {
      const { peer, bytesPerSecond, atMs } = asRecord(item, 'peer');
      return {
        peer: asText(peer, 'peer', limits.peerNameCharsMax),
        bytesPerSecond: asCount(bytesPerSecond, 'bytesPerSecond', Number.MAX_SAFE_INTEGER, 1),
        atMs: asCount(atMs, 'atMs'),
      };
    });
  } catch (error) {
    log.warn({ error, path }, 'the remembered speeds of peers cannot be read');
    return [];
  }
}

/** Adds what a pull measured. Never rejects: a plan does without. */
export async function savePeerSpeeds(
  stateDirectory: string,
  parts: { known: readonly PeerSpeed[]; measured: ReadonlyMap<string, number>; nowMs: number; log: Logger },
): Promise<void> {
  const { known, measured, nowMs, log } = parts;
  if (measured.size === 0) return;
  const whole = new Map([...measured].map(([peer, speed]) => [peer, Math.max(1, Math.round(speed))]));
  const content = JSON.stringify({ version: 1, peers: rememberSpeeds(known, whole, Math.round(nowMs)) });
  await writeFileAtomic(pathIn(stateDirectory), `${content}\n`).catch((error: unknown) =>
    log.warn({ error }, 'the speeds of peers cannot be remembered'),
  );
}

function pathIn(stateDirectory: string): string {
  return join(stateDirectory, 'peer-speeds.json');
}
