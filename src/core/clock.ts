/** Time and randomness: the only place that reads the clocks and the system's random numbers. */
import { randomBytes, randomInt } from 'node:crypto';

export interface Clock {
  /** Wall-clock time, milliseconds since 1970. May jump. */
  nowMs(): number;
  /** Milliseconds since some fixed moment; never goes back. */
  monotonicMs(): number;
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
};

/** `count` unpredictable bytes, owned by the caller. */
export function randomBytesOf(count: number): Uint8Array {
  return new Uint8Array(randomBytes(count));
}

/** A random whole number from 0 to `below` - 1. */
export function randomBelow(below: number): number {
  return randomInt(below);
}

/** 16 random bytes as 32 hexadecimal digits. */
export function randomId(): string {
  return randomBytes(16).toString('hex');
}
