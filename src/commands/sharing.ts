/** What a mounted client lets others take: settings, the machine's surroundings and the month's total, around the gate. */
import type { Clock } from '../core/clock.ts';
import { ServingGate } from '../snapshot/serving-gate.ts';
import type { Logger } from './logging.ts';
import { loadSentTotal, SentTotalKeeper } from './sent-total.ts';
import { loadSettings, type MemberSettings } from './settings.ts';
import { SurroundingsWatch } from './surroundings.ts';

export interface Sharing {
  readonly gate: ServingGate;
  readonly settings: MemberSettings;
  /** Reads the settings anew. @throws CovaultError `E_BAD_INPUT`; then those before hold. */
  reload(): Promise<void>;
  close(): Promise<void>;
}

/** @throws CovaultError `E_BAD_INPUT` for settings that are wrong, `E_IO`. */
export async function openSharing(stateDirectory: string, options: { clock: Clock; log: Logger }): Promise<Sharing> {
  const { clock, log } = options;
  let settings = await loadSettings(stateDirectory);
  const watch = await SurroundingsWatch.start(settings.metered);
  const gate = new ServingGate({
    settings: settings.serving,
    sent: await loadSentTotal(stateDirectory, log),
    surroundings: () => watch.state(),
    clock,
  });
  const keeper = new SentTotalKeeper(stateDirectory, () => gate.sent, log);
  return {
    gate,
    get settings() {
      return settings;
    },
    async reload() {
      settings = await loadSettings(stateDirectory);
      gate.configure(settings.serving);
      await watch.look(settings.metered);
    },
    async close() {
      watch.close();
      await keeper.close();
    },
  };
}
