/** What a check found: collected here, never thrown. */
import { type Digest, digestKey } from '../core/digest.ts';
import { isCovaultError } from '../core/errors.ts';
import { saysDamage } from './damage.ts';
import type { EntryKind } from './pack-format.ts';

/** A place in a snapshot that cannot be restored as it was. */
export interface AffectedPath {
  /** Id of the snapshot. */
  snapshot: string;
  client: string;
  /** The moment of the snapshot, nanoseconds since 1970. */
  timeNs: bigint;
  /** Path within the snapshot, "/" between names; empty for its root. A directory stands for all below it. */
  path: Uint8Array;
}

export interface CheckFinding {
  /** `damage`: something is lost or unreadable. `notice`: worth knowing, nothing is lost. */
  severity: 'damage' | 'notice';
  /** Name of the file within the store. */
  file: string;
  message: string;
  /** The first `affectedPathsMax` of them. */
  affected: AffectedPath[];
  affectedCount: number;
}

export interface CheckReport {
  /** Nothing is damaged. */
  ok: boolean;
  packs: number;
  blocks: number;
  /** Trees and recipes that snapshots refer to. */
  objects: number;
  snapshots: number;
  /** Bytes of packs that were read and verified; 0 unless all data were read. */
  bytesRead: number;
  findings: CheckFinding[];
}

/** Paths named for one finding; beyond, they are only counted. */
export const affectedPathsMax = 100;

export class CheckFindings {
  readonly all: CheckFinding[] = [];
  /** The damage that makes an entry unreadable. */
  readonly #byEntry = new Map<string, CheckFinding>();

  damage(file: string, message: string): CheckFinding {
    return this.#add('damage', file, message);
  }

  notice(file: string, message: string): CheckFinding {
    return this.#add('notice', file, message);
  }

  /** Records a failure that says the file is bad; anything else is thrown on. */
  damageFrom(file: string, error: unknown): CheckFinding {
    if (!saysDamage(error) && !isCovaultError(error, 'E_NOT_FOUND')) throw error;
    return this.damage(file, error.message);
  }

  /** Takes note that an entry is lost by this damage. */
  lose(kind: EntryKind, digest: Digest, finding: CheckFinding): void {
    const key = kind + digestKey(digest);
    if (!this.#byEntry.has(key)) this.#byEntry.set(key, finding);
  }

  /** The damage by which an entry is lost, if it is. */
  lossOf(kind: EntryKind, digest: Digest): CheckFinding | undefined {
    return this.#byEntry.get(kind + digestKey(digest));
  }

  #add(severity: 'damage' | 'notice', file: string, message: string): CheckFinding {
    const finding: CheckFinding = { severity, file, message, affected: [], affectedCount: 0 };
    this.all.push(finding);
    return finding;
  }
}

export function addAffected(finding: CheckFinding, path: AffectedPath): void {
  finding.affectedCount++;
  if (finding.affected.length < affectedPathsMax) finding.affected.push(path);
}
