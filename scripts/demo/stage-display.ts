/** What the demo shows while it runs: a bar for each stage on a terminal, a line for each stage otherwise. */
import { openProgressBar, type ProgressBar } from '../../src/commands/progress-bar.ts';
import { formatBytes, formatSeconds } from '../../src/commands/sizes.ts';

export interface Stage {
  /** Further bytes done. */
  add(bytes: number): void;
  /** All that is done, and how much there is in all if that is known. */
  set(bytes: number, total?: number, detail?: string): void;
  /** Shows words instead of bytes. */
  tell(words: string): void;
}

export interface StageDisplay {
  /** Shows `label` while `work` runs. */
  run<T>(label: string, totalBytes: number | undefined, work: (stage: Stage) => Promise<T>): Promise<T>;
  /** Removes what is still shown. */
  end(): void;
}

/** Everything goes to `stream`, so that standard output has nothing but the result. */
export function openStageDisplay(stream: NodeJS.WriteStream): StageDisplay {
  const bar: ProgressBar | undefined = stream.isTTY ? openProgressBar(stream) : undefined;
  return {
    async run(label, totalBytes, work) {
      const startedMs = performance.now();
      let done = 0;
      let total = totalBytes;
      const show = (detail?: string) => {
        const figures = `${formatBytes(done)}${total === undefined ? '' : ` of ${formatBytes(total)}`}`;
        bar?.show(label, done, total, `${figures}${detail ? `  ${detail}` : ''}`);
      };
      bar?.show(label, 0, total, '');
      const result = await work({
        tell: (words) => bar?.show(label, 0, undefined, words),
        add(bytes) {
          done += bytes;
          show();
        },
        set(bytes, newTotal, detail) {
          done = bytes;
          total = newTotal ?? total;
          show(detail);
        },
      });
      bar?.clear();
      stream.write(`  ✔ ${label} (${formatSeconds((performance.now() - startedMs) / 1000)})\n`);
      return result;
    },
    end: () => bar?.clear(),
  };
}
