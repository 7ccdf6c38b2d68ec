/**
 * Whether this machine runs on battery and whether its network is metered, as far as the system tells: files of
 * /sys/class/power_supply, and NetworkManager's word by way of `busctl` or `nmcli`. What is not known counts as no.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Surroundings } from '../snapshot/serving-gate.ts';
import { Questions } from './questions.ts';

/** One supply of power, as its files say; what has no file is empty. */
export interface PowerSupply {
  /** "Mains", "USB", "Battery", … */
  type: string;
  /** Of mains and USB: "1" while there is power. */
  online: string;
  /** Of batteries: "Discharging", "Charging", "Full", … */
  status: string;
  /** "Device": of something plugged in, such as a mouse. */
  scope: string;
}

/** Runs on battery: one of the machine's own discharges, and no other supply has power. */
export function isOnBattery(supplies: readonly PowerSupply[]): boolean {
  const own = supplies.filter(({ scope }) => scope !== 'Device');
  const hasMains = own.some(({ type, online }) => type !== 'Battery' && online === '1');
  return !hasMains && own.some(({ type, status }) => type === 'Battery' && status === 'Discharging');
}

/** NetworkManager's property `Metered` as `busctl` prints it: "u 1" is yes, "u 3" is a guess at yes. */
export function isMeteredByProperty(output: string): boolean | undefined {
  const value = /^u ([0-4])\s*$/.exec(output)?.[1];
  if (value === undefined || value === '0') return undefined;
  return value === '1' || value === '3';
}

/** What `nmcli -g GENERAL.METERED device show` prints: a line for each device, "yes", "no (guessed)", "unknown". */
export function isMeteredByDevices(output: string): boolean | undefined {
  const words = output.split('\n').map((line) => line.split(' ')[0]);
  if (words.includes('yes')) return true;
  return words.includes('no') ? false : undefined;
}

const powerDirectory = '/sys/class/power_supply';
const askMs = 2_000;
/** How often it is looked at. */
const lookMs = 30_000;

const networkManager = 'org.freedesktop.NetworkManager';
const questions: readonly { command: string; read(output: string): boolean | undefined }[] = [
  {
    command: `busctl --system get-property ${networkManager} /org/freedesktop/NetworkManager ${networkManager} Metered`,
    read: isMeteredByProperty,
  },
  { command: 'nmcli -g GENERAL.METERED device show', read: isMeteredByDevices },
];

/** Looks every half minute until it is closed. */
export class SurroundingsWatch {
  readonly #directory: string;
  readonly #asked = new Questions(questions.map(({ command }) => command));
  #metered: 'ask' | 'yes' | 'no';
  #state: Surroundings = { isOnBattery: false, isMetered: false };
  #timer: NodeJS.Timeout | undefined;

  private constructor(metered: 'ask' | 'yes' | 'no', directory: string) {
    this.#metered = metered;
    this.#directory = directory;
  }

  /** @param directory where the kernel shows supplies of power. */
  static async start(metered: 'ask' | 'yes' | 'no', directory = powerDirectory): Promise<SurroundingsWatch> {
    const watch = new SurroundingsWatch(metered, directory);
    await watch.look();
    watch.#timer = setInterval(() => void watch.look(), lookMs);
    watch.#timer.unref();
    return watch;
  }

  state(): Surroundings {
    return this.#state;
  }

  /** Looks anew; never rejects. */
  async look(metered: 'ask' | 'yes' | 'no' = this.#metered): Promise<void> {
    this.#metered = metered;
    const [supplies, isMetered] = await Promise.all([
      readSupplies(this.#directory),
      metered === 'ask' ? askMetered(this.#asked) : metered === 'yes',
    ]);
    this.#state = { isOnBattery: isOnBattery(supplies), isMetered };
  }

  close(): void {
    clearInterval(this.#timer);
    this.#asked.close();
  }
}

async function readSupplies(directory: string): Promise<PowerSupply[]> {
  const names = await readdir(directory).catch(() => []);
  return Promise.all(
    names.map(async (name) => {
      const field = (file: string) =>
        readFile(join(directory, name, file), 'utf8').then(
          (content) => content.trim(),
          () => '',
        );
      const [type, online, status, scope] = await Promise.all(['type', 'online', 'status', 'scope'].map(field));
      return { type: type ?? '', online: online ?? '', status: status ?? '', scope: scope ?? '' };
    }),
  );
}

/** A program that is not there, or that nobody answers, says nothing: the next one may know. */
async function askMetered(asked: Questions): Promise<boolean> {
  for (const [number, { read }] of questions.entries()) {
    const answer = read(await asked.ask(number, askMs));
    if (answer !== undefined) return answer;
  }
  return false;
}
