/** One bar on the terminal. The only import of `cli-progress`. */
import { type Options, Presets, SingleBar } from 'cli-progress';

/** The stream that the bar draws on; its types leave it out. */
type BarOptions = Options & { stream: NodeJS.WriteStream };

export interface ProgressBar {
  /** @param total in the same unit as `done`; unknown if absent. */
  show(label: string, done: number, total: number | undefined, detail: string): void;
  /** Removes the bar. Idempotent. */
  clear(): void;
}

const labelWidth = 12;

const formats = {
  known: '{label} {bar} {percentage} %  {detail}',
  unknown: '{label} {detail}',
} as const;

export function openProgressBar(stream: NodeJS.WriteStream): ProgressBar {
  let bar: SingleBar | undefined;
  let shown: keyof typeof formats | undefined;
  const start = (format: keyof typeof formats, total: number, words: object) => {
    bar?.stop();
    bar = new SingleBar({ ...options, format: formats[format], stream } as BarOptions, Presets.shades_classic);
    bar.start(total, 0, words);
    shown = format;
  };
  return {
    show(label, done, total, detail) {
      const words = { label: label.padEnd(labelWidth), detail };
      const format = total === undefined ? 'unknown' : 'known';
      const whole = total ?? 1;
      if (bar === undefined || shown !== format) start(format, whole, words);
      bar?.setTotal(whole);
      bar?.update(Math.min(done, whole), words);
    },
    clear() {
      bar?.stop();
      bar = undefined;
    },
  };
}

const options: Options = {
  barsize: 28,
  hideCursor: true,
  clearOnComplete: true,
  stopOnComplete: false,
  gracefulExit: false,
  fps: 8,
  autopadding: true,
};
