/** Sizes, counts, shares and durations as people read them. */

import { CovaultError } from '../core/errors.ts';

const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** Three or four significant digits in units of 1000: `0 B`, `999 B`, `1.5 kB`, `312.4 MB`. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  // What would be shown as 1000.0 belongs to the next unit.
  while (value >= 999.95 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/**
 * Bytes of "500kB", "10 MB", "1.5GB"; a bare number counts bytes.
 *
 * @throws CovaultError `E_BAD_INPUT` for anything else, nothing included.
 */
export function parseBytes(text: string): number {
  const [, digits, unitName = 'B'] = /^(\d+(?:\.\d+)?)\s*([a-z]+)?$/i.exec(text) ?? [];
  const power = units.findIndex((unit) => unit.toLowerCase() === unitName.toLowerCase());
  const bytes = Math.round(Number(digits) * 1000 ** power);
  if (power >= 0 && bytes > 0 && Number.isSafeInteger(bytes)) return bytes;
  throw new CovaultError('E_BAD_INPUT', `not a size: ${JSON.stringify(text)}`, {
    hint: 'write a number and a unit, like 500kB, 10MB or 1.5GB',
  });
}

/** `12 345`: groups of three, with a thin gap that copies as a space. */
export function formatCount(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ' ');
}

/** `97.3 %`; 0 of 0 is nothing. */
export function formatShare(part: number, whole: number): string {
  return `${whole === 0 ? '0.0' : ((100 * part) / whole).toFixed(1)} %`;
}

/** `0.4 s`, `12.3 s`, `3 min 05 s`, `2 h 07 min`. */
export function formatSeconds(seconds: number): string {
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, '0')} s`;
  const minutes = Math.round(seconds / 60);
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`;
}

/** `2026-08-22 14:03:59`, in the zone of this machine. */
export function formatTime(timeNs: bigint): string {
  const time = new Date(Number(timeNs / 1_000_000n));
  const pad = (value: number) => String(value).padStart(2, '0');
  const date = [time.getFullYear(), pad(time.getMonth() + 1), pad(time.getDate())].join('-');
  return `${date} ${[time.getHours(), time.getMinutes(), time.getSeconds()].map(pad).join(':')}`;
}

/** Lines of columns, each as wide as its widest cell; columns whose number is in `right` are aligned there. */
export function formatTable(rows: readonly (readonly string[])[], right: readonly number[] = []): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, [...cell].length);
  }
  return rows.map((row) =>
    row
      .map((cell, column) => {
        const gap = ' '.repeat((widths[column] ?? 0) - [...cell].length);
        return right.includes(column) ? gap + cell : cell + gap;
      })
      .join('  ')
      .trimEnd(),
  );
}
