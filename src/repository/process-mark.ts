/** Marks a running process so that it is not mistaken for a later one with the same number. Linux. */
import { readFileSync } from 'node:fs';
import { decode, encode } from '../core/codec.ts';
import { asCount, asList, asText } from '../core/shape.ts';

export interface ProcessMark {
  pid: number;
  /** When it started: clock ticks since the machine did. */
  startTicks: string;
  /** The machine's start, as the kernel names it. */
  boot: string;
}

export function ownProcess(): ProcessMark {
  return { pid: process.pid, startTicks: startTicksOf(process.pid) ?? '', boot: bootId() };
}

/** Whether the marked process (it may be this one) still runs. */
export function isRunning(mark: ProcessMark): boolean {
  return mark.boot === bootId() && mark.startTicks === startTicksOf(mark.pid);
}

export function packProcessMark(mark: ProcessMark): Uint8Array {
  return encode([1, mark.pid, mark.startTicks, mark.boot]);
}

/** @throws CovaultError `E_CORRUPT`. */
export function unpackProcessMark(bytes: Uint8Array): ProcessMark {
  const fields = asList(decode(bytes, 'process mark'), 'process mark', 4);
  return {
    pid: asCount(fields[1], 'process id', 0xffff_ffff),
    startTicks: asText(fields[2], 'start of the process', 32),
    boot: asText(fields[3], 'boot id', 64),
  };
}

/** Field 22 of /proc/PID/stat (proc(5)); undefined if there is no such process or it has ended and waits for its parent. */
function startTicksOf(pid: number): string | undefined {
  try {
    // The second field is the program's name in parentheses and may contain anything.
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)?.split(' ') ?? [];
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
  } catch {
    return '';
  }
}
