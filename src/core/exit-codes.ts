/** What a process of Covault says with its exit status. Numbers are promised; a retired one is never used again. */
import type { ErrorCode } from './errors.ts';

export const exitCodes = {
  /** Done. */
  ok: 0,
  /** An unexpected failure, a defect included. */
  failure: 1,
  /** The command line or its input is wrong. */
  usage: 2,
  /** Done, with named exceptions: the snapshot exists, but some files did not settle; the check found damage. */
  incomplete: 3,
  /** A named thing (client, snapshot, path, store) does not exist. */
  notFound: 4,
  /** Wrong password, no or wrong certificate, or a role that may not do this. */
  denied: 5,
  /** The repository, the client or every holder of a block cannot be reached. */
  unavailable: 6,
  /** Bytes on disk are damaged. */
  corrupt: 7,
  /** Out of space, or the operating system refused. */
  io: 8,
  /** Mounting or unmounting failed, or the place is in use. */
  mount: 9,
  /** Something needed on this machine is missing. */
  requirement: 10,
  /** Stopped by SIGINT or SIGTERM. */
  interrupted: 130,
} as const;

const byErrorCode: Record<ErrorCode, number> = {
  E_BAD_INPUT: exitCodes.usage,
  E_NOT_FOUND: exitCodes.notFound,
  E_EXISTS: exitCodes.usage,
  E_CORRUPT: exitCodes.corrupt,
  E_VERSION: exitCodes.corrupt,
  E_AUTH: exitCodes.denied,
  E_BUSY: exitCodes.unavailable,
  E_TOO_LARGE: exitCodes.usage,
  E_UNAVAILABLE: exitCodes.unavailable,
  E_NO_HOLDER: exitCodes.unavailable,
  E_NO_SPACE: exitCodes.io,
  E_IO: exitCodes.io,
  E_MOUNT: exitCodes.mount,
  E_REQUIREMENT: exitCodes.requirement,
  E_INCOMPLETE: exitCodes.incomplete,
  E_INTERRUPTED: exitCodes.interrupted,
};

export function exitCodeOf(code: ErrorCode): number {
  return byErrorCode[code];
}
