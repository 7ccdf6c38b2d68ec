/**
 * What a member lets others have and takes itself: `settings.json` in its state directory, written by people. A file
 * that is not there is one without entries. `docs/cli.md` has the table of keys.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CovaultError, ioError, isCovaultError, systemErrorCode } from '../core/errors.ts';
import { asCount, asList, asOneOf, asRecord, asText } from '../core/shape.ts';
import { priceMax } from '../remote/repository-messages.ts';
import {
  defaultServingSettings,
  type RateSchedule,
  type RateWindow,
  type ServingSettings,
} from '../snapshot/serving-policy.ts';
import { parseDuration } from './durations.ts';
import { parseRate, parseRateWindow } from './rate-schedule.ts';
import { parseBytes } from './sizes.ts';

export interface MemberSettings {
  serving: ServingSettings;
  /** What this member pulls from others. */
  download: RateSchedule;
  /** Whether the network is metered: what it says itself, or what is written. */
  metered: 'ask' | 'yes' | 'no';
  /** How blocks are read for others; holds from the next mount on. */
  reading: 'idle' | 'usual';
}

const slotsMax = 1000;
const windowsMax = 100;

type Reader = (value: unknown, key: string) => unknown;

const text: Reader = (value, key) => asText(value, key, 100);
const rate: Reader = (value, key) => parseRate(asText(value, key, 100));
const windows: Reader = (value, key) =>
  asList(value, key, windowsMax).map((item) => parseRateWindow(asText(item, key, 100)));
const slots: Reader = (value, key) => asCount(value, key, slotsMax, 1);
const oneOf =
  (...choices: string[]): Reader =>
  (value, key) =>
    asOneOf(value, key, choices);

/** Who asks for blocks wants them: there is no hour without. */
function withoutOff(list: RateWindow[]): RateWindow[] {
  if (list.every(({ bytesPerSecond }) => bytesPerSecond > 0)) return list;
  throw new CovaultError('E_BAD_INPUT', '"off" is for uploads only', { hint: 'give a low rate instead' });
}

/** Every key, and how its value is read. */
const readers: Record<string, Reader> = {
  upload: rate,
  uploadByHour: windows,
  uploadPerMonth: (value, key) =>
    value === 'unlimited' ? Number.POSITIVE_INFINITY : parseBytes(text(value, key) as string),
  download: rate,
  downloadByHour: (value, key) => withoutOff(windows(value, key) as RateWindow[]),
  slots,
  slotsPerPuller: slots,
  price: (value, key) => asCount(value, key, priceMax, 1),
  onBattery: oneOf('pause', 'serve'),
  onMetered: oneOf('pause', 'serve'),
  metered: oneOf('ask', 'yes', 'no'),
  sourceUpload: rate,
  sourceUploadFreeAfter: (value, key) => parseDuration(text(value, key) as string),
  sourceOnPause: oneOf('pause', 'serve'),
  reading: oneOf('idle', 'usual'),
};

/**
 * Settings out of the text of a file.
 *
 * @throws CovaultError `E_BAD_INPUT` that names the key.
 */
export function parseSettings(content: string, path: string): MemberSettings {
  const found = new Map<string, unknown>();
  for (const [key, value] of Object.entries(parseObject(content, path))) found.set(key, readEntry(key, value, path));
  const get = <T>(key: string, otherwise: T) => (found.get(key) ?? otherwise) as T;
  const isPaused = (key: string, otherwise: 'pause' | 'serve') => get<string>(key, otherwise) === 'pause';
  const { slots: slotLimits, source } = defaultServingSettings;
  const schedule = (key: string): RateSchedule => ({
    bytesPerSecond: get(key, Number.POSITIVE_INFINITY),
    windows: get(`${key}ByHour`, []),
  });
  const total = get('slots', slotLimits.total);
  return {
    serving: {
      upload: schedule('upload'),
      slots: { total, perPuller: Math.min(total, get('slotsPerPuller', slotLimits.perPuller)) },
      pausesOnBattery: isPaused('onBattery', 'pause'),
      pausesOnMetered: isPaused('onMetered', 'pause'),
      price: get('price', defaultServingSettings.price),
      monthlyBytesMax: get('uploadPerMonth', Number.POSITIVE_INFINITY),
      source: {
        bytesPerSecond: get('sourceUpload', source.bytesPerSecond),
        freeAfterMs: get('sourceUploadFreeAfter', source.freeAfterMs),
        pauses: isPaused('sourceOnPause', 'serve'),
      },
    },
    download: schedule('download'),
    metered: get('metered', 'ask'),
    reading: get('reading', 'idle'),
  };
}

/** The settings of a state directory. @throws CovaultError `E_BAD_INPUT`, `E_IO`. */
export async function loadSettings(stateDirectory: string): Promise<MemberSettings> {
  const path = join(stateDirectory, 'settings.json');
  try {
    return parseSettings(await readFile(path, 'utf8'), path);
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return parseSettings('{}', path);
    throw ioError(error, `read ${path}`);
  }
}

function parseObject(content: string, path: string): Record<string, unknown> {
  try {
    return asRecord(JSON.parse(content), 'the file');
  } catch (cause) {
    throw new CovaultError('E_BAD_INPUT', `${path} is not a JSON object`, { cause });
  }
}

function readEntry(key: string, value: unknown, path: string): unknown {
  const reader = Object.hasOwn(readers, key) ? readers[key] : undefined;
  if (reader === undefined) {
    throw new CovaultError('E_BAD_INPUT', `${path}: there is no setting ${JSON.stringify(key.slice(0, 80))}`, {
      hint: `the settings are ${Object.keys(readers).join(', ')}`,
    });
  }
  try {
    return reader(value, key);
  } catch (error) {
    if (!isCovaultError(error)) throw error;
    const reason = error.code === 'E_CORRUPT' ? error.message : `${key}: ${error.message}`;
    throw new CovaultError('E_BAD_INPUT', `${path}: ${reason}`, error.hint === undefined ? {} : { hint: error.hint });
  }
}
