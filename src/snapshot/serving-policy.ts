/**
 * What a client lets others take, decided from its settings, the hour, the power, the network and what was sent this
 * month. Pure; `serving-gate.ts` acts on it.
 */

/** A part of every day with a rate of its own. */
export interface RateWindow {
  /** Minutes since midnight, 0 to 1439. A window that ends before it begins goes on past midnight. */
  fromMinute: number;
  toMinute: number;
  /** 0: nothing at all. */
  bytesPerSecond: number;
}

export interface RateSchedule {
  /** Outside of all windows; infinite for no bound. */
  bytesPerSecond: number;
  /** The first that fits counts. */
  windows: readonly RateWindow[];
}

export interface SlotLimits {
  /** Requests for blocks answered at once. */
  total: number;
  /** Of those, for one puller. */
  perPuller: number;
}

export interface ServingSettings {
  upload: RateSchedule;
  slots: SlotLimits;
  pausesOnBattery: boolean;
  pausesOnMetered: boolean;
  /** How many times dearer bytes of this client are than those of others: who pulls asks others first. 1 to 1000. */
  price: number;
  /** Bytes sent in a calendar month; infinite for no bound. */
  monthlyBytesMax: number;
  /** For secondary copies of this client itself, which may have nobody else to turn to. */
  source: {
    /** Bounds what goes to them, within `upload`. */
    bytesPerSecond: number;
    /** After a cut was open for so long, that bound holds no more. */
    freeAfterMs: number;
    /** They wait, too, while others do. */
    pauses: boolean;
  };
}

export const defaultServingSettings: ServingSettings = {
  upload: { bytesPerSecond: Number.POSITIVE_INFINITY, windows: [] },
  slots: { total: 16, perPuller: 6 },
  pausesOnBattery: true,
  pausesOnMetered: true,
  price: 1,
  monthlyBytesMax: Number.POSITIVE_INFINITY,
  source: { bytesPerSecond: Number.POSITIVE_INFINITY, freeAfterMs: Number.POSITIVE_INFINITY, pauses: false },
};

/** What counts besides the settings. */
export interface ServingConditions {
  /** Minutes since midnight. */
  minute: number;
  isOnBattery: boolean;
  isMetered: boolean;
  /** Bytes sent this month. */
  monthBytes: number;
  /** Until the next month begins. */
  monthLeftMs: number;
}

export type PauseReason = 'battery' | 'metered' | 'hours' | 'month';

export type ServingDecision =
  | { kind: 'serve'; bytesPerSecond: number }
  /** `retryAfterMs`: when it may be otherwise. */
  | { kind: 'pause'; reason: PauseReason; message: string; retryAfterMs: number };

const minuteMs = 60_000;
const dayMinutes = 24 * 60;
/** Power and network may change at any time: whoever is refused for them may ask again after this. */
const surroundingsRetryMs = 5 * minuteMs;

/** Of several reasons to pause the one that will last longest. */
export function decideServing(settings: ServingSettings, conditions: ServingConditions): ServingDecision {
  const { minute, isOnBattery, isMetered, monthBytes, monthLeftMs } = conditions;
  const bytesPerSecond = rateAt(settings.upload, minute);
  let pause: (ServingDecision & { kind: 'pause' }) | undefined;
  const consider = (reason: PauseReason, message: string, retryAfterMs: number) => {
    if (pause === undefined || retryAfterMs > pause.retryAfterMs)
      pause = { kind: 'pause', reason, message, retryAfterMs };
  };
  if (isOnBattery && settings.pausesOnBattery) consider('battery', 'it runs on battery', surroundingsRetryMs);
  if (isMetered && settings.pausesOnMetered) consider('metered', 'its network is metered', surroundingsRetryMs);
  if (bytesPerSecond === 0) consider('hours', 'it does not serve at this hour', msUntilRate(settings.upload, minute));
  if (monthBytes >= settings.monthlyBytesMax) consider('month', 'it has sent all that it may this month', monthLeftMs);
  return pause ?? { kind: 'serve', bytesPerSecond };
}

export function rateAt({ bytesPerSecond, windows }: RateSchedule, minute: number): number {
  return windows.find((window) => isWithin(window, minute))?.bytesPerSecond ?? bytesPerSecond;
}

/** For the rest of an answer that was under way when serving was paused, bytes per second. */
const pausedBytesPerSecond = 1024 * 1024;

/**
 * Bytes per second for what is being sent: `all` bounds everything together, `source` what goes to copies of this
 * client. Never 0: whom the gate lets in is served.
 *
 * @param cutOpenMs for how long a cut of this client has been open for who is served; undefined: it has none.
 */
export function ratesFor(
  settings: ServingSettings,
  conditions: ServingConditions,
  cutOpenMs: number | undefined,
): { all: number; source: number } {
  const { bytesPerSecond, freeAfterMs } = settings.source;
  const all = rateAt(settings.upload, conditions.minute) || pausedBytesPerSecond;
  const isFree = cutOpenMs === undefined || cutOpenMs >= freeAfterMs;
  return { all, source: isFree ? Number.POSITIVE_INFINITY : bytesPerSecond };
}

/** Until the rate is above 0; a day if it never is. */
function msUntilRate(schedule: RateSchedule, minute: number): number {
  for (let later = 1; later <= dayMinutes; later++) {
    if (rateAt(schedule, (minute + later) % dayMinutes) > 0) return later * minuteMs;
  }
  return dayMinutes * minuteMs;
}

function isWithin({ fromMinute, toMinute }: RateWindow, minute: number): boolean {
  if (fromMinute < toMinute) return minute >= fromMinute && minute < toMinute;
  return minute >= fromMinute || minute < toMinute;
}

/** What this machine's calendar says. */
export interface Calendar {
  minute: number;
  /** "2026-11". */
  month: string;
  monthLeftMs: number;
}

/** @param nowMs milliseconds since 1970; hours and months are those of this machine's zone. */
export function calendarAt(nowMs: number): Calendar {
  const now = new Date(nowMs);
  const next = new Date(now.getFullYear(), now.getMonth() + 1, 1).getTime();
  return {
    minute: now.getHours() * 60 + now.getMinutes(),
    month: `${now.getFullYear()}-${String(now.getMonth() + 1).padStart(2, '0')}`,
    monthLeftMs: Math.max(minuteMs, next - nowMs),
  };
}

/** Bytes sent in one month. */
export interface MonthTotal {
  month: string;
  bytes: number;
}

/** The total with `bytes` more; a new month begins at nothing. */
export function addToMonth(total: MonthTotal, month: string, bytes: number): MonthTotal {
  return { month, bytes: (total.month === month ? total.bytes : 0) + bytes };
}
