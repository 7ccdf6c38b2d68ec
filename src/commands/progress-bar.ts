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

export function openProgressBar(stream: NodeJS.WriteStream): ProgressBar {
  const options: BarOptions = {
    stream,
    format: '{label} {bar} {percentage} %  {detail}',
    barsize: 28,
    hideCursor: true,
    clearOnComplete: true,
    stopOnComplete: false,
    gracefulExit: false,
    fps: 8,
    autopadding: true,
  };
  let bar: SingleBar | undefined;
  return {
    show(label, done, total, detail) {
      const words = { label: label.padEnd(labelWidth), detail };
      const whole = total ?? 0;
      if (bar === undefined) {
        bar = new SingleBar(options, Presets.shades_classic);
        bar.start(whole, Math.min(done, whole), words);
      } else {
        bar.setTotal(whole);
        bar.update(Math.min(done, whole), words);
      }
    },
    clear() {
      bar?.stop();
      bar = undefined;
    },
  };
}
