/** How fast peers were when blocks were last pulled from them, for the next plan. Pure; files are the caller's. */

export interface PeerSpeed {
  peer: string;
  bytesPerSecond: number;
  /** When it was measured, milliseconds since 1970. */
  atMs: number;
}

/** Older than this says nothing about today. */
const ageMsMax = 30 * 24 * 60 * 60 * 1000;
/** Peers remembered; beyond, those longest not met are forgotten. */
const peersMax = 1000;

/** What was known with what was measured now in its place, the newest first. */
export function rememberSpeeds(
  known: readonly PeerSpeed[],
  measured: ReadonlyMap<string, number>,
  nowMs: number,
): PeerSpeed[] {
  const fresh = [...measured].map(([peer, bytesPerSecond]) => ({ peer, bytesPerSecond, atMs: nowMs }));
  const others = known.filter(({ peer, atMs }) => !measured.has(peer) && isOfUse(atMs, nowMs));
  return [...fresh, ...others.toSorted((a, b) => b.atMs - a.atMs)].slice(0, peersMax);
}

/** The speeds that are not too old, bytes per second by peer. */
export function speedsOfUse(known: readonly PeerSpeed[], nowMs: number): Map<string, number> {
  return new Map(
    known.filter(({ atMs }) => isOfUse(atMs, nowMs)).map(({ peer, bytesPerSecond }) => [peer, bytesPerSecond]),
  );
}

/** A clock that was set back makes no speed last longer. */
function isOfUse(atMs: number, nowMs: number): boolean {
  return Math.abs(nowMs - atMs) <= ageMsMax;
}
