/** A call as a command gets it, with everything replaced that a test may want to see or to decide. */

import type { Call } from '../../src/commands/command.ts';
import { openLog } from '../../src/commands/logging.ts';
import { noProgress } from '../../src/commands/progress.ts';
import { systemClock } from '../../src/core/clock.ts';

export function fakeCall(changes: Partial<Call> & { answers?: string[]; password?: string } = {}): Call {
  const { answers, password, ...call } = changes;
  const left = [...(answers ?? [])];
  return {
    parameters: [],
    options: {},
    environment: { words: [], stateDirectory: 'nowhere', password, logLevel: undefined },
    terminal: {
      print: () => undefined,
      note: () => undefined,
      noteStream: process.stderr,
      isInteractive: answers !== undefined,
      askSecret: async () => left.shift() ?? '',
    },
    progress: noProgress,
    log: openLog('silent'),
    clock: systemClock,
    json: false,
    signal: new AbortController().signal,
    announce: () => undefined,
    ...call,
  };
}
