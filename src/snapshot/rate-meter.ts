/** The speed of a peer: bytes over the time in which we waited for them, older time counting less and less. */

const memorySeconds = 2;
/** Less than this was waited and received: too little to tell. */
const tellingSeconds = 0.25;
const tellingBytes = 256 * 1024;
/** A speed from less than this is no use to anybody later. */
const averageBytesMin = 1024 * 1024;

/**
 * Only time in which at least one request waited for the peer counts, so that a slow store does not make all peers
 * look slow. Times are monotonic milliseconds.
 */
export class RateMeter {
  #bytes = 0;
  #seconds = 0;
  #totalBytes = 0;
  #totalSeconds = 0;
  #peak = 0;
  #waiting = 0;
  #sinceMs = 0;

  /** A request begins to wait for bytes. */
  beginWait(nowMs: number): void {
    this.#advance(nowMs);
    this.#waiting += 1;
  }

  /** A request has what it waited for, or waits no more. */
  endWait(nowMs: number): void {
    this.#advance(nowMs);
    this.#waiting -= 1;
  }

  received(bytes: number, nowMs: number): void {
    this.#advance(nowMs);
    this.#bytes += bytes;
    this.#totalBytes += bytes;
    if (this.#totalSeconds >= tellingSeconds) this.#peak = Math.max(this.#peak, this.#bytes / this.#seconds);
  }

  /** Bytes per second of late, at least 1; undefined while too little is known. */
  bytesPerSecond(nowMs: number): number | undefined {
    this.#advance(nowMs);
    if (this.#totalBytes < tellingBytes && this.#totalSeconds < tellingSeconds) return undefined;
    return Math.max(1, this.#bytes / Math.max(0.001, this.#seconds));
  }

  /** The highest speed seen, bytes per second; 0 while too little is known. */
  get peak(): number {
    return this.#peak;
  }

  /** Bytes per second over all the time waited; undefined while that is too little to be remembered. */
  get average(): number | undefined {
    const isTelling = this.#totalSeconds >= tellingSeconds && this.#totalBytes >= averageBytesMin;
    return isTelling ? this.#totalBytes / this.#totalSeconds : undefined;
  }

  /** Seconds waited in all. */
  get waitedSeconds(): number {
    return this.#totalSeconds;
  }

  #advance(nowMs: number): void {
    const seconds = (nowMs - this.#sinceMs) / 1000;
    this.#sinceMs = nowMs;
    if (this.#waiting === 0 || seconds <= 0) return;
    const kept = Math.exp(-seconds / memorySeconds);
    this.#bytes *= kept;
    // The integral of the same decay over the time waited.
    this.#seconds = this.#seconds * kept + memorySeconds * (1 - kept);
    this.#totalSeconds += seconds;
  }
}
